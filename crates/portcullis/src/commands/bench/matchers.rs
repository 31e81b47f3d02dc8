//! The matchers under test, behind one face.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use portcullis_classifier::{Classifier, Options, Preference};
use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::matcher::{Ending, Matcher, Place, Trace};
use portcullis_core::packet::PacketKey;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{Counter, CounterTable, Verdict};
use portcullis_core::traversal::Step;
use portcullis_syntax::classbench;

use super::MatcherKind;
use super::input::{Subject, Workload};

/// What a packet's length is taken to be.
const BYTES: u16 = 60;

/// A matcher with the counters of its rules.
pub(super) struct Engine {
    pub(super) kind: MatcherKind,
    pub(super) compile_time: Duration,
    matcher: Compiled,
    policy_chain: CounterTable,
}

enum Compiled {
    Reference(Reference),
    Batch(Classifier),
    Single(Classifier),
}

/// An answer in the form that is compared.
type Answer = (Verdict, Ending, Vec<Place>);

impl Engine {
    pub(super) fn new(kind: MatcherKind, subject: &Subject) -> anyhow::Result<Self> {
        let start = Instant::now();
        let ruleset = Arc::clone(&subject.ruleset);
        let compile = |preference| -> anyhow::Result<Classifier> {
            let options = Options {
                preference,
                ..Options::from_environment()?
            };
            Ok(Classifier::compile_with(Arc::clone(&ruleset), options)?)
        };
        let matcher = match kind {
            MatcherKind::Reference => Compiled::Reference(Reference::new(Arc::clone(&ruleset))),
            MatcherKind::Linear => Compiled::Batch(compile(Preference::Linear)?),
            MatcherKind::BitVector => Compiled::Batch(compile(Preference::BitVector)?),
            MatcherKind::Tree => Compiled::Batch(compile(Preference::Tree)?),
            MatcherKind::Auto => Compiled::Batch(compile(Preference::Auto)?),
            MatcherKind::Single => Compiled::Single(compile(Preference::Auto)?),
        };
        Ok(Self {
            kind,
            compile_time: start.elapsed(),
            matcher,
            policy_chain: CounterTable::new(&subject.ruleset),
        })
    }

    /// The classifier, unless this is the reference.
    pub(super) fn classifier(&self) -> Option<&Classifier> {
        match &self.matcher {
            Compiled::Reference(_) => None,
            Compiled::Batch(classifier) | Compiled::Single(classifier) => Some(classifier),
        }
    }

    /// Fresh counters for this engine's rules.
    pub(super) fn counters(&self) -> CounterTable {
        self.policy_chain.clone()
    }

    /// Answers all keys and counts every match: what is timed.
    pub(super) fn pass(&self, keys: &[PacketKey], step: &Step, counters: &mut CounterTable) {
        let count = |ending: Ending, matched: &[Place]| {
            for place in matched {
                counters.rule_mut(*place).count(BYTES);
            }
            if ending == Ending::Policy {
                counters.policy_mut(step.chain).count(BYTES);
            }
        };
        match &self.matcher {
            Compiled::Reference(reference) => singly(reference, keys, step, count),
            Compiled::Single(classifier) => singly(classifier, keys, step, count),
            Compiled::Batch(classifier) => {
                let (mut batch, mut scratch) = (Batch::new(), Trace::new());
                for keys in keys.chunks(BATCH) {
                    classifier.decide_batch(step, keys, &mut batch, &mut scratch);
                    let sum = Counter::of(BYTES);
                    let mut several = batch.count_deciders(step.chain, |_| sum, counters);
                    while several != 0 {
                        let packet = several.trailing_zeros() as usize;
                        several &= several - 1;
                        batch.count(packet, step.chain, sum, counters);
                    }
                }
            }
        }
    }

    /// How many answers differ from those in a file of first matches, or
    /// from the reference.
    pub(super) fn mismatches(
        &self,
        subject: &Subject,
        workload: &Workload,
        step: &Step,
        expected: Option<&Path>,
    ) -> anyhow::Result<usize> {
        let answers = self.answers(&workload.keys, step);
        let Some(file) = expected else {
            let reference = Reference::new(Arc::clone(&subject.ruleset));
            let mut trace = Trace::new();
            let wrong = workload.keys.iter().zip(&answers).filter(|(key, answer)| {
                let verdict = reference.decide(step, key, &mut trace);
                **answer != (verdict, trace.ending(), trace.matched().to_vec())
            });
            return Ok(wrong.count());
        };
        let name = file.display();
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
        let expected = classbench::read_first_matches(&bytes).with_context(|| name.to_string())?;
        if expected.len() != answers.len() {
            let (found, packets) = (expected.len(), answers.len());
            bail!("{name} has {found} results for {packets} packets");
        }
        let wrong = answers.iter().zip(expected).filter(|(answer, expected)| {
            let decided = match answer {
                (_, Ending::Rule, matched) => matched.last().map(|place| place.rule),
                _ => None,
            };
            decided != *expected
        });
        Ok(wrong.count())
    }

    fn answers(&self, keys: &[PacketKey], step: &Step) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(keys.len());
        let mut trace = Trace::new();
        match &self.matcher {
            Compiled::Reference(reference) => {
                for key in keys {
                    let verdict = reference.decide(step, key, &mut trace);
                    answers.push((verdict, trace.ending(), trace.matched().to_vec()));
                }
            }
            Compiled::Single(classifier) => {
                for key in keys {
                    let verdict = classifier.decide(step, key, &mut trace);
                    answers.push((verdict, trace.ending(), trace.matched().to_vec()));
                }
            }
            Compiled::Batch(classifier) => {
                let mut batch = Batch::new();
                for keys in keys.chunks(BATCH) {
                    classifier.decide_batch(step, keys, &mut batch, &mut trace);
                    answers.extend((0..keys.len()).map(|packet| {
                        let matched = batch.matched(packet).to_vec();
                        (batch.verdict(packet), batch.ending(packet), matched)
                    }));
                }
            }
        }
        answers
    }
}

/// The matchers to measure: those asked for, or all that make sense.
pub(super) fn chosen(asked: &[MatcherKind], subject: &Subject) -> Vec<MatcherKind> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let rules = subject.ruleset.rule_count();
    let mut kinds = Vec::new();
    // Slow ones would take minutes on many rules.
    if rules <= 1_000 {
        kinds.push(MatcherKind::Reference);
    }
    if rules <= 10_000 {
        kinds.push(MatcherKind::Linear);
        kinds.push(MatcherKind::BitVector);
    }
    kinds.extend([MatcherKind::Tree, MatcherKind::Auto, MatcherKind::Single]);
    kinds
}

fn singly(
    matcher: &impl Matcher,
    keys: &[PacketKey],
    step: &Step,
    mut count: impl FnMut(Ending, &[Place]),
) {
    let mut trace = Trace::new();
    for key in keys {
        matcher.decide(step, key, &mut trace);
        count(trace.ending(), trace.matched());
    }
}
