use std::sync::Arc;

use super::{CaptureInterface, Record, Timestamp};
use crate::Direction;

/// Many records at once, with the bytes they stand in: what a worker takes to judge while others
/// read on. Meant to be filled again and again.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Placed>,
    pub(super) interfaces: Arc<[CaptureInterface]>,
    /// Records of the capture before this chunk.
    pub(super) before: u64,
    /// Where `bytes` begins, in bytes into the decompressed file.
    pub(super) offset: u64,
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
        self.records.is_empty()
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
    #[inline]
    #[must_use]
    pub fn record(&self, index: usize) -> Record<'_> {
        let placed = &self.records[index];
        let data = placed.data as usize;
        Record {
            number: self.before + index as u64 + 1,
            offset: self.offset + u64::from(placed.start),
            time: placed.time,
            interface: &self.interfaces[placed.interface as usize],
            direction: placed.direction,
            original_length: placed.original_length,
            data: &self.bytes[data..data + placed.length as usize],
        }
    }

    /// What judging needs of the record with this index in the chunk.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline(always)]
    pub(crate) fn frame(&self, index: usize) -> Frame<'_> {
        let placed = &self.records[index];
        let data = placed.data as usize;
        Frame {
            interface: &self.interfaces[placed.interface as usize],
            direction: placed.direction,
            original_length: placed.original_length,
            data: &self.bytes[data..data + placed.length as usize],
        }
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
    }
}
