//! Judges the records of captures: what would this ruleset do to this traffic?
//!
//! ```text
//! Record ─link─▶ IPv4 packet ─placement─▶ steps ─judge─▶ rulings, messages
//!    └────────────── every record ends in one bucket of the tally ──┘
//! ```

mod interfaces;
mod placement;
mod tally;

use std::sync::Arc;

use portcullis_core::judge::{Decided, Effects, End, Judge, Ruling};
use portcullis_core::matcher::{Matcher, Place, Trace};
use portcullis_core::message::{Message, NetlinkCopy};
use portcullis_core::packet::{Damage, Ipv4Packet, Missing, Unusable};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, CounterTable, Ruleset};
use portcullis_core::traversal::Step;

use crate::capture::Record;
use crate::link::{Network, network_layer};

pub use interfaces::InterfaceNames;
pub use placement::{Chains, Placement};
pub use tally::{Assumed, NotJudged, Tally};

/// Judges record after record with one matcher.
pub struct Replay<M> {
    judge: Judge<M>,
    /// Answers what a packet that was cut short would need.
    reference: Reference,
    placement: Placement,
    checksums: Checksums,
    counters: CounterTable,
    tally: Tally,
    steps: Vec<Step>,
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
    /// The kernel would have printed this about the record.
    fn message(&mut self, record: &Record<'_>, message: &Message<'_>);
    /// The record's way ended with this ruling.
    fn judged(&mut self, record: &Record<'_>, step: &Step, ruling: &Ruling);
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
            judge: Judge::new(matcher),
            reference: Reference::new(ruleset),
            placement,
            checksums,
            tally: Tally::default(),
            steps: Vec::new(),
        }
    }

    /// Says that the records that follow come from another capture.
    pub fn next_capture(&mut self) {
        self.placement.next_capture();
    }

    /// Judges one record.
    pub fn record(&mut self, record: &Record<'_>, sink: &mut impl ReplaySink) {
        self.tally.records += 1;
        if let Err(why) = self.try_record(record, sink) {
            self.tally.leave(why);
        }
    }

    /// How many records ended where.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Packets that the file of steps names and no capture has brought yet.
    pub fn unmet_steps(&self) -> usize {
        self.placement.unmet_steps()
    }

    /// How interfaces were named, for the summary.
    pub fn interfaces(&self) -> &InterfaceNames {
        self.placement.interfaces()
    }

    /// What rules and policies counted.
    pub fn counters(&self) -> &CounterTable {
        &self.counters
    }

    fn try_record(
        &mut self,
        record: &Record<'_>,
        sink: &mut impl ReplaySink,
    ) -> Result<(), NotJudged> {
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
        self.steps.clear();
        let assumed = self
            .placement
            .place(self.tally.records, record, &network, &mut self.steps);
        let Some(first) = self.steps.first() else {
            return Err(NotJudged::NotInSteps);
        };
        let packet = match first.chain {
            BuiltIn::Input => received(bytes, wire_length, self.checksums)?,
            BuiltIn::Forward | BuiltIn::Output => Ipv4Packet::sent(bytes, wire_length)?,
        };
        if packet.missing() != Missing::Nothing && self.lacks(&packet) {
            return Err(NotJudged::CutShort);
        }
        self.tally.assume(assumed);
        self.walk(record, &packet, sink)
    }

    fn walk(
        &mut self,
        record: &Record<'_>,
        packet: &Ipv4Packet<'_>,
        sink: &mut impl ReplaySink,
    ) -> Result<(), NotJudged> {
        let mut effects = RecordEffects {
            record,
            counters: &mut self.counters,
            tally: &mut self.tally,
            bytes: packet.total_length(),
            last: None,
            sink,
        };
        let end = self.judge.walk(&self.steps, packet, &mut effects);
        if let Some((step, ruling)) = effects.last {
            sink.judged(record, &step, &ruling);
            if let Decided::ByCheck(kind) = ruling.decided {
                return Err(NotJudged::Fragment(kind));
            }
        }
        self.tally.judged(matches!(end, Some(End::TtlExceeded)));
        Ok(())
    }

    /// Whether judging would need bytes that the capture does not have.
    fn lacks(&self, packet: &Ipv4Packet<'_>) -> bool {
        let Ok(key) = packet.key() else {
            return false;
        };
        let mut trace = Trace::new();
        for step in &self.steps {
            if self.reference.needs(packet.missing(), step, &key) {
                return true;
            }
            let verdict = self.reference.decide(step, &key, &mut trace);
            if !step.lets_through(verdict) {
                break;
            }
        }
        false
    }
}

/// Reads a packet as received. Without checksums, the other checks remain.
fn received(
    bytes: &[u8],
    wire_length: usize,
    checksums: Checksums,
) -> Result<Ipv4Packet<'_>, Unusable> {
    match Ipv4Packet::received(bytes, wire_length) {
        Err(Unusable::Damaged(Damage::Checksum)) if checksums == Checksums::Ignore => {
            Ipv4Packet::received_unverified(bytes, wire_length)
        }
        result => result,
    }
}

struct RecordEffects<'a, S> {
    record: &'a Record<'a>,
    counters: &'a mut CounterTable,
    tally: &'a mut Tally,
    bytes: u16,
    last: Option<(Step, Ruling)>,
    sink: &'a mut S,
}

impl<S: ReplaySink> Effects for RecordEffects<'_, S> {
    fn count_rule(&mut self, place: Place, bytes: u16) {
        let (chain, rule) = (place.chain as usize, place.rule as usize);
        self.counters.rule_mut(chain, rule).count(bytes);
    }

    fn count_policy(&mut self, chain: BuiltIn, bytes: u16) {
        self.counters.policy_mut(chain.position()).count(bytes);
    }

    fn message(&mut self, message: &Message<'_>) {
        self.sink.message(self.record, message);
    }

    fn copy(&mut self, _copy: &NetlinkCopy<'_>) {
        self.tally.copies += 1;
    }

    fn ruling(&mut self, step: &Step, ruling: &Ruling) {
        self.tally.rule(step.chain, ruling.verdict, self.bytes);
        self.last = Some((*step, *ruling));
    }
}
