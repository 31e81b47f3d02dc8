//! What changed between two rulesets, as sets of packets.

use portcullis_core::ruleset::{BuiltIn, Ruleset, Verdict};

use crate::{Decided, Region, Space, TooLarge};

/// Packets for which a built-in chain does something else than it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The chain.
    pub chain: BuiltIn,
    /// What changed.
    pub kind: ChangeKind,
    /// For which packets; never empty.
    pub packets: Region,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Another verdict.
    Verdict {
        /// That of the old rules.
        old: Verdict,
        /// That of the new rules.
        new: Verdict,
    },
    /// Redirected to another port.
    RedirectPort {
        /// That of the old rules; 0 is the packet's own.
        old: u16,
        /// That of the new rules.
        new: u16,
    },
    /// A log line is written, where there was none.
    Logged,
    /// No log line is written any more.
    NotLogged,
}

/// Compares two rulesets; `space` must have been made for both.
///
/// No change is a proof: each built-in chain gives every packet the same
/// verdict, and logs the same packets. Counters, marks, TOS and copies to user
/// space are not compared, nor what log lines say.
pub fn compare(space: &mut Space, old: &Ruleset, new: &Ruleset) -> Result<Vec<Change>, TooLarge> {
    let mut changes = Vec::new();
    for chain in BuiltIn::ALL {
        let before = Decided::new(space, old, chain)?;
        let after = Decided::new(space, new, chain)?;
        let mut note = |space: &mut Space, kind, a, b| -> Result<(), TooLarge> {
            let packets = space.intersect(a, b)?;
            if !packets.is_empty() {
                changes.push(Change {
                    chain,
                    kind,
                    packets,
                });
            }
            Ok(())
        };
        for new in Verdict::ALL {
            for old in Verdict::ALL.into_iter().filter(|old| *old != new) {
                let kind = ChangeKind::Verdict { old, new };
                note(space, kind, before.verdict(old), after.verdict(new))?;
            }
        }
        for (old, a) in before.redirects() {
            for (new, b) in after.redirects().filter(|(new, _)| *new != old) {
                note(space, ChangeKind::RedirectPort { old, new }, a, b)?;
            }
        }
        let silent = space.complement(before.logged)?;
        note(space, ChangeKind::Logged, after.logged, silent)?;
        let silent = space.complement(after.logged)?;
        note(space, ChangeKind::NotLogged, before.logged, silent)?;
    }
    Ok(changes)
}
