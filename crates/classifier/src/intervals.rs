//! Which of many intervals a number lies in, found sixteen borders at a time.

use crate::simd::{Column, Keys, Owners, Simd};

/// Borders in one node of the search tree.
const KEYS: usize = 16;
/// Branches of a node above the lowest level.
const BRANCHES: usize = KEYS + 1;

/// The numbers from 0 to 2³²-1, cut into intervals.
#[derive(Clone, Debug)]
pub(crate) struct Intervals {
    /// For each level of the tree, highest first, where its nodes begin.
    levels: Vec<usize>,
    nodes: Vec<Keys>,
}

impl Intervals {
    /// From the last number of each interval, in order, without that of the
    /// last interval.
    pub(crate) fn new(lasts: &[u32]) -> Self {
        let mut levels = vec![leaf_level(lasts)];
        // The highest number of each node of the level last made.
        let mut highest: Vec<u32> = lasts
            .chunks(KEYS)
            .map(|chunk| chunk[chunk.len() - 1])
            .collect();
        while highest.len() > 1 {
            let mut level = Vec::new();
            let mut next = Vec::new();
            let end = highest.len();
            for (first, chunk) in (0..end).step_by(BRANCHES).zip(highest.chunks(BRANCHES)) {
                let mut keys = [u32::MAX; KEYS];
                for (place, (key, high)) in keys.iter_mut().zip(chunk).enumerate() {
                    // Nothing lies beyond the last branch of all.
                    if first + place + 1 < end {
                        *key = *high;
                    }
                }
                level.push(Keys(keys));
                next.push(chunk[chunk.len() - 1]);
            }
            levels.push(level);
            highest = next;
        }
        let mut intervals = Self {
            levels: Vec::new(),
            nodes: Vec::new(),
        };
        for level in levels.iter().rev() {
            intervals.levels.push(intervals.nodes.len());
            intervals.nodes.extend(level);
        }
        intervals
    }

    /// The number of the interval that `value` lies in.
    #[inline(always)]
    pub(crate) fn find<S: Simd>(&self, simd: S, value: u32) -> usize {
        match *self.levels.as_slice() {
            [leaves] => self.descend(simd, [], leaves, value),
            [a, leaves] => self.descend(simd, [a], leaves, value),
            [a, b, leaves] => self.descend(simd, [a, b], leaves, value),
            [a, b, c, leaves] => self.descend(simd, [a, b, c], leaves, value),
            // More than 4 levels would be more intervals than rules can make.
            _ => 0,
        }
    }

    /// For the first `count` packets adds to `sums` what belongs to the
    /// interval of their value.
    #[inline(always)]
    pub(crate) fn add_owners<S: Simd>(
        &self,
        simd: S,
        owners: &[u32],
        values: &Column,
        sums: &mut Column,
        count: usize,
    ) {
        match *self.levels.as_slice() {
            [_] => {
                let mut table = Owners([0; 32]);
                table.0[..owners.len()].copy_from_slice(owners);
                simd.add_owners(&self.nodes[0], &table, values, sums, count);
            }
            [a, leaves] => self.add_deep(simd, [a], leaves, owners, values, sums, count),
            [a, b, leaves] => self.add_deep(simd, [a, b], leaves, owners, values, sums, count),
            [a, b, c, leaves] => {
                self.add_deep(simd, [a, b, c], leaves, owners, values, sums, count);
            }
            _ => {}
        }
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "compiled once for each depth")]
    fn add_deep<S: Simd, const ABOVE: usize>(
        &self,
        simd: S,
        above: [usize; ABOVE],
        leaves: usize,
        owners: &[u32],
        values: &Column,
        sums: &mut Column,
        count: usize,
    ) {
        for (sum, value) in sums.0.iter_mut().zip(values.0).take(count) {
            *sum += owners[self.descend(simd, above, leaves, value)];
        }
    }

    #[inline(always)]
    fn descend<S: Simd, const ABOVE: usize>(
        &self,
        simd: S,
        above: [usize; ABOVE],
        leaves: usize,
        value: u32,
    ) -> usize {
        let mut node = 0;
        for level in above {
            node = node * BRANCHES + simd.below(&self.nodes[level + node], value);
        }
        node * KEYS + simd.below(&self.nodes[leaves + node], value)
    }

    /// Whether one step finds the interval.
    pub(crate) fn is_shallow(&self) -> bool {
        self.levels.len() == 1
    }

    /// The last number of each interval but the last.
    pub(crate) fn lasts(&self) -> impl Iterator<Item = u32> {
        let leaves = self.levels.last().copied().unwrap_or(0);
        let keys = self.nodes[leaves..].iter().flat_map(|node| node.0);
        // No interval before the last one ends there.
        keys.filter(|key| *key != u32::MAX)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.nodes.len() * size_of::<Keys>()
    }
}

fn leaf_level(lasts: &[u32]) -> Vec<Keys> {
    let node = |chunk: &[u32]| {
        let mut keys = [u32::MAX; KEYS];
        keys[..chunk.len()].copy_from_slice(chunk);
        Keys(keys)
    };
    if lasts.is_empty() {
        return vec![node(&[])];
    }
    lasts.chunks(KEYS).map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{InstructionSet, Work};

    struct Find<'a>(&'a Intervals, u32);

    impl Work for Find<'_> {
        type Output = usize;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> usize {
            self.0.find(simd, self.1)
        }
    }

    #[test]
    fn every_number_finds_its_interval() {
        for count in [0, 1, 15, 16, 17, 271, 272, 273, 288, 289, 5000] {
            let step = u32::MAX / count.max(1);
            let lasts: Vec<u32> = (0..count).map(|place| place * step + 7).collect();
            let intervals = Intervals::new(&lasts);
            let near = lasts.iter().flat_map(|last| [last - 1, *last, last + 1]);
            for value in near.chain([0, u32::MAX]) {
                let expected = lasts.iter().filter(|last| **last < value).count();
                let found = InstructionSet::best().run(Find(&intervals, value));
                assert_eq!(found, expected, "{value} among {count}");
            }
        }
    }
}
