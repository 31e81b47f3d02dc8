//! Where plain packets wait, by interface and way: found once for each, so that
//! nothing is asked again for every packet.

use portcullis_core::traversal::Step;

use super::batches::Batches;
use super::placement::{Guessed, Placement, Way};
use super::tally::Tally;
use crate::capture::CaptureInterface;

/// The lanes of the capture being read.
#[derive(Default)]
pub(super) struct Lanes {
    /// By the interface's index and the way's number the index of a lane.
    table: Vec<[u8; Way::NUMBERS]>,
    lanes: Vec<Lane>,
    steps: Vec<Step>,
}

/// Packets that take one way from one interface.
struct Lane {
    /// Where they wait; `None` if each must be judged on its own.
    place: Option<usize>,
    guessed: Guessed,
    /// How many there were that the tally does not know of.
    records: u64,
}

/// In the table: not met yet, or beyond the most that are kept.
const UNKNOWN: u8 = u8::MAX;

impl Lanes {
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.lanes.clear();
    }

    /// Counts a packet and says where it waits; `None` where
    /// [`open`](Self::open) must be asked.
    #[inline(always)]
    pub(super) fn place(&mut self, interface: usize, way: Way) -> Option<usize> {
        let lane = self.table.get(interface)?[way.number()];
        let lane = self.lanes.get_mut(usize::from(lane))?;
        let place = lane.place?;
        lane.records += 1;
        Some(place)
    }

    /// Finds out where packets wait that are the first on their way; `None` if
    /// this one must be judged on its own.
    #[cold]
    pub(super) fn open(
        &mut self,
        interface: &CaptureInterface,
        way: Way,
        placement: &mut Placement,
        batches: &mut Batches,
    ) -> Option<usize> {
        let (index, number) = (interface.index, way.number());
        if self.table.len() <= index {
            self.table.resize(index + 1, [UNKNOWN; Way::NUMBERS]);
        }
        if self.table[index][number] == UNKNOWN && self.lanes.len() < usize::from(UNKNOWN) {
            self.steps.clear();
            let guessed = placement.steps_of(way, interface, false, &mut self.steps);
            let place = match self.steps.as_slice() {
                [step] => batches.place(step),
                _ => None,
            };
            self.table[index][number] = self.lanes.len() as u8;
            self.lanes.push(Lane {
                place,
                guessed,
                records: 0,
            });
        }
        self.place(index, way)
    }

    /// Tells the tally how many packets there were.
    pub(super) fn sum_up(&mut self, tally: &mut Tally) {
        for lane in &mut self.lanes {
            let records = std::mem::take(&mut lane.records);
            tally.records += records;
            tally.assume(lane.guessed.all(), records);
        }
    }
}
