//! Of many packets some: sets of them as bits, and columns of their numbers.

#[cfg(target_arch = "x86_64")]
mod avx512;

use std::iter;

use portcullis_core::batch::BATCH;
use portcullis_core::packet::{Column, KeyColumns};
#[cfg(target_arch = "x86_64")]
use portcullis_simd::{Avx2, Avx512};
use portcullis_simd::{Portable, Unit, Work};

/// The numbers of the bits that are set.
pub(super) fn bits(set: u64) -> impl Iterator<Item = usize> {
    let mut left = set;
    iter::from_fn(move || {
        let bit = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (bit < BATCH).then_some(bit)
    })
}

/// A set of the first packets.
pub(super) fn first(count: usize) -> u64 {
    match count {
        0..BATCH => (1 << count) - 1,
        _ => u64::MAX,
    }
}

/// So many of a set, the first ones.
pub(super) fn first_of(set: u64, count: usize) -> u64 {
    if set.count_ones() as usize <= count {
        return set;
    }
    let next = bits(set).nth(count);
    next.map_or(set, |next| set & first(next))
}

/// Which packets have this number.
#[inline]
pub(super) fn equal(unit: Unit, column: &Column, number: u32) -> u64 {
    unit.run(Equal { column, number })
}

/// Which keys are equal to the one before.
#[inline]
pub(super) fn repeated(unit: Unit, keys: &KeyColumns) -> u64 {
    let columns = [
        keys.sources(),
        keys.destinations(),
        keys.ports(),
        keys.kinds(),
    ];
    unit.run(Repeated { columns }) & first(keys.len())
}

/// Puts the numbers of a set of packets behind the first `count` of others, column
/// by column. There must be room for all.
#[inline]
pub(super) fn append<const COLUMNS: usize>(
    unit: Unit,
    columns: [(&Column, &mut Column); COLUMNS],
    set: u64,
    count: usize,
) {
    unit.run(Append {
        columns,
        set,
        count,
    });
}

struct Equal<'a> {
    column: &'a Column,
    number: u32,
}

struct Repeated<'a, const COLUMNS: usize> {
    columns: [&'a Column; COLUMNS],
}

struct Append<'a, const COLUMNS: usize> {
    columns: [(&'a Column, &'a mut Column); COLUMNS],
    set: u64,
    count: usize,
}

impl<S: Choose> Work<S> for Equal<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self, set: S) -> u64 {
        set.equal(self.column, self.number)
    }
}

impl<S: Choose, const COLUMNS: usize> Work<S> for Repeated<'_, COLUMNS> {
    type Output = u64;

    #[inline(always)]
    fn run(self, set: S) -> u64 {
        set.repeated(self.columns)
    }
}

impl<S: Choose, const COLUMNS: usize> Work<S> for Append<'_, COLUMNS> {
    type Output = ();

    #[inline(always)]
    fn run(self, set: S) {
        set.append(self.columns, self.set, self.count);
    }
}

/// What instruction sets differ in.
trait Choose: Copy {
    #[inline(always)]
    fn equal(self, column: &Column, number: u32) -> u64 {
        let places = column.iter().enumerate();
        places.fold(0, |set, (place, it)| {
            set | u64::from(*it == number) << place
        })
    }

    /// The places that have the numbers of the one before, in all columns.
    #[inline(always)]
    fn repeated<const COLUMNS: usize>(self, columns: [&Column; COLUMNS]) -> u64 {
        (1..BATCH).fold(0, |set, place| {
            let is_repeated = columns
                .iter()
                .all(|column| column[place] == column[place - 1]);
            set | u64::from(is_repeated) << place
        })
    }

    /// `count` and the size of the set add up to no more than [`BATCH`].
    #[inline(always)]
    fn append<const COLUMNS: usize>(
        self,
        mut columns: [(&Column, &mut Column); COLUMNS],
        set: u64,
        count: usize,
    ) {
        for (place, chosen) in (count..BATCH).zip(bits(set)) {
            for (from, to) in &mut columns {
                to[place] = from[chosen];
            }
        }
    }
}

impl Choose for Portable {}

#[cfg(target_arch = "x86_64")]
impl Choose for Avx2 {}

#[cfg(target_arch = "x86_64")]
impl Choose for Avx512 {
    #[inline(always)]
    fn equal(self, column: &Column, number: u32) -> u64 {
        avx512::equal(self, column, number)
    }

    #[inline(always)]
    fn repeated<const COLUMNS: usize>(self, columns: [&Column; COLUMNS]) -> u64 {
        avx512::repeated(self, columns)
    }

    #[inline(always)]
    fn append<const COLUMNS: usize>(
        self,
        columns: [(&Column, &mut Column); COLUMNS],
        set: u64,
        count: usize,
    ) {
        avx512::append(self, columns, set, count);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::packet::PacketKey;
    use portcullis_simd::InstructionSet;
    use proptest::prelude::*;

    use super::*;

    fn units() -> impl Iterator<Item = Unit> {
        let sets = InstructionSet::ALL.into_iter();
        sets.filter(|set| set.is_available())
            .map(InstructionSet::unit)
    }

    #[test]
    fn sets_begin_with_their_first() {
        assert_eq!((first(0), first(3)), (0, 0b111));
        assert_eq!((first(63), first(64)), (u64::MAX >> 1, u64::MAX));
        assert_eq!(first_of(0b1101_0010, 0), 0);
        assert_eq!(first_of(0b1101_0010, 3), 0b0101_0010);
        assert_eq!(first_of(0b1101_0010, 4), 0b1101_0010);
        assert_eq!(first_of(u64::MAX, 64), u64::MAX);
        assert!(bits(0b1101_0010).eq([1, 4, 6, 7]));
    }

    /// Each field alone tells keys apart, and what stands behind the last key is not
    /// looked at.
    #[test]
    fn repeated_keys_are_equal_to_the_one_before() {
        let one = PacketKey {
            source: 0,
            destination: 0,
            source_port: 0,
            destination_port: 53,
            protocol: 17,
            fragment: false,
            syn: false,
        };
        let with = |change: fn(&mut PacketKey)| {
            let mut key = one;
            change(&mut key);
            key
        };
        let others = [
            with(|key| key.source = 1),
            with(|key| key.destination = 1),
            with(|key| key.source_port = 1),
            with(|key| key.destination_port = 1),
            with(|key| key.protocol = 1),
            with(|key| key.fragment = true),
            with(|key| key.syn = true),
        ];
        for unit in units() {
            for other in others {
                let keys = KeyColumns::from_iter(&[one, one, other, one, one, one]);
                assert_eq!(repeated(unit, &keys), 0b110010);
            }
            assert_eq!(repeated(unit, &KeyColumns::from_iter(&[one; BATCH])), !1);
            assert_eq!(repeated(unit, &KeyColumns::new()), 0);
        }
    }

    proptest! {
        #[test]
        fn all_instruction_sets_choose_the_same(
            from in prop::array::uniform32(0_u32..4),
            more in prop::array::uniform32(0_u32..4),
            set: u64,
            count in 0..=BATCH,
        ) {
            let from: Column = [from, more].concat().try_into().unwrap();
            let numbers: Column = std::array::from_fn(|at| at as u32);
            for unit in units() {
                let found: Vec<_> = bits(equal(unit, &from, 2)).collect();
                let expected: Vec<_> = (0..BATCH).filter(|at| from[*at] == 2).collect();
                prop_assert_eq!(found, expected);

                let columns = [&from, &numbers.map(|number| number / 5)];
                let found: Vec<_> = bits(unit.run(Repeated { columns })).collect();
                let repeated = |at: &usize| from[*at] == from[at - 1] && !at.is_multiple_of(5);
                let expected: Vec<_> = (1..BATCH).filter(repeated).collect();
                prop_assert_eq!(found, expected);

                let mut to = [9; BATCH];
                let set = first_of(set, BATCH - count);
                append(unit, [(&numbers, &mut to)], set, count);
                let chosen = (0..BATCH as u32).filter(|at| set >> at & 1 != 0);
                let mut expected = vec![9; count];
                expected.extend(chosen);
                expected.resize(expected.len().max(BATCH), 9);
                prop_assert_eq!(&to[..], &expected[..BATCH]);
            }
        }
    }
}
