//! Packet and byte counters.

use alloc::vec::Vec;

use super::Ruleset;

/// Packets, and bytes by the total length in their headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Number of packets.
    pub packets: u64,
    /// Sum of their total lengths.
    pub bytes: u64,
}

impl Counter {
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
#[derive(Clone, Debug, Default)]
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

    /// The counter of a rule, both numbered from 0.
    pub fn rule_mut(&mut self, chain: usize, rule: usize) -> &mut Counter {
        &mut self.rules[self.first_rule[chain] + rule]
    }

    /// The counter of a chain's policy.
    pub fn policy_mut(&mut self, chain: usize) -> &mut Counter {
        &mut self.policies[chain]
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
