//! Answers for many packets at once.

use alloc::vec::Vec;
use core::slice;

use crate::matcher::{Ending, Place, Trace};
use crate::ruleset::Verdict;

/// Packets that one call of a matcher decides at most.
pub const BATCH: usize = 64;

/// The answers of one call, to be filled again and again: once it has grown,
/// nothing is allocated any more.
#[derive(Clone, Debug)]
pub struct Batch {
    count: usize,
    answers: [Answer; BATCH],
    /// The rule of each packet that matched just one.
    single: [Place; BATCH],
    /// The rules of those that matched more.
    several: Vec<Place>,
    /// Where they stand in `several`.
    spans: [(u32, u32); BATCH],
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    verdict: Verdict,
    ending: Ending,
    matched: Matched,
}

/// Where the rules that a packet matched are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matched {
    None,
    Single,
    Several,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        let nothing = Answer {
            verdict: Verdict::Deny,
            ending: Ending::Policy,
            matched: Matched::None,
        };
        let nowhere = Place { chain: 0, rule: 0 };
        Self {
            count: 0,
            answers: [nothing; BATCH],
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
        self.answer(packet).verdict
    }

    /// How the walk of a packet ended.
    #[inline]
    pub fn ending(&self, packet: usize) -> Ending {
        self.answer(packet).ending
    }

    /// The rules that a packet matched, in order.
    #[inline]
    pub fn matched(&self, packet: usize) -> &[Place] {
        match self.answer(packet).matched {
            Matched::None => &[],
            Matched::Single => slice::from_ref(&self.single[packet]),
            Matched::Several => {
                let (start, end) = self.spans[packet];
                &self.several[start as usize..end as usize]
            }
        }
    }

    #[inline]
    fn answer(&self, packet: usize) -> Answer {
        self.answers[..self.count][packet]
    }

    /// For matchers: starts over.
    #[inline]
    pub fn clear(&mut self) {
        self.count = 0;
        self.several.clear();
    }

    /// For matchers: adds the answer for a packet that one rule decided.
    ///
    /// # Panics
    ///
    /// If there are [`BATCH`] answers already; likewise the methods below.
    #[inline]
    pub fn push_one(&mut self, verdict: Verdict, place: Place) {
        self.single[self.count] = place;
        self.push(verdict, Ending::Rule, Matched::Single);
    }

    /// For matchers: adds the answer for a packet that met no rule.
    #[inline]
    pub fn push_policy(&mut self, policy: Verdict) {
        self.push(policy, Ending::Policy, Matched::None);
    }

    /// For matchers: adds the answer that a walk noted in a trace.
    pub fn push_trace(&mut self, verdict: Verdict, trace: &Trace) {
        let start = self.several.len() as u32;
        self.several.extend_from_slice(trace.matched());
        self.spans[self.count] = (start, self.several.len() as u32);
        self.push(verdict, trace.ending(), Matched::Several);
    }

    #[inline]
    fn push(&mut self, verdict: Verdict, ending: Ending, matched: Matched) {
        self.answers[self.count] = Answer {
            verdict,
            ending,
            matched,
        };
        self.count += 1;
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
