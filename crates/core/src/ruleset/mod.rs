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

use alloc::vec::Vec;

use crate::names::ChainName;

/// All chains in kernel order: `input`, `forward`, `output`, then the user
/// chains as they were created (§1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    chains: Vec<Chain>,
}

impl Ruleset {
    /// The state after boot: three empty built-in chains that accept.
    pub fn new() -> Self {
        Self {
            chains: BuiltIn::ALL.into_iter().map(Chain::built_in).collect(),
        }
    }

    /// The chains in kernel order.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The place of the chain with this name.
    pub fn position(&self, name: &ChainName) -> Option<usize> {
        self.chains.iter().position(|chain| chain.name() == name)
    }

    /// The chain with this name.
    pub fn chain(&self, name: &ChainName) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name() == name)
    }

    /// For each chain its reference count: the rules that jump to it, and one
    /// for being built in (§1).
    pub fn references(&self) -> Vec<usize> {
        let mut names: Vec<(ChainName, usize)> = self
            .chains
            .iter()
            .enumerate()
            .map(|(position, chain)| (*chain.name(), position))
            .collect();
        names.sort_unstable();
        let mut counts: Vec<usize> = self
            .chains
            .iter()
            .map(|chain| usize::from(chain.policy().is_some()))
            .collect();
        for rule in self.chains.iter().flat_map(Chain::rules) {
            if let Some(Target::Chain(name)) = &rule.target
                && let Ok(found) = names.binary_search_by_key(name, |(name, _)| *name)
            {
                counts[names[found].1] += 1;
            }
        }
        counts
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
