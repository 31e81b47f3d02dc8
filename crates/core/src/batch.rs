//! Answers for many packets at once.

use alloc::vec::Vec;
use core::slice;

use crate::matcher::{Ending, Place, Trace};
use crate::ruleset::{BuiltIn, Counter, CounterTable, Verdict};

/// Packets that one call of a matcher decides at most.
pub const BATCH: usize = 64;

/// The answers of one call, to be filled again and again: once it has grown,
/// nothing is allocated any more.
#[derive(Clone, Debug)]
pub struct Batch {
    count: usize,
    outcomes: [Outcome; BATCH],
    /// The rule of each packet that matched just one; [`Place::NO_RULE`] of the
    /// chain whose policy decided, if it matched none.
    single: [Place; BATCH],
    /// The rules of those that matched more.
    several: Vec<Place>,
    /// Where they stand in `several`.
    spans: [(u32, u32); BATCH],
}

/// What becomes of the packets that a rule or a policy decides. A matcher makes
/// one for each rule, so that a batch is filled without a question that the
/// CPU cannot foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(4))]
pub struct Outcome {
    verdict: Verdict,
    ending: Ending,
    matched: Matched,
    /// Fills the word, which is then copied as one.
    whole: u8,
}

/// Where the rules that a packet matched are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matched {
    None,
    Single,
    Several,
}

impl Outcome {
    /// The walk goes on after the rule.
    pub const WALK: Self = Self {
        verdict: Verdict::Deny,
        ending: Ending::Policy,
        matched: Matched::Several,
        whole: 0,
    };

    /// A rule decides.
    pub const fn of_rule(verdict: Verdict) -> Self {
        Self {
            verdict,
            ending: Ending::Rule,
            matched: Matched::Single,
            whole: 0,
        }
    }

    /// No rule matches.
    pub const fn of_policy(policy: Verdict) -> Self {
        Self {
            verdict: policy,
            ending: Ending::Policy,
            matched: Matched::None,
            whole: 0,
        }
    }
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        let nothing = Outcome::of_policy(Verdict::Deny);
        let nowhere = Place { chain: 0, rule: 0 };
        Self {
            count: 0,
            outcomes: [nothing; BATCH],
            single: [nowhere; BATCH],
            several: Vec::new(),
            spans: [(0, 0); BATCH],
        }
    }

    /// How many packets were decided.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no packet was decided.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The verdict on a packet.
    ///
    /// # Panics
    ///
    /// If fewer packets were decided; likewise the methods below.
    #[inline]
    pub fn verdict(&self, packet: usize) -> Verdict {
        self.outcome(packet).verdict
    }

    /// How the walk of a packet ended.
    #[inline]
    pub fn ending(&self, packet: usize) -> Ending {
        self.outcome(packet).ending
    }

    /// The rules that a packet matched, in order.
    #[inline]
    pub fn matched(&self, packet: usize) -> &[Place] {
        let matched = self.outcome(packet).matched;
        if matched == Matched::Several {
            let (start, end) = self.spans[packet];
            return &self.several[start as usize..end as usize];
        }
        // None or one: a length, not a branch.
        &slice::from_ref(&self.single[packet])[..usize::from(matched == Matched::Single)]
    }

    /// Adds `sum` to the counters of the rules that a packet matched, and of
    /// the policy if that decided. `chain` is where the packet started.
    #[inline]
    pub fn count(&self, packet: usize, chain: BuiltIn, sum: Counter, counters: &mut CounterTable) {
        let outcome = self.outcome(packet);
        if outcome.matched != Matched::Several {
            counters.decider_mut(self.single[packet]).add(sum);
            return;
        }
        for place in self.matched(packet) {
            counters.rule_mut(*place).add(sum);
        }
        if outcome.ending == Ending::Policy {
            counters.policy_mut(chain).add(sum);
        }
    }

    #[inline]
    fn outcome(&self, packet: usize) -> Outcome {
        self.outcomes[..self.count][packet]
    }

    /// For matchers: starts over with this many packets, which must all be
    /// given an answer.
    ///
    /// # Panics
    ///
    /// If there are more than [`BATCH`].
    #[inline]
    pub fn begin(&mut self, count: usize) {
        assert!(count <= BATCH, "{count} keys in one batch");
        self.count = count;
        self.several.clear();
    }

    /// For matchers: answers all packets by the first rule that each matched,
    /// [`Place::NO_RULE`] where none did. `outcomes` are those of the chain's
    /// policy and then of its rules.
    ///
    /// Gives back the packets whose walk goes on, a bit for each:
    /// [`set_trace`](Self::set_trace) must answer them.
    #[inline(always)]
    pub fn set_firsts(&mut self, chain: u32, firsts: &[u32; BATCH], outcomes: &[Outcome]) -> u64 {
        let mut walks = 0;
        let answers = self.outcomes.iter_mut().zip(&mut self.single);
        for ((packet, rule), (answer, single)) in
            firsts.iter().enumerate().zip(answers).take(self.count)
        {
            let outcome = outcomes[rule.wrapping_add(1) as usize];
            *single = Place { chain, rule: *rule };
            *answer = outcome;
            walks |= u64::from(outcome.matched == Matched::Several) << packet;
        }
        walks
    }

    /// For matchers: a walk noted the answer in a trace.
    ///
    /// # Panics
    ///
    /// If there is no such packet.
    pub fn set_trace(&mut self, packet: usize, verdict: Verdict, trace: &Trace) {
        let start = self.several.len() as u32;
        self.several.extend_from_slice(trace.matched());
        self.spans[packet] = (start, self.several.len() as u32);
        self.outcomes[packet] = Outcome {
            verdict,
            ending: trace.ending(),
            matched: Matched::Several,
            whole: 0,
        };
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::ruleset::Ruleset;

    #[test]
    fn policy_rule_and_walk_are_counted_where_they_belong() {
        let chain = BuiltIn::Input;
        let position = chain.position() as u32;
        let outcomes = vec![
            Outcome::of_policy(Verdict::Reject),
            Outcome::of_rule(Verdict::Accept),
            Outcome::WALK,
        ];
        let mut firsts = [Place::NO_RULE; BATCH];
        (firsts[1], firsts[2]) = (0, 1);
        let mut batch = Batch::new();
        batch.begin(3);
        assert_eq!(batch.set_firsts(position, &firsts, &outcomes), 0b100);
        assert_eq!(
            (batch.verdict(0), batch.ending(0)),
            (Verdict::Reject, Ending::Policy)
        );
        assert!(batch.matched(0).is_empty());
        let rule = Place {
            chain: position,
            rule: 0,
        };
        assert_eq!(
            (batch.verdict(1), batch.matched(1)),
            (Verdict::Accept, &[rule][..])
        );

        let mut counters = CounterTable::new(&Ruleset::new());
        batch.count(0, chain, Counter::of(60), &mut counters);
        assert_eq!(*counters.policy_mut(chain), Counter::of(60));
    }
}
