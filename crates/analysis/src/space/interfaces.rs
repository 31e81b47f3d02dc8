//! Which interface names rulesets tell apart.

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Chain, InterfacePattern, Ruleset};

/// Interface names in classes: two names that meet the same patterns are one.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    /// What rules compare names with.
    patterns: Vec<InterfacePattern>,
    /// One name for each class: one that a rule names, or an invented one.
    names: Vec<InterfaceName>,
}

impl Classes {
    /// The classes that some rule tells from the others.
    pub(super) fn new(rulesets: &[&Ruleset]) -> Self {
        let rules = rulesets
            .iter()
            .flat_map(|it| it.chains())
            .flat_map(Chain::rules);
        let mut patterns: Vec<InterfacePattern> = rules
            .map(|rule| rule.conditions.interface.value)
            .filter(|pattern| *pattern != InterfacePattern::ANY)
            .collect();
        // People speak of it, also when rules do not.
        patterns.extend(InterfaceName::new("lo").map(InterfacePattern::Exact));
        let is_prefix = |pattern: &InterfacePattern| matches!(pattern, InterfacePattern::Prefix(_));
        // Names that only a slip can have come last: examples take the first.
        let is_odd = |pattern: &InterfacePattern| pattern.name().as_str().starts_with('!');
        patterns.sort_by_key(|pattern| (is_prefix(pattern), is_odd(pattern), *pattern.name()));
        patterns.dedup();
        let mut names: Vec<InterfaceName> = Vec::new();
        for pattern in &patterns {
            match pattern {
                InterfacePattern::Exact(name) if pattern.names(name) => names.push(*name),
                InterfacePattern::Exact(_) => {}
                InterfacePattern::Prefix(prefix) => {
                    names.extend(invented(prefix.as_str(), &patterns));
                }
            }
        }
        let other = ["eth0", "eth1", "ppp0", "other"]
            .into_iter()
            .filter_map(InterfaceName::new)
            .find(|name| !patterns.iter().any(|pattern| pattern.names(name)))
            .or_else(|| invented("", &patterns));
        names.extend(other);
        Self { patterns, names }
    }

    /// These names and no others.
    pub(super) fn only(names: Vec<InterfaceName>) -> Self {
        Self {
            patterns: Vec::new(),
            names,
        }
    }

    /// One name for each class.
    pub(super) fn names(&self) -> &[InterfaceName] {
        &self.names
    }

    /// The name that stands for all that no rule speaks of, if there is one.
    pub(super) fn other(&self) -> Option<InterfaceName> {
        let last = self.names.last()?;
        let spoken_of = self.patterns.iter().any(|pattern| pattern.names(last));
        (!self.patterns.is_empty() && !spoken_of).then_some(*last)
    }

    /// The place of a name's class.
    pub(super) fn class(&self, name: &InterfaceName) -> Option<u16> {
        let alike = |other: &InterfaceName| {
            let mut patterns = self.patterns.iter();
            patterns.all(|pattern| pattern.names(name) == pattern.names(other))
        };
        let own = self.names.iter().position(|other| other == name);
        let place = match self.patterns.is_empty() {
            true => own,
            false => own.or_else(|| self.names.iter().position(alike)),
        };
        place.and_then(|place| u16::try_from(place).ok())
    }
}

/// A name that begins so and meets no pattern but the shorter prefixes of
/// its own; `None` if the patterns leave no such name.
fn invented(prefix: &str, patterns: &[InterfacePattern]) -> Option<InterfaceName> {
    let is_new = |name: &InterfaceName| {
        patterns.iter().all(|pattern| match pattern {
            InterfacePattern::Exact(other) => other != name,
            InterfacePattern::Prefix(other) => {
                other.as_bytes().len() <= prefix.len() || !pattern.names(name)
            }
        })
    };
    let letters = || ('0'..='9').chain('a'..='z').chain(['-', '_', '.']);
    let one = letters().map(|letter| format!("{prefix}{letter}"));
    let two = letters().flat_map(|a| letters().map(move |b| format!("{prefix}{a}{b}")));
    one.chain(two)
        .chain([prefix.to_owned()])
        .filter(|name| !name.is_empty() && name.len() <= InterfaceName::DEVICE_LENGTH)
        .filter_map(|name| InterfaceName::new(&name))
        .find(is_new)
}
