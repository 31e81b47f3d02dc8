//! Building the rows of a bit vector.

use hashbrown::HashMap;

use super::Rows;
use crate::intervals::Intervals;
use crate::plain_rule::PlainRule;
use crate::simd::Line;

/// A field's intervals, each with the row of the rules that accept it.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The last value of each interval but the last.
    lasts: Vec<u32>,
    rows: Vec<u32>,
}

/// Collects rows and gives equal ones the same place.
#[derive(Debug)]
pub(super) struct RowStore {
    lines: Vec<Line>,
    length: usize,
    places: HashMap<u64, u32>,
}

impl Field {
    /// From the range of values of `width` bits that each rule accepts, which
    /// wraps around where its end lies before its start.
    pub(super) fn new(
        store: &mut RowStore,
        rules: &[PlainRule],
        width: u32,
        range: impl Fn(&PlainRule) -> (u32, u32),
    ) -> Self {
        let max = u32::MAX >> (32 - width);
        let mut bits = vec![Line::ZERO; store.length];
        // Where a rule begins or ceases to accept.
        let mut turns: Vec<(u32, u32)> = Vec::new();
        for (bit, rule) in rules.iter().enumerate() {
            let (first, last) = range(rule);
            if first == 0 || first > last {
                flip(&mut bits, bit);
            }
            if first != 0 {
                turns.push((first, bit as u32));
            }
            if last < max {
                turns.push((last + 1, bit as u32));
            }
        }
        turns.sort_unstable();
        let mut lasts = Vec::new();
        let mut rows = vec![store.add(&bits)];
        for turn in turns.chunk_by(|a, b| a.0 == b.0) {
            for (_, bit) in turn {
                flip(&mut bits, *bit as usize);
            }
            let row = store.add(&bits);
            if rows.last() != Some(&row) {
                lasts.push(turn[0].0 - 1);
                rows.push(row);
            }
        }
        Self { lasts, rows }
    }

    /// The row of each interval.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Puts something else in the place of each row.
    pub(super) fn renumber(&mut self, number: impl Fn(u32) -> u32) {
        for row in &mut self.rows {
            *row = number(*row);
        }
    }

    /// Ready to be searched.
    pub(super) fn finish(&self) -> Intervals {
        Intervals::new(&self.lasts, &self.rows)
    }
}

impl RowStore {
    /// For rows of so many bits.
    pub(super) fn new(bits: usize) -> Self {
        Self {
            lines: Vec::new(),
            length: bits.div_ceil(512).max(1),
            places: HashMap::new(),
        }
    }

    /// An empty store for rows of the same length.
    pub(super) fn fork(&self) -> Self {
        Self::new(self.length * 512)
    }

    /// Lines in a row.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The place of a row with these bits.
    pub(super) fn add(&mut self, row: &[Line]) -> u32 {
        let place = (self.lines.len() / self.length) as u32;
        let known = *self.places.entry(hash(row)).or_insert(place);
        // Rows whose hashes collide are merely stored twice.
        if known != place && self.lines[known as usize * self.length..][..self.length] == *row {
            return known;
        }
        self.lines.extend_from_slice(row);
        place
    }

    /// The place of the row of those rules that satisfy something.
    pub(super) fn add_rules(
        &mut self,
        rules: &[PlainRule],
        satisfies: impl Fn(&PlainRule) -> bool,
    ) -> u32 {
        let mut bits = vec![Line::ZERO; self.length];
        for (bit, rule) in rules.iter().enumerate() {
            if satisfies(rule) {
                flip(&mut bits, bit);
            }
        }
        self.add(&bits)
    }

    /// Adds the rows of another store; its places rise by the answer.
    pub(super) fn append(&mut self, other: Self) -> u32 {
        let place = (self.lines.len() / self.length) as u32;
        self.lines.extend(other.lines);
        place
    }

    pub(super) fn finish(self) -> Rows {
        Rows {
            lines: self.lines,
            length: self.length,
        }
    }
}

fn flip(bits: &mut [Line], bit: usize) {
    bits[bit / 512].0[bit / 64 % 8] ^= 1 << (bit % 64);
}

fn hash(row: &[Line]) -> u64 {
    let mix =
        |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Several chains, as each step waits for the one before.
    let mut chains = [0; 8];
    for line in row {
        for (chain, word) in chains.iter_mut().zip(line.0) {
            *chain = mix(*chain, word);
        }
    }
    chains.into_iter().fold(0, mix)
}
