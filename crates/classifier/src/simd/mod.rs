//! The few operations that instruction sets differ in.
//!
//! Everything else is written once, generic over [`Simd`], and compiled for
//! each set by [`run`]. A value of a type that implements [`Simd`] is the
//! proof that the CPU has what it needs. The benchmark that justifies this
//! module is `benches/benches/classify.rs`.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod borders;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod transpose;

use portcullis_core::batch::BATCH;
use portcullis_core::packet::PacketKey;
use portcullis_simd::Unit;

pub(crate) use borders::Borders;
use borders::Sixteen;

use crate::block::Block;
use crate::plain_rule::Probe;
use crate::probes::Probes;

/// 512 bits of a bit vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u64; 8]);

/// One number for each packet of a batch.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Column(pub(crate) [u32; BATCH]);

/// Sixteen thresholds for the source port, then sixteen for the destination
/// port.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Thresholds(pub(crate) [u16; 32]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; 8]);
}

impl Column {
    pub(crate) const ZERO: Self = Self([0; BATCH]);

    /// A bit for each number that is wanted.
    #[inline(always)]
    fn choose(&self, is_wanted: impl Fn(u32) -> bool) -> u64 {
        let mut chosen = 0;
        for (packet, number) in self.0.iter().enumerate() {
            chosen |= u64::from(is_wanted(*number)) << packet;
        }
        chosen
    }

    /// Adds other numbers, packet by packet.
    #[inline(always)]
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, number) in self.0.iter_mut().zip(other.0) {
            *sum = sum.wrapping_add(number);
        }
    }
}

/// What an instruction set does for the matcher.
pub(crate) trait Simd: Copy {
    /// The fields of at most [`BATCH`] packets, field by field.
    #[inline(always)]
    fn probes(self, keys: &[PacketKey]) -> Probes {
        Probes::new(keys)
    }

    /// Puts in the place of each of the first `count` numbers the entry of
    /// `table` that it names; that there is one is the caller's promise, another
    /// entry of the table is found otherwise. What becomes of further numbers is
    /// left open. `table` must have an entry.
    fn look_up(self, table: &[u32], numbers: &mut Column, count: usize);

    /// For the first `count` numbers how many borders lie below each. What the
    /// rest becomes is left open.
    fn rank(self, borders: &Borders, numbers: &Column, count: usize) -> Column;

    /// A bit for each number that has any of these bits.
    #[inline(always)]
    fn with_any(self, numbers: &Column, bits: u32) -> u64 {
        numbers.choose(|number| number & bits != 0)
    }

    /// A bit for each number above a limit.
    #[inline(always)]
    fn above(self, numbers: &Column, limit: u32) -> u64 {
        numbers.choose(|number| number > limit)
    }

    /// The first bit from bit `from` on that is set in all rows, which are of
    /// one length.
    fn first_common<const ROWS: usize>(self, rows: [&[Line]; ROWS], from: u32) -> Option<u32>;

    /// For the first `count` packets the first bit that is set in all their
    /// rows, which are named by their numbers; `u32::MAX` if there is none.
    fn first_common_each<const ROWS: usize>(
        self,
        lines: &[Line],
        length: usize,
        rows: &[Column; ROWS],
        count: usize,
        firsts: &mut Column,
    );

    /// The lanes of a block that match, interfaces aside.
    fn matching(self, block: &Block, probe: &Probe) -> u32;

    /// A bit for each threshold that its port reaches.
    fn reached(self, thresholds: &Thresholds, ports: u32) -> u32;

    /// The bits of `value` that are set in `mask`, moved together.
    fn extract(self, value: u64, mask: u64) -> u64;

    /// Starts to fetch the cache line that `item` begins in and the `lines`
    /// after it.
    fn prefetch<T>(self, item: &T, lines: usize);
}

/// Brings a table that is to be looked up in to a length that fills registers,
/// if it is small.
pub(crate) fn table(mut entries: Vec<u32>) -> Vec<u32> {
    if entries.len() <= 128 {
        entries.resize(entries.len().next_power_of_two().max(16), 0);
    }
    entries
}

/// Something to be compiled for each instruction set.
pub(crate) trait Work {
    type Output;

    /// Must be `#[inline(always)]`, or the compiler uses no more than the
    /// least instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Does the work.
#[inline]
pub(crate) fn run<W: Work>(unit: Unit, work: W) -> W::Output {
    unit.run(Compiled(work))
}

/// Work in the form that compiles it for a set.
struct Compiled<W>(W);

impl<W: Work, S: Simd> portcullis_simd::Work<S> for Compiled<W> {
    type Output = W::Output;

    #[inline(always)]
    fn run(self, simd: S) -> W::Output {
        self.0.run(simd)
    }
}

/// The start of a search: a line with the bits before `from` cleared, and the
/// number of that line.
#[inline(always)]
fn first_line(from: u32) -> (usize, Line) {
    let (number, bit) = (from as usize / 512, from as usize % 512);
    let mut mask = Line([u64::MAX; 8]);
    mask.0[..bit / 64].fill(0);
    mask.0[bit / 64] <<= bit % 64;
    (number, mask)
}
