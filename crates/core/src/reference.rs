//! The reference matcher: the kernel's walk through the rules, written to be
//! read (§5). Every faster matcher is held to it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::matcher::{Ending, Matcher, Place, Trace};
use crate::names::{ChainName, InterfaceName};
use crate::packet::{Missing, PacketKey, protocol};
use crate::ruleset::{Field, Rule, Ruleset, Target, Verdict};
use crate::traversal::Step;

/// Tries rule after rule, as the kernel did.
#[derive(Clone, Debug)]
pub struct Reference {
    ruleset: Arc<Ruleset>,
    positions: BTreeMap<ChainName, usize>,
}

/// Where a walk that may start in any chain comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A rule or a policy decided.
    Verdict(Verdict),
    /// The walk came back to a chain that it was in, or was too long.
    Loop,
    /// A user chain ran out with no caller to return to.
    PassedThrough,
}

impl Reference {
    /// Prepares a ruleset for matching.
    pub fn new(ruleset: Arc<Ruleset>) -> Self {
        let positions = ruleset
            .chains()
            .iter()
            .enumerate()
            .map(|(position, chain)| (*chain.name(), position))
            .collect();
        Self { ruleset, positions }
    }

    /// Walks from the start of any chain, as `-C` does (§11).
    ///
    /// # Panics
    ///
    /// If the ruleset has no chain number `chain`.
    pub fn walk_from(
        &self,
        chain: usize,
        interface: &InterfaceName,
        key: &PacketKey,
        trace: &mut Trace,
    ) -> Outcome {
        self.walk(chain, trace, |_, rule| rule.conditions.hold(key, interface))
    }

    /// Walks as [`walk_from`](Self::walk_from) does, and tells `note` of every
    /// rule that the packet is compared with, in order: its place, and the
    /// first condition that fails, or `None` if the rule matches.
    ///
    /// # Panics
    ///
    /// If the ruleset has no chain number `chain`.
    pub fn walk_noting(
        &self,
        chain: usize,
        interface: &InterfaceName,
        key: &PacketKey,
        trace: &mut Trace,
        mut note: impl FnMut(Place, Option<Field>),
    ) -> Outcome {
        self.walk(chain, trace, |place, rule| {
            let failed = rule.conditions.first_failed(key, interface);
            note(place, failed);
            failed.is_none()
        })
    }

    /// Whether the outcome, or a log line on the way, would need one of the
    /// `missing` fields of a packet that the capture cut short.
    pub fn needs(&self, missing: Missing, step: &Step, key: &PacketKey) -> bool {
        let fields: &[Field] = match missing {
            Missing::Nothing => return false,
            Missing::Flags => &[Field::Syn],
            Missing::PortsAndFlags => &[Field::Syn, Field::SourcePort, Field::DestinationPort],
        };
        let logs_them = missing == Missing::PortsAndFlags || key.protocol == protocol::TCP;
        let mut needed = false;
        self.walk(step.chain.position(), &mut Trace::new(), |_, rule| {
            let conditions = &rule.conditions;
            let rest_holds = Field::ALL
                .iter()
                .filter(|field| !fields.contains(field))
                .all(|field| conditions.holds(*field, key, &step.interface));
            let own_port = rule.target == Some(Target::Redirect(0));
            needed |= rest_holds
                && (fields.iter().any(|field| conditions.tests(*field))
                    || (rule.log && logs_them)
                    || (own_port && missing == Missing::PortsAndFlags));
            rest_holds
        });
        needed
    }

    fn walk(
        &self,
        start: usize,
        trace: &mut Trace,
        mut matches: impl FnMut(Place, &Rule) -> bool,
    ) -> Outcome {
        let chains = self.ruleset.chains();
        let (mut chain, mut next) = (start, 0);
        trace.clear();
        loop {
            let found =
                chains[chain]
                    .rules()
                    .iter()
                    .enumerate()
                    .skip(next)
                    .find(|(number, rule)| {
                        let place = Place {
                            chain: chain as u32,
                            rule: *number as u32,
                        };
                        matches(place, rule)
                    });
            let target = match found {
                None => Some(Target::Return),
                Some((number, rule)) => {
                    trace.push(chain, number);
                    next = number + 1;
                    rule.target
                }
            };
            match target {
                None => {}
                Some(Target::Return) => {
                    if let Some(caller) = trace.return_to() {
                        (chain, next) = (caller.chain as usize, caller.rule as usize);
                    } else {
                        trace.end(Ending::Policy);
                        return match chains[chain].policy() {
                            Some(policy) => Outcome::Verdict(policy.into()),
                            None => Outcome::PassedThrough,
                        };
                    }
                }
                Some(Target::Chain(name)) => {
                    let callee = self.positions[&name];
                    let from = Place {
                        chain: chain as u32,
                        rule: next as u32,
                    };
                    if let Err(ending) = trace.call(from, callee) {
                        trace.end(ending);
                        return Outcome::Loop;
                    }
                    (chain, next) = (callee, 0);
                }
                Some(target) => {
                    trace.end(Ending::Rule);
                    // Every target but RETURN and a jump is a verdict.
                    return Outcome::Verdict(target.verdict().unwrap_or(Verdict::Deny));
                }
            }
        }
    }
}

impl Matcher for Reference {
    fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    fn decide(&self, step: &Step, key: &PacketKey, trace: &mut Trace) -> Verdict {
        match self.walk_from(step.chain.position(), &step.interface, key, trace) {
            Outcome::Verdict(verdict) => verdict,
            Outcome::Loop | Outcome::PassedThrough => Verdict::Deny,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{ChainName, InterfaceName};
    use crate::ruleset::{BuiltIn, Conditions, Network, Sense, Test};

    /// Only a rule whose other conditions hold makes a missing field needed.
    #[test]
    fn what_is_missing_is_needed_where_it_could_decide() {
        let mut ruleset = Ruleset::new();
        let rule = Rule {
            conditions: Conditions {
                source: Test::is(Network::with_prefix(0x0a00_0000, 8)),
                protocol: Test::is(6),
                syn: Some(Sense::Set),
                ..Conditions::ANY
            },
            target: Some(Target::Deny),
            ..Rule::ANY
        };
        let input = ChainName::new("input").unwrap();
        ruleset.append(&input, rule).unwrap();
        let reference = Reference::new(ruleset.into());
        let step = Step {
            chain: BuiltIn::Input,
            interface: InterfaceName::new("eth0").unwrap(),
        };
        let key = |source, protocol| PacketKey {
            source,
            destination: 1,
            source_port: 0,
            destination_port: 0,
            protocol,
            fragment: false,
            syn: false,
        };
        for (source, protocol, needed) in [
            (0x0a00_0001, 6, true),
            (0x0b00_0001, 6, false),
            (0x0a00_0001, 17, false),
        ] {
            for missing in [Missing::Flags, Missing::PortsAndFlags] {
                let found = reference.needs(missing, &step, &key(source, protocol));
                assert_eq!(found, needed, "{source:x} {protocol} {missing:?}");
            }
        }
        assert!(!reference.needs(Missing::Nothing, &step, &key(0x0a00_0001, 6)));
    }
}
