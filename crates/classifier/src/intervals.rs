//! Which of many intervals a number lies in: a binary search without a branch,
//! for all packets of a batch at once.

use crate::simd::{self, Borders, Column, Simd};

/// The numbers up to some limit, cut into intervals, each with an owner.
#[derive(Clone, Debug)]
pub(crate) struct Intervals {
    /// The last numbers of all intervals but the last one.
    borders: Borders,
    /// For each number of borders that can lie below a number the owner.
    owners: Vec<u32>,
}

impl Intervals {
    /// `lasts` are the last numbers of all intervals but the last one, rising,
    /// and `owners` belong to all of them.
    pub(crate) fn new(lasts: &[u32], owners: &[u32]) -> Self {
        Self {
            borders: Borders::new(lasts),
            owners: simd::table(owners.to_vec()),
        }
    }

    /// From the owner of each number from 0 on.
    pub(crate) fn of_each(owners: &[u32]) -> Self {
        let (mut lasts, mut kept) = (Vec::new(), Vec::new());
        let mut numbers = 0;
        for run in owners.chunk_by(|a, b| a == b) {
            numbers += run.len() as u32;
            lasts.push(numbers - 1);
            kept.push(run[0]);
        }
        lasts.pop();
        Self::new(&lasts, &kept)
    }

    /// The owner of the interval that `value` lies in.
    #[inline(always)]
    pub(crate) fn find(&self, value: u32) -> u32 {
        self.owners[self.borders.rank(value) as usize]
    }

    /// The same for the first `count` of `values`.
    #[inline(always)]
    pub(crate) fn find_each<S: Simd>(&self, simd: S, values: &Column, count: usize) -> Column {
        let mut found = simd.rank(&self.borders, values, count);
        simd.look_up(&self.owners, &mut found, count);
        found
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.borders.memory_bytes() + self.owners.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::batch::BATCH;

    use super::*;
    use crate::simd::{self, Work};
    use portcullis_simd::InstructionSet;

    struct Find<'a>(&'a Intervals, &'a [u32]);

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
        for max in [u32::MAX, 0xffff] {
            for count in [
                0, 1, 2, 3, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 300, 5000,
            ] {
                let step = max / (count + 1);
                let lasts: Vec<u32> = (0..count).map(|place| place * step + 7).collect();
                let owners: Vec<u32> = (0..=count).rev().collect();
                let intervals = Intervals::new(&lasts, &owners);
                let near = lasts.iter().flat_map(|last| [last - 1, *last, last + 1]);
                let values: Vec<u32> = near.chain([0, max / 2, max]).collect();
                let sets = InstructionSet::ALL;
                for set in sets.into_iter().filter(|set| set.is_available()) {
                    let each = simd::run(set.unit(), Find(&intervals, &values));
                    for (value, found) in values.iter().zip(each) {
                        let interval = lasts.iter().filter(|last| *last < value).count();
                        let owner = owners[interval];
                        assert_eq!(intervals.find(*value), owner, "{value} among {count}");
                        assert_eq!(found, owner, "{value} among {count}, {set}");
                    }
                }
            }
        }
    }
}
