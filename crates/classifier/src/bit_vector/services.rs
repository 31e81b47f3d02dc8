//! Rows for ports, protocol and kind: combined beforehand where that stays
//! small.

use super::field::{Field, RowStore};
use super::products::distinct;
use crate::intervals::Intervals;
use crate::plain_rule::{PlainRule, Probe, Protocol};
use crate::probes::Probes;
use crate::simd::{self, Column, Line, Simd};

/// At most so many lines of bits are intersected beforehand.
const MAX_COMBINED: usize = 1 << 16;

/// Distinct values of protocol and kind together.
const KINDS: usize = 1024;

/// Rows for ports, protocol and kind.
#[derive(Clone, Debug)]
pub(super) enum Services {
    /// One row for all of them: entry `source + destination + kind`.
    Combined {
        source_port: Intervals,
        destination_port: Intervals,
        kinds: Intervals,
        entries: Vec<u32>,
    },
    /// Three rows.
    Apart {
        source_port: Intervals,
        destination_port: Intervals,
        kinds: Intervals,
    },
}

impl Services {
    pub(super) fn new(rows: &mut RowStore, rules: &[PlainRule]) -> Self {
        let port = |range: (u16, u16)| (u32::from(range.0), u32::from(range.1));
        // Rows of single fields go to a store of their own: combined, they are
        // not needed any more.
        let mut apart = rows.fork();
        let mut source_port = Field::new(&mut apart, rules, 16, |rule| {
            port(rule.meets.source_port.range())
        });
        let mut destination_port = Field::new(&mut apart, rules, 16, |rule| {
            port(rule.meets.destination_port.range())
        });
        let mut kinds = kind_rows(&mut apart, rules);
        let (a, b, c) = (
            distinct(source_port.rows()),
            distinct(destination_port.rows()),
            distinct(&kinds),
        );
        let count = a.len() * b.len() * c.len();
        if count * apart.length() > MAX_COMBINED {
            let place = rows.append(apart);
            source_port.renumber(|row| row + place);
            destination_port.renumber(|row| row + place);
            kinds.iter_mut().for_each(|row| *row += place);
            return Self::Apart {
                source_port: source_port.finish(),
                destination_port: destination_port.finish(),
                kinds: Intervals::of_each(&kinds),
            };
        }
        let apart = apart.finish();
        let mut entries = Vec::with_capacity(count);
        for source in &a {
            for destination in &b {
                let both = and(apart.row(*source), apart.row(*destination));
                for kind in &c {
                    entries.push(rows.add(&and(&both, apart.row(*kind))));
                }
            }
        }
        let number_in = |rows: &[u32], stride: usize| {
            let rows = rows.to_vec();
            move |row: u32| (rows.binary_search(&row).unwrap_or(0) * stride) as u32
        };
        source_port.renumber(number_in(&a, b.len() * c.len()));
        destination_port.renumber(number_in(&b, c.len()));
        let number = number_in(&c, 1);
        for kind in &mut kinds {
            *kind = number(*kind);
        }
        Self::Combined {
            source_port: source_port.finish(),
            destination_port: destination_port.finish(),
            kinds: Intervals::of_each(&kinds),
            entries: simd::table(entries),
        }
    }

    /// The place of a packet in `entries`, if services have one.
    #[inline(always)]
    pub(super) fn entry(&self, probe: &Probe) -> Option<usize> {
        let Self::Combined {
            source_port,
            destination_port,
            kinds,
            ..
        } = self
        else {
            return None;
        };
        let source = source_port.find(u32::from(probe.source_port()));
        let destination = destination_port.find(u32::from(probe.destination_port()));
        Some((source + destination + kinds.find(kind_of(probe))) as usize)
    }

    /// The same for many packets.
    #[inline(always)]
    pub(super) fn entry_each<S: Simd>(&self, simd: S, probes: &Probes) -> Option<Column> {
        let Self::Combined {
            source_port,
            destination_port,
            kinds,
            ..
        } = self
        else {
            return None;
        };
        let count = probes.count;
        let mut places = source_port.find_each(simd, &probes.source_port, count);
        places.add(&destination_port.find_each(simd, &probes.destination_port, count));
        places.add(&kinds.find_each(simd, &probes.kind, count));
        Some(places)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let (fields, entries) = match self {
            Self::Combined {
                source_port,
                destination_port,
                kinds,
                entries,
            } => ([source_port, destination_port, kinds], entries.len()),
            Self::Apart {
                source_port,
                destination_port,
                kinds,
            } => ([source_port, destination_port, kinds], 0),
        };
        fields.map(Intervals::memory_bytes).iter().sum::<usize>() + entries * size_of::<u32>()
    }
}

fn and(a: &[Line], b: &[Line]) -> Vec<Line> {
    let both = |(a, b): (&Line, &Line)| Line(std::array::from_fn(|word| a.0[word] & b.0[word]));
    a.iter().zip(b).map(both).collect()
}

/// Protocol and kind of a packet as one number.
#[inline(always)]
pub(super) fn kind_of(probe: &Probe) -> u32 {
    u32::from(probe.protocol) << 2 | u32::from(probe.kind % 4)
}

/// For each protocol and kind its row.
fn kind_rows(rows: &mut RowStore, rules: &[PlainRule]) -> Vec<u32> {
    // Protocols that no rule names share a row.
    let named = |number: u8| {
        rules.iter().any(|rule| {
            let protocol = rule.meets.protocol;
            matches!(protocol, Protocol::Is(n) | Protocol::IsNot(n) if n == number)
        })
    };
    let mut kinds = vec![0; KINDS];
    let mut unnamed: [Option<u32>; 4] = [None; 4];
    for number in 0..=u8::MAX {
        let named = named(number);
        for kind in 0..4 {
            let row = match unnamed[kind] {
                Some(row) if !named => row,
                _ => rows.add_rules(rules, |rule| {
                    rule.meets.protocol.contains(number) && rule.meets.kinds >> kind & 1 != 0
                }),
            };
            if !named {
                unnamed[kind] = Some(row);
            }
            kinds[usize::from(number) << 2 | kind] = row;
        }
    }
    kinds
}
