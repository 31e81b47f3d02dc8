//! What rows would say, said beforehand: every meeting of a source, a
//! destination and a service has a place in a table, as long as that stays
//! small.
//!
//! Two of the three lead to a *pair*, a row that they share; pair and third
//! lead to the first match. The third is the one with the fewest rows with which
//! both tables stay small.

use super::Rows;
use super::field::{Field, RowStore};
use crate::intervals::Intervals;
use crate::plain_rule::Probe;
use crate::simd::{self, Column, Line, Simd};

/// Meetings of two at most.
const MAX_MEETINGS: usize = 3 << 16;
/// Meetings of a pair and the third at most.
const MAX_FIRSTS: usize = 1 << 20;

/// The first match by source, destination and service.
#[derive(Clone, Debug)]
pub(super) struct Products {
    source: Intervals,
    destination: Intervals,
    /// For each entry of the services its part of a place.
    services: Vec<u32>,
    third: Third,
    /// By the parts of two: the pair's part of the place in `firsts`.
    pairs: Vec<u32>,
    /// Rule numbers; `u32::MAX` for no rule.
    firsts: Vec<u32>,
}

/// Which of the three is not in the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Third {
    Source,
    Destination,
    Service,
}

impl Products {
    /// One for each interface class, whose rows are given, or for all if none
    /// is. The rows of services and the rules of the bits are as in
    /// [`new`](Self::new). Empty if the tables would be too large.
    pub(super) fn of_classes(
        fields: (&Field, &Field, &[u32]),
        rows: &Rows,
        interfaces: &[u32],
        numbers: &[u32],
    ) -> Vec<Self> {
        if interfaces.is_empty() {
            let all = Self::new(fields, rows, None, 1, numbers);
            return all.into_iter().collect();
        }
        let share = interfaces.len();
        let classes = interfaces.iter();
        let classes = classes.map(|row| Self::new(fields, rows, Some(*row), share, numbers));
        classes.collect::<Option<_>>().unwrap_or_default()
    }

    /// For the rules that are also in the row `among`, with a `share` of what
    /// tables may take.
    ///
    /// `services` are the rows of services, `numbers` the rules of the bits.
    /// `None` if the tables would be too large.
    fn new(
        (source, destination, services): (&Field, &Field, &[u32]),
        rows: &Rows,
        among: Option<u32>,
        share: usize,
        numbers: &[u32],
    ) -> Option<Self> {
        let sources = distinct(source.rows());
        let destinations = distinct(destination.rows());
        let kinds = distinct(services);
        let mut ways = [
            (Third::Source, &sources, [&destinations, &kinds]),
            (Third::Destination, &destinations, [&sources, &kinds]),
            (Third::Service, &kinds, [&sources, &destinations]),
        ];
        ways.sort_by_key(|(_, third, _)| third.len());
        let (third, last, pairs, both) = ways.into_iter().find_map(|(third, last, two)| {
            let (pairs, both) = meet(two, last.len(), rows, among, share)?;
            Some((third, last, pairs, both))
        })?;
        let strides = match third {
            Third::Source => [1, kinds.len(), 1],
            Third::Destination => [kinds.len(), 1, 1],
            Third::Service => [destinations.len(), 1, 1],
        };
        Some(Self {
            source: placed(source, &sources, strides[0]),
            destination: placed(destination, &destinations, strides[1]),
            services: simd::table(
                services
                    .iter()
                    .map(|row| place(*row, &kinds, strides[2]))
                    .collect(),
            ),
            third,
            pairs,
            firsts: first_matches(&both, last, rows, numbers),
        })
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let words = self.pairs.len() + self.services.len() + self.firsts.len();
        words * size_of::<u32>() + self.source.memory_bytes() + self.destination.memory_bytes()
    }

    /// The first match; `service` is the place of its row.
    #[inline(always)]
    pub(super) fn first(&self, probe: &Probe, service: usize) -> Option<u32> {
        let source = self.source.find(probe.source);
        let destination = self.destination.find(probe.destination);
        let service = self.services[service];
        let (two, third) = match self.third {
            Third::Source => (destination + service, source),
            Third::Destination => (source + service, destination),
            Third::Service => (source + destination, service),
        };
        let first = self.firsts[(self.pairs[two as usize] + third) as usize];
        (first != u32::MAX).then_some(first)
    }

    /// The same for the first `count` packets; `u32::MAX` where none matches.
    #[inline(always)]
    pub(super) fn first_each<S: Simd>(
        &self,
        simd: S,
        [source, destination]: [&Column; 2],
        mut service: Column,
        count: usize,
    ) -> Column {
        let source = self.source.find_each(simd, source, count);
        let destination = self.destination.find_each(simd, destination, count);
        simd.look_up(&self.services, &mut service, count);
        let (mut two, one, third) = match self.third {
            Third::Source => (destination, service, source),
            Third::Destination => (source, service, destination),
            Third::Service => (source, destination, service),
        };
        two.add(&one);
        simd.look_up(&self.pairs, &mut two, count);
        two.add(&third);
        simd.look_up(&self.firsts, &mut two, count);
        two
    }
}

/// All meetings of two lists of rows: for each the number of its pair times
/// `stride`, and the rows of the pairs; `None` if they are too many.
fn meet(
    [a, b]: [&Vec<u32>; 2],
    stride: usize,
    rows: &Rows,
    among: Option<u32>,
    share: usize,
) -> Option<(Vec<u32>, Rows)> {
    if a.len() * b.len() * share > MAX_MEETINGS {
        return None;
    }
    let mut store = RowStore::new(rows.length * 512);
    let mut pairs = Vec::with_capacity(a.len() * b.len());
    let mut both = rows.row(a[0]).to_vec();
    for a in a {
        for b in b {
            for ((both, a), b) in both.iter_mut().zip(rows.row(*a)).zip(rows.row(*b)) {
                *both = Line(std::array::from_fn(|word| a.0[word] & b.0[word]));
            }
            if let Some(row) = among {
                for (both, among) in both.iter_mut().zip(rows.row(row)) {
                    *both = Line(std::array::from_fn(|word| both.0[word] & among.0[word]));
                }
            }
            let pair = store.add(&both) as usize * stride;
            if (pair + stride) * share > MAX_FIRSTS {
                return None;
            }
            pairs.push(pair as u32);
        }
    }
    Some((pairs, store.finish()))
}

/// For each pair and each row of the third the first match.
fn first_matches(pairs: &Rows, third: &[u32], rows: &Rows, numbers: &[u32]) -> Vec<u32> {
    // For each bit the rows of the third that have it.
    let words = third.len().div_ceil(64);
    let mut holders = vec![0u64; numbers.len() * words];
    for (place, row) in third.iter().enumerate() {
        for bit in set_bits(rows.row(*row)) {
            holders[bit * words + place / 64] |= 1 << (place % 64);
        }
    }
    let mut firsts = vec![u32::MAX; pairs.count() * third.len()];
    let mut open = vec![0u64; words];
    for (pair, firsts) in firsts.chunks_exact_mut(third.len()).enumerate() {
        open.fill(u64::MAX);
        for bit in set_bits(pairs.row(pair as u32)) {
            let holders = &holders[bit * words..][..words];
            for (word, (open, holders)) in open.iter_mut().zip(holders).enumerate() {
                let mut hit = *open & holders;
                *open &= !holders;
                while hit != 0 {
                    firsts[word * 64 + hit.trailing_zeros() as usize] = numbers[bit];
                    hit &= hit - 1;
                }
            }
        }
    }
    firsts
}

/// The numbers of the bits that are set, rising.
fn set_bits(row: &[Line]) -> impl Iterator<Item = usize> {
    let words = row.iter().flat_map(|line| line.0).enumerate();
    words.flat_map(|(word, bits)| {
        let rest = |left: &u64| Some(left & (left - 1)).filter(|left| *left != 0);
        let left = std::iter::successors(Some(bits).filter(|bits| *bits != 0), rest);
        left.map(move |left| word * 64 + left.trailing_zeros() as usize)
    })
}

/// The field's intervals with places in a table for their rows.
fn placed(field: &Field, rows: &[u32], stride: usize) -> Intervals {
    let mut field = field.clone();
    field.renumber(|row| place(row, rows, stride));
    field.finish()
}

fn place(row: u32, rows: &[u32], stride: usize) -> u32 {
    (rows.binary_search(&row).unwrap_or(0) * stride) as u32
}

/// Each of these rows once, sorted.
pub(super) fn distinct(rows: &[u32]) -> Vec<u32> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.dedup();
    rows
}
