//! Packet and byte counters.

use alloc::vec::Vec;

use super::{BuiltIn, Ruleset};
use crate::matcher::Place;

/// Packets, and bytes by the total length in their headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Number of packets.
    pub packets: u64,
    /// Sum of their total lengths.
    pub bytes: u64,
}

impl Counter {
    /// One packet.
    pub const fn of(bytes: u16) -> Self {
        Self {
            packets: 1,
            bytes: bytes as u64,
        }
    }

    /// Counts one packet of `bytes` bytes.
    pub fn count(&mut self, bytes: u16) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(u64::from(bytes));
    }

    /// Adds another counter, as when workers' counters are summed.
    pub fn add(&mut self, other: Self) {
        self.packets = self.packets.wrapping_add(other.packets);
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}

/// Counters for every rule and policy of one ruleset, apart from it: what a
/// worker counts for itself while others read the ruleset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterTable {
    rules: Vec<Counter>,
    policies: Vec<Counter>,
    /// For each chain the place of its first rule in `rules`.
    first_rule: Vec<usize>,
}

impl CounterTable {
    /// A table of zeros in the shape of `ruleset`.
    pub fn new(ruleset: &Ruleset) -> Self {
        let mut table = Self::default();
        for chain in ruleset.chains() {
            table.first_rule.push(table.rules.len());
            let rules = table.rules.len() + chain.rules().len();
            table.rules.resize(rules, Counter::default());
            table.policies.push(Counter::default());
        }
        table
    }

    /// A number for a rule: below [`rule_count`](Ruleset::rule_count), in the
    /// order of chains and rules.
    #[inline]
    pub fn index(&self, place: Place) -> usize {
        self.first_rule[place.chain as usize] + place.rule as usize
    }

    /// The counter of a rule.
    #[inline]
    pub fn rule_mut(&mut self, place: Place) -> &mut Counter {
        let index = self.index(place);
        &mut self.rules[index]
    }

    /// The counter of a built-in chain's policy.
    #[inline]
    pub fn policy_mut(&mut self, chain: BuiltIn) -> &mut Counter {
        &mut self.policies[chain.position()]
    }

    /// Adds another table of the same shape, as when workers' tables are
    /// summed.
    pub fn add(&mut self, other: &Self) {
        let rules = self.rules.iter_mut().zip(&other.rules);
        let policies = self.policies.iter_mut().zip(&other.policies);
        for (counter, added) in rules.chain(policies) {
            counter.add(*added);
        }
    }
}

impl Ruleset {
    /// Adds what was counted apart. The table must have been made for a
    /// ruleset of the same shape.
    pub fn add_counters(&mut self, table: &CounterTable) {
        let mut counted = table.rules.iter();
        for (chain, policy) in self.chains.iter_mut().zip(&table.policies) {
            chain.fell_off.add(*policy);
            for (rule, counter) in chain.rules.iter_mut().zip(&mut counted) {
                rule.counter.add(*counter);
            }
        }
    }
}
