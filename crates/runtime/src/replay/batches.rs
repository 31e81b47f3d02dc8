//! Many records at once: packets that meet one chain are decided in batches,
//! and equal packets in a row only once.

use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::judge::{Answer, Effects, End, PacketState, apply};
use portcullis_core::matcher::{Ending, Matcher, Place, Trace};
use portcullis_core::packet::{Ipv4Packet, Missing, PacketKey, PlainPacket};
use portcullis_core::ruleset::{Chain, Counter, Rule, Ruleset};
use portcullis_core::traversal::Step;

use super::{RecordEffects, Replay, ReplaySink};
use crate::capture::Chunk;
use crate::link::{Network, PlainFrame, network_layer, plain_frame};

/// What waits to be decided, by step, and the memory of deciding.
pub(super) struct Batches {
    pending: Vec<Pending>,
    /// For each rule whether it does more than count.
    has_effects: Vec<bool>,
    batch: Batch,
    trace: Trace,
}

/// Packets that meet one chain on one interface.
struct Pending {
    step: Step,
    /// Each distinct key of a run of equal ones.
    keys: Vec<PacketKey>,
    /// Of the packets with each key.
    sums: [Counter; BATCH],
    packets: Vec<Waiting>,
}

/// A packet that waits.
#[derive(Clone, Copy)]
struct Waiting {
    /// Index of its record in the chunk.
    record: u32,
    /// Index of its key.
    key: u32,
}

/// Packets that may wait for one answer.
const MOST_WAITING: usize = 1024;
/// Steps with packets waiting; a router has few interfaces.
const MOST_STEPS: usize = 16;

impl Batches {
    pub(super) fn new(ruleset: &Ruleset) -> Self {
        let rules = ruleset.chains().iter().flat_map(Chain::rules);
        Self {
            pending: Vec::new(),
            has_effects: rules.map(Rule::has_effects).collect(),
            batch: Batch::new(),
            trace: Trace::new(),
        }
    }

    /// The place where packets wait for a step.
    pub(super) fn place(&mut self, step: &Step) -> Option<usize> {
        let found = self.pending.iter().position(|it| it.step == *step);
        if found.is_some() || self.pending.len() == MOST_STEPS {
            return found;
        }
        self.pending.push(Pending {
            step: *step,
            keys: Vec::with_capacity(BATCH),
            sums: [Counter::default(); BATCH],
            packets: Vec::with_capacity(MOST_WAITING),
        });
        Some(self.pending.len() - 1)
    }
}

impl Pending {
    /// `false` if the packets that wait must be decided first.
    #[inline(always)]
    fn push(&mut self, key: PacketKey, length: u16, record: usize) -> bool {
        if self.packets.len() == MOST_WAITING {
            return false;
        }
        if self.keys.last() != Some(&key) {
            if self.keys.len() == BATCH {
                return false;
            }
            self.sums[self.keys.len()] = Counter::default();
            self.keys.push(key);
        }
        let index = self.keys.len() - 1;
        self.sums[index].count(length);
        self.packets.push(Waiting {
            record: record as u32,
            key: index as u32,
        });
        true
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.packets.clear();
    }
}

impl<M: Matcher> Replay<M> {
    /// Judges all records of a chunk, as [`record`](Self::record) would one by
    /// one; `before` counts the records of all captures before it.
    pub fn chunk(&mut self, chunk: &Chunk, before: u64, sink: &mut impl ReplaySink) {
        for index in 0..chunk.len() {
            if self.plain(chunk, index, sink) {
                continue;
            }
            let record = chunk.record(index);
            self.tally.records += 1;
            let result = match self.read(before + index as u64 + 1, &record) {
                Ok(packet) if self.defer(chunk, index, &packet, sink) => Ok(()),
                Ok(packet) => self.walk(&record, &packet, sink),
                Err(why) => Err(why),
            };
            if let Err(why) = result {
                self.tally.leave(why);
            }
        }
        for place in 0..self.batches.pending.len() {
            self.decide(place, chunk, sink);
        }
        self.lanes.sum_up(&mut self.tally);
    }

    /// Puts a whole plain packet that meets one chain among those that wait, at
    /// a fraction of the cost of [`read`](Self::read); `false` for any other.
    #[inline(always)]
    fn plain(&mut self, chunk: &Chunk, index: usize, sink: &mut impl ReplaySink) -> bool {
        let frame = chunk.frame(index);
        let link = frame.interface.link_type;
        let Some(PlainFrame { packet, group }) = plain_frame(link, frame.data) else {
            return false;
        };
        let link_header = frame.data.len() - packet.len();
        let wire_length = (frame.original_length as usize).saturating_sub(link_header);
        let Some(packet) = PlainPacket::read(packet, wire_length) else {
            return false;
        };
        let way = self
            .placement
            .plain_way(frame.direction, group, &packet.key);
        let Some(way) = way else {
            return false;
        };
        let (placement, batches) = (&mut self.placement, &mut self.batches);
        let place = match self.lanes.place(frame.interface.index, way) {
            Some(place) => place,
            None => match self.lanes.open(frame.interface, way, placement, batches) {
                Some(place) => place,
                None => return false,
            },
        };
        if !self.batches.pending[place].push(packet.key, packet.total_length, index) {
            self.decide(place, chunk, sink);
            self.batches.pending[place].push(packet.key, packet.total_length, index);
        }
        true
    }

    /// Puts a packet among those that wait; `false` if it must be judged on
    /// its own.
    #[inline]
    fn defer(
        &mut self,
        chunk: &Chunk,
        index: usize,
        packet: &Ipv4Packet<'_>,
        sink: &mut impl ReplaySink,
    ) -> bool {
        let ([step], Ok(key)) = (self.steps.as_slice(), packet.key()) else {
            return false;
        };
        if packet.missing() != Missing::Nothing {
            return false;
        }
        let Some(place) = self.batches.place(step) else {
            return false;
        };
        let length = packet.total_length();
        if !self.batches.pending[place].push(key, length, index) {
            self.decide(place, chunk, sink);
            self.batches.pending[place].push(key, length, index);
        }
        true
    }

    /// Decides the packets that wait in one place.
    fn decide(&mut self, place: usize, chunk: &Chunk, sink: &mut impl ReplaySink) {
        let Batches {
            pending,
            has_effects,
            batch,
            trace,
        } = &mut self.batches;
        let pending = &mut pending[place];
        let step = pending.step;
        let matcher = self.judge.matcher();
        matcher.decide_batch(&step, &pending.keys, batch, trace);
        let mut loud = 0_u64;
        for (key, sum) in pending.sums.iter().enumerate().take(pending.keys.len()) {
            let (matched, ending) = (batch.matched(key), batch.ending(key));
            let effects = |place: &Place| has_effects[self.counters.index(*place)];
            let cut = matches!(ending, Ending::Loop | Ending::TooLong);
            if sink.wants_rulings() || cut || matched.iter().any(effects) {
                loud |= 1 << key;
                continue;
            }
            batch.count(key, step.chain, *sum, &mut self.counters);
            self.tally.rule(step.chain, batch.verdict(key), *sum);
            self.tally.judged(sum.packets);
        }
        if loud != 0 {
            for packet in &pending.packets {
                let key = packet.key as usize;
                if loud >> key & 1 == 0 {
                    continue;
                }
                let record = chunk.record(packet.record as usize);
                let Network::Ipv4 { packet, .. } =
                    network_layer(record.interface.link_type, record.data)
                else {
                    continue;
                };
                // It was read before, so it can be read again.
                let Ok(ipv4) = Ipv4Packet::sent(packet, packet.len()) else {
                    continue;
                };
                let answer = Answer {
                    verdict: batch.verdict(key),
                    matched: batch.matched(key),
                    ending: batch.ending(key),
                };
                let mut effects =
                    RecordEffects::new(&record, &ipv4, &mut self.counters, &mut self.tally, sink);
                let (key, state) = (&pending.keys[key], PacketState::of(&ipv4));
                let ruleset = matcher.ruleset();
                let ruling = apply(ruleset, &step, &ipv4, key, answer, state, &mut effects);
                effects.ruling(&step, &ruling);
                if let Err(why) = effects.finish(Some(End::Ruled(ruling))) {
                    self.tally.leave(why);
                }
            }
        }
        pending.clear();
    }
}
