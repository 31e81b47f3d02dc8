//! Chains and their policies.

use alloc::collections::VecDeque;
use core::fmt;

use super::counters::Counter;
use super::rule::{Rule, Verdict};
use crate::names::ChainName;

/// The chains that packets enter; their place in the ruleset is their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuiltIn {
    /// Every received packet.
    Input,
    /// Packets routed to another host.
    Forward,
    /// Every packet about to leave.
    Output,
}

impl BuiltIn {
    /// In kernel order.
    pub const ALL: [Self; 3] = [Self::Input, Self::Forward, Self::Output];

    /// The chain's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }

    /// The built-in chain of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chain| chain.as_str() == name)
    }

    /// The chain's place in every ruleset.
    pub fn position(self) -> usize {
        self as usize
    }
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The verdict when a built-in chain runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Let it pass.
    Accept,
    /// Drop it silently.
    Deny,
    /// Drop it and tell the sender.
    Reject,
    /// Masquerade it; the command allows this on `forward` only.
    Masq,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::Accept, Self::Deny, Self::Reject, Self::Masq];

    /// The word in listings and commands.
    pub fn as_str(self) -> &'static str {
        Verdict::from(self).as_str()
    }

    /// The policy of this name, in capitals as the command wants it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }
}

impl From<Policy> for Verdict {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Accept => Self::Accept,
            Policy::Deny => Self::Deny,
            Policy::Reject => Self::Reject,
            Policy::Masq => Self::Masq,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A list of rules with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub(super) name: ChainName,
    pub(super) policy: Option<Policy>,
    /// A deque, because scripts insert at the head as often as they append.
    pub(super) rules: VecDeque<Rule>,
    pub(super) fell_off: Counter,
}

impl Chain {
    pub(super) fn built_in(chain: BuiltIn) -> Self {
        Self {
            policy: Some(Policy::Accept),
            ..Self::user(ChainName::new(chain.as_str()).unwrap_or(ChainName::EMPTY))
        }
    }

    pub(super) fn user(name: ChainName) -> Self {
        Self {
            name,
            policy: None,
            rules: VecDeque::new(),
            fell_off: Counter::default(),
        }
    }

    /// The chain's label.
    pub fn name(&self) -> &ChainName {
        &self.name
    }

    /// `None` for user chains, which return to their caller instead.
    pub fn policy(&self) -> Option<Policy> {
        self.policy
    }

    /// The rules in order; rule number 1 comes first.
    pub fn rules(&self) -> &VecDeque<Rule> {
        &self.rules
    }

    /// Packets that ran off the end and got the policy. Always zero for user
    /// chains (§1).
    pub fn policy_counter(&self) -> Counter {
        self.fell_off
    }
}
