//! Judges the records of captures: what would this ruleset do to this traffic?
//!
//! ```text
//! captures ─▶ chunks ─▶ workers ─────────────────────▶ outputs in capture order
//!                       Record ─link─▶ IPv4 packet
//!                         ─placement─▶ steps ─judge─▶ rulings, messages
//! ```
//!
//! Every record ends in one bucket of the tally. [`Replay::record`] is the
//! readable way of one record; [`Replay::chunk`] is the same for many, with
//! whole plain packets read field by field and packets decided in batches, and
//! tests hold the two together.

mod batches;
mod choose;
mod heads;
mod interfaces;
mod lanes;
#[cfg(test)]
mod model;
mod pipeline;
mod placement;
mod tally;

use std::iter;
use std::sync::Arc;

use portcullis_core::judge::{Decided, Effects, End, Judge, Ruling};
use portcullis_core::matcher::{Matcher, Place};
use portcullis_core::message::{Message, NetlinkCopy};
use portcullis_core::packet::{Ipv4Packet, Missing};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Counter, CounterTable, Ruleset, Verdict};
use portcullis_core::traversal::Step;
use portcullis_simd::{InstructionSet, Unit};

use crate::capture::Record;
use crate::link::{Network, network_layer};

pub use interfaces::InterfaceNames;
pub use pipeline::{CaptureOutcome, ChunkSink, Finished, Progress, Worker, run};
pub use placement::{Chains, Placement};
pub use tally::{Assumed, NotJudged, Tally};

use batches::Batches;
use lanes::Lanes;

/// Judges records with one matcher.
pub struct Replay<M> {
    judge: Judge<M>,
    /// Answers what a packet that was cut short would need.
    reference: Arc<Reference>,
    placement: Placement,
    checksums: Checksums,
    /// Of packets with a way of their own, or that may have matched several rules.
    counters: CounterTable,
    tally: Tally,
    /// Of all others what rules and policies decided. Their verdicts are known from
    /// these, so nothing else is counted for each.
    decided: CounterTable,
    steps: Vec<Step>,
    batches: Batches,
    lanes: Lanes,
    unit: Unit,
}

/// What to do about IP header checksums of received packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// A wrong one is damage, as in the kernel.
    #[default]
    Verify,
    /// They are not looked at: the capture was made before the network card filled them in.
    Ignore,
}

/// What follows from judging records.
pub trait ReplaySink {
    /// The kernel would have printed this about the record. Within a chunk,
    /// records come in any order; the messages about one come in theirs.
    fn message(&mut self, record: &Record<'_>, message: &Message<'_>);

    /// The record's way ended with this ruling, not by its TTL. Called only where
    /// [`wants_rulings`](Self::wants_rulings).
    fn judged(&mut self, record: &Record<'_>, step: &Step, ruling: &Ruling);

    /// A chain has ruled on the record's packet; a forwarded one is ruled on up
    /// to three times. Called only where [`wants_rulings`](Self::wants_rulings).
    fn ruled(
        &mut self,
        _record: &Record<'_>,
        _packet: &Ipv4Packet<'_>,
        _step: &Step,
        _ruling: &Ruling,
    ) {
    }

    /// Whether rulings are of interest, and not just their sums.
    fn wants_rulings(&self) -> bool;
}

impl<M: Matcher> Replay<M> {
    /// Prepares to judge with `matcher`, which was made from `ruleset`.
    pub fn new(
        matcher: M,
        ruleset: Arc<Ruleset>,
        placement: Placement,
        checksums: Checksums,
    ) -> Self {
        Self {
            counters: CounterTable::new(&ruleset),
            decided: CounterTable::new(&ruleset),
            batches: Batches::new(&ruleset),
            judge: Judge::new(matcher),
            reference: Arc::new(Reference::new(ruleset)),
            placement,
            checksums,
            tally: Tally::default(),
            steps: Vec::new(),
            lanes: Lanes::default(),
            unit: InstructionSet::best().unit(),
        }
    }

    /// Reads packets with this instruction set, and not with the best.
    #[must_use]
    pub fn with_instruction_set(mut self, set: InstructionSet) -> Self {
        self.unit = set.unit();
        self
    }

    /// Says that the records that follow come from another capture.
    pub fn next_capture(&mut self) {
        self.placement.next_capture();
        self.lanes.clear();
    }

    /// Judges one record; `number` counts from 1 over all captures.
    pub fn record(&mut self, number: u64, record: &Record<'_>, sink: &mut impl ReplaySink) {
        self.tally.records += 1;
        let result = self
            .read(number, record)
            .and_then(|packet| self.walk(record, &packet, sink));
        if let Err(why) = result {
            self.tally.leave(why);
        }
    }

    /// How many records ended where.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        for chain in BuiltIn::ALL {
            let rules = &self.judge.matcher().ruleset().chains()[chain.position()];
            let policy = rules.policy().map(Verdict::from);
            let targets = rules.rules().iter().map(|rule| rule.target);
            let verdicts = targets.map(|target| target.and_then(|target| target.verdict()));
            let decided = iter::once(policy).chain(verdicts);
            for (verdict, counter) in decided.zip(self.decided.deciders(chain)) {
                if let Some(verdict) = verdict {
                    tally.rule(chain, verdict, *counter);
                }
            }
        }
        tally
    }

    /// How packets were placed, for the summary.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// What rules and policies counted.
    pub fn counters(&self) -> CounterTable {
        let mut counters = self.counters.clone();
        counters.add(&self.decided);
        counters
    }

    /// Takes over what another worker with the same rules counted.
    pub fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        self.decided.add(&other.decided);
        self.tally.add(&other.tally);
        self.placement.add(&other.placement);
    }

    /// Finds a record's packet, and its steps.
    #[inline]
    fn read<'a>(&mut self, number: u64, record: &Record<'a>) -> Result<Ipv4Packet<'a>, NotJudged> {
        let link = record.interface.link_type;
        let network = network_layer(link, record.data);
        let bytes = match network {
            Network::Ipv4 { packet, .. } => packet,
            Network::NotIpv4(what) => return Err(NotJudged::NotIpv4(what)),
            Network::CutShort => return Err(NotJudged::CutShort),
            Network::Unsupported => return Err(NotJudged::LinkType(link)),
        };
        let link_header = record.data.len() - bytes.len();
        let wire_length = (record.original_length as usize).saturating_sub(link_header);
        let wire_length = wire_length.max(bytes.len());
        let packet = Ipv4Packet::sent(bytes, wire_length);
        self.steps.clear();
        let placement = &mut self.placement;
        let guessed = placement.place(number, record, &network, &packet, &mut self.steps);
        let Some(first) = self.steps.first() else {
            return Err(NotJudged::NotInSteps);
        };
        let packet = packet?;
        if first.chain == BuiltIn::Input {
            if self.checksums == Checksums::Verify {
                packet.check_checksum()?;
            }
            packet.check_total_length(wire_length)?;
        }
        if packet.missing() != Missing::Nothing && self.lacks(&packet) {
            return Err(NotJudged::CutShort);
        }
        self.tally.assume(guessed.all(), 1);
        Ok(packet)
    }

    /// Sends a packet along its steps.
    fn walk(
        &mut self,
        record: &Record<'_>,
        packet: &Ipv4Packet<'_>,
        sink: &mut impl ReplaySink,
    ) -> Result<(), NotJudged> {
        let mut effects =
            RecordEffects::new(record, packet, &mut self.counters, &mut self.tally, sink);
        let end = self.judge.walk(&self.steps, packet, &mut effects);
        effects.finish(end)
    }

    /// Whether judging would need bytes that the capture does not have.
    fn lacks(&self, packet: &Ipv4Packet<'_>) -> bool {
        let Ok(key) = packet.key() else {
            return false;
        };
        // The missing fields read as zero. Up to the first step that needs one
        // the way is the right one; after it, it does not matter.
        let mut met = StepsMet::default();
        Judge::new(Arc::clone(&self.reference)).walk(&self.steps, packet, &mut met);
        let missing = packet.missing();
        met.0
            .iter()
            .any(|step| self.reference.needs(missing, step, &key))
    }
}

/// The steps of a walk that has no other effects.
#[derive(Default)]
struct StepsMet(Vec<Step>);

impl Effects for StepsMet {
    fn count_rule(&mut self, _place: Place, _bytes: u16) {}

    fn count_policy(&mut self, _chain: BuiltIn, _bytes: u16) {}

    fn message(&mut self, _message: &Message<'_>) {}

    fn copy(&mut self, _copy: &NetlinkCopy<'_>) {}

    fn ruling(&mut self, step: &Step, _ruling: &Ruling) {
        self.0.push(*step);
    }
}

/// Counts and passes on what judging one record causes.
struct RecordEffects<'a, S> {
    record: &'a Record<'a>,
    packet: &'a Ipv4Packet<'a>,
    counters: &'a mut CounterTable,
    tally: &'a mut Tally,
    last: Option<(Step, Ruling)>,
    sink: &'a mut S,
}

impl<'a, S: ReplaySink> RecordEffects<'a, S> {
    fn new(
        record: &'a Record<'a>,
        packet: &'a Ipv4Packet<'a>,
        counters: &'a mut CounterTable,
        tally: &'a mut Tally,
        sink: &'a mut S,
    ) -> Self {
        Self {
            record,
            packet,
            counters,
            tally,
            last: None,
            sink,
        }
    }

    /// Files the record under its end.
    fn finish(self, end: Option<End>) -> Result<(), NotJudged> {
        let expired = matches!(end, Some(End::TtlExceeded));
        if let Some((step, ruling)) = self.last {
            if self.sink.wants_rulings() && !expired {
                self.sink.judged(self.record, &step, &ruling);
            }
            match ruling.decided {
                Decided::ByCheck(kind) => return Err(NotJudged::Fragment(kind)),
                Decided::ByLength(_) => return Err(NotJudged::TooLong),
                _ => {}
            }
        }
        self.tally.judged(1);
        self.tally.ttl_exceeded += u64::from(expired);
        Ok(())
    }
}

impl<S: ReplaySink> Effects for RecordEffects<'_, S> {
    fn count_rule(&mut self, place: Place, bytes: u16) {
        self.counters.rule_mut(place).count(bytes);
    }

    fn count_policy(&mut self, chain: BuiltIn, bytes: u16) {
        self.counters.policy_mut(chain).count(bytes);
    }

    fn message(&mut self, message: &Message<'_>) {
        self.sink.message(self.record, message);
    }

    fn copy(&mut self, _copy: &NetlinkCopy<'_>) {
        self.tally.copies += 1;
    }

    fn ruling(&mut self, step: &Step, ruling: &Ruling) {
        let counter = Counter::of(self.packet.total_length());
        self.tally.rule(step.chain, ruling.verdict, counter);
        if self.sink.wants_rulings() {
            self.sink.ruled(self.record, self.packet, step, ruling);
        }
        self.last = Some((*step, *ruling));
    }
}
