//! Flips bits, cuts and inserts bytes, always the same by the same seed.

/// Damages one place.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    // Half of the damage goes to the headers at the front, where it matters most.
    let reach = if random.below(2) == 0 {
        bytes.len().min(256)
    } else {
        bytes.len()
    };
    let at = random.below(reach.max(1));
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => {
            let inserted = random.next().to_le_bytes();
            let count = 1 + random.below(8);
            bytes.splice(at..at, inserted[..count].iter().copied());
        }
        2 if at + 4 <= bytes.len() => {
            let extreme = [0, 1, 3, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX][random.below(7)];
            bytes[at..at + 4].copy_from_slice(&extreme.to_le_bytes());
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
