//! A compiled chain: its lookup, and what follows when a rule matches.

use std::collections::BTreeMap;
use std::iter;
use std::time::{Duration, Instant};

use portcullis_core::batch::Outcome;
use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{Chain, Rule, Ruleset, Target, Verdict};

use crate::description::ChainDescription;
use crate::interfaces::Interfaces;
use crate::lookup::{Lookup, Preference};
use crate::plain_rule::{Meets, PlainRule};
use crate::simd::{self, Column, Simd};

/// One chain, ready for matching.
#[derive(Debug)]
pub(crate) struct CompiledChain {
    pub(crate) lookup: Lookup,
    /// The verdict when the walk ends here; for user chains never used.
    pub(crate) policy: Verdict,
    /// What the policy and then each rule makes of a packet:
    /// [`Outcome::code`]s.
    outcomes: Vec<u32>,
    /// For each rule what follows.
    follows: Vec<Follows>,
    /// For each rule the chain it jumps to; empty if none does.
    callees: Vec<u32>,
    compile_time: Duration,
}

/// Where a walk goes after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Verdict(Verdict),
    Continue,
    Return,
    Jump(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    Verdict(Verdict),
    Continue,
    Return,
    Jump,
}

/// The place of each chain.
pub(crate) fn positions(ruleset: &Ruleset) -> BTreeMap<ChainName, u32> {
    let names = ruleset.chains().iter().map(|chain| *chain.name());
    names.zip(0..).collect()
}

impl CompiledChain {
    pub(crate) fn new(
        chain: &Chain,
        positions: &BTreeMap<ChainName, u32>,
        interfaces: &Interfaces,
        preference: Preference,
    ) -> Self {
        let start = Instant::now();
        let follows: Vec<Follows> = chain
            .rules()
            .iter()
            .map(|rule| follows(rule.target))
            .collect();
        let callee = |target| match target {
            Some(Target::Chain(name)) => positions[&name],
            _ => 0,
        };
        let callees = match follows.contains(&Follows::Jump) {
            true => chain
                .rules()
                .iter()
                .map(|rule| callee(rule.target))
                .collect(),
            false => Vec::new(),
        };
        let rules = chain.rules().iter().zip(&follows).zip(0..);
        let plain = rules.filter_map(|((rule, follows), number)| {
            let interface = interfaces.test_number(&rule.conditions.interface);
            Some(PlainRule {
                number,
                ends: matches!(follows, Follows::Verdict(_) | Follows::Return),
                meets: Meets::new(&rule.conditions, interface)?,
            })
        });
        let lookup = Lookup::new(plain.collect(), interfaces, preference);
        let policy = chain.policy().map_or(Verdict::Deny, Verdict::from);
        let outcome = |(follows, rule): (&Follows, &Rule)| match follows {
            Follows::Verdict(verdict) => Outcome::of_rule(*verdict, rule.has_effects()),
            _ => Outcome::WALK,
        };
        let of_rules = follows.iter().zip(chain.rules()).map(outcome);
        let outcomes = iter::once(Outcome::of_policy(policy)).chain(of_rules);
        Self {
            lookup,
            policy,
            outcomes: simd::table(outcomes.map(Outcome::code).collect()),
            follows,
            callees,
            compile_time: start.elapsed(),
        }
    }

    /// What becomes of packets by the first rule that each matched, `u32::MAX`
    /// for none: [`Outcome::code`]s.
    #[inline(always)]
    pub(crate) fn outcomes<S: Simd>(&self, simd: S, firsts: &Column, count: usize) -> Column {
        let mut outcomes = Column(firsts.0.map(|first| first.wrapping_add(1)));
        simd.look_up(&self.outcomes, &mut outcomes, count);
        outcomes
    }

    /// What follows when rule `number` matches.
    #[inline(always)]
    pub(crate) fn next(&self, number: u32) -> Next {
        match self.follows[number as usize] {
            Follows::Verdict(verdict) => Next::Verdict(verdict),
            Follows::Continue => Next::Continue,
            Follows::Return => Next::Return,
            Follows::Jump => Next::Jump(self.callees[number as usize]),
        }
    }

    pub(crate) fn describe(&self, chain: ChainName) -> ChainDescription {
        ChainDescription {
            chain,
            forms: self.lookup.forms(),
            memory_bytes: self.lookup.memory_bytes()
                + self.outcomes.len() * size_of::<u32>()
                + self.follows.len() * size_of::<Follows>()
                + self.callees.len() * size_of::<u32>(),
            compile_time: self.compile_time,
        }
    }
}

fn follows(target: Option<Target>) -> Follows {
    match target {
        None => Follows::Continue,
        Some(Target::Return) => Follows::Return,
        Some(Target::Chain(_)) => Follows::Jump,
        // Every other target is a verdict.
        Some(target) => Follows::Verdict(target.verdict().unwrap_or(Verdict::Deny)),
    }
}
