//! Where every record ended.

use std::collections::BTreeMap;

use portcullis_core::matcher::MOST_MATCHED;
use portcullis_core::packet::{Damage, Suspect, Unusable};
use portcullis_core::ruleset::{BuiltIn, Counter, Verdict};

use crate::link::{Foreign, LinkType};

/// Counts records so that none is lost: judged and not judged add up to all
/// that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records read.
    pub records: u64,
    /// Of the judged ones, those whose TTL ran out before `forward`.
    pub ttl_exceeded: u64,
    /// Copies that rules with `-o` would have sent to user space.
    pub copies: u64,
    judged: u64,
    /// By [`Assumed`].
    assumed: [u64; 3],
    not_judged: BTreeMap<NotJudged, u64>,
    ruled: [[Counter; Verdict::ALL.len()]; BuiltIn::ALL.len()],
}

/// Why no rule saw a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotJudged {
    /// A fragment that the checks before all rules drop (§3).
    Fragment(Suspect),
    /// The frame carries something else.
    NotIpv4(Foreign),
    /// The kernel's receive code would have dropped it (§2).
    Damaged(Damage),
    /// The capture kept too few bytes.
    CutShort,
    /// Frames of this link type are not understood.
    LinkType(LinkType),
    /// Its walk through the chains was too long to be finished.
    TooLong,
    /// The file of steps does not name it.
    NotInSteps,
}

/// What was taken for granted about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumed {
    /// That it meets `input`.
    Chain,
    /// The interface's name.
    Interface,
    /// That a forwarded packet leaves by the interface that it came in on.
    Outgoing,
}

impl Tally {
    /// Judged records about which this was taken for granted.
    pub fn assumed(&self, what: Assumed) -> u64 {
        self.assumed[what as usize]
    }

    /// Records that rules or a policy judged.
    pub fn judged_records(&self) -> u64 {
        self.judged
    }

    /// Records that no rule saw, by reason.
    pub fn not_judged(&self) -> impl Iterator<Item = (NotJudged, u64)> {
        self.not_judged
            .iter()
            .map(|(why, records)| (*why, *records))
    }

    /// How many records no rule saw.
    pub fn not_judged_records(&self) -> u64 {
        self.not_judged.values().sum()
    }

    /// Whether every record that was read is accounted for.
    pub fn adds_up(&self) -> bool {
        self.records == self.judged + self.not_judged_records()
    }

    /// Packets and bytes that a chain gave this verdict. Fragments dropped by
    /// the checks before all rules count as DENY.
    pub fn ruled(&self, chain: BuiltIn, verdict: Verdict) -> Counter {
        self.ruled[chain.position()][verdict as usize]
    }

    /// Records of link types that are not understood.
    pub fn refused_link_types(&self) -> impl Iterator<Item = (LinkType, u64)> {
        self.not_judged().filter_map(|(why, records)| match why {
            NotJudged::LinkType(link) => Some((link, records)),
            _ => None,
        })
    }

    pub(super) fn leave(&mut self, why: NotJudged) {
        *self.not_judged.entry(why).or_default() += 1;
    }

    pub(super) fn assume(&mut self, assumed: impl IntoIterator<Item = Assumed>, records: u64) {
        for what in assumed {
            self.assumed[what as usize] += records;
        }
    }

    pub(super) fn judged(&mut self, records: u64) {
        self.judged += records;
    }

    pub(super) fn rule(&mut self, chain: BuiltIn, verdict: Verdict, packets: Counter) {
        self.ruled[chain.position()][verdict as usize].add(packets);
    }

    /// Adds what another worker counted.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.ttl_exceeded += other.ttl_exceeded;
        self.copies += other.copies;
        self.judged += other.judged;
        for (records, added) in self.assumed.iter_mut().zip(other.assumed) {
            *records += added;
        }
        for (why, records) in &other.not_judged {
            *self.not_judged.entry(*why).or_default() += records;
        }
        let ruled = self.ruled.iter_mut().flatten();
        for (counter, added) in ruled.zip(other.ruled.iter().flatten()) {
            counter.add(*added);
        }
    }
}

impl From<Unusable> for NotJudged {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Damaged(damage) => Self::Damaged(damage),
            Unusable::CutShort => Self::CutShort,
        }
    }
}

impl std::fmt::Display for NotJudged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fragment(Suspect::TcpFragment) => {
                f.write_str("fragment rules: TCP fragment at offset 1")
            }
            Self::Fragment(Suspect::ShortFirstFragment) => {
                f.write_str("fragment rules: first fragment without its ports")
            }
            Self::NotIpv4(what) => write!(f, "not IPv4: {what}"),
            Self::Damaged(damage) => write!(f, "damaged: {damage}"),
            Self::CutShort => f.write_str("cut short by the capture"),
            Self::LinkType(link) => write!(f, "link type not supported: {link}"),
            Self::TooLong => write!(f, "too long a walk: over {MOST_MATCHED} rules matched"),
            Self::NotInSteps => f.write_str("not named in the file of steps"),
        }
    }
}
