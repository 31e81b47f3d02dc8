//! Lines of a shell script to words, as far as a list of commands needs a
//! shell: comments, continued lines, quotes, plain variables.

use std::collections::HashMap;
use std::ops::Range;

/// A word and the bytes of the file that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text after quotes are gone and variables are replaced.
    pub text: String,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Something that needs a real shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellError {
    /// What it is.
    pub message: String,
    /// Where it stands.
    pub span: Range<usize>,
    /// What to do instead.
    pub hint: &'static str,
}

/// The lines of a file; a line that ends in `\` goes on in the next.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    source: &'a str,
    at: usize,
}

/// A line and where it starts.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    text: &'a str,
    start: usize,
}

impl Word {
    /// Whether it stands in the file just so: a shell's own word.
    pub(super) fn is(&self, word: &str) -> bool {
        self.text == word && self.span.len() == word.len()
    }
}

impl<'a> Line<'a> {
    /// The first word from byte `at` on, as it stands there, and its end; empty if none comes.
    pub(super) fn first_word(&self, at: usize) -> (&'a str, usize) {
        let blank = [' ', '\t', '\r', '\n', '\\'];
        let rest = self.text[at..].trim_start_matches(blank);
        let start = self.text.len() - rest.len();
        if rest.starts_with('#') {
            return ("", start);
        }
        let end = rest.find([' ', '\t', '\r', '\n', '\\', ';']);
        let word = &rest[..end.unwrap_or(rest.len())];
        (word, start + word.len())
    }

    /// Bytes of the line as bytes of the file.
    pub(super) fn span(&self, bytes: Range<usize>) -> Range<usize> {
        self.start + bytes.start..self.start + bytes.end
    }
}

impl<'a> Lines<'a> {
    /// The lines of a whole file.
    pub fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let start = self.at;
        if start >= self.source.len() {
            return None;
        }
        loop {
            let rest = &self.source[self.at..];
            let length = rest.find('\n').unwrap_or(rest.len());
            let line = rest[..length].trim_end_matches('\r');
            self.at += (length + 1).min(rest.len());
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            let goes_on = !backslashes.is_multiple_of(2) && !has_comment(line);
            if !goes_on || self.at >= self.source.len() {
                let text = self.source[start..self.at].trim_end_matches(['\n', '\r']);
                return Some(Line { text, start });
            }
        }
    }
}

/// Whether a `#` outside quotes begins a word: a comment ends with its line,
/// even where a `\` stands before the end.
fn has_comment(line: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    for letter in line.chars() {
        match (quote, letter) {
            (None, '#') if before.is_ascii_whitespace() => return true,
            (None, '"' | '\'') if before != '\\' => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
        before = letter;
    }
    false
}

/// The variables that a script has set so far.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    values: HashMap<String, String>,
}

impl Variables {
    /// The commands of a line, each as its words. Assignments set variables
    /// and are no commands.
    pub fn expand(&mut self, line: Line<'_>) -> Result<Vec<Vec<Word>>, ShellError> {
        let mut commands = Vec::new();
        let mut at = 0;
        while let Some((words, next)) = self.command(line, at)? {
            at = next;
            if !words.is_empty() {
                commands.push(words);
            }
        }
        Ok(commands)
    }

    /// The command of a line that begins at byte `at`, without assignments,
    /// which may leave no word of it, and where it ends; `None` at the line's end.
    pub(super) fn command(
        &mut self,
        line: Line<'_>,
        at: usize,
    ) -> Result<Option<(Vec<Word>, usize)>, ShellError> {
        if at >= line.text.len() {
            return Ok(None);
        }
        let mut lexer = Lexer {
            line,
            at,
            values: &self.values,
            words: Vec::new(),
            word: None,
        };
        lexer.run()?;
        let (words, next) = (lexer.words, lexer.at);
        Ok(Some((self.assign(line, words), next)))
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Takes the assignments that a command begins with out of its words.
    fn assign(&mut self, line: Line<'_>, mut words: Vec<Word>) -> Vec<Word> {
        let exported = usize::from(words.first().is_some_and(|word| word.text == "export"));
        let leading = words[exported..].iter();
        let count = leading
            .take_while(|word| assignment(line, word).is_some())
            .count();
        let rest = words.split_off(exported + count);
        for word in &words[exported..] {
            if let Some((name, value)) = assignment(line, word) {
                self.values.insert(name.to_owned(), value.to_owned());
            }
        }
        if exported == 1 {
            // `export NAME` changes nothing here.
            return Vec::new();
        }
        rest
    }
}

/// `NAME=VALUE`, where the name and `=` stand in the file as they are.
fn assignment<'w>(line: Line<'_>, word: &'w Word) -> Option<(&'w str, &'w str)> {
    let (name, value) = word.text.split_once('=')?;
    let written = &line.text[word.span.start - line.start..];
    let plain = written.starts_with(&word.text[..=name.len()]);
    (plain && is_name(name)).then_some((name, value))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// Bytes that variables may make of one command: a script that doubles a
/// variable line by line would otherwise fill the memory.
const LONGEST: usize = 1 << 16;

struct Lexer<'a> {
    line: Line<'a>,
    at: usize,
    values: &'a HashMap<String, String>,
    words: Vec<Word>,
    /// The word that is being read.
    word: Option<Word>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), ShellError> {
        while let Some(letter) = self.peek() {
            let start = self.at;
            self.at += letter.len_utf8();
            match letter {
                ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}' => self.end_word(start),
                '#' if self.word.is_none() => self.at = self.line.text.len(),
                '\\' => self.escaped(start),
                '\'' => self.single_quoted(start)?,
                '"' => self.double_quoted(start)?,
                '$' => {
                    let value = self.variable(start)?;
                    self.split_value(start, &value);
                }
                ';' => {
                    self.end_word(start);
                    return Ok(());
                }
                '>' => self.redirection(start)?,
                '|' | '&' | '<' | '(' | ')' | '`' => return Err(self.needs_shell(start)),
                letter => self.push(start, letter),
            }
        }
        self.end_word(self.line.text.len());
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.line.text[self.at..].chars().next()
    }

    fn push(&mut self, start: usize, letter: char) {
        self.open(start).text.push(letter);
    }

    /// The word that is being read, begun at `start` if there is none.
    fn open(&mut self, start: usize) -> &mut Word {
        let start = self.line.start + start;
        self.word.get_or_insert_with(|| Word {
            text: String::new(),
            span: start..start,
        })
    }

    fn end_word(&mut self, end: usize) {
        if let Some(mut word) = self.word.take() {
            word.span.end = self.line.start + end;
            self.words.push(word);
        }
    }

    /// Where output goes does not matter here: `>` and what belongs to it is
    /// passed over.
    fn redirection(&mut self, start: usize) -> Result<(), ShellError> {
        // `2>`: the number is no word.
        if let Some(word) = self.word.take()
            && !word.text.bytes().all(|byte| byte.is_ascii_digit())
        {
            self.word = Some(word);
            self.end_word(start);
        }
        let rest = self.line.text[self.at..].trim_start_matches(['>', '&']);
        let rest = rest.trim_start_matches([' ', '\t']);
        let end = rest.find([' ', '\t', ';', '#', '|', '&', '<', '>', '(', ')', '`']);
        let target = &rest[..end.unwrap_or(rest.len())];
        if target.is_empty() {
            return Err(self.needs_shell(start));
        }
        self.at = self.line.text.len() - rest.len() + target.len();
        Ok(())
    }

    /// A letter after `\` stands for itself, a line end for nothing.
    fn escaped(&mut self, start: usize) {
        let rest = &self.line.text[self.at..];
        let line_end = if rest.starts_with("\r\n") {
            2
        } else {
            usize::from(rest.starts_with('\n'))
        };
        if line_end > 0 {
            self.at += line_end;
            return;
        }
        if let Some(letter) = self.peek() {
            self.at += letter.len_utf8();
            self.push(start, letter);
        }
    }

    fn single_quoted(&mut self, start: usize) -> Result<(), ShellError> {
        let rest = &self.line.text[self.at..];
        let length = rest.find('\'').ok_or_else(|| self.unclosed(start))?;
        let text = &rest[..length];
        self.open(start).text.push_str(text);
        self.at += length + 1;
        Ok(())
    }

    fn double_quoted(&mut self, start: usize) -> Result<(), ShellError> {
        self.open(start);
        loop {
            let at = self.at;
            let Some(letter) = self.peek() else {
                return Err(self.unclosed(start));
            };
            self.at += letter.len_utf8();
            match letter {
                '"' => return Ok(()),
                '$' => {
                    let value = self.variable(at)?;
                    self.open(start).text.push_str(&value);
                }
                '`' => return Err(self.needs_shell(at)),
                '\\' if self.line.text[self.at..].starts_with(['"', '\\', '$', '`', '\n']) => {
                    self.escaped(at);
                }
                letter => self.push(start, letter),
            }
        }
    }

    /// The value of the variable whose `$` stands at `start`.
    fn variable(&mut self, start: usize) -> Result<String, ShellError> {
        let rest = &self.line.text[self.at..];
        let (name, length) = match rest.strip_prefix('{') {
            Some(inner) => {
                let length = inner.find('}').unwrap_or(0);
                (&inner[..length], length + 2)
            }
            None => {
                let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
                let length = end.unwrap_or(rest.len());
                (&rest[..length], length)
            }
        };
        if name.is_empty() && !rest.starts_with(['{', '(']) {
            // A `$` alone stands for itself.
            return Ok("$".to_owned());
        }
        if !is_name(name) {
            return Err(self.needs_shell(start));
        }
        self.at += length;
        if self.written() > LONGEST {
            return Err(ShellError {
                message: format!("`{name}' makes this line longer than {LONGEST} bytes"),
                span: self.span(start, self.at),
                hint: "write what is meant",
            });
        }
        self.values.get(name).cloned().ok_or_else(|| ShellError {
            message: format!("`{name}' is not set in this file"),
            span: self.span(start, self.at),
            hint: "write the value, or a line NAME=VALUE before this one",
        })
    }

    /// Bytes of all words of this command so far.
    fn written(&self) -> usize {
        let words = self.words.iter().chain(&self.word);
        words.map(|word| word.text.len()).sum()
    }

    /// Outside quotes a value may be several words.
    fn split_value(&mut self, start: usize, value: &str) {
        for (number, part) in value.split([' ', '\t']).enumerate() {
            if number > 0 {
                self.end_word(self.at);
            }
            if !part.is_empty() {
                self.open(start).text.push_str(part);
            }
        }
    }

    fn span(&self, start: usize, end: usize) -> Range<usize> {
        self.line.start + start..self.line.start + end
    }

    fn needs_shell(&self, start: usize) -> ShellError {
        let sign = &self.line.text[start..self.at];
        ShellError {
            message: format!("`{sign}' needs a shell"),
            span: self.span(start, self.at),
            hint: "write one plain ipchains command on a line, with the values that the shell \
                   would work out",
        }
    }

    fn unclosed(&self, start: usize) -> ShellError {
        ShellError {
            message: "this quotation mark is not closed on its line".to_owned(),
            span: self.span(start, start + 1),
            hint: "close it, or take it out",
        }
    }
}
