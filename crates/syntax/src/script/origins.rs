//! Where in a file each rule, chain and policy comes from.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{BuiltIn, Chain, Rule, Ruleset};

use crate::ipchains::{Action, Command};

/// The bytes of the file that hold the command behind each part of a ruleset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    rules: BTreeMap<ChainName, VecDeque<Range<usize>>>,
    chains: BTreeMap<ChainName, Range<usize>>,
    policies: BTreeMap<BuiltIn, Range<usize>>,
}

impl Origins {
    /// The command that made a rule; `number` counts from 0.
    pub fn rule(&self, chain: &ChainName, number: usize) -> Option<&Range<usize>> {
        self.rules.get(chain)?.get(number)
    }

    /// The command that made a user chain.
    pub fn chain(&self, chain: &ChainName) -> Option<&Range<usize>> {
        self.chains.get(chain)
    }

    /// The last command that set a policy.
    pub fn policy(&self, chain: BuiltIn) -> Option<&Range<usize>> {
        self.policies.get(&chain)
    }

    pub(super) fn set_policy(&mut self, chain: BuiltIn, span: Range<usize>) {
        self.policies.insert(chain, span);
    }

    pub(super) fn new_chain(&mut self, chain: ChainName, span: Range<usize>) {
        self.chains.insert(chain, span);
    }

    /// What has to be known of a ruleset before a command changes it.
    pub(super) fn before(command: &Command, ruleset: &Ruleset) -> Before {
        let rules = match &command.action {
            Action::DeleteMatching(spec) => rules(ruleset, &spec.chain).cloned().collect(),
            _ => Vec::new(),
        };
        Before(rules)
    }

    /// Follows a command that has run, even in part.
    pub(super) fn follow(
        &mut self,
        command: &Command,
        span: &Range<usize>,
        before: &Before,
        ruleset: &Ruleset,
        succeeded: bool,
    ) {
        match &command.action {
            Action::Append(spec) => self.insert(&spec.chain, usize::MAX, span, ruleset),
            Action::Insert(spec, number) => self.insert(&spec.chain, number - 1, span, ruleset),
            Action::Replace(spec, number) if succeeded => {
                let known = self.rules.entry(spec.chain).or_default();
                if let Some(origin) = known.get_mut(number - 1) {
                    *origin = span.clone();
                }
            }
            Action::DeleteNumber(chain, number) if succeeded => {
                self.rules.entry(*chain).or_default().remove(number - 1);
            }
            Action::DeleteMatching(spec) => self.delete(&spec.chain, before, ruleset),
            Action::Flush(_) | Action::DeleteChain(_) => {
                let gone = |name: &ChainName| rules(ruleset, name).next().is_none();
                self.rules.retain(|name, _| !gone(name));
                self.chains.retain(|name, _| ruleset.chain(name).is_some());
            }
            Action::NewChain(name) if succeeded => self.new_chain(*name, span.clone()),
            Action::Policy(chain, _) if succeeded => self.set_policy(*chain, span.clone()),
            _ => {}
        }
    }

    /// As many rules as the chain has gained, all before rule `place`.
    fn insert(&mut self, chain: &ChainName, place: usize, span: &Range<usize>, after: &Ruleset) {
        let known = self.rules.entry(*chain).or_default();
        let count = after.chain(chain).map_or(0, |chain| chain.rules().len());
        while known.len() < count {
            known.insert(place.min(known.len()), span.clone());
        }
    }

    /// Finds out which rules are gone: of equal ones the first.
    fn delete(&mut self, chain: &ChainName, before: &Before, after: &Ruleset) {
        let mut left = after.chain(chain).map_or(0, |chain| chain.rules().len());
        let rest: Vec<&Rule> = rules(after, chain).collect();
        for (place, rule) in before.0.iter().enumerate().rev() {
            match left.checked_sub(1) {
                Some(last) if rest[last] == rule => left = last,
                _ => {
                    self.rules.entry(*chain).or_default().remove(place);
                }
            }
        }
    }
}

/// A chain's rules before a command that may delete some.
pub(super) struct Before(Vec<Rule>);

fn rules<'a>(ruleset: &'a Ruleset, chain: &ChainName) -> impl Iterator<Item = &'a Rule> {
    ruleset.chain(chain).into_iter().flat_map(Chain::rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;
    use crate::script;

    #[test]
    fn rules_are_followed_through_edits() {
        let source = "-N a\n-A input -p tcp\n-I input -j a\n-A input -p udp -b -s 1.2.3.4\n\
                      -A input -p tcp\n-D input -p tcp\n-R input 2 -p icmp\n-D input 3\n\
                      -A a -j DENY\n-A input -j nosuch\n-P input DENY\n-A output -l\n-F output\n";
        let script = script::read(source, &Names::new());
        let line = |span: Option<&Range<usize>>| source[..span?.start].lines().count().into();
        let input = ChainName::new("input").unwrap();
        let lines: Vec<Option<usize>> = (0..5)
            .map(|number| line(script.origins.rule(&input, number)))
            .collect();
        // As they stand at the end: the jump, the replaced rule, the last one.
        assert_eq!(lines, [Some(2), Some(6), Some(4), None, None]);
        let a = ChainName::new("a").unwrap();
        assert_eq!(line(script.origins.rule(&a, 0)), Some(8));
        assert_eq!(line(script.origins.chain(&a)), Some(0));
        assert_eq!(line(script.origins.policy(BuiltIn::Input)), Some(10));
        let output = ChainName::new("output").unwrap();
        assert_eq!(script.origins.rule(&output, 0), None);
    }

    /// What a command that failed would have moved stays where it is.
    #[test]
    fn failures_move_nothing() {
        let source = "-N a\n-A input -p tcp\n-P input DENY\n-R input 2 -p udp\n-D input 2\n\
                      -N a\n-P input MAYBE\n-D input -p udp\n-I input 9 -p udp\n";
        let script = script::read(source, &Names::new());
        assert_eq!(script.mistakes.len(), 6);
        let line = |span: Option<&Range<usize>>| Some(source[..span?.start].lines().count());
        let input = ChainName::new("input").unwrap();
        assert_eq!(line(script.origins.rule(&input, 0)), Some(1));
        assert_eq!(script.origins.rule(&input, 1), None);
        assert_eq!(
            line(script.origins.chain(&ChainName::new("a").unwrap())),
            Some(0)
        );
        assert_eq!(line(script.origins.policy(BuiltIn::Input)), Some(2));
    }
}
