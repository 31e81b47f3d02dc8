//! The operations for every CPU; the twins of all the others.

use super::{Column, Keys, Line, Owners, Simd, Thresholds, first_line};
use crate::block::Block;
use crate::plain_rule::Probe;

/// Needs nothing of the CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Simd for Portable {
    #[inline(always)]
    fn below(self, keys: &Keys, value: u32) -> usize {
        let below = keys.0.iter().map(|key| u32::from(*key < value));
        below.sum::<u32>() as usize
    }

    #[inline(always)]
    fn first_common<const ROWS: usize>(self, rows: [&[Line]; ROWS], from: u32) -> Option<u32> {
        let (start, mut mask) = first_line(from);
        for line in start..rows[0].len() {
            let mut common = mask;
            for row in rows {
                for (common, bits) in common.0.iter_mut().zip(row[line].0) {
                    *common &= bits;
                }
            }
            for (word, bits) in common.0.iter().enumerate() {
                if *bits != 0 {
                    return Some((line * 512 + word * 64) as u32 + bits.trailing_zeros());
                }
            }
            mask = Line([u64::MAX; 8]);
        }
        None
    }

    #[inline(always)]
    fn add_owners(
        self,
        keys: &Keys,
        owners: &Owners,
        values: &Column,
        sums: &mut Column,
        count: usize,
    ) {
        for (sum, value) in sums.0.iter_mut().zip(values.0).take(count) {
            *sum += owners.0[self.below(keys, value)];
        }
    }

    #[inline(always)]
    fn first_common_each<const ROWS: usize>(
        self,
        lines: &[Line],
        length: usize,
        rows: &[Column; ROWS],
        count: usize,
        firsts: &mut Column,
    ) {
        for (packet, first) in firsts.0.iter_mut().enumerate().take(count) {
            let mut row_lines = [&[][..]; ROWS];
            for (row, column) in row_lines.iter_mut().zip(rows) {
                *row = &lines[column.0[packet] as usize * length..][..length];
            }
            *first = self.first_common(row_lines, 0).unwrap_or(u32::MAX);
        }
    }

    #[inline(always)]
    fn matching(self, block: &Block, probe: &Probe) -> u32 {
        block.matching(probe)
    }

    #[inline(always)]
    fn reached(self, thresholds: &Thresholds, ports: u32) -> u32 {
        let mut reached = 0;
        for (place, threshold) in thresholds.0.iter().enumerate() {
            let port = (ports >> (16 * (place / 16))) as u16;
            reached |= u32::from(port >= *threshold) << place;
        }
        reached
    }

    #[inline(always)]
    fn extract(self, value: u64, mask: u64) -> u64 {
        // Chosen bits come in runs, so this goes run by run.
        let (mut left, mut extracted, mut at) = (mask, 0, 0);
        while left != 0 {
            let start = left.trailing_zeros();
            let length = (left >> start).trailing_ones();
            let run = u64::MAX >> (64 - length);
            extracted |= (value >> start & run) << at;
            at += length;
            left &= !(run << start);
        }
        extracted
    }

    #[inline(always)]
    fn prefetch<T>(self, _item: &T, _lines: usize) {}
}
