//! A rule: conditions, what it does to packets that meet them, and a target.

use core::fmt;

use super::conditions::Conditions;
use super::counters::Counter;
use crate::names::ChainName;

/// What a chain decides about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Let it pass.
    Accept,
    /// Drop it silently.
    Deny,
    /// Drop it and answer with an ICMP error (§2).
    Reject,
    /// Masquerade it: forward it under this machine's own address.
    Masq,
    /// Deliver it to a local port.
    Redirect,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 5] = [
        Self::Accept,
        Self::Deny,
        Self::Reject,
        Self::Masq,
        Self::Redirect,
    ];

    /// The word in logs, listings and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Deny => "DENY",
            Self::Reject => "REJECT",
            Self::Masq => "MASQ",
            Self::Redirect => "REDIRECT",
        }
    }

    /// The verdict of this name, in capitals.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What `-j` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The packet passes this chain.
    Accept,
    /// The packet is dropped.
    Deny,
    /// The packet is dropped and its sender told.
    Reject,
    /// The packet is masqueraded.
    Masq,
    /// The packet goes to this local port; 0 stands for the packet's own
    /// destination port.
    Redirect(u16),
    /// Back to the calling chain, or to the policy.
    Return,
    /// Jump to a user chain.
    Chain(ChainName),
}

impl Target {
    /// The verdict that ends the traversal, unless the target moves on.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Accept => Some(Verdict::Accept),
            Self::Deny => Some(Verdict::Deny),
            Self::Reject => Some(Verdict::Reject),
            Self::Masq => Some(Verdict::Masq),
            Self::Redirect(_) => Some(Verdict::Redirect),
            Self::Return | Self::Chain(_) => None,
        }
    }

    /// The word in logs and listings.
    pub fn as_str(&self) -> &str {
        match (self, self.verdict()) {
            (Self::Chain(name), _) => name.as_str(),
            (_, Some(verdict)) => verdict.as_str(),
            (_, None) => "RETURN",
        }
    }
}

/// What `-t` does to the TOS byte: `(tos & and) ^ xor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TosChange {
    /// Bits to keep.
    pub and: u8,
    /// Bits to flip afterwards.
    pub xor: u8,
}

impl TosChange {
    /// Leaves the byte alone.
    pub const NONE: Self = Self {
        and: 0xff,
        xor: 0x00,
    };

    /// The byte after the change.
    pub fn apply(self, tos: u8) -> u8 {
        (tos & self.and) ^ self.xor
    }
}

/// What `-m` does to the packet's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// `-m N`: replace it.
    Set(u32),
    /// `-m +N`, and `-m -N` as its two's complement: add modulo 2³².
    Add(u32),
}

impl Mark {
    /// Leaves the mark alone.
    pub const NONE: Self = Self::Add(0);

    /// The mark after the change.
    pub fn apply(self, mark: u32) -> u32 {
        match self {
            Self::Set(value) => value,
            Self::Add(value) => mark.wrapping_add(value),
        }
    }
}

/// One line of a chain (§1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What must hold.
    pub conditions: Conditions,
    /// `-l`: write a packet-log line.
    pub log: bool,
    /// `-t`.
    pub tos: TosChange,
    /// `-m`.
    pub mark: Mark,
    /// `-o`: copy at most this many bytes of the packet to user space.
    pub copy: Option<u16>,
    /// What happens then; a rule without target only counts, logs and marks.
    pub target: Option<Target>,
    /// Packets that met the conditions.
    pub counter: Counter,
}

impl Rule {
    /// A rule that matches everything and does nothing.
    pub const ANY: Self = Self {
        conditions: Conditions::ANY,
        log: false,
        tos: TosChange::NONE,
        mark: Mark::NONE,
        copy: None,
        target: None,
        counter: Counter {
            packets: 0,
            bytes: 0,
        },
    };

    /// Whether matching does more than count: logs, changes TOS or mark, or
    /// copies the packet.
    pub fn has_effects(&self) -> bool {
        self.log || self.tos != TosChange::NONE || self.mark != Mark::NONE || self.copy.is_some()
    }

    /// Whether `-D` with this description deletes that rule: TOS, mark and
    /// counters are not compared (§7).
    pub fn describes(&self, other: &Self) -> bool {
        self.conditions == other.conditions
            && self.log == other.log
            && self.copy == other.copy
            && self.target == other.target
    }
}
