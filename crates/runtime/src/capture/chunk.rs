use std::sync::Arc;

use super::{CaptureInterface, Record, Timestamp, pcap};
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
    /// Where `bytes` begins, in bytes into the decompressed file.
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

impl Chunk {
    /// An empty chunk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
            offset: self.offset + u64::from(start),
            time,
            interface: frame.interface,
            direction: frame.direction,
            original_length: frame.original_length,
            data: frame.data,
        }
    }

    /// What judging needs of all records, where they are those of a usual pcap file.
    #[inline(always)]
    pub(crate) fn usual_frames(&self) -> Option<impl Iterator<Item = Frame<'_>>> {
        let layout = self.records.pcap.as_ref()?;
        let interface = self.interfaces.first()?;
        let frame = move |start: &u32| {
            let record = pcap::UsualRecord::new(&self.bytes[*start as usize..]);
            Frame {
                interface,
                direction: None,
                original_length: record.original_length,
                data: record.data,
            }
        };
        layout
            .is_usual()
            .then(move || self.records.starts.iter().map(frame))
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
