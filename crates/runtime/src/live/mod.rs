//! Judging packets as they come, by rules that change meanwhile.
//!
//! A [`LiveRuleset`] holds one generation of compiled rules. A [`Worker`] takes it once for each
//! batch of packets, so that every packet is judged by exactly one generation; each worker counts
//! in a table of its own. [`LogChannel`] takes log lines away without waiting for anyone.

mod log;
#[cfg(all(test, feature = "shuttle"))]
mod model;
mod stats;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::matcher::Matcher;
use portcullis_core::ruleset::{Chain, Counter, CounterTable, Rule, Ruleset};

pub use log::{LogChannel, LogEvent, LogLimit};
pub use stats::{Figure, Stats};
pub use worker::{Fate, Judging, Worker};

use crate::sync::{Mutex, RwLock, thread};

/// The rules that are in force, for any number of workers.
#[derive(Debug)]
pub struct LiveRuleset<M> {
    current: RwLock<Arc<Generation<M>>>,
    workers: usize,
}

/// One ruleset from its start to its end.
#[derive(Debug)]
pub struct Generation<M> {
    /// From 1.
    pub number: u64,
    /// The rules; their own counters are what they had at the start.
    pub matcher: M,
    /// What came over from the generation before.
    carried: Mutex<CounterTable>,
    /// What each worker counted.
    counted: Vec<Mutex<CounterTable>>,
}

/// What becomes of the counters when rules are replaced.
#[derive(Clone, Copy, Debug)]
pub enum Carry<'a> {
    /// Rules that were there before keep their counters.
    Unchanged,
    /// Rules that were there before get what was counted after this state was read: it was edited
    /// into the new rules, counters and all.
    Since(&'a Ruleset),
    /// Nothing is carried over.
    Nothing,
}

impl<M: Matcher> LiveRuleset<M> {
    /// The first generation, for so many workers.
    pub fn new(matcher: M, workers: usize) -> Self {
        Self {
            current: RwLock::new(Arc::new(Generation::new(1, matcher, workers))),
            workers,
        }
    }

    /// The generation in force.
    pub fn current(&self) -> Arc<Generation<M>> {
        Arc::clone(&self.current.read())
    }

    /// Puts other rules in force, at once; gives back their generation's number. Packets that are
    /// being judged are judged to the end by the old ones, and are counted there.
    ///
    /// Callers must take turns.
    pub fn replace(&self, matcher: M, carry: Carry<'_>) -> u64 {
        let old = self.current();
        let new = Arc::new(Generation::new(old.number + 1, matcher, self.workers));
        // Whoever reads the new counters waits until nothing is missing from them.
        let mut carried_over = new.carried.lock();
        let former = std::mem::replace(&mut *self.current.write(), Arc::clone(&new));
        drop(former);
        // A worker holds a generation for one batch only.
        while Arc::strong_count(&old) > 1 {
            thread::sleep(Duration::from_micros(100));
        }
        let since = match carry {
            Carry::Nothing => return new.number,
            Carry::Unchanged => None,
            Carry::Since(ruleset) => Some(CounterTable::of(ruleset)),
        };
        let last = old.ruleset();
        *carried_over = carried(&last, since.as_ref(), new.matcher.ruleset());
        new.number
    }
}

impl<M: Matcher> Generation<M> {
    fn new(number: u64, matcher: M, workers: usize) -> Self {
        let zero = CounterTable::new(matcher.ruleset());
        Self {
            number,
            carried: Mutex::new(zero.clone()),
            counted: (0..workers).map(|_| Mutex::new(zero.clone())).collect(),
            matcher,
        }
    }

    /// How many rules there are.
    pub fn matcher_rules(&self) -> usize {
        self.matcher.ruleset().rule_count()
    }

    /// The rules with their counters as they are now.
    pub fn ruleset(&self) -> Ruleset {
        let mut ruleset = self.matcher.ruleset().clone();
        ruleset.add_counters(&self.carried.lock());
        for counted in &self.counted {
            ruleset.add_counters(&counted.lock());
        }
        ruleset
    }
}

/// What the counters of rules in `old`, less those in `since`, add to the same rules in `new`.
/// Equal rules of a chain are taken in order.
fn carried(old: &Ruleset, since: Option<&CounterTable>, new: &Ruleset) -> CounterTable {
    let mut known: HashMap<(&str, Rule), Vec<Counter>> = HashMap::new();
    let counters = CounterTable::of(old);
    let zeros = CounterTable::new(old);
    let since = since.unwrap_or(&zeros);
    let mut gained = counters
        .as_slice()
        .iter()
        .zip(since.as_slice())
        .map(|(now, then)| Counter {
            packets: now.packets.wrapping_sub(then.packets),
            bytes: now.bytes.wrapping_sub(then.bytes),
        });
    let mut policies: HashMap<&str, Counter> = HashMap::new();
    for chain in old.chains() {
        policies.insert(chain.name().as_str(), gained.next().unwrap_or_default());
        for rule in chain.rules() {
            let gained = gained.next().unwrap_or_default();
            known.entry(identity(chain, rule)).or_default().push(gained);
        }
    }
    // The first of equal rules is the first to be asked for.
    known.values_mut().for_each(|counters| counters.reverse());
    let mut table = CounterTable::new(new);
    let mut slots = table.as_mut_slice().iter_mut();
    for chain in new.chains() {
        if let Some(slot) = slots.next() {
            *slot = policies.remove(chain.name().as_str()).unwrap_or_default();
        }
        for (rule, slot) in chain.rules().iter().zip(&mut slots) {
            let gained = known.get_mut(&identity(chain, rule)).and_then(Vec::pop);
            *slot = gained.unwrap_or_default();
        }
    }
    table
}

/// What makes a rule the same one: all but its counter.
fn identity<'a>(chain: &'a Chain, rule: &Rule) -> (&'a str, Rule) {
    let rule = Rule {
        counter: Counter::default(),
        ..rule.clone()
    };
    (chain.name().as_str(), rule)
}

#[cfg(test)]
mod tests {
    use portcullis_core::matcher::Place;
    use portcullis_core::names::ChainName;
    use portcullis_core::reference::Reference;
    use portcullis_core::ruleset::{Conditions, Target, Test};

    use super::*;

    fn rules(protocols: &[u8]) -> Reference {
        let mut ruleset = Ruleset::new();
        let input = ChainName::new("input").unwrap();
        for protocol in protocols {
            let rule = Rule {
                conditions: Conditions {
                    protocol: Test::is(u16::from(*protocol)),
                    ..Conditions::ANY
                },
                target: Some(Target::Accept),
                ..Rule::ANY
            };
            ruleset.append(&input, rule).unwrap();
        }
        Reference::new(Arc::new(ruleset))
    }

    fn count(live: &LiveRuleset<Reference>, rule: u32, packets: u64) {
        let generation = live.current();
        let place = Place { chain: 0, rule };
        let mut counted = generation.counted[0].lock();
        counted.rule_mut(place).add(Counter {
            packets,
            bytes: packets * 40,
        });
    }

    fn packets(live: &LiveRuleset<Reference>) -> Vec<u64> {
        let ruleset = live.current().ruleset();
        let rules = ruleset.chains()[0].rules().iter();
        rules.map(|rule| rule.counter.packets).collect()
    }

    #[test]
    fn rules_that_stay_keep_their_counters() {
        let live = LiveRuleset::new(rules(&[1, 6, 6, 17]), 2);
        for (rule, packets) in [(0, 10), (1, 20), (2, 30), (3, 40)] {
            count(&live, rule, packets);
        }
        assert_eq!(live.replace(rules(&[6, 47, 1, 6]), Carry::Unchanged), 2);
        assert_eq!(packets(&live), [20, 0, 10, 30]);
        assert_eq!(live.replace(rules(&[6]), Carry::Nothing), 3);
        assert_eq!(packets(&live), [0]);
    }

    #[test]
    fn an_edit_loses_nothing_that_was_counted_meanwhile() {
        let live = LiveRuleset::new(rules(&[1, 6]), 1);
        count(&live, 1, 5);
        let read = live.current().ruleset();
        count(&live, 1, 2);
        // What an editor makes of it: the first rule deleted, the counters as they were read.
        let mut edited = read.clone();
        edited.delete(&ChainName::new("input").unwrap(), 1).unwrap();
        live.replace(Reference::new(Arc::new(edited)), Carry::Since(&read));
        assert_eq!(packets(&live), [7]);
    }
}
