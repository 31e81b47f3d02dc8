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
#[repr(align(4))]
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

    /// For matchers: one rule decided the packet.
    ///
    /// # Panics
    ///
    /// If there is no such packet; likewise the methods below.
    #[inline]
    pub fn set_one(&mut self, packet: usize, verdict: Verdict, place: Place) {
        self.single[packet] = place;
        self.answers[packet] = Answer {
            verdict,
            ending: Ending::Rule,
            matched: Matched::Single,
        };
    }

    /// For matchers: the packet met no rule.
    #[inline]
    pub fn set_policy(&mut self, packet: usize, policy: Verdict) {
        self.answers[packet] = Answer {
            verdict: policy,
            ending: Ending::Policy,
            matched: Matched::None,
        };
    }

    /// For matchers: a walk noted the answer in a trace.
    pub fn set_trace(&mut self, packet: usize, verdict: Verdict, trace: &Trace) {
        let start = self.several.len() as u32;
        self.several.extend_from_slice(trace.matched());
        self.spans[packet] = (start, self.several.len() as u32);
        self.answers[packet] = Answer {
            verdict,
            ending: trace.ending(),
            matched: Matched::Several,
        };
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
