//! Many records at once: packets that take the same steps are decided in
//! batches, and equal packets in a row only once.

use std::iter;

use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::judge::{Answer, Effects, End, PacketState, apply};
use portcullis_core::matcher::{Ending, Matcher, Place, Trace};
use portcullis_core::packet::{Column, Ipv4Packet, Missing, PlainPackets};
use portcullis_core::ruleset::{Chain, CounterTable, Rule, Ruleset};
use portcullis_core::traversal::Step;

use super::lanes::{Lane, Waiting};
use super::placement::Signs;
use super::{RecordEffects, Replay, ReplaySink};
use crate::Direction;
use crate::capture::{CaptureInterface, Chunk, Frame, Head};
use crate::link::{
    ETHERNET_HEAD, LinkType, Network, PlainFrame, network_layer, plain_ethernet, plain_frame,
};

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

/// The numbers of the bits that are set.
fn bits(set: u64) -> impl Iterator<Item = usize> {
    let mut left = set;
    iter::from_fn(move || {
        let bit = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (bit < BATCH).then_some(bit)
    })
}

impl Answers {
    /// Of each packet in the batch the number of its key.
    fn keys(&self) -> impl Iterator<Item = usize> {
        let keys = self.keys[..self.batch.len()].iter();
        keys.map(|key| usize::from(*key))
    }
}

/// Records in a row, by the heads of their packets.
struct Heads {
    /// Index of the first record in the chunk.
    first: usize,
    packets: PlainPackets,
    /// Whether the link layer sends them to many, then what
    /// [`Placement::signs`](super::placement::Placement::signs) says.
    signs: Column,
}

impl Heads {
    fn new() -> Self {
        Self {
            first: 0,
            packets: PlainPackets::new(),
            signs: [0; BATCH],
        }
    }

    /// Adds a plain frame and the length of its packet, or another record.
    #[inline(always)]
    fn push(&mut self, head: Option<(PlainFrame<'_>, u32)>) {
        let place = self.packets.len();
        match head {
            Some((frame, length)) => {
                self.signs[place % BATCH] = u32::from(frame.group);
                self.packets.push(Some(frame.packet), length);
            }
            None => self.packets.push(None, 0),
        }
    }

    /// Makes room for the records that follow.
    #[inline(always)]
    fn next(&mut self) {
        self.first += self.packets.len();
        self.packets.clear();
    }
}

#[inline(always)]
fn ethernet_head(head: Head<'_, ETHERNET_HEAD>) -> Option<(PlainFrame<'_>, u32)> {
    let frame = plain_ethernet(head.bytes)?;
    Some((
        frame,
        head.frame_length - (ETHERNET_HEAD - PlainPackets::HEAD) as u32,
    ))
}

#[inline(always)]
fn plain_head<'a>(frame: &Frame<'a>) -> Option<(PlainFrame<'a>, u32)> {
    let (plain, link_header) = plain_frame(frame.interface.link_type, frame.data)?;
    let length = frame.original_length.max(frame.data.len() as u32);
    Some((plain, length - link_header as u32))
}

impl<M: Matcher> Replay<M> {
    /// Judges all records of a chunk, as [`record`](Self::record) would one by
    /// one; `before` counts the records of all captures before it.
    pub fn chunk(&mut self, chunk: &Chunk, before: u64, sink: &mut impl ReplaySink) {
        let mut heads = Heads::new();
        match chunk.usual() {
            Some(records) if records.interface.link_type == LinkType::ETHERNET => {
                for starts in records.starts.chunks(BATCH) {
                    for start in starts {
                        heads.push(records.head(*start).and_then(ethernet_head));
                    }
                    let origin = |_| (records.interface, None);
                    self.heads(chunk, &mut heads, before, origin, sink);
                }
            }
            _ => {
                for index in 0..chunk.len() {
                    let frame = chunk.frame(index);
                    heads.push(plain_head(&frame));
                    if heads.packets.len() == BATCH || index + 1 == chunk.len() {
                        let origin = |index| {
                            let frame = chunk.frame(index);
                            (frame.interface, frame.direction)
                        };
                        self.heads(chunk, &mut heads, before, origin, sink);
                    }
                }
            }
        }
        for lane in 0..self.lanes.len() {
            self.decide(lane, chunk, sink);
        }
    }

    /// Puts whole plain packets among those that wait, at a fraction of the cost
    /// of [`read`](Self::read), and judges the others. `origin` tells the
    /// interface and direction of a record.
    #[inline(always)]
    fn heads<'a>(
        &mut self,
        chunk: &Chunk,
        heads: &mut Heads,
        before: u64,
        origin: impl Fn(usize) -> (&'a CaptureInterface, Option<Direction>),
        sink: &mut impl ReplaySink,
    ) {
        heads.packets.read();
        self.placement.signs(&heads.packets, &mut heads.signs);
        for place in 0..heads.packets.len() {
            let index = heads.first + place;
            if !heads.packets.is_plain(place)
                || !self.wait(chunk, index, (heads, place), origin(index), sink)
            {
                self.any(chunk, index, before, sink);
            }
        }
        heads.next();
    }

    /// Puts a plain packet among those that wait; `false` if it must be judged
    /// on its own.
    #[inline(always)]
    fn wait(
        &mut self,
        chunk: &Chunk,
        index: usize,
        (heads, place): (&Heads, usize),
        (interface, direction): (&CaptureInterface, Option<Direction>),
        sink: &mut impl ReplaySink,
    ) -> bool {
        let signs = Signs::new(heads.signs[place], direction);
        let number = match self.lanes.find(interface.index, signs) {
            Some(number) => number,
            None => match self.lanes.open(interface, signs, &mut self.placement) {
                Some(number) => number,
                None => return false,
            },
        };
        let lane = self.lanes.get_mut(number);
        let packets = &heads.packets;
        if !lane.admits(packets.ttl(place)) {
            return false;
        }
        let (key, words) = (packets.key(place), packets.words(place));
        lane.waiting
            .push(key, words, packets.total_length(place), index);
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
            let (batch, keys) = (&answers.batch, &answers.keys);
            if loud == 0 {
                let sum = |packet: usize| waiting.sum(usize::from(keys[packet]));
                batch.count_each(step.chain, sum, &mut self.counters);
                self.tally.rule_each(step.chain, &batch.sum_by_verdict(sum));
                continue;
            }
            for (packet, key) in answers.keys().enumerate() {
                if loud >> key & 1 == 0 {
                    let sum = waiting.sum(key);
                    batch.count(packet, step.chain, sum, &mut self.counters);
                    self.tally.rule(step.chain, batch.verdict(packet), sum);
                }
            }
        }
        let (mut quiet, keys) = (waiting.packets(), waiting.keys().len());
        for key in bits(loud).take_while(|key| *key < keys) {
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
