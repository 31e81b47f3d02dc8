//! Interface tests, resolved once for a name instead of for each rule.
//!
//! All names that no rule tells apart form a *class*. There are at most as
//! many classes as names and prefixes in the rules, and one for all the rest.

use std::collections::BTreeMap;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Chain, InterfacePattern, Ruleset, Test};

/// The interface tests of a ruleset and the classes that they make.
#[derive(Debug)]
pub(crate) struct Interfaces {
    /// Test number of each distinct test; that of "any" is 0.
    tests: BTreeMap<TestKey, u16>,
    /// Names that rules give in full, sorted, with their classes.
    exact: Vec<(InterfaceName, u32)>,
    /// Prefixes, sorted, with the classes of names that go on differently.
    prefixes: Vec<(InterfaceName, u32)>,
    /// For each class, whether each test holds.
    holds: Vec<Vec<bool>>,
}

/// Name, whether it is a prefix, whether the test is inverted.
type TestKey = (InterfaceName, bool, bool);

impl Interfaces {
    pub(crate) fn new(ruleset: &Ruleset) -> Self {
        let rules = ruleset.chains().iter().flat_map(Chain::rules);
        let mut tests = BTreeMap::new();
        tests.insert(test_key(&Test::is(InterfacePattern::ANY)), 0);
        for rule in rules {
            let number = u16::try_from(tests.len()).unwrap_or(u16::MAX);
            tests
                .entry(test_key(&rule.conditions.interface))
                .or_insert(number);
        }
        let mut interfaces = Self {
            tests,
            exact: Vec::new(),
            prefixes: Vec::new(),
            holds: Vec::new(),
        };
        let patterns: Vec<TestKey> = interfaces.tests.keys().copied().collect();
        for (name, is_prefix, _) in patterns {
            let known = match is_prefix {
                true => &interfaces.prefixes,
                false => &interfaces.exact,
            };
            // Sorted by name, so the inverted twin comes right after.
            if known.last().is_some_and(|(last, _)| *last == name) {
                continue;
            }
            let class = interfaces.add_class(&name, is_prefix);
            match is_prefix {
                true => interfaces.prefixes.push((name, class)),
                false => interfaces.exact.push((name, class)),
            }
        }
        interfaces
    }

    /// How many distinct tests the rules make, "any" included.
    pub(crate) fn test_count(&self) -> usize {
        self.tests.len()
    }

    /// How many classes there are.
    pub(crate) fn class_count(&self) -> usize {
        self.holds.len()
    }

    /// The number of a test that some rule makes.
    pub(crate) fn test_number(&self, test: &Test<InterfacePattern>) -> u16 {
        self.tests.get(&test_key(test)).copied().unwrap_or(0)
    }

    /// The class of an interface.
    #[inline]
    pub(crate) fn class(&self, interface: &InterfaceName) -> u32 {
        if self.holds.len() == 1 {
            return 0;
        }
        self.find_class(interface)
    }

    /// Whether each test holds for a class, by test number.
    #[inline]
    pub(crate) fn holding(&self, class: u32) -> &[bool] {
        &self.holds[class as usize]
    }

    fn find_class(&self, interface: &InterfaceName) -> u32 {
        let find = |list: &[(InterfaceName, u32)], name: &InterfaceName| {
            list.binary_search_by_key(name, |(name, _)| *name)
                .ok()
                .map(|at| list[at].1)
        };
        find(&self.exact, interface)
            .or_else(|| {
                let name = interface.as_str();
                // The longest prefix decides: it has all shorter ones.
                (0..=name.len()).rev().find_map(|length| {
                    let prefix = InterfaceName::new(name.get(..length)?)?;
                    find(&self.prefixes, &prefix)
                })
            })
            // The empty prefix is always there.
            .unwrap_or(0)
    }

    fn add_class(&mut self, name: &InterfaceName, is_prefix: bool) -> u32 {
        let mut holds = vec![false; self.tests.len()];
        for ((other, other_is_prefix, inverted), number) in &self.tests {
            let named = match other_is_prefix {
                true => name.as_bytes().starts_with(other.as_bytes()),
                false => !is_prefix && name == other,
            };
            holds[usize::from(*number)] = named != *inverted;
        }
        self.holds.push(holds);
        self.holds.len() as u32 - 1
    }
}

fn test_key(test: &Test<InterfacePattern>) -> TestKey {
    let (name, is_prefix) = match test.value {
        InterfacePattern::Exact(name) => (name, false),
        InterfacePattern::Prefix(name) => (name, true),
    };
    (name, is_prefix, test.is_inverted())
}
