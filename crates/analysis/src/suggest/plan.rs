//! The rules for some groups, each in its place.

use portcullis_core::matcher::{Ending, Place};
use portcullis_core::names::{ChainName, InterfaceName};
use portcullis_core::reference::{Outcome, Reference};
use portcullis_core::ruleset::{
    BuiltIn, Conditions, Field, InterfacePattern, Rule, Ruleset, Test, Verdict,
};

use super::certificate::{self, Certificate};
use super::group::Group;
use super::legs::{Leg, legs};
use super::{Denial, Setting};
use crate::{Decided, Region, Space, TooLarge, explain};

/// A rule that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The chain that it goes into.
    pub chain: ChainName,
    /// The number, before the change, of the rule that it stands before; one
    /// more than there are puts it at the end.
    pub before: usize,
    /// The rule.
    pub rule: Rule,
    /// The groups that need it, by place.
    pub groups: Vec<usize>,
}

/// What would let some groups through.
#[derive(Debug)]
pub struct Plan {
    /// The rules, in the order of chains and places.
    pub added: Vec<Added>,
    /// The ruleset with them.
    pub ruleset: Ruleset,
    /// What it opens.
    pub certificate: Certificate,
    /// Groups that a rule denies on purpose: one that asks for addresses or
    /// ports. No rule is put before it.
    pub on_purpose: Vec<(usize, Place)>,
    /// Packets of the groups that would still be denied, by place among the
    /// denials.
    pub still_denied: Vec<usize>,
    /// The space of the certificate's regions.
    pub space: Space,
}

/// Finds the fewest and narrowest rules for the groups `wanted`, by place, and
/// what they open. `never` describes what must stay shut: whatever one of its
/// rules denies or rejects.
pub fn plan(
    ruleset: &Ruleset,
    never: Option<&Ruleset>,
    groups: &[Group],
    wanted: &[usize],
    denials: &[Denial],
    setting: &Setting,
) -> Result<Plan, TooLarge> {
    let named = naming(denials);
    let rulesets: Vec<&Ruleset> = [ruleset, &named].into_iter().chain(never).collect();
    let mut planner = Planner::new(Space::new(&rulesets), ruleset)?;
    for number in wanted {
        planner.add(*number, &groups[*number], denials, setting)?;
    }
    planner.prune()?;
    let Planner {
        mut space,
        added,
        on_purpose,
        ..
    } = planner;
    let new = apply(ruleset, &added);
    let reference = Reference::new(new.clone().into());
    let packets = wanted.iter().flat_map(|number| &groups[*number].denials);
    let still_denied = packets
        .clone()
        .copied()
        .filter(|it| !passes(&reference, &denials[*it]))
        .collect();
    let certificate = certificate::certify(&mut space, ruleset, &new, &added, never, denials)?;
    Ok(Plan {
        added,
        ruleset: new,
        certificate,
        on_purpose,
        still_denied,
        space,
    })
}

/// Whether a rule is for whatever is left: it asks for no address and no port.
pub fn is_catch_all(rule: &Rule) -> bool {
    let specific = [
        Field::Source,
        Field::Destination,
        Field::SourcePort,
        Field::DestinationPort,
    ];
    !specific.iter().any(|field| rule.conditions.tests(*field))
}

/// The ruleset with these rules.
pub(super) fn apply(ruleset: &Ruleset, added: &[Added]) -> Ruleset {
    let mut new = ruleset.clone();
    // From the end, so that the numbers before stay; a chain takes any rule
    // whose target it knows, at any number up to its length.
    for it in added.iter().rev() {
        let _ = new.insert(&it.chain, it.before, it.rule.clone());
    }
    new
}

fn passes(reference: &Reference, denial: &Denial) -> bool {
    let start = denial.chain.position();
    let outcome = explain(reference, start, &denial.packet, 0).outcome;
    matches!(
        outcome,
        Outcome::Verdict(Verdict::Accept | Verdict::Masq | Verdict::Redirect)
    )
}

/// A ruleset that names all interfaces of the denials.
fn naming(denials: &[Denial]) -> Ruleset {
    let mut ruleset = Ruleset::new();
    let mut names: Vec<InterfaceName> = denials.iter().map(|it| it.packet.interface).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let conditions = Conditions {
            interface: Test::is(InterfacePattern::Exact(name)),
            ..Conditions::ANY
        };
        let rule = Rule {
            conditions,
            ..Rule::ANY
        };
        let input = ChainName::new(BuiltIn::Input.as_str()).unwrap_or(ChainName::EMPTY);
        // A rule without target fits any chain.
        let _ = ruleset.append(&input, rule);
    }
    ruleset
}

/// Everything that a chain lets through.
pub(super) fn accepted(
    space: &mut Space,
    ruleset: &Ruleset,
    chain: BuiltIn,
) -> Result<Region, TooLarge> {
    let decided = Decided::new(space, ruleset, chain)?;
    let accept = decided.verdict(Verdict::Accept);
    let masq = decided.verdict(Verdict::Masq);
    let redirect = decided.verdict(Verdict::Redirect);
    let both = space.unite(accept, masq)?;
    space.unite(both, redirect)
}

struct Planner<'a> {
    space: Space,
    ruleset: &'a Ruleset,
    reference: Reference,
    /// What each built-in chain accepts.
    accepted: Vec<Region>,
    added: Vec<Added>,
    on_purpose: Vec<(usize, Place)>,
}

/// Deciders of a set that are looked at before one is taken.
const MOST_LOOKS: usize = 40;

impl<'a> Planner<'a> {
    fn new(mut space: Space, ruleset: &'a Ruleset) -> Result<Self, TooLarge> {
        let accepted: Result<Vec<Region>, TooLarge> = BuiltIn::ALL
            .into_iter()
            .map(|chain| accepted(&mut space, ruleset, chain))
            .collect();
        Ok(Self {
            accepted: accepted?,
            space,
            ruleset,
            reference: Reference::new(ruleset.clone().into()),
            added: Vec::new(),
            on_purpose: Vec::new(),
        })
    }

    fn add(
        &mut self,
        number: usize,
        group: &Group,
        denials: &[Denial],
        setting: &Setting,
    ) -> Result<(), TooLarge> {
        let meant: Vec<&Denial> = group.denials.iter().map(|it| &denials[*it]).collect();
        let places = meant.iter().filter_map(|denial| self.decider(denial));
        let on_purpose = places
            .clone()
            .find(|place| !is_catch_all(self.rule(*place)));
        if let Some(place) = on_purpose {
            self.on_purpose.push((number, place));
            return Ok(());
        }
        for leg in legs(group, setting) {
            let region = self.space.conditions(&leg.rule.conditions)?;
            let known = self.accepted[leg.chain.position()];
            let missing = self.space.subtract(region, known)?;
            if missing.is_empty() || self.passes_somewhere(&leg)? {
                continue;
            }
            let seen = meant.iter().find(|denial| {
                let Denial { packet, chain, .. } = denial;
                *chain == leg.chain && self.space.contains(region, packet)
            });
            let place = match seen {
                Some(denial) => self.decider(denial),
                None => self.usual_decider(leg.chain, missing)?,
            };
            self.insert(number, &leg, place);
        }
        Ok(())
    }

    /// Whether a leg whose interface nobody saw is let through on one that the
    /// rules know.
    fn passes_somewhere(&mut self, leg: &Leg) -> Result<bool, TooLarge> {
        if leg.rule.conditions.interface.value != InterfacePattern::ANY {
            return Ok(false);
        }
        for name in self.space.interfaces().to_vec() {
            let conditions = Conditions {
                interface: Test::is(InterfacePattern::Exact(name)),
                ..leg.rule.conditions.clone()
            };
            let region = self.space.conditions(&conditions)?;
            let known = self.accepted[leg.chain.position()];
            let is_loopback = name.as_str() == "lo";
            if !is_loopback && !region.is_empty() && self.space.is_within(region, known)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn rule(&self, place: Place) -> &Rule {
        &self.ruleset.chains()[place.chain as usize].rules()[place.rule as usize]
    }

    /// The rule that denied a packet; `None` for the policy.
    fn decider(&self, denial: &Denial) -> Option<Place> {
        let start = denial.chain.position();
        let explanation = explain(&self.reference, start, &denial.packet, 0);
        match explanation.ending {
            Ending::Rule => explanation.matched.last().copied(),
            _ => None,
        }
    }

    /// The rule for whatever is left that decides about some of a set; rules
    /// that deny a part of it on purpose go on doing so.
    fn usual_decider(
        &mut self,
        chain: BuiltIn,
        missing: Region,
    ) -> Result<Option<Place>, TooLarge> {
        let decided = Decided::new(&mut self.space, self.ruleset, chain)?;
        let mut rest = missing;
        for _ in 0..MOST_LOOKS {
            let Some(packet) = self.space.example(rest) else {
                break;
            };
            let explanation = explain(&self.reference, chain.position(), &packet, 0);
            let place = match (explanation.ending, explanation.matched.last()) {
                (Ending::Rule, Some(place)) => *place,
                _ => return Ok(None),
            };
            if is_catch_all(self.rule(place)) {
                return Ok(Some(place));
            }
            let matched = decided.passage(place).matched;
            rest = self.space.subtract(rest, matched)?;
        }
        // Everything is denied on purpose: the end of the chain opens nothing.
        Ok(None)
    }

    fn insert(&mut self, group: usize, leg: &Leg, place: Option<Place>) {
        let (chain, before) = match place {
            Some(place) => (place.chain as usize, place.rule as usize + 1),
            None => {
                let chain = leg.chain.position();
                (chain, self.ruleset.chains()[chain].rules().len() + 1)
            }
        };
        let name = *self.ruleset.chains()[chain].name();
        let known = self
            .added
            .iter_mut()
            .find(|it| (it.chain, it.before) == (name, before) && it.rule == leg.rule);
        match known {
            Some(known) if known.groups.contains(&group) => {}
            Some(known) => known.groups.push(group),
            None => self.added.push(Added {
                chain: name,
                before,
                rule: leg.rule.clone(),
                groups: vec![group],
            }),
        }
    }

    /// Leaves out what other rules at the same place let through already.
    fn prune(&mut self) -> Result<(), TooLarge> {
        let position = |it: &Added| (self.ruleset.position(&it.chain), it.before);
        self.added.sort_by_key(position);
        let mut number = 0;
        while number < self.added.len() {
            let own = self.added[number].clone();
            let region = self.space.conditions(&own.rule.conditions)?;
            let mut others = Region::EMPTY;
            let mut holders = Vec::new();
            for (place, it) in self.added.iter().enumerate() {
                let alike = (it.chain, it.before) == (own.chain, own.before)
                    && it.rule.target == own.rule.target;
                if place != number && alike {
                    let more = self.space.conditions(&it.rule.conditions)?;
                    let common = self.space.intersect(more, region)?;
                    if !common.is_empty() {
                        holders.push(place);
                    }
                    others = self.space.unite(others, more)?;
                }
            }
            if self.space.is_within(region, others)? {
                for holder in holders {
                    let groups = &mut self.added[holder].groups;
                    groups.extend(&own.groups);
                    groups.sort_unstable();
                    groups.dedup();
                }
                self.added.remove(number);
            } else {
                number += 1;
            }
        }
        Ok(())
    }
}
