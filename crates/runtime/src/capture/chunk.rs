use std::sync::Arc;

use super::{CaptureInterface, Record, Timestamp, pcap, pieces::Piece};
use crate::Direction;

/// Many records at once, with the bytes they stand in: what a worker takes to judge while others
/// read on. Meant to be filled again and again.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) records: Records,
    pub(super) interfaces: Arc<[CaptureInterface]>,
    /// Records of the capture before this chunk.
    pub(super) before: u64,
    /// Where in `bytes` it begins, and where that is in the decompressed file, in bytes.
    pub(super) begin: usize,
    pub(super) offset: u64,
}

/// Where the records of a chunk stand in its bytes.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Of a pcap file, the layout of the records and where each begins: the rest stands in its
    /// header. It lies whole in the bytes.
    pub(super) pcap: Option<pcap::Layout>,
    pub(super) starts: Vec<u32>,
    /// Of another file, what was read of each.
    pub(super) placed: Vec<Placed>,
}

/// A record by its place in the chunk's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) time: Option<Timestamp>,
    /// Of the record or block.
    pub(super) start: u32,
    /// Of the captured bytes.
    pub(super) data: u32,
    pub(super) length: u32,
    pub(super) original_length: u32,
    pub(super) interface: u32,
    pub(super) direction: Option<Direction>,
}

/// The part of a [`Record`] that tells how it is judged.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) interface: &'a CaptureInterface,
    pub(crate) direction: Option<Direction>,
    pub(crate) original_length: u32,
    pub(crate) data: &'a [u8],
}

/// The records of a usual pcap file.
#[derive(Clone, Copy)]
pub(crate) struct UsualRecords<'a> {
    /// That they all come from.
    pub(crate) interface: &'a CaptureInterface,
    /// Where they begin.
    pub(crate) starts: &'a [u32],
    bytes: &'a [u8],
}

/// The beginning of a frame.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a, const LENGTH: usize> {
    pub(crate) bytes: &'a [u8; LENGTH],
    /// Of the whole frame, on the link or as far as it was captured, whichever is more.
    pub(crate) frame_length: u32,
}

impl<'a> UsualRecords<'a> {
    /// The beginning of the frame in the record that begins there; `None` if less was captured.
    #[inline(always)]
    pub(crate) fn head<const LENGTH: usize>(&self, start: u32) -> Option<Head<'a, LENGTH>> {
        pcap::usual_head(self.bytes.get(start as usize..)?)
    }

    /// The bytes of all, moved so that each record has its captured and original length where it
    /// begins.
    #[inline(always)]
    pub(crate) fn lengths_first(&self) -> &'a [u8] {
        self.bytes.get(pcap::LENGTHS..).unwrap_or_default()
    }
}

impl Chunk {
    /// An empty chunk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a piece to decode here, if its turn need not be awaited for that.
    pub(crate) fn read(&mut self, piece: &mut Piece) {
        self.records.clear();
        piece.read(&mut self.bytes);
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records of the capture before the first of this chunk.
    #[must_use]
    pub fn records_before(&self) -> u64 {
        self.before
    }

    /// The record with this index in the chunk.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn record(&self, index: usize) -> Record<'_> {
        let frame = self.frame(index);
        let (start, time) = match &self.records.pcap {
            Some(layout) => {
                let start = self.records.starts[index];
                (start, Some(layout.time(&self.bytes, start as usize)))
            }
            None => {
                let placed = &self.records.placed[index];
                (placed.start, placed.time)
            }
        };
        Record {
            number: self.before + index as u64 + 1,
            offset: self.offset + (start as usize - self.begin) as u64,
            time,
            interface: frame.interface,
            direction: frame.direction,
            original_length: frame.original_length,
            data: frame.data,
        }
    }

    /// The interface with this index.
    pub(crate) fn interface(&self, index: usize) -> Option<&CaptureInterface> {
        self.interfaces.get(index)
    }

    /// The records, where they are those of a usual pcap file.
    pub(crate) fn usual(&self) -> Option<UsualRecords<'_>> {
        let layout = self.records.pcap.as_ref()?;
        let interface = self.interfaces.first()?;
        layout.is_usual().then_some(UsualRecords {
            interface,
            starts: &self.records.starts,
            bytes: &self.bytes,
        })
    }

    /// What judging needs of the record with this index in the chunk.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn frame(&self, index: usize) -> Frame<'_> {
        let Some(layout) = &self.records.pcap else {
            let placed = &self.records.placed[index];
            let data = placed.data as usize;
            return Frame {
                interface: &self.interfaces[placed.interface as usize],
                direction: placed.direction,
                original_length: placed.original_length,
                data: &self.bytes[data..data + placed.length as usize],
            };
        };
        let start = self.records.starts[index] as usize;
        let (data, original_length) = layout.data(&self.bytes, start);
        Frame {
            interface: &self.interfaces[0],
            direction: None,
            original_length,
            data,
        }
    }
}

impl Records {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        // One of the two is empty.
        self.starts.len() + self.placed.len()
    }

    pub(super) fn clear(&mut self) {
        self.pcap = None;
        self.starts.clear();
        self.placed.clear();
    }
}
