//! Many records at once: packets that take the same steps are decided in
//! batches, and equal packets in a row only once.

use std::iter;

use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::judge::{Answer, Effects, End, PacketState, apply};
use portcullis_core::matcher::{Ending, Matcher, Place, Trace};
use portcullis_core::packet::{Ipv4Packet, KeyColumns, Missing};
use portcullis_core::ruleset::{Chain, CounterTable, Rule, Ruleset};
use portcullis_core::traversal::Step;
use portcullis_simd::Unit;

use super::choose::bits;
use super::heads::Heads;
use super::lanes::{Lane, Merged, Waiting};
use super::{RecordEffects, Replay, ReplaySink};
use crate::capture::Chunk;
use crate::link::{LinkType, Network, network_layer};

/// The memory of deciding many packets.
pub(super) struct Batches {
    /// For each counter whether its rule does more than count.
    has_effects: Vec<bool>,
    trace: Trace,
    merged: Merged,
    /// The keys that a step lets through.
    let_through: KeyColumns,
    /// For each step the answers.
    answers: Vec<Answers>,
}

/// What one step's chain answers.
struct Answers {
    batch: Batch,
    /// Of each packet in the batch the number of its key among those that wait.
    keys: [u8; BATCH],
}

impl Batches {
    pub(super) fn new(ruleset: &Ruleset) -> Self {
        let of_chain = |chain: &Chain| {
            let policy = iter::once(false);
            policy
                .chain(chain.rules().iter().map(Rule::has_effects))
                .collect::<Vec<_>>()
        };
        Self {
            has_effects: ruleset.chains().iter().flat_map(of_chain).collect(),
            trace: Trace::new(),
            merged: Merged::new(),
            let_through: KeyColumns::new(),
            answers: Vec::new(),
        }
    }

    /// Decides all packets that wait at every step that they come to.
    fn ask(&mut self, unit: Unit, matcher: &impl Matcher, steps: &[Step], waiting: &Waiting) {
        while self.answers.len() < steps.len() {
            self.answers.push(Answers {
                batch: Batch::new(),
                keys: std::array::from_fn(|key| key as u8),
            });
        }
        let trace = &mut self.trace;
        let (Some((first, on)), Some((answers, later))) =
            (steps.split_first(), self.answers.split_first_mut())
        else {
            return;
        };
        self.merged.take(unit, waiting);
        matcher.decide_columns(first, self.merged.keys(), &mut answers.batch, trace);
        let (mut before, mut answers) = (first, &*answers);
        for (step, next) in on.iter().zip(later) {
            let keys = &mut self.let_through;
            keys.truncate(0);
            for (packet, key) in answers.keys().enumerate() {
                if before.lets_through(answers.batch.verdict(packet)) {
                    next.keys[keys.len()] = key as u8;
                    keys.push_of(self.merged.keys(), key);
                }
            }
            matcher.decide_columns(step, keys, &mut next.batch, trace);
            (before, answers) = (step, &*next);
        }
    }

    /// The keys whose packets must be looked at one by one, a bit for each.
    fn loud(&self, steps: usize, counters: &CounterTable) -> u64 {
        let mut loud = 0;
        for answers in &self.answers[..steps] {
            let batch = &answers.batch;
            let (mut packets, several) = batch.noteworthy();
            for packet in bits(several) {
                let cut = matches!(batch.ending(packet), Ending::Loop | Ending::TooLong);
                let effects = |place: &Place| self.has_effects[counters.index(*place)];
                let is_loud = cut || batch.matched(packet).iter().any(effects);
                packets |= u64::from(is_loud) << packet;
            }
            for packet in bits(packets) {
                loud |= 1 << answers.keys[packet];
            }
        }
        loud
    }
}

impl Answers {
    /// Of each packet in the batch the number of its key.
    fn keys(&self) -> impl Iterator<Item = usize> {
        let keys = self.keys[..self.batch.len()].iter();
        keys.map(|key| usize::from(*key))
    }
}

impl<M: Matcher> Replay<M> {
    /// Judges all records of a chunk, as [`record`](Self::record) would one by
    /// one; `before` counts the records of all captures before it.
    pub fn chunk(&mut self, chunk: &Chunk, before: u64, sink: &mut impl ReplaySink) {
        let mut heads = Heads::new();
        match chunk.usual() {
            Some(records) if records.interface.link_type == LinkType::ETHERNET => {
                for starts in records.starts.chunks(BATCH) {
                    heads.read_usual(self.unit, &records, starts, &self.placement);
                    self.heads(chunk, &heads, before, sink);
                    heads.next();
                }
            }
            _ => {
                while heads.first() < chunk.len() {
                    heads.read(self.unit, chunk, &self.placement);
                    self.heads(chunk, &heads, before, sink);
                    heads.next();
                }
            }
        }
        for lane in 0..self.lanes.len() {
            self.decide(lane, chunk, sink);
        }
    }

    /// Puts whole plain packets among those that wait, at a fraction of the cost
    /// of [`read`](Self::read), and judges the others.
    fn heads(&mut self, chunk: &Chunk, heads: &Heads, before: u64, sink: &mut impl ReplaySink) {
        let mut left = heads.all();
        while let Some(place) = bits(left).next() {
            let alike = left & heads.alike(self.unit, place);
            left &= !alike;
            let signs = heads.signs(place);
            let lane = self.lanes.find(signs).or_else(|| {
                let interface = chunk.interface(signs.interface())?;
                self.lanes.open(interface, signs, &mut self.placement)
            });
            match lane {
                Some(lane) => self.wait(lane, heads, alike, chunk, sink),
                None => {
                    for place in bits(alike) {
                        self.any(chunk, heads.first() + place, before, sink);
                    }
                }
            }
        }
    }

    /// Lets a set of packets wait in a lane.
    fn wait(
        &mut self,
        lane: usize,
        heads: &Heads,
        set: u64,
        chunk: &Chunk,
        sink: &mut impl ReplaySink,
    ) {
        let mut left = set;
        while left != 0 {
            let waiting = &mut self.lanes.get_mut(lane).waiting;
            left &= !waiting.append(self.unit, heads.packets(), left, heads.first());
            if waiting.is_full() {
                self.decide(lane, chunk, sink);
            }
        }
    }

    /// Judges a record of any kind, or puts its packet among those that wait.
    fn any(&mut self, chunk: &Chunk, index: usize, before: u64, sink: &mut impl ReplaySink) {
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

    /// Puts a packet among those that wait; `false` if it must be judged on
    /// its own.
    fn defer(
        &mut self,
        chunk: &Chunk,
        index: usize,
        packet: &Ipv4Packet<'_>,
        sink: &mut impl ReplaySink,
    ) -> bool {
        let (Missing::Nothing, Ok(key)) = (packet.missing(), packet.key()) else {
            return false;
        };
        let Some(number) = self.lanes.of_steps(&self.steps) else {
            return false;
        };
        let lane = self.lanes.get_mut(number);
        if !lane.admits(packet.ttl()) {
            return false;
        }
        lane.known += 1;
        lane.waiting.push(&key, packet.total_length(), index);
        if lane.waiting.is_full() {
            self.decide(number, chunk, sink);
        }
        true
    }

    /// Decides the packets that wait in a lane.
    fn decide(&mut self, lane: usize, chunk: &Chunk, sink: &mut impl ReplaySink) {
        let Lane { steps, waiting, .. } = self.lanes.get_mut(lane);
        if waiting.len() == 0 {
            return;
        }
        self.batches
            .ask(self.unit, self.judge.matcher(), steps, waiting);
        let loud = match sink.wants_rulings() {
            true => u64::MAX,
            false => self.batches.loud(steps.len(), &self.counters),
        };
        let merged = &self.batches.merged;
        for (step, answers) in steps.iter().zip(&self.batches.answers) {
            let (batch, keys) = (&answers.batch, &answers.keys);
            if loud == 0 {
                let sum = |packet: usize| merged.sum(usize::from(keys[packet]));
                let several = batch.count_deciders(step.chain, sum, &mut self.decided);
                for packet in bits(several) {
                    batch.count(packet, step.chain, sum(packet), &mut self.counters);
                    self.tally
                        .rule(step.chain, batch.verdict(packet), sum(packet));
                }
                continue;
            }
            for (packet, key) in answers.keys().enumerate() {
                if loud >> key & 1 == 0 {
                    let sum = merged.sum(key);
                    batch.count(packet, step.chain, sum, &mut self.counters);
                    self.tally.rule(step.chain, batch.verdict(packet), sum);
                }
            }
        }
        let (mut quiet, keys) = (waiting.len(), merged.keys().len());
        for key in bits(loud).take_while(|key| *key < keys) {
            quiet -= self.speak(lane, key, chunk, sink);
        }
        self.tally.judged(quiet as u64);
        self.lanes.get_mut(lane).clear(&mut self.tally);
    }

    /// Does what follows for packets of which rules ask for more than counting;
    /// says how many these are.
    fn speak(
        &mut self,
        lane: usize,
        key: usize,
        chunk: &Chunk,
        sink: &mut impl ReplaySink,
    ) -> usize {
        let Lane { steps, waiting, .. } = self.lanes.get(lane);
        let records = self.batches.merged.records(waiting, key);
        for index in records {
            let record = chunk.record(*index as usize);
            let network = network_layer(record.interface.link_type, record.data);
            let Network::Ipv4 { packet, .. } = network else {
                continue;
            };
            // It was read before, so it can be read again.
            let Ok(packet) = Ipv4Packet::sent(packet, packet.len()) else {
                continue;
            };
            let (counters, tally) = (&mut self.counters, &mut self.tally);
            let mut effects = RecordEffects::new(&record, &packet, counters, tally, sink);
            let end = match steps.as_slice() {
                [step] => {
                    let batch = &self.batches.answers[0].batch;
                    let answer = Answer {
                        verdict: batch.verdict(key),
                        matched: batch.matched(key),
                        ending: batch.ending(key),
                    };
                    let key = self.batches.merged.keys().get(key);
                    let state = PacketState::of(&packet);
                    let ruleset = self.judge.matcher().ruleset();
                    let ruling = apply(ruleset, step, &packet, &key, answer, state, &mut effects);
                    effects.ruling(step, &ruling);
                    Some(End::Ruled(ruling))
                }
                steps => self.judge.walk(steps, &packet, &mut effects),
            };
            if let Err(why) = effects.finish(end) {
                self.tally.leave(why);
            }
        }
        records.len()
    }
}
