//! Answers for many packets at once.

use portcullis_core::matcher::{Ending, Place, Trace};
use portcullis_core::ruleset::Verdict;

/// Packets that one call can decide.
pub const BATCH: usize = 64;

/// The answers of one call, to be filled again and again: once it has grown,
/// nothing is allocated any more.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    answers: Vec<Answer>,
    places: Vec<Place>,
    /// For walks that meet more than one rule.
    pub(crate) trace: Trace,
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    verdict: Verdict,
    ending: Ending,
    /// Where its rules end in `places`.
    end: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many packets were decided.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether no packet was decided.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The verdict on a packet.
    ///
    /// # Panics
    ///
    /// If fewer packets were decided; likewise the methods below.
    pub fn verdict(&self, packet: usize) -> Verdict {
        self.answers[packet].verdict
    }

    /// How the walk of a packet ended.
    pub fn ending(&self, packet: usize) -> Ending {
        self.answers[packet].ending
    }

    /// The rules that a packet matched, in order.
    pub fn matched(&self, packet: usize) -> &[Place] {
        let start = match packet {
            0 => 0,
            after => self.answers[after - 1].end as usize,
        };
        &self.places[start..self.answers[packet].end as usize]
    }

    /// All rules that packets matched, in order of the packets: what counters
    /// need of packets of equal length.
    pub fn all_matched(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn clear(&mut self) {
        self.answers.clear();
        self.places.clear();
    }

    /// Adds the answer for a packet that one rule decided.
    #[inline(always)]
    pub(crate) fn push_one(&mut self, verdict: Verdict, place: Place) {
        self.places.push(place);
        self.push(verdict, Ending::Rule);
    }

    /// Adds the answer that a walk noted in the trace.
    pub(crate) fn push_trace(&mut self, verdict: Verdict) {
        self.places.extend_from_slice(self.trace.matched());
        self.push(verdict, self.trace.ending());
    }

    /// Adds an answer whose rules are there already.
    #[inline(always)]
    pub(crate) fn push(&mut self, verdict: Verdict, ending: Ending) {
        self.answers.push(Answer {
            verdict,
            ending,
            end: self.places.len() as u32,
        });
    }
}
