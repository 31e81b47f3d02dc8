//! Where packets wait to be decided together: those that take the same steps,
//! in a lane of their own.

use portcullis_core::batch::BATCH;
use portcullis_core::packet::{Column, KeyColumns, PacketKey, PlainPackets};
use portcullis_core::ruleset::{BuiltIn, Counter};
use portcullis_core::traversal::Step;
use portcullis_simd::Unit;

use super::choose;
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

/// Packets that wait for one answer.
pub(super) struct Waiting {
    keys: KeyColumns,
    /// Of each packet the bytes.
    lengths: Column,
    /// Indices of the packets' records in the chunk.
    records: Column,
}

/// Packets by their keys, of equal ones in a row only one.
pub(super) struct Merged {
    keys: KeyColumns,
    /// How many packets have each key.
    packets: Column,
    /// Sum of their bytes.
    bytes: Column,
    /// For each key where its packets end among those that waited.
    ends: [u8; BATCH],
}

/// In the table: not met yet, or beyond the most that are kept. A router has few
/// interfaces.
const UNKNOWN: u8 = 32;

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

    /// The lane of packets with these signs; `None` where [`open`](Self::open)
    /// must be asked.
    #[inline(always)]
    pub(super) fn find(&self, signs: Signs) -> Option<usize> {
        let lane = usize::from(self.table.get(signs.interface())?[signs.number()]);
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
    pub(super) fn admits(&self, ttl: u8) -> bool {
        !self.forwards | (ttl > 1)
    }

    /// Lets others wait here, and the tally know of those that did.
    pub(super) fn clear(&mut self, tally: &mut Tally) {
        let packets = self.waiting.keys.len() as u64;
        let records = packets - std::mem::take(&mut self.known);
        tally.records += records;
        tally.assume(self.guessed.all(), records);
        self.waiting.clear();
    }
}

impl Waiting {
    fn new() -> Self {
        Self {
            keys: KeyColumns::new(),
            lengths: [0; BATCH],
            records: [0; BATCH],
        }
    }

    /// Adds a set of packets, the first ones if there is no room for all, and says
    /// which were added. `first` is the index of the record in place 0.
    #[inline(always)]
    pub(super) fn append(
        &mut self,
        unit: Unit,
        packets: &PlainPackets,
        set: u64,
        first: usize,
    ) -> u64 {
        let count = self.keys.len();
        let set = choose::first_of(set, BATCH - count);
        let records: Column = std::array::from_fn(|place| (first + place) as u32);
        let size = set.count_ones() as usize;
        self.keys.append_with(packets.keys(), size, |[a, b, c, d]| {
            let lengths = (packets.total_lengths(), &mut self.lengths);
            let records = (&records, &mut self.records);
            choose::append(unit, [a, b, c, d, lengths, records], set, count);
        });
        set
    }

    /// Adds a packet by its key. Must not be called while
    /// [`is_full`](Self::is_full).
    pub(super) fn push(&mut self, key: &PacketKey, length: u16, record: usize) {
        let place = self.keys.len() % BATCH;
        self.lengths[place] = u32::from(length);
        self.records[place] = record as u32;
        self.keys.push(key);
    }

    /// Whether the packets must be decided before others are added.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.keys.len() == BATCH
    }

    /// How many packets wait.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    fn clear(&mut self) {
        self.keys.truncate(0);
    }
}

impl Merged {
    pub(super) fn new() -> Self {
        Self {
            keys: KeyColumns::new(),
            packets: [0; BATCH],
            bytes: [0; BATCH],
            ends: [0; BATCH],
        }
    }

    /// Takes the packets that wait.
    pub(super) fn take(&mut self, unit: Unit, waiting: &Waiting) {
        self.keys.clone_from(&waiting.keys);
        let repeated = choose::repeated(unit, &waiting.keys);
        if repeated == 0 {
            self.packets = [1; BATCH];
            self.bytes = waiting.lengths;
            self.ends = std::array::from_fn(|place| place as u8 + 1);
            return;
        }
        let mut before = usize::MAX;
        for place in 0..waiting.len() {
            // Whether packets follow that are equal is not foreseen, so nothing
            // branches on it.
            let is_new = !repeated >> place & 1;
            let key = before.wrapping_add(is_new as usize) % BATCH;
            let old = (is_new as u32).wrapping_sub(1);
            self.keys.copy(place, key);
            self.packets[key] = (self.packets[key] & old) + 1;
            self.bytes[key] = (self.bytes[key] & old) + waiting.lengths[place];
            self.ends[key] = place as u8 + 1;
            before = key;
        }
        self.keys.truncate(before + 1);
    }

    pub(super) fn keys(&self) -> &KeyColumns {
        &self.keys
    }

    /// The sum of the packets with a key.
    #[inline(always)]
    pub(super) fn sum(&self, key: usize) -> Counter {
        Counter {
            packets: u64::from(self.packets[key]),
            bytes: u64::from(self.bytes[key]),
        }
    }

    /// Indices of the records of the packets with a key, among those it took.
    pub(super) fn records<'a>(&self, waiting: &'a Waiting, key: usize) -> &'a [u32] {
        let start = key.checked_sub(1).map_or(0, |before| self.ends[before]);
        &waiting.records[usize::from(start)..usize::from(self.ends[key])]
    }
}
