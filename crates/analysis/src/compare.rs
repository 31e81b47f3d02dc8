//! What changed between two rulesets, as sets of packets.

use portcullis_core::packet::{PacketKey, protocol};
use portcullis_core::ruleset::{BuiltIn, PortRange, Ruleset, Verdict};

use crate::{Block, Decided, Parts, Region, Space, TooLarge};

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
                // Port 0 is the packet's own: nothing changes for those that go there
                // anyway.
                let a = match (old, new) {
                    (0, port) | (port, 0) => {
                        let there = to_port(space, port)?;
                        space.subtract(a, there)?
                    }
                    _ => a,
                };
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

/// The packets that go to a port: what REDIRECT does not change if it names the
/// port or none (§5). A fragment counts as going to the port that stands for
/// none.
fn to_port(space: &mut Space, port: u16) -> Result<Region, TooLarge> {
    let mut there = Region::EMPTY;
    for number in [protocol::TCP, protocol::UDP] {
        let whole = Block {
            protocol: Some(number),
            destination_ports: PortRange::single(port),
            ..Block::ALL
        };
        let fragments = Block {
            protocol: Some(number),
            parts: Parts::Fragments,
            ..Block::ALL
        };
        let blocks = [whole, fragments];
        let own = if port == PacketKey::NO_PORT { 2 } else { 1 };
        for block in &blocks[..own] {
            let own = space.block(block)?;
            there = space.unite(there, own)?;
        }
    }
    Ok(there)
}
