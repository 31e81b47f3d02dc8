//! Answers for many packets at once.

use std::slice;

use portcullis_core::matcher::{Ending, Place, Trace};
use portcullis_core::ruleset::Verdict;

/// Packets that one call can decide.
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
    /// For walks that meet more than one rule.
    pub(crate) trace: Trace,
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
            trace: Trace::new(),
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

    pub(crate) fn begin(&mut self, count: usize) {
        self.count = count;
        self.several.clear();
    }

    /// Notes the answer for a packet that one rule decided.
    #[inline(always)]
    pub(crate) fn decided_by(&mut self, packet: usize, verdict: Verdict, place: Place) {
        self.single[packet] = place;
        self.answers[packet] = Answer {
            verdict,
            ending: Ending::Rule,
            matched: Matched::Single,
        };
    }

    /// Notes that a packet met no rule.
    #[inline(always)]
    pub(crate) fn decided_by_policy(&mut self, packet: usize, verdict: Verdict) {
        self.answers[packet] = Answer {
            verdict,
            ending: Ending::Policy,
            matched: Matched::None,
        };
    }

    /// Notes the answer that a walk left in the trace.
    pub(crate) fn decided_by_walk(&mut self, packet: usize, verdict: Verdict) {
        let start = self.several.len() as u32;
        self.several.extend_from_slice(self.trace.matched());
        self.spans[packet] = (start, self.several.len() as u32);
        self.answers[packet] = Answer {
            verdict,
            ending: self.trace.ending(),
            matched: Matched::Several,
        };
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
