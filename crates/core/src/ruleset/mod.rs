//! Rulesets: chains of rules, and the edits that `ipchains` can make.

mod chain;
mod conditions;
mod counters;
mod edit;
mod rule;

pub use chain::{BuiltIn, Chain, Policy};
pub use conditions::{
    Conditions, Field, InterfacePattern, Inverted, Network, PortRange, PortsOf, Sense, Test,
};
pub use counters::{Counter, CounterTable};
pub use edit::EditError;
pub use rule::{Mark, Rule, Target, TosChange, Verdict};

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::names::ChainName;

/// All chains in kernel order: `input`, `forward`, `output`, then the user
/// chains as they were created (§1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    chains: Vec<Chain>,
    positions: BTreeMap<ChainName, usize>,
}

impl Ruleset {
    /// The state after boot: three empty built-in chains that accept.
    pub fn new() -> Self {
        let mut ruleset = Self {
            chains: BuiltIn::ALL.into_iter().map(Chain::built_in).collect(),
            positions: BTreeMap::new(),
        };
        ruleset.index();
        ruleset
    }

    /// The chains in kernel order.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The place of the chain with this name.
    pub fn position(&self, name: &ChainName) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The chain with this name.
    pub fn chain(&self, name: &ChainName) -> Option<&Chain> {
        self.chains.get(self.position(name)?)
    }

    /// For each chain its reference count: the rules that jump to it, and one
    /// for being built in (§1).
    pub fn references(&self) -> Vec<usize> {
        let mut counts: Vec<usize> = self
            .chains
            .iter()
            .map(|chain| usize::from(chain.policy().is_some()))
            .collect();
        for rule in self.chains.iter().flat_map(Chain::rules) {
            if let Some(Target::Chain(name)) = &rule.target
                && let Some(position) = self.position(name)
            {
                counts[position] += 1;
            }
        }
        counts
    }

    /// Notes anew where each chain stands.
    fn index(&mut self) {
        let names = self.chains.iter().map(|chain| *chain.name());
        self.positions = names.zip(0..).collect();
    }

    /// How many rules there are in all chains.
    pub fn rule_count(&self) -> usize {
        self.chains.iter().map(|chain| chain.rules().len()).sum()
    }
}

impl Default for Ruleset {
    fn default() -> Self {
        Self::new()
    }
}
