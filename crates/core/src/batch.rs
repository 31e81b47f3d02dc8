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

/// What becomes of the packets that a rule or a policy decides, in one word. A
/// matcher makes one for each rule, so that a batch is filled without a question
/// that the CPU cannot foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(u32);

impl Outcome {
    /// Set where a rule decides; otherwise it is a policy.
    const RULE: u32 = 1 << 8;
    /// Set where more than one rule may have matched.
    const SEVERAL: u32 = 1 << 9;
    /// Set where the deciding rule does more than count.
    const EFFECTS: u32 = 1 << 10;
    /// Where the ending stands if several rules matched.
    const ENDING: u32 = 16;
    /// Where the verdict stands.
    const VERDICT: u32 = 0xff;

    /// The walk goes on after the rule.
    pub const WALK: Self = Self(Self::SEVERAL);

    /// A rule decides, which may have [effects](crate::ruleset::Rule::has_effects).
    pub const fn of_rule(verdict: Verdict, has_effects: bool) -> Self {
        let effects = if has_effects { Self::EFFECTS } else { 0 };
        Self(verdict as u32 | Self::RULE | effects | (Ending::Rule as u32) << Self::ENDING)
    }

    /// No rule matches.
    pub const fn of_policy(policy: Verdict) -> Self {
        Self(policy as u32 | (Ending::Policy as u32) << Self::ENDING)
    }

    fn of_walk(verdict: Verdict, ending: Ending) -> Self {
        Self(verdict as u32 | Self::SEVERAL | (ending as u32) << Self::ENDING)
    }

    /// The word, for tables of them.
    pub const fn code(self) -> u32 {
        self.0
    }

    #[inline]
    fn verdict(self) -> Verdict {
        let last = Verdict::ALL.len() - 1;
        Verdict::ALL[((self.0 & Self::VERDICT) as usize).min(last)]
    }

    #[inline]
    fn ending(self) -> Ending {
        const ENDINGS: [Ending; 4] = [Ending::Rule, Ending::Policy, Ending::Loop, Ending::TooLong];
        ENDINGS[(self.0 >> Self::ENDING) as usize % ENDINGS.len()]
    }

    #[inline]
    fn is_rule(self) -> bool {
        self.0 & Self::RULE != 0
    }

    #[inline]
    fn is_several(self) -> bool {
        self.0 & Self::SEVERAL != 0
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
        self.outcome(packet).verdict()
    }

    /// How the walk of a packet ended.
    #[inline]
    pub fn ending(&self, packet: usize) -> Ending {
        self.outcome(packet).ending()
    }

    /// The rules that a packet matched, in order.
    #[inline]
    pub fn matched(&self, packet: usize) -> &[Place] {
        let outcome = self.outcome(packet);
        if outcome.is_several() {
            let (start, end) = self.spans[packet];
            return &self.several[start as usize..end as usize];
        }
        // None or one: a length, not a branch.
        &slice::from_ref(&self.single[packet])[..usize::from(outcome.is_rule())]
    }

    /// The packets that one rule decided which does more than count, and those
    /// that may have matched several: a bit for each.
    #[inline]
    pub fn noteworthy(&self) -> (u64, u64) {
        let outcomes = &self.outcomes[..self.count];
        // Mostly there is none, which is told for many at once.
        let any = outcomes.iter().fold(0, |any, outcome| any | outcome.0);
        if any & (Outcome::EFFECTS | Outcome::SEVERAL) == 0 {
            return (0, 0);
        }
        let with = |bit: u32| {
            let places = outcomes.iter().enumerate();
            places.fold(0, |packets, (packet, outcome)| {
                packets | u64::from(outcome.0 & bit != 0) << packet
            })
        };
        (with(Outcome::EFFECTS), with(Outcome::SEVERAL))
    }

    /// Adds `sum` to the counters of the rules that a packet matched, and of
    /// the policy if that decided. `chain` is where the packet started.
    #[inline(always)]
    pub fn count(&self, packet: usize, chain: BuiltIn, sum: Counter, counters: &mut CounterTable) {
        match self.outcome(packet).is_several() {
            false => counters.decider_mut(self.single[packet]).add(sum),
            true => self.count_several(packet, chain, sum, counters),
        }
    }

    /// Adds to the counter of what decided each packet, a rule of `chain` or its
    /// policy, what `sum` says of it. Leaves out those that may have matched
    /// several rules: a bit for each.
    #[inline(always)]
    pub fn count_deciders(
        &self,
        chain: BuiltIn,
        sum: impl Fn(usize) -> Counter,
        counters: &mut CounterTable,
    ) -> u64 {
        let deciders = counters.deciders_mut(chain);
        let mut several = 0u64;
        for (packet, outcome) in self.outcomes[..self.count].iter().enumerate() {
            if outcome.is_several() {
                several |= 1 << packet;
            } else {
                // All of these decided in the chain where they started.
                deciders[self.single[packet].rule.wrapping_add(1) as usize].add(sum(packet));
            }
        }
        several
    }

    #[cold]
    fn count_several(
        &self,
        packet: usize,
        chain: BuiltIn,
        sum: Counter,
        counters: &mut CounterTable,
    ) {
        for place in self.matched(packet) {
            counters.rule_mut(*place).add(sum);
        }
        if self.ending(packet) == Ending::Policy {
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
    /// [`Place::NO_RULE`] where none did, and the [`Outcome::code`]s of these.
    ///
    /// Gives back the packets whose walk goes on, a bit for each:
    /// [`set_trace`](Self::set_trace) must answer them.
    #[inline(always)]
    pub fn set_firsts(
        &mut self,
        chain: u32,
        firsts: &[u32; BATCH],
        outcomes: &[u32; BATCH],
    ) -> u64 {
        // Without a branch, all of a batch at once.
        let mut any = 0;
        for (answer, code) in self.outcomes.iter_mut().zip(outcomes) {
            *answer = Outcome(*code);
            any |= *code;
        }
        for (single, rule) in self.single.iter_mut().zip(firsts) {
            *single = Place { chain, rule: *rule };
        }
        if !Outcome(any).is_several() {
            return 0;
        }
        let answers = self.outcomes.iter().take(self.count).enumerate();
        answers.fold(0, |walks, (packet, answer)| {
            walks | u64::from(answer.is_several()) << packet
        })
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
        self.outcomes[packet] = Outcome::of_walk(verdict, trace.ending());
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ChainName;
    use crate::ruleset::{Rule, Ruleset};

    #[test]
    fn policy_rule_and_walk_are_counted_where_they_belong() {
        let chain = BuiltIn::Input;
        let position = chain.position() as u32;
        let mut outcomes = [Outcome::of_policy(Verdict::Reject).code(); BATCH];
        outcomes[1] = Outcome::of_rule(Verdict::Accept, true).code();
        outcomes[2] = Outcome::WALK.code();
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
        assert_eq!(batch.noteworthy(), (0b10, 0b100));
        // The walk of the third packet still goes on.
        let mut ruleset = Ruleset::new();
        let name = ChainName::new("input").unwrap();
        ruleset.append(&name, Rule::ANY).unwrap();
        let mut counters = CounterTable::new(&ruleset);
        let of_three = [Counter::of(60), Counter::of(90), Counter::of(120)];
        let several = batch.count_deciders(chain, |packet| of_three[packet], &mut counters);
        assert_eq!(several, 0b100);
        assert_eq!(counters.deciders(chain), &of_three[..2]);

        let mut counters = CounterTable::new(&Ruleset::new());
        batch.count(0, chain, Counter::of(60), &mut counters);
        assert_eq!(*counters.policy_mut(chain), Counter::of(60));
    }

    #[test]
    fn an_outcome_keeps_verdict_and_ending() {
        for verdict in Verdict::ALL {
            let policy = Outcome::of_policy(verdict);
            for has_effects in [false, true] {
                let rule = Outcome::of_rule(verdict, has_effects);
                assert_eq!((rule.verdict(), rule.ending()), (verdict, Ending::Rule));
            }
            assert_eq!(
                (policy.verdict(), policy.ending()),
                (verdict, Ending::Policy)
            );
            for ending in [Ending::Rule, Ending::Policy, Ending::Loop, Ending::TooLong] {
                let walk = Outcome::of_walk(verdict, ending);
                assert_eq!((walk.verdict(), walk.ending()), (verdict, ending));
                assert!(walk.is_several() && !walk.is_rule());
            }
        }
    }

    #[test]
    fn walks_are_counted_rule_by_rule() {
        let chain = BuiltIn::Input;
        let mut ruleset = Ruleset::new();
        for _ in 0..3 {
            let name = ChainName::new("input").unwrap();
            ruleset.append(&name, Rule::ANY).unwrap();
        }
        let mut trace = Trace::new();
        for rule in [0, 2] {
            trace.push(chain.position(), rule);
        }
        let mut batch = Batch::new();
        batch.begin(2);
        assert!(batch.len() == 2 && !batch.is_empty());
        for (packet, ending) in [Ending::Policy, Ending::Rule].into_iter().enumerate() {
            trace.end(ending);
            batch.set_trace(packet, Verdict::Deny, &trace);
            assert_eq!(batch.matched(packet), trace.matched());
        }
        let mut counters = CounterTable::new(&ruleset);
        for packet in 0..2 {
            batch.count(packet, chain, Counter::of(60), &mut counters);
        }
        let packets: Vec<u64> = counters.as_slice()[..4]
            .iter()
            .map(|it| it.packets)
            .collect();
        // The policy decided once; the rules before and behind the second matched twice.
        assert_eq!(packets, [1, 2, 0, 2]);
        batch.begin(0);
        assert!(batch.is_empty());
    }
}
