//! Packet and byte counters.

use alloc::vec::Vec;
use core::ops::Range;

use super::{BuiltIn, Ruleset};
use crate::matcher::Place;

/// Packets, and bytes by the total length in their headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    #[inline]
    pub fn add(&mut self, other: Self) {
        self.packets = self.packets.wrapping_add(other.packets);
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}

/// Counters for every rule and policy of one ruleset, apart from it: what a
/// worker counts for itself while others read the ruleset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterTable {
    /// Of each chain the counter of its policy, then those of its rules: so
    /// that counting does not ask which of them decided.
    counters: Vec<Counter>,
    /// For each chain the place of its policy in `counters`.
    policies: Vec<usize>,
}

impl CounterTable {
    /// A table of zeros in the shape of `ruleset`.
    pub fn new(ruleset: &Ruleset) -> Self {
        let mut table = Self::default();
        for chain in ruleset.chains() {
            table.policies.push(table.counters.len());
            let end = table.counters.len() + 1 + chain.rules().len();
            table.counters.resize(end, Counter::default());
        }
        table
    }

    /// The counters that the rules and policies of `ruleset` have themselves.
    pub fn of(ruleset: &Ruleset) -> Self {
        let mut table = Self::new(ruleset);
        let counters = ruleset.chains.iter().flat_map(|chain| {
            let rules = chain.rules.iter().map(|rule| rule.counter);
            core::iter::once(chain.fell_off).chain(rules)
        });
        table.counters = counters.collect();
        table
    }

    /// The counters in the order of chains: each chain's policy, then its
    /// rules.
    pub fn as_slice(&self) -> &[Counter] {
        &self.counters
    }

    /// The same, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [Counter] {
        &mut self.counters
    }

    /// The place in [`as_slice`](Self::as_slice) of a rule's counter, or of the
    /// chain's policy if the rule is [`Place::NO_RULE`].
    #[inline(always)]
    pub fn index(&self, place: Place) -> usize {
        self.policies[place.chain as usize] + place.rule.wrapping_add(1) as usize
    }

    /// The counter of a rule.
    #[inline]
    pub fn rule_mut(&mut self, place: Place) -> &mut Counter {
        self.decider_mut(place)
    }

    /// The counter of what decided: a rule, or the chain's policy if the rule
    /// is [`Place::NO_RULE`].
    #[inline(always)]
    pub(crate) fn decider_mut(&mut self, place: Place) -> &mut Counter {
        let index = self.index(place);
        &mut self.counters[index]
    }

    /// The counters of a built-in chain: its policy's, then those of its rules.
    pub fn deciders(&self, chain: BuiltIn) -> &[Counter] {
        &self.counters[self.range(chain)]
    }

    /// The same, to be changed.
    #[inline(always)]
    pub(crate) fn deciders_mut(&mut self, chain: BuiltIn) -> &mut [Counter] {
        let range = self.range(chain);
        &mut self.counters[range]
    }

    #[inline(always)]
    fn range(&self, chain: BuiltIn) -> Range<usize> {
        let chain = chain.position();
        let end = self.policies.get(chain + 1).copied();
        self.policies[chain]..end.unwrap_or(self.counters.len())
    }

    /// The counter of a built-in chain's policy.
    #[inline]
    pub fn policy_mut(&mut self, chain: BuiltIn) -> &mut Counter {
        self.decider_mut(Place {
            chain: chain.position() as u32,
            rule: Place::NO_RULE,
        })
    }

    /// Adds another table of the same shape, as when workers' tables are
    /// summed.
    pub fn add(&mut self, other: &Self) {
        for (counter, added) in self.counters.iter_mut().zip(&other.counters) {
            counter.add(*added);
        }
    }
}

impl Ruleset {
    /// Sets all counters to zero.
    pub fn zero_counters(&mut self) {
        for chain in &mut self.chains {
            chain.fell_off = Counter::default();
            for rule in &mut chain.rules {
                rule.counter = Counter::default();
            }
        }
    }

    /// Adds what was counted apart. The table must have been made for a
    /// ruleset of the same shape.
    pub fn add_counters(&mut self, table: &CounterTable) {
        let mut counted = table.counters.iter();
        for chain in &mut self.chains {
            if let Some(policy) = counted.next() {
                chain.fell_off.add(*policy);
            }
            for (rule, counter) in chain.rules.iter_mut().zip(&mut counted) {
                rule.counter.add(*counter);
            }
        }
    }
}
