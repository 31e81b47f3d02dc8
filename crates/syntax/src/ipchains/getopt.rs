//! Splits arguments into options and other words, in the order in which they
//! stand, as GNU getopt does for ipchains: letters in clusters, long names
//! that may be shortened, `--` as the end.

use super::error::{UsageError, UsageErrorKind};
use super::options::{OPTIONS, Opt, OptionSpec, Takes};

/// What comes next on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// An option, with the argument that getopt found for it.
    Option(Opt, Option<&'a str>),
    /// A word that is no option.
    Word(&'a str),
}

/// A cursor over the arguments; word 0 is the program.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    words: &'a [String],
    next: usize,
    /// Byte offset in the word `next` of the next letter of a cluster.
    cluster: Option<usize>,
    /// The word in which the last item stood.
    item_at: usize,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(words: &'a [String]) -> Self {
        Self {
            words,
            next: 1,
            cluster: None,
            item_at: 0,
        }
    }

    /// The next option or word; `None` at the end or after `--`.
    pub(super) fn item(&mut self) -> Result<Option<Item<'a>>, UsageError> {
        if let Some(at) = self.cluster {
            return self.letter(at).map(Some);
        }
        let Some(word) = self.word_at(self.next) else {
            return Ok(None);
        };
        self.item_at = self.next;
        if word == "--" {
            self.next += 1;
            return Ok(None);
        }
        if let Some(name) = word.strip_prefix("--") {
            self.next += 1;
            return self.long(name).map(Some);
        }
        if word.starts_with('-') && word.len() > 1 {
            return self.letter(1).map(Some);
        }
        self.next += 1;
        Ok(Some(Item::Word(word)))
    }

    /// The word that the last item came from, for error messages.
    pub(super) fn item_at(&self) -> usize {
        self.item_at
    }

    /// Takes the next word as it is.
    pub(super) fn take(&mut self) -> Option<&'a str> {
        let word = self.word_at(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// Takes the next word unless it looks like an option or `!`.
    pub(super) fn take_value(&mut self) -> Option<&'a str> {
        let word = self.word_at(self.next)?;
        if word.starts_with(['-', '!']) {
            return None;
        }
        self.take()
    }

    /// The word `ahead` of the cursor.
    pub(super) fn peek(&self, ahead: usize) -> Option<&'a str> {
        self.word_at(self.next + ahead)
    }

    /// The whole word before the cursor: what ipchains takes for the value of
    /// an option that may be inverted, even when it holds the option too
    /// (`--dport=80`).
    pub(super) fn previous(&self) -> (usize, &'a str) {
        let at = self.next - 1;
        (at, self.word_at(at).unwrap_or_default())
    }

    /// Index of the next word.
    pub(super) fn position(&self) -> usize {
        self.next
    }

    fn word_at(&self, at: usize) -> Option<&'a str> {
        self.words.get(at).map(String::as_str)
    }

    fn error(&self, kind: UsageErrorKind) -> UsageError {
        UsageError::new(kind, self.item_at)
    }

    /// An option letter at byte `at` of the next word.
    fn letter(&mut self, at: usize) -> Result<Item<'a>, UsageError> {
        self.item_at = self.next;
        let rest = &self.words[self.next][at..];
        let letter = rest.chars().next().unwrap_or_default();
        let after = at + letter.len_utf8();
        let rest = &self.words[self.next][after..];
        let last = rest.is_empty();
        let found = OPTIONS.iter().find(|spec| spec.letter == Some(letter));
        let takes = found.map_or(Takes::Nothing, |spec| spec.takes);
        if last || takes != Takes::Nothing {
            self.next += 1;
            self.cluster = None;
        } else {
            self.cluster = Some(after);
        }
        let spec = found.ok_or_else(|| self.error(UsageErrorKind::InvalidOption(letter)))?;
        let argument = match takes {
            Takes::Nothing => None,
            Takes::OptionalArgument => (!last).then_some(rest),
            Takes::Argument if !last => Some(rest),
            Takes::Argument => {
                let argument = self.take();
                Some(
                    argument
                        .ok_or_else(|| self.error(UsageErrorKind::LetterWantsArgument(letter)))?,
                )
            }
        };
        Ok(Item::Option(spec.option, argument))
    }

    /// A long option; the cursor stands behind its word.
    fn long(&mut self, text: &'a str) -> Result<Item<'a>, UsageError> {
        let (name, attached) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let (spec, full) = self.find_long(name)?;
        let argument = match (spec.long_takes, attached) {
            (Takes::Nothing, Some(_)) => {
                return Err(self.error(UsageErrorKind::LongTakesNoArgument(full)));
            }
            (Takes::Argument, None) => {
                let argument = self.take();
                Some(argument.ok_or_else(|| self.error(UsageErrorKind::LongWantsArgument(full)))?)
            }
            (_, attached) => attached,
        };
        Ok(Item::Option(spec.option, argument))
    }

    /// The option of which `name` is a spelling or its only beginning.
    fn find_long(&self, name: &str) -> Result<(&'static OptionSpec, &'static str), UsageError> {
        let all = || {
            OPTIONS
                .iter()
                .flat_map(|spec| spec.long.iter().map(move |long| (spec, *long)))
        };
        if let Some(exact) = all().find(|(_, long)| *long == name) {
            return Ok(exact);
        }
        let candidates: Vec<_> = all().filter(|(_, long)| long.starts_with(name)).collect();
        match candidates.as_slice() {
            [] => Err(self.error(UsageErrorKind::UnrecognizedOption(name.to_owned()))),
            [first, rest @ ..] if rest.iter().all(|(spec, _)| spec.option == first.0.option) => {
                Ok(*first)
            }
            several => Err(self.error(UsageErrorKind::AmbiguousOption {
                written: name.to_owned(),
                possible: several.iter().map(|(_, long)| *long).collect(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(line: &str) -> Result<Vec<String>, UsageError> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut arguments = Arguments::new(&words);
        let mut items = Vec::new();
        while let Some(item) = arguments.item()? {
            items.push(format!("{item:?}"));
        }
        Ok(items)
    }

    #[test]
    fn clusters_and_attached_arguments() {
        let items = items("ipchains -nvLinput --jump=DENY -lj ACCEPT word").unwrap();
        assert_eq!(
            items,
            [
                "Option(Numeric, None)",
                "Option(Verbose, None)",
                "Option(List, Some(\"input\"))",
                "Option(Jump, Some(\"DENY\"))",
                "Option(Log, None)",
                "Option(Jump, Some(\"ACCEPT\"))",
                "Word(\"word\")",
            ]
        );
    }

    #[test]
    fn long_names_may_be_shortened() {
        assert!(items("ipchains --proto tcp").is_ok());
        let error = items("ipchains --s").unwrap_err();
        assert_eq!(
            error.to_string(),
            "option '--s' is ambiguous; possibilities: '--set' '--source' '--src' \
             '--source-port' '--sport' '--syn'"
        );
    }

    #[test]
    fn missing_arguments_are_named_as_they_were_written() {
        let error = items("ipchains --dport").unwrap_err();
        assert_eq!(error.to_string(), "option '--dport' requires an argument");
        let error = items("ipchains -p").unwrap_err();
        assert_eq!(error.to_string(), "option requires an argument -- 'p'");
    }
}
