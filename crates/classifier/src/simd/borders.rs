//! Borders as a binary search tree whose levels lie side by side, so that a
//! level of a small tree fits into registers.

/// Sixteen numbers.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Sixteen(pub(super) [u32; Sixteen::LENGTH]);

/// Numbers in rising order, to be searched.
///
/// A complete binary search tree: the places on level `n` are numbered from 0
/// to 2ⁿ-1 from the lowest border to the highest, and below place `p` come
/// places `2p` and `2p + 1`. A search that goes right wherever the border lies
/// below its number ends on the place that says how many borders do.
#[derive(Clone, Debug)]
pub(crate) struct Borders {
    /// Level after level, each one in lines of its own.
    lines: Vec<Sixteen>,
    depth: u32,
}

impl Sixteen {
    /// Numbers in a line.
    pub(super) const LENGTH: usize = 16;
    /// Levels that fit into a line.
    const LEVELS: u32 = Self::LENGTH.ilog2() + 1;
}

impl Borders {
    /// From numbers in rising order.
    pub(crate) fn new(numbers: &[u32]) -> Self {
        let depth = usize::BITS - numbers.len().leading_zeros();
        let mut lines = Vec::new();
        for level in 0..depth {
            // In order of size each level has every so many-th number.
            let step = 1 << (depth - level);
            // Where numbers are lacking stand such as lie below nothing.
            let number = |place: usize| {
                let number = numbers.get(place * step + step / 2 - 1);
                number.copied().unwrap_or(u32::MAX)
            };
            for line in 0..(1usize << level).div_ceil(Sixteen::LENGTH) {
                let places = line * Sixteen::LENGTH..;
                lines.push(Sixteen(std::array::from_fn(|at| number(places.start + at))));
            }
        }
        Self { lines, depth }
    }

    /// How many levels there are.
    #[inline(always)]
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// The lines of a level.
    #[inline(always)]
    pub(super) fn level(&self, level: u32) -> &[Sixteen] {
        let (start, count) = match level.checked_sub(Sixteen::LEVELS - 1) {
            None | Some(0) => (level as usize, 1),
            // All that came before, of which each level has twice the lines.
            Some(further) => (Sixteen::LEVELS as usize + (1 << further) - 2, 1 << further),
        };
        &self.lines[start..start + count]
    }

    /// How many borders lie below a number.
    #[inline(always)]
    pub(crate) fn rank(&self, number: u32) -> u32 {
        let mut place = 0;
        for level in 0..self.depth {
            let numbers = Sixteen::numbers(self.level(level));
            place = 2 * place + usize::from(numbers[place] < number);
        }
        place as u32
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.lines.len() * size_of::<Sixteen>()
    }
}

impl Sixteen {
    /// All numbers of some lines in a row.
    #[inline(always)]
    pub(super) fn numbers(lines: &[Self]) -> &[u32] {
        // SAFETY: a line is sixteen numbers and nothing else.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * Self::LENGTH) }
    }
}
