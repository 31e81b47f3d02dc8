//! Mistakes on a command line: ipchains' own words, the word that is wrong,
//! and what to write instead.

use std::fmt;

/// A mistake in the arguments. `Display` gives ipchains' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub kind: UsageErrorKind,
    /// The word that is wrong; word 0 is the program.
    pub word: usize,
}

/// What is wrong with a command line (§9).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the message of each kind stands in `Display`")]
pub enum UsageErrorKind {
    // getopt's own
    InvalidOption(char),
    LetterWantsArgument(char),
    UnrecognizedOption(String),
    AmbiguousOption {
        written: String,
        possible: Vec<&'static str>,
    },
    LongWantsArgument(&'static str),
    LongTakesNoArgument(&'static str),
    // the command as a whole
    StrayWord(String),
    UnknownArguments,
    NoCommand,
    TwoCommands {
        first: char,
        second: char,
    },
    MissingOption(char),
    IllegalOption(char),
    RepeatedOption(char),
    MasqueradingAlone,
    ListZeroChain,
    // `!`
    InvertedOption(char),
    InvertedLongOption(&'static str),
    UnexpectedInversion,
    ConsecutiveInversions,
    TwoInversions,
    NothingInverted,
    InvertedCheck,
    // chains, targets, rule numbers
    ChainNameTooLong(String),
    TargetTooLong(String),
    TargetTooShort,
    TargetWithBlank(String),
    RuleNumber(String),
    ReplaceWithoutNumber,
    PolicyWithoutWord,
    PolicyOfUserChain,
    PolicyName(String),
    MasqPolicy,
    TimeoutsMissing,
    Timeout(String),
    // values
    Protocol(String),
    ProtocolNever,
    Mask(String),
    Host(String),
    HostNotLookedUp(String),
    PortsWithoutProtocol,
    PortsWithInvertedProtocol,
    Port(String),
    IcmpType(String),
    AmbiguousIcmp {
        written: String,
        first: &'static str,
        second: &'static str,
    },
    InvertedIcmpName,
    IcmpNameAndPort,
    IcmpNameInexact,
    Interface(String),
    HexByte(String),
    TosTooFewBytes,
    TosBitZero,
    TosSeveralBits,
    Mark(String),
    OutputSize(String),
    // combinations
    SynWithoutTcp,
    SynWithFragments,
    PortsWithFragments,
    SeveralAddressesInverted,
    SeveralAddressesBidirectional,
    SeveralAddressesReplace,
    RedirectProtocol,
    RedirectChain,
    MasqChain,
    CheckPorts,
}

impl UsageError {
    pub(super) fn new(kind: UsageErrorKind, word: usize) -> Self {
        Self { kind, word }
    }

    /// What stderr gets: the message after the program's name, and the line
    /// that points to the help.
    pub fn report(&self, program: &str) -> String {
        let advice = format!("Try `{program} -h' or '{program} --help' for more information.\n");
        match &self.kind {
            // ipchains says no more than this about a stray word.
            UsageErrorKind::StrayWord(_) => advice,
            kind => {
                let gap = if kind.leaves_blank_line() { "\n" } else { "" };
                format!("{program}: {self}\n{gap}{advice}")
            }
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for UsageError {}

impl fmt::Display for UsageErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match self {
            Self::InvalidOption(letter) => return write!(f, "invalid option -- '{letter}'"),
            Self::LetterWantsArgument(letter) => {
                return write!(f, "option requires an argument -- '{letter}'");
            }
            Self::UnrecognizedOption(name) => {
                return write!(f, "unrecognized option '--{name}'");
            }
            Self::AmbiguousOption { written, possible } => {
                write!(f, "option '--{written}' is ambiguous; possibilities:")?;
                return possible.iter().try_for_each(|it| write!(f, " '--{it}'"));
            }
            Self::LongWantsArgument(name) => {
                return write!(f, "option '--{name}' requires an argument");
            }
            Self::LongTakesNoArgument(name) => {
                return write!(f, "option '--{name}' doesn't allow an argument");
            }
            Self::StrayWord(word) => return write!(f, "`{word}' belongs to no option"),
            Self::TwoCommands { first, second } => {
                return write!(f, "Can't use -{second} with -{first}");
            }
            Self::MissingOption(letter) => {
                return write!(
                    f,
                    "You need to supply the `-{letter}' option for this command"
                );
            }
            Self::IllegalOption(letter) => {
                return write!(f, "Illegal option `-{letter}' with this command");
            }
            Self::RepeatedOption(letter) => {
                return write!(f, "multiple -{letter} flags not allowed");
            }
            Self::InvertedOption(letter) => return write!(f, "cannot have ! before -{letter}"),
            Self::InvertedLongOption(name) => return write!(f, "cannot have ! before --{name}"),
            Self::ChainNameTooLong(name) => {
                return write!(f, "chain name `{name}' too long (must be under 8 chars)");
            }
            Self::TargetTooLong(name) => {
                return write!(f, "Invalid target name `{name}' (8 chars max)");
            }
            Self::TargetWithBlank(name) => return write!(f, "Invalid target name `{name}'"),
            Self::RuleNumber(number) => return write!(f, "Invalid rule number `{number}'"),
            Self::PolicyName(name) => return write!(f, "Invalid policy `{name}' for -P"),
            Self::Timeout(value) => {
                return write!(f, "invalid timeout value `{value}' specified");
            }
            Self::Protocol(name) => return write!(f, "unknown protocol `{name}' specified"),
            Self::Mask(mask) => return write!(f, "invalid mask `{mask}' specified"),
            Self::Host(name) | Self::HostNotLookedUp(name) => {
                return write!(f, "host/network `{name}' not found");
            }
            Self::Port(port) => return write!(f, "invalid port/service `{port}' specified"),
            Self::IcmpType(name) => return write!(f, "invalid ICMP type `{name}' specified"),
            Self::AmbiguousIcmp {
                written,
                first,
                second,
            } => return write!(f, "Ambiguous ICMP `{written}' : `{first}' or `{second}'?"),
            Self::Interface(name) => {
                return write!(
                    f,
                    "interface name `{name}' must be shorter than IFNAMSIZ (16)"
                );
            }
            Self::HexByte(byte) => return write!(f, "invalid hexbyte `{byte}' specified"),
            Self::Mark(value) => return write!(f, "Bad value `{value}' for -m."),
            Self::OutputSize(value) => {
                return write!(f, "-o argument must be 0-65535, not `{value}'");
            }
            Self::UnknownArguments => "unknown arguments found on commandline",
            Self::NoCommand => "no command specified",
            Self::MasqueradingAlone => "-M/--masquerading requires -L/--list or -S/--set",
            Self::ListZeroChain => "-L with -Z does not allow chain to be specified",
            Self::UnexpectedInversion => "unexpected ! flag",
            Self::ConsecutiveInversions => "multiple consecutive ! not allowed",
            Self::TwoInversions => "Multiple `!' flags not allowed",
            Self::NothingInverted => "nothing appropriate following !",
            Self::InvertedCheck => "! not allowed with -C",
            Self::TargetTooShort => "Invalid target name (too short)",
            Self::ReplaceWithoutNumber => "-R requires a rule number",
            Self::PolicyWithoutWord => "-P requires a chain and a policy",
            Self::PolicyOfUserChain => "Can only set policy in built-in chains.",
            Self::MasqPolicy => "`-P MASQ' only valid for `forward' chain.",
            Self::TimeoutsMissing => "-S requires 3 timeout values",
            Self::ProtocolNever => "rule would never match protocol",
            Self::PortsWithoutProtocol => "can only specify ports for icmp, tcp or udp",
            Self::PortsWithInvertedProtocol => "no ports allowed without specific protocol",
            Self::InvertedIcmpName => "Can't invert named ICMP types",
            Self::IcmpNameAndPort => "Can't use ICMP name and destination port together",
            Self::IcmpNameInexact => "Must specify exact ICMP type for testing",
            Self::TosTooFewBytes => "-t requires 2 hexbyte arguments",
            Self::TosBitZero => "TOS manipulation cannot alter bit 0 (RFC1349)",
            Self::TosSeveralBits => "TOS manipulation cannot set multiple TOS bits (RFC1349)",
            Self::SynWithoutTcp => "-y only allowed with TCP protocol",
            Self::SynWithFragments => "-y not allowed with -f",
            Self::PortsWithFragments => "no ports allowed with -f",
            Self::SeveralAddressesInverted => {
                "! not allowed with multiple source or destination IP addresses"
            }
            Self::SeveralAddressesBidirectional => {
                "-b not allowed with multiple source or destination IP addresses"
            }
            Self::SeveralAddressesReplace => "Replacement rule does not specify a unique address",
            Self::RedirectProtocol => "redirecting only allowed with TCP or UDP",
            Self::RedirectChain => "redirect not allowed for output and forward chains",
            Self::MasqChain => "masquerading not allowed for input and output chains",
            Self::CheckPorts => "one port required with source/destination address for -C",
        };
        f.write_str(fixed)
    }
}

impl UsageErrorKind {
    /// Some of ipchains' messages end in a line feed of their own.
    fn leaves_blank_line(&self) -> bool {
        matches!(
            self,
            Self::TwoCommands { .. }
                | Self::MissingOption(_)
                | Self::IllegalOption(_)
                | Self::RepeatedOption(_)
                | Self::InvertedOption(_)
                | Self::ConsecutiveInversions
                | Self::TosBitZero
                | Self::TosSeveralBits
                | Self::Mark(_)
        )
    }
}
