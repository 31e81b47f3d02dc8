//! Records in a row, of which the heads are read field by field.

#[cfg(target_arch = "x86_64")]
mod avx512;

use portcullis_core::batch::BATCH;
use portcullis_core::packet::{Column, PlainPackets, RawColumns};
#[cfg(target_arch = "x86_64")]
use portcullis_simd::{Avx2, Avx512};
use portcullis_simd::{Portable, Unit, Work};

use super::choose;
use super::placement::{Placement, Signs};
use crate::Direction;
use crate::capture::{Chunk, Frame, Head, UsualRecords};
use crate::link::{ETHERNET_HEAD, PlainFrame, plain_ethernet, plain_frame};

/// Up to [`BATCH`] records, and what tells in which lanes their packets wait.
pub(super) struct Heads {
    /// Index of the first record in the chunk.
    first: usize,
    packets: PlainPackets,
    /// What the frames tell, then what [`Placement::signs`] says.
    signs: Column,
}

impl Heads {
    /// Of no records, before the first of a chunk.
    pub(super) fn new() -> Self {
        Self {
            first: 0,
            packets: PlainPackets::new(),
            signs: [0; BATCH],
        }
    }

    /// Index of the first one in the chunk.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    pub(super) fn packets(&self) -> &PlainPackets {
        &self.packets
    }

    /// The signs of a packet.
    #[inline(always)]
    pub(super) fn signs(&self, place: usize) -> Signs {
        Signs::new(self.signs[place % BATCH])
    }

    /// A set of all packets, in bits.
    pub(super) fn all(&self) -> u64 {
        choose::first(self.packets.len())
    }

    /// Which packets have the signs of this one.
    #[inline(always)]
    pub(super) fn alike(&self, unit: Unit, place: usize) -> u64 {
        choose::equal(unit, &self.signs, self.signs[place % BATCH])
    }

    /// Makes room for the records that follow.
    pub(super) fn next(&mut self) {
        self.first += self.packets.len();
        self.packets.clear();
    }

    /// Reads Ethernet frames in the records that begin at these places, at most
    /// [`BATCH`].
    pub(super) fn read_usual(
        &mut self,
        unit: Unit,
        records: &UsualRecords<'_>,
        starts: &[u32],
        placement: &Placement,
    ) {
        unit.run(ReadUsual {
            heads: self,
            records,
            starts,
            placement,
        });
    }

    /// Reads the records of a chunk that follow.
    pub(super) fn read(&mut self, unit: Unit, chunk: &Chunk, placement: &Placement) {
        let indices = self.first..chunk.len().min(self.first + BATCH);
        for index in indices {
            let frame = chunk.frame(index);
            let origin = (frame.interface.index, frame.direction);
            self.push(plain_head(&frame), origin);
        }
        unit.run(Read {
            heads: self,
            placement,
        });
    }

    /// Adds a plain frame and the length of its packet, or another record.
    #[inline(always)]
    fn push(
        &mut self,
        head: Option<(PlainFrame<'_>, u32)>,
        (interface, direction): (usize, Option<Direction>),
    ) {
        let place = self.packets.len();
        let group = head.as_ref().is_some_and(|(frame, _)| frame.group);
        self.signs[place % BATCH] = Signs::of_frame(interface, direction, group);
        match head {
            Some((frame, length)) => self.packets.push(Some(frame.packet), length),
            None => self.packets.push(None, 0),
        }
    }
}

/// Finds the heads of Ethernet frames, and reads them.
struct ReadUsual<'a, 'b> {
    heads: &'a mut Heads,
    records: &'a UsualRecords<'b>,
    starts: &'a [u32],
    placement: &'a Placement,
}

/// Reads heads.
struct Read<'a> {
    heads: &'a mut Heads,
    placement: &'a Placement,
}

impl<S: Gather> Work<S> for ReadUsual<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self, set: S) {
        let Heads { packets, signs, .. } = &mut *self.heads;
        let mut gathered = None;
        if let Ok(starts) = self.starts.try_into() {
            let raw = packets.raw_mut();
            gathered = set.gather(self.records, starts, raw, signs);
        }
        match gathered {
            Some(()) => packets.set_len(BATCH),
            None => {
                let origin = (self.records.interface.index, None);
                for start in self.starts {
                    let head = self.records.head(*start);
                    self.heads.push(head.and_then(ethernet_head), origin);
                }
            }
        }
        let (heads, placement) = (self.heads, self.placement);
        Read { heads, placement }.run(set);
    }
}

impl<S> Work<S> for Read<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, _set: S) {
        let Heads { packets, signs, .. } = self.heads;
        packets.read();
        self.placement.signs(packets.keys(), signs);
        // A packet waits if it is plain and will live to see all steps.
        let alone = packets.plain().iter().zip(packets.ttls());
        for (sign, (plain, ttl)) in signs.iter_mut().zip(alone) {
            let waits = u32::from((*plain != 0) & (*ttl > 1));
            *sign |= (1 - waits) << Signs::ALONE;
        }
    }
}

/// What instruction sets differ in.
trait Gather: Copy {
    /// The columns of all records that begin at `starts`, and in `groups`
    /// whether the link layer sends them to many. `None` if each must be looked
    /// at, with any numbers left in the columns.
    #[inline(always)]
    fn gather(
        self,
        _records: &UsualRecords<'_>,
        _starts: &[u32; BATCH],
        _raw: &mut RawColumns,
        _groups: &mut Column,
    ) -> Option<()> {
        None
    }
}

impl Gather for Portable {}

#[cfg(target_arch = "x86_64")]
impl Gather for Avx2 {}

#[cfg(target_arch = "x86_64")]
impl Gather for Avx512 {
    #[inline(always)]
    fn gather(
        self,
        records: &UsualRecords<'_>,
        starts: &[u32; BATCH],
        raw: &mut RawColumns,
        groups: &mut Column,
    ) -> Option<()> {
        avx512::gather(self, records, starts, raw, groups)
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
