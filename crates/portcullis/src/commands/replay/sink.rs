//! What a worker collects.

use std::sync::Arc;

use portcullis_core::judge::Ruling;
use portcullis_core::message::Message;
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::ruleset::{Ruleset, Verdict};
use portcullis_core::traversal::Step;
use portcullis_runtime::capture::{Chunk, Record};
use portcullis_runtime::replay::{ChunkSink, ReplaySink};

use super::outputs::{Output, Wanted};
use crate::report::decider::decider;
use crate::report::log_lines::Formatter;
use crate::report::replay::{Denial, OverTime};

/// What a worker collects about a chunk, and sums up over all of its chunks.
pub(super) struct Sink {
    pub(super) formatter: Formatter,
    /// Verdicts whose packets are to be written.
    pub(super) wanted: Vec<Verdict>,
    pub(super) ruleset: Arc<Ruleset>,
    /// Where verdicts over time are asked for; over all chunks.
    pub(super) over_time: Option<OverTime>,
    /// Whether it is of interest what was denied.
    pub(super) wants_denials: bool,
    pub(super) rulings: Vec<Wanted>,
    pub(super) denials: Vec<Denial>,
}

impl ReplaySink for Sink {
    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) {
        self.formatter.add(record.number, record.time, message);
    }

    fn judged(&mut self, record: &Record<'_>, step: &Step, ruling: &Ruling) {
        let Ruling {
            verdict, decided, ..
        } = *ruling;
        if self.wanted.contains(&verdict) {
            self.rulings.push(Wanted {
                number: record.number,
                verdict,
                comment: decider(&self.ruleset, step.chain, verdict, decided),
            });
        }
    }

    fn ruled(
        &mut self,
        record: &Record<'_>,
        packet: &Ipv4Packet<'_>,
        step: &Step,
        ruling: &Ruling,
    ) {
        if let Some(over_time) = &mut self.over_time {
            let bytes = packet.total_length();
            over_time.count(record.time, step.chain, ruling.verdict, bytes);
        }
        if self.wants_denials {
            let denial = Denial::new(record, packet, step, ruling);
            self.denials.extend(denial);
        }
    }

    fn wants_rulings(&self) -> bool {
        !self.wanted.is_empty() || self.over_time.is_some() || self.wants_denials
    }
}

impl ChunkSink for Sink {
    type Output = Output;

    fn take(&mut self, chunk: &mut Chunk) -> Output {
        let mut rulings = std::mem::take(&mut self.rulings);
        rulings.sort_by_key(|wanted| wanted.number);
        let mut denials = std::mem::take(&mut self.denials);
        denials.sort_by_key(|denial| denial.number);
        Output {
            lines: self.formatter.take(),
            chunk: if rulings.is_empty() {
                Chunk::new()
            } else {
                std::mem::take(chunk)
            },
            rulings,
            denials,
            too_many_rows: self.over_time.as_ref().is_some_and(OverTime::is_full),
        }
    }
}
