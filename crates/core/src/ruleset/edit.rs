//! The edits of a ruleset, each all or nothing (§7).

use core::fmt;

use super::chain::{BuiltIn, Chain, Policy};
use super::counters::Counter;
use super::rule::{Rule, Target};
use super::{Ruleset, Verdict};
use crate::names::ChainName;

/// Why the kernel refuses an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EditError {
    /// The chain to edit does not exist.
    NoSuchChain,
    /// The target of the rule is neither a verdict nor a user chain.
    NoSuchTarget,
    /// There is no rule of that number to delete.
    NoSuchRule,
    /// No rule can be inserted or replaced at that number.
    BadPosition,
    /// No rule is described so.
    NoMatchingRule,
    /// A chain of that name exists.
    ChainExists,
    /// The chain still has rules.
    ChainNotEmpty,
    /// The chain is built in or a rule jumps to it.
    ChainInUse,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchChain => "there is no such chain",
            Self::NoSuchTarget => "there is no such target",
            Self::NoSuchRule => "there is no rule of that number",
            Self::BadPosition => "the chain has no such place",
            Self::NoMatchingRule => "no rule is described so",
            Self::ChainExists => "the chain exists already",
            Self::ChainNotEmpty => "the chain still has rules",
            Self::ChainInUse => "the chain is built in or still in use",
        })
    }
}

impl core::error::Error for EditError {}

impl Ruleset {
    /// `-A`: adds a rule at the end.
    pub fn append(&mut self, chain: &ChainName, rule: Rule) -> Result<(), EditError> {
        let chain = self.chain_for(chain, &rule)?;
        chain.rules.push_back(rule);
        Ok(())
    }

    /// `-I`: puts a rule before rule `number`, counted from 1; one past the
    /// end appends.
    pub fn insert(
        &mut self,
        chain: &ChainName,
        number: usize,
        rule: Rule,
    ) -> Result<(), EditError> {
        let chain = self.chain_for(chain, &rule)?;
        let place = number.checked_sub(1).ok_or(EditError::BadPosition)?;
        if place > chain.rules.len() {
            return Err(EditError::BadPosition);
        }
        chain.rules.insert(place, rule);
        Ok(())
    }

    /// `-R`: puts a rule in the place of another, whose counters it takes
    /// over.
    pub fn replace(
        &mut self,
        chain: &ChainName,
        number: usize,
        rule: Rule,
    ) -> Result<(), EditError> {
        let chain = self.chain_for(chain, &rule)?;
        let place = number.checked_sub(1).ok_or(EditError::BadPosition)?;
        let old = chain.rules.get_mut(place).ok_or(EditError::BadPosition)?;
        let counter = old.counter;
        *old = Rule { counter, ..rule };
        Ok(())
    }

    /// `-D` with a number, counted from 1.
    pub fn delete(&mut self, chain: &ChainName, number: usize) -> Result<Rule, EditError> {
        let chain = self.chain_mut(chain)?;
        number
            .checked_sub(1)
            .and_then(|place| chain.rules.remove(place))
            .ok_or(EditError::NoSuchRule)
    }

    /// `-D` with a rule: deletes the first that it describes.
    pub fn delete_matching(&mut self, chain: &ChainName, rule: &Rule) -> Result<Rule, EditError> {
        // The kernel looks for the target first, as it does for -A.
        let chain = self.chain_for(chain, rule)?;
        chain
            .rules
            .iter()
            .position(|other| rule.describes(other))
            .and_then(|place| chain.rules.remove(place))
            .ok_or(EditError::NoMatchingRule)
    }

    /// `-F`: removes all rules; policy and policy counter stay.
    pub fn flush(&mut self, chain: &ChainName) -> Result<(), EditError> {
        self.chain_mut(chain)?.rules.clear();
        Ok(())
    }

    /// `-Z`: zeroes the counters of a chain's rules. Nothing ever zeroes the
    /// counter of its policy.
    pub fn zero(&mut self, chain: &ChainName) -> Result<(), EditError> {
        let chain = self.chain_mut(chain)?;
        for rule in &mut chain.rules {
            rule.counter = Counter::default();
        }
        Ok(())
    }

    /// `-N`: adds an empty user chain.
    pub fn new_chain(&mut self, name: ChainName) -> Result<(), EditError> {
        if self.position(&name).is_some() {
            return Err(EditError::ChainExists);
        }
        self.positions.insert(name, self.chains.len());
        self.chains.push(Chain::user(name));
        Ok(())
    }

    /// `-X`: removes an empty user chain that no rule jumps to.
    pub fn delete_chain(&mut self, name: &ChainName) -> Result<(), EditError> {
        let place = self.position(name).ok_or(EditError::NoSuchChain)?;
        let chain = &self.chains[place];
        let jump = Some(Target::Chain(*name));
        let mut rules = self.chains.iter().flat_map(Chain::rules);
        if chain.policy.is_some() || rules.any(|rule| rule.target == jump) {
            return Err(EditError::ChainInUse);
        }
        if !chain.rules.is_empty() {
            return Err(EditError::ChainNotEmpty);
        }
        self.chains.remove(place);
        self.index();
        Ok(())
    }

    /// `-P`: sets what happens at a built-in chain's end.
    pub fn set_policy(&mut self, chain: BuiltIn, policy: Policy) {
        self.chains[chain.position()].policy = Some(policy);
    }

    /// The target that a word names: the verdicts and RETURN come before
    /// chains of the same name, and built-in chains are no targets (§1).
    pub fn target(&self, name: &ChainName, redirect_port: u16) -> Result<Target, EditError> {
        let target = match Verdict::from_name(name.as_str()) {
            Some(Verdict::Accept) => Target::Accept,
            Some(Verdict::Deny) => Target::Deny,
            Some(Verdict::Reject) => Target::Reject,
            Some(Verdict::Masq) => Target::Masq,
            Some(Verdict::Redirect) => Target::Redirect(redirect_port),
            None if name.as_str() == "RETURN" => Target::Return,
            None => Target::Chain(*name),
        };
        self.check_target(&target)?;
        Ok(target)
    }

    fn check_target(&self, target: &Target) -> Result<(), EditError> {
        match target {
            Target::Chain(name) => match self.chain(name) {
                Some(chain) if chain.policy.is_none() => Ok(()),
                _ => Err(EditError::NoSuchTarget),
            },
            _ => Ok(()),
        }
    }

    fn chain_for(&mut self, name: &ChainName, rule: &Rule) -> Result<&mut Chain, EditError> {
        let place = self.position(name).ok_or(EditError::NoSuchChain)?;
        if let Some(target) = &rule.target {
            self.check_target(target)?;
        }
        Ok(&mut self.chains[place])
    }

    fn chain_mut(&mut self, name: &ChainName) -> Result<&mut Chain, EditError> {
        let place = self.position(name).ok_or(EditError::NoSuchChain)?;
        Ok(&mut self.chains[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ChainName {
        ChainName::new(name).unwrap()
    }

    fn jump(chain: &str) -> Rule {
        Rule {
            target: Some(Target::Chain(name(chain))),
            ..Rule::ANY
        }
    }

    #[test]
    fn a_replaced_rule_leaves_its_counters() {
        let mut ruleset = Ruleset::new();
        let counter = Counter {
            packets: 3,
            bytes: 120,
        };
        let old = Rule {
            counter,
            ..Rule::ANY
        };
        ruleset.append(&name("input"), old).unwrap();
        let new = Rule {
            target: Some(Target::Deny),
            ..Rule::ANY
        };
        ruleset.replace(&name("input"), 1, new).unwrap();
        let rule = &ruleset.chains()[0].rules()[0];
        assert_eq!((rule.target, rule.counter), (Some(Target::Deny), counter));
    }

    #[test]
    fn chains_in_use_stay() {
        let mut ruleset = Ruleset::new();
        ruleset.new_chain(name("a")).unwrap();
        ruleset.append(&name("input"), jump("a")).unwrap();
        let delete = |ruleset: &mut Ruleset, chain| ruleset.delete_chain(&name(chain));
        assert_eq!(delete(&mut ruleset, "a"), Err(EditError::ChainInUse));
        assert_eq!(delete(&mut ruleset, "input"), Err(EditError::ChainInUse));
        ruleset.delete(&name("input"), 1).unwrap();
        ruleset.append(&name("a"), Rule::ANY).unwrap();
        assert_eq!(delete(&mut ruleset, "a"), Err(EditError::ChainNotEmpty));
        ruleset.flush(&name("a")).unwrap();
        assert_eq!(delete(&mut ruleset, "a"), Ok(()));
    }

    #[test]
    fn words_for_verdicts_win_over_chains() {
        let mut ruleset = Ruleset::new();
        ruleset.new_chain(name("ACCEPT")).unwrap();
        assert_eq!(ruleset.target(&name("ACCEPT"), 0), Ok(Target::Accept));
        let built_in = ruleset.target(&name("input"), 0);
        assert_eq!(built_in, Err(EditError::NoSuchTarget));
    }

    #[test]
    fn insertion_reaches_one_past_the_end() {
        let mut ruleset = Ruleset::new();
        let input = name("input");
        for (number, result) in [
            (2, Err(EditError::BadPosition)),
            (0, Err(EditError::BadPosition)),
            (1, Ok(())),
            (2, Ok(())),
        ] {
            assert_eq!(ruleset.insert(&input, number, Rule::ANY), result);
        }
    }
}
