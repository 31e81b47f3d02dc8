//! Many records at once: packets that take the same steps are decided in
//! batches, and equal packets in a row only once.

use std::iter;

use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::judge::{Answer, Effects, End, PacketState, apply};
use portcullis_core::matcher::{Ending, Matcher, Place, Trace};
use portcullis_core::packet::{Ipv4Packet, Missing, PlainPacket};
use portcullis_core::ruleset::{Chain, CounterTable, Rule, Ruleset};
use portcullis_core::traversal::Step;

use super::lanes::{Lane, Waiting};
use super::{RecordEffects, Replay, ReplaySink};
use crate::capture::{Chunk, Frame};
use crate::link::{Network, PlainFrame, network_layer, plain_frame};

/// The memory of deciding many packets.
pub(super) struct Batches {
    /// For each counter whether its rule does more than count.
    has_effects: Vec<bool>,
    trace: Trace,
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
            answers: Vec::new(),
        }
    }

    /// Decides all keys at every step that they come to.
    fn ask(&mut self, matcher: &impl Matcher, steps: &[Step], waiting: &Waiting) {
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
        matcher.decide_batch(first, waiting.keys(), &mut answers.batch, trace);
        let (mut before, mut answers) = (first, &*answers);
        for (step, next) in on.iter().zip(later) {
            let mut keys = [waiting.keys()[0]; BATCH];
            let mut count = 0;
            for (packet, key) in answers.keys().enumerate() {
                next.keys[count] = key as u8;
                keys[count] = waiting.keys()[key];
                count += usize::from(before.lets_through(answers.batch.verdict(packet)));
            }
            matcher.decide_batch(step, &keys[..count], &mut next.batch, trace);
            (before, answers) = (step, &*next);
        }
    }

    /// The keys whose packets must be looked at one by one, a bit for each.
    fn loud(&self, steps: usize, counters: &CounterTable) -> u64 {
        let mut loud = 0;
        let effects = |place: &Place| self.has_effects[counters.index(*place)];
        for answers in &self.answers[..steps] {
            let batch = &answers.batch;
            for (packet, key) in answers.keys().enumerate() {
                let is_loud = match batch.decider(packet) {
                    Some(decider) => effects(&decider),
                    None => {
                        let cut = matches!(batch.ending(packet), Ending::Loop | Ending::TooLong);
                        cut || batch.matched(packet).iter().any(effects)
                    }
                };
                loud |= u64::from(is_loud) << key;
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
        match chunk.usual_frames() {
            Some(frames) => {
                for (index, frame) in frames.enumerate() {
                    if !self.plain(chunk, index, frame, sink) {
                        self.any(chunk, index, before, sink);
                    }
                }
            }
            None => {
                for index in 0..chunk.len() {
                    if !self.plain(chunk, index, chunk.frame(index), sink) {
                        self.any(chunk, index, before, sink);
                    }
                }
            }
        }
        for lane in 0..self.lanes.len() {
            self.decide(lane, chunk, sink);
        }
    }

    /// Puts a whole plain packet among those that wait, at a fraction of the
    /// cost of [`read`](Self::read); `false` for any other.
    #[inline(always)]
    fn plain(
        &mut self,
        chunk: &Chunk,
        index: usize,
        frame: Frame<'_>,
        sink: &mut impl ReplaySink,
    ) -> bool {
        let link = frame.interface.link_type;
        let Some(PlainFrame { packet, group }) = plain_frame(link, frame.data) else {
            return false;
        };
        let Some(head) = packet.first_chunk() else {
            return false;
        };
        let link_header = frame.data.len() - packet.len();
        let length = frame.data.len().max(frame.original_length as usize) - link_header;
        let Some(packet) = PlainPacket::read(head, length) else {
            return false;
        };
        let signs = self.placement.signs(frame.direction, group, &packet);
        let number = match self.lanes.find(frame.interface.index, signs) {
            Some(number) => number,
            None => match self.lanes.open(frame.interface, signs, &mut self.placement) {
                Some(number) => number,
                None => return false,
            },
        };
        let lane = self.lanes.get_mut(number);
        if !lane.admits(packet.ttl()) {
            return false;
        }
        lane.waiting
            .push(packet.key(), packet.words(), packet.total_length(), index);
        if lane.waiting.is_full() {
            self.decide(number, chunk, sink);
        }
        true
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
        lane.waiting
            .push(key, key.words(), packet.total_length(), index);
        if lane.waiting.is_full() {
            self.decide(number, chunk, sink);
        }
        true
    }

    /// Decides the packets that wait in a lane.
    fn decide(&mut self, lane: usize, chunk: &Chunk, sink: &mut impl ReplaySink) {
        let Lane { steps, waiting, .. } = self.lanes.get_mut(lane);
        if waiting.keys().is_empty() {
            return;
        }
        self.batches.ask(self.judge.matcher(), steps, waiting);
        let loud = match sink.wants_rulings() {
            true => u64::MAX,
            false => self.batches.loud(steps.len(), &self.counters),
        };
        for (step, answers) in steps.iter().zip(&self.batches.answers) {
            let batch = &answers.batch;
            for (packet, key) in answers.keys().enumerate() {
                if loud >> key & 1 == 0 {
                    let sum = waiting.sum(key);
                    batch.count(packet, step.chain, sum, &mut self.counters);
                    self.tally.rule(step.chain, batch.verdict(packet), sum);
                }
            }
        }
        let (mut quiet, keys) = (waiting.packets(), waiting.keys().len());
        for key in (0..keys).filter(|key| loud >> key & 1 != 0) {
            quiet -= self.lanes.get(lane).waiting.records(key).len() as u64;
            self.speak(lane, key, chunk, sink);
        }
        self.tally.judged(quiet);
        self.lanes.get_mut(lane).clear(&mut self.tally);
    }

    /// Does what follows for packets of which rules ask for more than counting.
    fn speak(&mut self, lane: usize, key: usize, chunk: &Chunk, sink: &mut impl ReplaySink) {
        let Lane { steps, waiting, .. } = self.lanes.get(lane);
        for index in waiting.records(key) {
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
                    let (key, state) = (&waiting.keys()[key], PacketState::of(&packet));
                    let ruleset = self.judge.matcher().ruleset();
                    let ruling = apply(ruleset, step, &packet, key, answer, state, &mut effects);
                    effects.ruling(step, &ruling);
                    Some(End::Ruled(ruling))
                }
                steps => self.judge.walk(steps, &packet, &mut effects),
            };
            if let Err(why) = effects.finish(end) {
                self.tally.leave(why);
            }
        }
    }
}
