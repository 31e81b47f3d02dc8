//! What a ruleset with new rules accepts that the one without did not.

use std::collections::HashSet;

use portcullis_core::ruleset::{BuiltIn, Ruleset, Verdict};

use super::Denial;
use super::plan::{Added, accepted};
use crate::{Change, ChangeKind, Decided, Packet, Region, Space, TooLarge, compare};

/// A proof about two rulesets, on all packets.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Exactly what is newly accepted.
    pub opened: Vec<Opened>,
    /// Whether each such packet is one that a new rule names.
    pub as_named: bool,
    /// What else changed; empty if adding did nothing but accept.
    pub other: Vec<Change>,
    /// What is newly accepted and must stay shut.
    pub forbidden: Vec<Forbidden>,
}

/// What a chain newly accepts.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The chain.
    pub chain: BuiltIn,
    /// The packets; never empty.
    pub packets: Region,
    /// How many there are.
    pub count: f64,
    /// Different denied packets among them that were seen.
    pub seen: usize,
}

/// Packets that must stay shut and would not.
#[derive(Clone, Debug)]
pub struct Forbidden {
    /// The chain.
    pub chain: BuiltIn,
    /// All of them.
    pub packets: Region,
    /// One of them.
    pub example: Packet,
}

pub(super) fn certify(
    space: &mut Space,
    old: &Ruleset,
    new: &Ruleset,
    added: &[Added],
    never: Option<&Ruleset>,
    denials: &[Denial],
) -> Result<Certificate, TooLarge> {
    let changes = compare(space, old, new)?;
    let mut certificate = Certificate {
        opened: Vec::new(),
        as_named: true,
        other: Vec::new(),
        forbidden: Vec::new(),
    };
    let mut named = Region::EMPTY;
    for it in added {
        let region = space.conditions(&it.rule.conditions)?;
        named = space.unite(named, region)?;
    }
    for chain in BuiltIn::ALL {
        let mut newly = Region::EMPTY;
        for change in changes.iter().filter(|it| it.chain == chain && opens(it)) {
            newly = space.unite(newly, change.packets)?;
        }
        certificate.as_named &= space.is_within(newly, named)?;
        for change in changes.iter().filter(|it| it.chain == chain && !opens(it)) {
            // What is accepted meets no log rule behind the new one.
            let silent = change.kind == ChangeKind::NotLogged;
            if !(silent && space.is_within(change.packets, newly)?) {
                certificate.other.push(change.clone());
            }
        }
        if newly.is_empty() {
            continue;
        }
        if let Some(never) = never {
            let shut = shut(space, never, chain)?;
            let packets = space.intersect(newly, shut)?;
            if let Some(example) = space.example(packets) {
                certificate.forbidden.push(Forbidden {
                    chain,
                    packets,
                    example,
                });
            }
        }
        let own = denials.iter().filter(|it| it.chain == chain);
        let seen: HashSet<Packet> = own
            .map(|it| it.packet)
            .filter(|it| space.contains(newly, it))
            .collect();
        certificate.opened.push(Opened {
            chain,
            packets: newly,
            count: space.count(newly),
            seen: seen.len(),
        });
    }
    // Held against what both accept, which `compare` does not ask for.
    for chain in BuiltIn::ALL {
        let before = accepted(space, old, chain)?;
        let after = accepted(space, new, chain)?;
        let opened = space.subtract(after, before)?;
        let known = certificate.opened.iter().find(|it| it.chain == chain);
        certificate.as_named &= opened == known.map_or(Region::EMPTY, |it| it.packets);
    }
    Ok(certificate)
}

fn opens(change: &Change) -> bool {
    let shut = |verdict| matches!(verdict, Verdict::Deny | Verdict::Reject);
    matches!(change.kind, ChangeKind::Verdict { old, new } if shut(old) && !shut(new))
}

/// What rules deny or reject; what only the policy denies is not said.
fn shut(space: &mut Space, never: &Ruleset, chain: BuiltIn) -> Result<Region, TooLarge> {
    let decided = Decided::new(space, never, chain)?;
    let denied = decided.verdict(Verdict::Deny);
    let rejected = decided.verdict(Verdict::Reject);
    let both = space.unite(denied, rejected)?;
    space.subtract(both, decided.policy)
}
