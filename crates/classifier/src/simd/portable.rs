//! The operations for every CPU; the twins of all the others.

use portcullis_simd::Portable;

use super::{Borders, Column, Line, Simd, Sixteen, Thresholds, first_line};
use crate::block::Block;
use crate::plain_rule::Probe;

impl Simd for Portable {
    #[inline(always)]
    fn look_up(self, table: &[u32], numbers: &mut Column, count: usize) {
        let last = table.len() - 1;
        for number in numbers.0.iter_mut().take(count) {
            *number = table[(*number as usize).min(last)];
        }
    }

    #[inline(always)]
    fn rank(self, borders: &Borders, numbers: &Column, count: usize) -> Column {
        let mut ranks = Column::ZERO;
        // Level by level for all of them: no step waits for the one before.
        for level in 0..borders.depth() {
            let level = Sixteen::numbers(borders.level(level));
            for (rank, number) in ranks.0.iter_mut().zip(numbers.0).take(count) {
                *rank = 2 * *rank + u32::from(level[*rank as usize] < number);
            }
        }
        ranks
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
