//! The one table of options: parser, checks and error messages come from it.

use Takes::{Argument, Nothing, OptionalArgument};

/// An option, whatever its spelling.
#[allow(missing_docs, reason = "each is its row in `OPTIONS`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opt {
    Append,
    Delete,
    Check,
    Replace,
    Insert,
    List,
    Flush,
    Zero,
    NewChain,
    DeleteChain,
    Policy,
    Masquerading,
    Set,
    Numeric,
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    Protocol,
    Jump,
    Verbose,
    Exact,
    Tos,
    Interface,
    Fragments,
    Syn,
    Log,
    Bidirectional,
    Mark,
    Output,
    Version,
    Help,
    LineNumbers,
    NoWarnings,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// An argument in the same word; more may be fetched by the parser.
    OptionalArgument,
    /// An argument in the same word or the next.
    Argument,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Which option.
    pub option: Opt,
    /// The letter, where there is one.
    pub letter: Option<char>,
    /// The letter that error messages use.
    pub shown: char,
    /// Spellings after `--`.
    pub long: &'static [&'static str],
    /// What follows the letter.
    pub takes: Takes,
    /// What follows the long spellings; not always the same.
    pub long_takes: Takes,
}

const fn row(option: Opt, letter: char, long: &'static [&'static str], takes: Takes) -> OptionSpec {
    OptionSpec {
        option,
        letter: Some(letter),
        shown: letter,
        long,
        takes,
        long_takes: takes,
    }
}

const fn long_only(
    option: Opt,
    shown: char,
    long: &'static [&'static str],
    takes: Takes,
) -> OptionSpec {
    OptionSpec {
        option,
        letter: None,
        shown,
        long,
        takes,
        long_takes: takes,
    }
}

/// Every option of ipchains 1.3.9 (§8). Where a shortened spelling could be
/// several, getopt names them in this order.
pub const OPTIONS: [OptionSpec; 34] = [
    row(Opt::Append, 'A', &["append"], Argument),
    row(Opt::Delete, 'D', &["delete"], Argument),
    row(Opt::Check, 'C', &["check"], Argument),
    row(Opt::Replace, 'R', &["replace"], Argument),
    row(Opt::Insert, 'I', &["insert"], Argument),
    row(Opt::List, 'L', &["list"], OptionalArgument),
    row(Opt::Flush, 'F', &["flush"], OptionalArgument),
    row(Opt::Zero, 'Z', &["zero"], OptionalArgument),
    row(Opt::NewChain, 'N', &["new-chain"], Argument),
    OptionSpec {
        long_takes: Argument,
        ..row(Opt::DeleteChain, 'X', &["delete-chain"], OptionalArgument)
    },
    row(Opt::Policy, 'P', &["policy"], Argument),
    row(Opt::Masquerading, 'M', &["masquerading"], Nothing),
    row(Opt::Set, 'S', &["set"], Argument),
    row(Opt::Numeric, 'n', &["numeric"], Nothing),
    row(Opt::Source, 's', &["source", "src"], Argument),
    long_only(
        Opt::SourcePort,
        's',
        &["source-port", "sport", "icmp-type"],
        Argument,
    ),
    row(Opt::Destination, 'd', &["destination", "dst"], Argument),
    long_only(
        Opt::DestinationPort,
        'd',
        &["destination-port", "dport"],
        Argument,
    ),
    row(Opt::Protocol, 'p', &["protocol"], Argument),
    row(Opt::Jump, 'j', &["jump"], Argument),
    row(Opt::Verbose, 'v', &["verbose"], Nothing),
    row(Opt::Exact, 'x', &["exact"], Nothing),
    row(Opt::Tos, 't', &["TOS"], Argument),
    row(Opt::Interface, 'i', &["interface"], Argument),
    row(Opt::Fragments, 'f', &["fragments"], Nothing),
    row(Opt::Syn, 'y', &["syn"], Nothing),
    row(Opt::Log, 'l', &["log"], Nothing),
    row(Opt::Bidirectional, 'b', &["bidirectional"], Nothing),
    row(Opt::Mark, 'm', &["mark"], Argument),
    row(Opt::Output, 'o', &["output"], OptionalArgument),
    row(Opt::Version, 'V', &["version"], Nothing),
    OptionSpec {
        long_takes: Nothing,
        ..row(Opt::Help, 'h', &["help"], OptionalArgument)
    },
    long_only(Opt::LineNumbers, '3', &["line-numbers"], Nothing),
    long_only(Opt::NoWarnings, 'W', &["no-warnings"], Nothing),
];

impl Opt {
    /// The option's row.
    pub fn spec(self) -> &'static OptionSpec {
        OPTIONS
            .iter()
            .find(|spec| spec.option == self)
            .unwrap_or(&OPTIONS[0])
    }

    /// The letter in error messages.
    pub fn letter(self) -> char {
        self.spec().shown
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_spelling_stands_twice() {
        let letters: Vec<_> = OPTIONS.iter().filter_map(|it| it.letter).collect();
        assert_eq!(letters.len(), letters.iter().collect::<HashSet<_>>().len());
        let long: Vec<_> = OPTIONS.iter().flat_map(|it| it.long).collect();
        assert_eq!(long.len(), long.iter().collect::<HashSet<_>>().len());
    }

    #[test]
    fn every_option_has_a_row() {
        for (place, spec) in OPTIONS.iter().enumerate() {
            assert_eq!(spec.option.spec().option, spec.option, "row {place}");
        }
    }
}
