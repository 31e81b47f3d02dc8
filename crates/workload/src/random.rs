//! A small deterministic source of random numbers.

use std::vec;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// What somebody else chose, to be used up first.
    chosen: vec::IntoIter<u16>,
}

impl Random {
    /// The numbers that belong to a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            chosen: Vec::new().into_iter(),
        }
    }

    /// Numbers that somebody else chooses, two bytes for each; when they have run out, those of
    /// seed 0. A fuzzer that changes some bytes changes some choices and leaves the others.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (pairs, _) = bytes.as_chunks();
        let chosen: Vec<u16> = pairs.iter().map(|it| u16::from_le_bytes(*it)).collect();
        Self {
            state: 0,
            chosen: chosen.into_iter(),
        }
    }

    /// Any 64 bits.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        if let Some(chosen) = self.chosen.next() {
            return mixed(u64::from(chosen));
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.between(0, limit - 1)
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: u32, last: u32) -> u32 {
        let width = u128::from(last - first) + 1;
        first + ((u128::from(self.next()) * width) >> 64) as u32
    }

    /// A number from 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }
}

fn mixed(state: u64) -> u64 {
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn chosen_bytes_come_first() {
        let mut chosen = Random::from_bytes(&[1, 0, 2, 0, 1, 0, 9]);
        let numbers = [chosen.next(), chosen.next(), chosen.next()];
        assert_eq!(numbers[0], numbers[2]);
        assert_ne!(numbers[0], numbers[1]);
        assert_eq!(chosen.next(), Random::new(0).next());
    }
}
