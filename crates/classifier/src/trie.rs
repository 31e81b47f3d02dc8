//! Which of many intervals a number lies in: a few bits of it at a time index
//! tables.

use crate::simd::{Column, Simd};

/// Bits that index a table below the first one.
const STEP: u32 = 6;
/// Entries of such a table.
pub(crate) const SLOTS: u32 = 1 << STEP;
/// Set in entries that name a table.
pub(crate) const NODE: u32 = 1 << 31;
/// Above so many intervals the first table is larger.
const FEW: usize = 128;

/// The numbers of some width, cut into intervals, each with an owner.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    /// The first table and then all others. An entry is the owner of all
    /// numbers that lead to it, or [`NODE`] and the place of the next table.
    entries: Vec<u32>,
    /// Bits that the first table leaves.
    shift: u32,
}

/// Where the table begins that an entry names, if it names one.
#[inline(always)]
pub(crate) fn node(entry: u32) -> Option<usize> {
    (entry & NODE != 0).then_some((entry & !NODE) as usize)
}

/// The place in a table that leaves `shift` bits.
#[inline(always)]
pub(crate) fn slot(value: u32, shift: u32) -> usize {
    (value >> shift & (SLOTS - 1)) as usize
}

impl Trie {
    /// For numbers of `bits` bits, 10 to 16 or 32; `lasts` are the last numbers of all
    /// intervals but the last one, rising, and `owners` belong to all of them
    /// and are below 2³¹.
    pub(crate) fn new(bits: u32, lasts: &[u32], owners: &[u32]) -> Self {
        let shift = match bits {
            ..=16 => STEP,
            _ if owners.len() <= FEW => 4 * STEP,
            _ => 3 * STEP,
        };
        let mut trie = Self {
            entries: vec![0; 1 << (bits - shift)],
            shift,
        };
        trie.fill(0, 1 << (bits - shift), 0, shift, lasts, owners);
        trie
    }

    /// Fills a table of `slots` entries for the numbers from `first` on, of
    /// which each entry stands for 2 to the power of `shift`. The intervals are
    /// those from the one that `first` lies in on.
    fn fill(
        &mut self,
        table: usize,
        slots: u32,
        first: u32,
        shift: u32,
        lasts: &[u32],
        owners: &[u32],
    ) {
        let mut at = 0;
        for slot in 0..slots {
            let low = first + (slot << shift);
            let high = low | ((1 << shift) - 1);
            while lasts.get(at).is_some_and(|last| *last < low) {
                at += 1;
            }
            let entry = match lasts.get(at) {
                Some(last) if *last < high => {
                    let below = self.entries.len();
                    self.entries.resize(below + SLOTS as usize, 0);
                    let (lasts, owners) = (&lasts[at..], &owners[at..]);
                    self.fill(below, SLOTS, low, shift - STEP, lasts, owners);
                    below as u32 | NODE
                }
                _ => owners[at],
            };
            self.entries[table + slot as usize] = entry;
        }
    }

    /// The owner of the interval that `value` lies in.
    #[inline(always)]
    pub(crate) fn find(&self, value: u32) -> u32 {
        let mut shift = self.shift;
        let mut entry = self.entries[(value >> shift) as usize];
        while let Some(table) = node(entry) {
            shift -= STEP;
            entry = self.entries[table + slot(value, shift)];
        }
        entry
    }

    /// The same for the first `count` of `values`.
    #[inline(always)]
    pub(crate) fn find_each<S: Simd>(&self, simd: S, values: &Column, count: usize) -> Column {
        let mut shift = self.shift;
        let mut found = Column(values.0.map(|value| value >> shift));
        simd.look_up(&self.entries, &mut found, count);
        while shift > 0 {
            shift -= STEP;
            if !simd.descend(&self.entries, values, shift, &mut found, count) {
                break;
            }
        }
        found
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::batch::BATCH;

    use super::*;
    use crate::simd::{InstructionSet, Work};

    struct Find<'a>(&'a Trie, &'a [u32]);

    impl Work for Find<'_> {
        type Output = Vec<u32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<u32> {
            let mut all = Vec::new();
            for chunk in self.1.chunks(BATCH) {
                let mut values = Column::ZERO;
                values.0[..chunk.len()].copy_from_slice(chunk);
                let found = self.0.find_each(simd, &values, chunk.len());
                all.extend_from_slice(&found.0[..chunk.len()]);
            }
            all
        }
    }

    #[test]
    fn every_number_finds_its_interval() {
        for (bits, max) in [(32, u32::MAX), (16, 0xffff)] {
            for count in [0, 1, 15, 100, 129, 500, 5000] {
                let step = max / (count + 1);
                let lasts: Vec<u32> = (0..count).map(|place| place * step + 7).collect();
                let owners: Vec<u32> = (0..=count).rev().collect();
                let trie = Trie::new(bits, &lasts, &owners);
                let near = lasts.iter().flat_map(|last| [last - 1, *last, last + 1]);
                let values: Vec<u32> = near.chain([0, max / 2, max]).collect();
                let each = InstructionSet::best().unit().run(Find(&trie, &values));
                for (value, found) in values.into_iter().zip(each) {
                    let interval = lasts.iter().filter(|last| **last < value).count();
                    assert_eq!(trie.find(value), owners[interval], "{value} among {count}");
                    assert_eq!(found, owners[interval], "{value} among {count}");
                }
            }
        }
    }
}
