//! Where packets wait to be decided together: those that take the same steps,
//! in a lane of their own.

use portcullis_core::batch::BATCH;
use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{BuiltIn, Counter};
use portcullis_core::traversal::Step;

use super::placement::{Guessed, Placement, Signs};
use super::tally::Tally;
use crate::capture::CaptureInterface;

/// The lanes of the capture being read.
#[derive(Default)]
pub(super) struct Lanes {
    /// By the interface's index and the packet's signs the index of a lane.
    table: Vec<[u8; Signs::NUMBERS]>,
    lanes: Vec<Lane>,
}

/// Packets that take the same steps.
pub(super) struct Lane {
    pub(super) steps: Vec<Step>,
    pub(super) waiting: Waiting,
    /// Whether packets may end by their TTL.
    forwards: bool,
    /// How many of those that wait the tally knows already.
    pub(super) known: u64,
    guessed: Guessed,
}

/// Packets that wait for one answer, and their keys; of equal ones in a row
/// only one.
pub(super) struct Waiting {
    keys: [PacketKey; BATCH],
    /// Nothing, then the sum of all packets up to the last one with each key.
    ends: [Sum; BATCH + 1],
    /// How many keys there are.
    distinct: usize,
    last: [u64; 2],
    /// Indices of the packets' records in the chunk.
    records: [u32; MOST_WAITING],
    sum: Sum,
}

/// Packets in the lower half, bytes in the upper: there are few.
#[derive(Clone, Copy, Default)]
struct Sum(u64);

/// Packets that may wait for one answer.
const MOST_WAITING: usize = 1024;
/// In the table: not met yet, or beyond the most that are kept. A router has few
/// interfaces.
const UNKNOWN: u8 = 32;
/// What no key's words are.
const NO_KEY: [u64; 2] = [u64::MAX; 2];

impl Lanes {
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.lanes.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn get(&self, lane: usize) -> &Lane {
        &self.lanes[lane]
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, lane: usize) -> &mut Lane {
        &mut self.lanes[lane]
    }

    /// The lane of packets with these signs from an interface; `None` where
    /// [`open`](Self::open) must be asked.
    #[inline(always)]
    pub(super) fn find(&self, interface: usize, signs: Signs) -> Option<usize> {
        let lane = usize::from(self.table.get(interface)?[signs.number()]);
        (lane < self.lanes.len()).then_some(lane)
    }

    /// Finds the lane for packets that are the first with their signs; `None`
    /// if each must be judged on its own.
    #[cold]
    pub(super) fn open(
        &mut self,
        interface: &CaptureInterface,
        signs: Signs,
        placement: &mut Placement,
    ) -> Option<usize> {
        let way = placement.way(signs)?;
        let mut steps = Vec::new();
        let guessed = placement.steps_of(way, interface, false, &mut steps);
        let lane = self.add(steps, guessed)?;
        if self.table.len() <= interface.index {
            let unknown = [UNKNOWN; Signs::NUMBERS];
            self.table.resize(interface.index + 1, unknown);
        }
        self.table[interface.index][signs.number()] = lane as u8;
        Some(lane)
    }

    /// The lane of packets that the tally knows of and that take these steps;
    /// `None` if each must be judged on its own.
    pub(super) fn of_steps(&mut self, steps: &[Step]) -> Option<usize> {
        let found = self.lanes.iter().position(|lane| lane.steps == steps);
        found.or_else(|| self.add(steps.to_vec(), Guessed::default()))
    }

    fn add(&mut self, steps: Vec<Step>, guessed: Guessed) -> Option<usize> {
        let lane = self.lanes.len();
        if lane == usize::from(UNKNOWN) || steps.is_empty() {
            return None;
        }
        self.lanes.push(Lane {
            forwards: steps.iter().any(|step| step.chain == BuiltIn::Forward),
            steps,
            waiting: Waiting::new(),
            known: 0,
            guessed,
        });
        Some(lane)
    }
}

impl Lane {
    /// Whether a packet with this TTL may wait here. Otherwise it might not live
    /// to see all steps, and must be judged on its own.
    #[inline(always)]
    pub(super) fn admits(&self, ttl: u8) -> bool {
        !self.forwards | (ttl > 1)
    }

    /// Lets others wait here, and the tally know of those that did.
    pub(super) fn clear(&mut self, tally: &mut Tally) {
        let records = self.waiting.packets() - std::mem::take(&mut self.known);
        tally.records += records;
        tally.assume(self.guessed.all(), records);
        self.waiting.clear();
    }
}

impl Waiting {
    fn new() -> Self {
        let nobody = PacketKey {
            source: 0,
            destination: 0,
            source_port: 0,
            destination_port: 0,
            protocol: 0,
            fragment: false,
            syn: false,
        };
        Self {
            keys: [nobody; BATCH],
            ends: [Sum::default(); BATCH + 1],
            distinct: 0,
            last: NO_KEY,
            records: [0; MOST_WAITING],
            sum: Sum::default(),
        }
    }

    /// Adds a packet by its key, with the key's words. Must not be called while
    /// [`is_full`](Self::is_full).
    #[inline(always)]
    pub(super) fn push(&mut self, key: PacketKey, words: [u64; 2], length: u16, record: usize) {
        // Whether packets follow that are equal is not foreseen, so nothing
        // branches on it.
        self.distinct += usize::from(words != self.last);
        self.last = words;
        self.records[self.sum.packets() % MOST_WAITING] = record as u32;
        self.sum.0 += u64::from(length) << 32 | 1;
        let place = self.distinct.wrapping_sub(1) % BATCH;
        self.keys[place] = key;
        self.ends[place + 1] = self.sum;
    }

    /// Whether the packets must be decided before others are added.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        (self.distinct == BATCH) | (self.sum.packets() == MOST_WAITING)
    }

    /// How many packets wait.
    pub(super) fn packets(&self) -> u64 {
        self.sum.packets() as u64
    }

    /// The keys, of equal ones in a row only one.
    pub(super) fn keys(&self) -> &[PacketKey] {
        &self.keys[..self.distinct]
    }

    /// The sum of the packets with a key.
    #[inline(always)]
    pub(super) fn sum(&self, key: usize) -> Counter {
        let sum = Sum(self.ends[key + 1].0 - self.ends[key].0);
        Counter {
            packets: sum.packets() as u64,
            bytes: sum.0 >> 32,
        }
    }

    /// Indices of the records of the packets with a key.
    pub(super) fn records(&self, key: usize) -> &[u32] {
        &self.records[self.ends[key].packets()..self.ends[key + 1].packets()]
    }

    fn clear(&mut self) {
        self.distinct = 0;
        self.last = NO_KEY;
        self.sum = Sum::default();
    }
}

impl Sum {
    #[inline(always)]
    fn packets(self) -> usize {
        self.0 as u32 as usize
    }
}
