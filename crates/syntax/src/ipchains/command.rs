//! Commands as typed values.

use portcullis_core::names::ChainName;
use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{BuiltIn, EditError, Policy, Rule, Ruleset};

use super::fidelity::Fidelity;

/// A parsed command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What to do.
    pub action: Action,
    /// `-v`.
    pub verbose: bool,
    /// Whether the command repeats the mistakes of the original.
    pub fidelity: Fidelity,
    /// TOS changes that standards frown upon; printed before anything else.
    pub warnings: Vec<TosWarning>,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `-A`.
    Append(RuleSpec),
    /// `-I`, before this rule number.
    Insert(RuleSpec, usize),
    /// `-R`, this rule number.
    Replace(RuleSpec, usize),
    /// `-D` with a description.
    DeleteMatching(RuleSpec),
    /// `-D` with a number.
    DeleteNumber(ChainName, usize),
    /// `-C`.
    Check(ChainName, Vec<Probe>),
    /// `-L`, and `-L -Z`.
    List(Listed),
    /// `-F`; all chains without a name.
    Flush(Option<ChainName>),
    /// `-Z`.
    Zero(Option<ChainName>),
    /// `-N`.
    NewChain(ChainName),
    /// `-X`.
    DeleteChain(Option<ChainName>),
    /// `-P`.
    Policy(BuiltIn, Policy),
    /// `-M -L`: the table of masqueraded connections.
    ListMasquerading,
    /// `-M -S`, `-S`: a stateless filter has no timeouts to set.
    SetTimeouts(MasqTimeouts),
    /// `-h`.
    Help,
    /// `-h icmp`.
    HelpIcmp,
    /// `-V`.
    Version,
    /// `! -V`.
    NotVersion,
}

/// What a command needs of a firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing.
    None,
    /// Its ruleset and counters.
    Read,
    /// To change them.
    Change,
}

impl Command {
    /// What the command needs of a firewall.
    pub fn access(&self) -> Access {
        match &self.action {
            Action::Help
            | Action::HelpIcmp
            | Action::Version
            | Action::NotVersion
            | Action::ListMasquerading
            | Action::SetTimeouts(_) => Access::None,
            Action::Check(..) | Action::List(Listed { zero: false, .. }) => Access::Read,
            _ => Access::Change,
        }
    }
}

/// Timeouts in seconds; 0 keeps the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasqTimeouts {
    /// TCP connections.
    pub tcp: u32,
    /// TCP connections after FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// What `-L` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// One chain, or all.
    pub chain: Option<ChainName>,
    /// Columns and number formats.
    pub options: ListOptions,
    /// `-Z`: zero the counters that were listed.
    pub zero: bool,
}

/// Columns and number formats of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `-n`: numbers instead of names.
    pub numeric: bool,
    /// `-v`: all columns.
    pub verbose: bool,
    /// `-x`: counters in full.
    pub exact: bool,
    /// `--line-numbers`.
    pub line_numbers: bool,
}

/// One or more rules for a chain: `-b` makes two, and so does a host with two
/// addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSpec {
    /// The chain.
    pub chain: ChainName,
    /// The rules in the order in which they are given to the kernel.
    pub rules: Vec<NewRule>,
}

/// A rule whose target is still a word.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRule {
    /// Everything but the target.
    pub rule: Rule,
    /// What stood after `-j`.
    pub target: Option<NamedTarget>,
}

/// A target by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedTarget {
    /// A verdict, RETURN, or a user chain.
    pub name: ChainName,
    /// For REDIRECT.
    pub redirect_port: u16,
}

impl NewRule {
    /// The rule with its target looked up.
    pub fn resolve(&self, ruleset: &Ruleset) -> Result<Rule, EditError> {
        let mut rule = self.rule.clone();
        if let Some(target) = &self.target {
            rule.target = Some(ruleset.target(&target.name, target.redirect_port)?);
        }
        Ok(rule)
    }
}

/// The packet that `-C` makes up (§11).
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Its fields.
    pub key: PacketKey,
    /// The description as a rule, for `-v` and for the interface.
    pub described: Rule,
}

/// A TOS value that `-t` may turn into one with several bits set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TosWarning {
    /// Name of the TOS value.
    pub name: &'static str,
    /// The value.
    pub value: u8,
}
