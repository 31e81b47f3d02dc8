//! Which interface names rulesets tell apart.

use std::fmt;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Chain, InterfacePattern, Ruleset};

/// Interface names in classes: two names that meet the same patterns are one.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    /// What rules compare names with.
    patterns: Vec<InterfacePattern>,
    /// One name for each class: one that a rule names, or an invented one.
    names: Vec<InterfaceName>,
    /// For each class the narrowest pattern that it meets; that of all names for
    /// those that no rule speaks of.
    narrowest: Vec<InterfacePattern>,
}

/// The names that a pattern names, without others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    pattern: InterfacePattern,
    except: Vec<InterfacePattern>,
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
        let (mut names, mut narrowest) = (Vec::new(), Vec::new());
        for pattern in &patterns {
            let name = match pattern {
                InterfacePattern::Exact(name) => pattern.names(name).then_some(*name),
                InterfacePattern::Prefix(prefix) => invented(prefix.as_str(), &patterns),
            };
            names.extend(name);
            narrowest.extend(name.map(|_| *pattern));
        }
        let other = ["eth0", "eth1", "ppp0", "other"]
            .into_iter()
            .filter_map(InterfaceName::new)
            .find(|name| !patterns.iter().any(|pattern| pattern.names(name)))
            .or_else(|| invented("", &patterns));
        names.extend(other);
        narrowest.extend(other.map(|_| InterfacePattern::ANY));
        Self {
            patterns,
            names,
            narrowest,
        }
    }

    /// These names and no others.
    pub(super) fn only(names: Vec<InterfaceName>) -> Self {
        let narrowest = names.iter().copied().map(InterfacePattern::Exact);
        Self {
            patterns: Vec::new(),
            narrowest: narrowest.collect(),
            names,
        }
    }

    /// One name for each class.
    pub(super) fn names(&self) -> &[InterfaceName] {
        &self.names
    }

    /// Some classes, given by their names, in the fewest words that mean just
    /// them: of a wider pattern without a narrower one in it, and of those that
    /// this leaves out.
    pub(super) fn terms(&self, classes: &[InterfaceName]) -> Vec<Term> {
        let mut terms = Vec::new();
        self.add_terms(&InterfacePattern::ANY, classes, &mut terms);
        terms.sort_by_key(|term| {
            let mut patterns = self.narrowest.iter();
            patterns.position(|pattern| *pattern == term.pattern)
        });
        terms
    }

    fn add_terms(
        &self,
        pattern: &InterfacePattern,
        classes: &[InterfaceName],
        terms: &mut Vec<Term>,
    ) {
        let narrower = self.narrower(pattern);
        let mut rest: Vec<InterfacePattern> = narrower.clone();
        rest.retain(|it| !self.is_whole(it, classes));
        let own = self.narrowest.iter().position(|it| it == pattern);
        let is_in = match own {
            Some(place) => classes.contains(&self.names[place]),
            // There are no other names in it than the narrower ones have.
            None => !self.patterns.is_empty() && rest.is_empty(),
        };
        let next = match is_in {
            true => {
                terms.push(Term {
                    pattern: *pattern,
                    except: rest.clone(),
                });
                rest
            }
            false => narrower,
        };
        for pattern in &next {
            self.add_terms(pattern, classes, terms);
        }
    }

    /// Whether every class that meets the pattern is among these.
    fn is_whole(&self, pattern: &InterfacePattern, classes: &[InterfaceName]) -> bool {
        let mut inside = self.names.iter().filter(|name| pattern.names(name));
        inside.all(|name| classes.contains(name))
    }

    /// The widest patterns that are narrower than this.
    fn narrower(&self, pattern: &InterfacePattern) -> Vec<InterfacePattern> {
        let InterfacePattern::Prefix(prefix) = pattern else {
            return Vec::new();
        };
        let known = match self.patterns.is_empty() {
            true => &self.narrowest,
            false => &self.patterns,
        };
        let wider = |wide: &InterfacePattern, narrow: &InterfacePattern| {
            let InterfacePattern::Prefix(prefix) = wide else {
                return false;
            };
            wide != narrow && narrow.name().as_bytes().starts_with(prefix.as_bytes())
        };
        let inside: Vec<InterfacePattern> = known
            .iter()
            .filter(|it| wider(&InterfacePattern::Prefix(*prefix), it))
            .filter(|it| self.names.iter().any(|name| it.names(name)))
            .copied()
            .collect();
        let mut widest = inside.clone();
        widest.retain(|it| !inside.iter().any(|other| wider(other, it)));
        widest
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

/// As `eth0`, `eth+`, `eth+ except eth0,eth1`, or `!eth0` for all but that.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pattern {
            InterfacePattern::ANY => f.write_str("!")?,
            pattern => write_pattern(f, &pattern)?,
        }
        for (place, pattern) in self.except.iter().enumerate() {
            let separator = match (place, self.pattern) {
                (0, InterfacePattern::ANY) => "",
                (0, _) => " except ",
                _ => ",",
            };
            f.write_str(separator)?;
            write_pattern(f, pattern)?;
        }
        Ok(())
    }
}

fn write_pattern(f: &mut fmt::Formatter<'_>, pattern: &InterfacePattern) -> fmt::Result {
    let end = match pattern {
        InterfacePattern::Exact(_) => "",
        InterfacePattern::Prefix(_) => "+",
    };
    write!(f, "{}{end}", pattern.name())
}

impl Term {
    /// Whether names are listed after the first.
    pub(super) fn is_long(&self) -> bool {
        !self.except.is_empty()
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

#[cfg(test)]
mod tests {
    use portcullis_core::names::ChainName;
    use portcullis_core::ruleset::{Conditions, Rule, Test};

    use super::*;

    fn classes(patterns: &[&str]) -> Classes {
        let mut ruleset = Ruleset::new();
        let input = ChainName::new("input").unwrap();
        for pattern in patterns {
            let interface = match pattern.strip_suffix('+') {
                Some(prefix) => InterfacePattern::Prefix(InterfaceName::new(prefix).unwrap()),
                None => InterfacePattern::Exact(InterfaceName::new(pattern).unwrap()),
            };
            let conditions = Conditions {
                interface: Test::is(interface),
                ..Conditions::ANY
            };
            let rule = Rule {
                conditions,
                ..Rule::ANY
            };
            ruleset.append(&input, rule).unwrap();
        }
        Classes::new(&[&ruleset])
    }

    fn holds(terms: &[Term], name: &InterfaceName) -> bool {
        terms.iter().any(|term| {
            term.pattern.names(name) && !term.except.iter().any(|pattern| pattern.names(name))
        })
    }

    /// Every set of classes, said in terms, holds just the names of its classes.
    #[test]
    fn terms_mean_the_classes_that_they_stand_for() {
        let names: Vec<InterfaceName> = [
            "eth0", "eth1", "eth2", "eth", "eth0:1", "eth00", "ppp0", "ppp", "p", "lo", "lo0",
            "isdn", "e",
        ]
        .into_iter()
        .filter_map(InterfaceName::new)
        .collect();
        for patterns in [
            &["eth+"][..],
            &["eth+", "eth0", "eth1"],
            &["eth0"],
            &["eth+", "eth0+", "eth0", "eth00", "e+"],
            &["ppp+", "p+", "eth1", "lo+"],
            &[],
        ] {
            let classes = classes(patterns);
            let count = classes.names.len();
            for set in 0..1_u32 << count {
                let inside: Vec<InterfaceName> = (0..count)
                    .filter(|place| set >> place & 1 != 0)
                    .map(|place| classes.names[place])
                    .collect();
                let terms = classes.terms(&inside);
                for name in &names {
                    let class = classes.class(name).map(usize::from);
                    let expected = class.is_some_and(|class| set >> class & 1 != 0);
                    assert_eq!(
                        holds(&terms, name),
                        expected,
                        "{name} in {inside:?}: {terms:?}"
                    );
                }
                assert!(terms.len() <= inside.len());
            }
        }
    }

    #[test]
    fn a_family_is_said_in_a_word() {
        let classes = classes(&["eth+", "eth0", "eth1"]);
        let said = |names: &[&str]| {
            let names = names.iter().filter_map(|name| InterfaceName::new(name));
            let names: Vec<_> = names
                .map(|name| {
                    let class = classes.class(&name).unwrap();
                    classes.names[usize::from(class)]
                })
                .collect();
            let terms = classes.terms(&names);
            terms.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(&["eth7"]), ["eth+ except eth0,eth1"]);
        assert_eq!(said(&["eth0", "eth1", "eth7"]), ["eth+"]);
        assert_eq!(said(&["eth0", "lo"]), ["eth0", "lo"]);
        assert_eq!(said(&["tr0"]), ["!lo,eth+"]);
        assert_eq!(said(&["tr0", "lo", "eth1"]), ["eth1", "!eth+"]);
    }
}
