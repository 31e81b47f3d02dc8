//! Bit vectors: for each field the set of rules that a value satisfies, one
//! bit a rule; the first bit that all fields share is the first match.
//!
//! Values that satisfy the same rules share a row of bits. Ports, protocol and
//! kind have few distinct rows, so their intersections are made beforehand
//! where that stays small.

mod field;
mod products;

use portcullis_core::batch::BATCH;

use field::Field;
use products::{Products, distinct};

use crate::interfaces::Interfaces;
use crate::plain_rule::{PlainRule, Probe, Protocol};
use crate::probes::Probes;
use crate::simd::{Column, Line, Simd};
use crate::trie::Trie;

/// Rules in one bit vector. Rows grow with the rules, and so do their number:
/// memory grows with the square.
pub(crate) const MAX_RULES: usize = 2048;

/// At most so many lines of bits are intersected beforehand.
const MAX_COMBINED: usize = 1 << 16;

/// Distinct values of protocol and kind together.
const KINDS: usize = 1024;

/// Up to [`MAX_RULES`] rules as rows of bits.
#[derive(Clone, Debug)]
pub(crate) struct BitVector {
    source: Trie,
    destination: Trie,
    services: Services,
    /// For each interface class its row; empty if no rule tests interfaces.
    interfaces: Vec<u32>,
    rows: Rows,
    /// For few rules the answers themselves.
    products: Option<Products>,
    /// The rule number of each bit, rising; last `u32::MAX`, for no rule.
    numbers: Vec<u32>,
}

/// Rows for ports, protocol and kind.
#[derive(Clone, Debug)]
enum Services {
    /// One row for all of them: entry `source + destination + kind`.
    Combined {
        source_port: Trie,
        destination_port: Trie,
        kinds: Vec<u32>,
        entries: Vec<u32>,
    },
    /// Three rows.
    Apart {
        source_port: Trie,
        destination_port: Trie,
        kinds: Vec<u32>,
    },
}

/// Distinct rows of bits, all of one length.
#[derive(Clone, Debug)]
struct Rows {
    lines: Vec<Line>,
    /// Lines in a row.
    length: usize,
}

impl BitVector {
    /// From at most [`MAX_RULES`] rules without holes in their masks, in order
    /// of their numbers.
    pub(crate) fn new(rules: &[PlainRule], interfaces: &Interfaces) -> Self {
        let mut rows = field::RowStore::new(rules.len());
        let address = |range: Option<(u32, u32)>| range.unwrap_or((0, u32::MAX));
        let source = Field::new(&mut rows, rules, 32, |rule| {
            address(rule.meets.source.range())
        });
        let destination = Field::new(&mut rows, rules, 32, |rule| {
            address(rule.meets.destination.range())
        });
        let interfaces = match rules.iter().any(|rule| rule.meets.interface != 0) {
            true => interface_rows(&mut rows, rules, interfaces),
            false => Vec::new(),
        };
        let services = Services::new(&mut rows, rules);
        let mut numbers: Vec<u32> = rules.iter().map(|rule| rule.number).collect();
        let rows = rows.finish();
        let products = match &services {
            Services::Combined { entries, .. } if interfaces.is_empty() => {
                Products::new(&source, &destination, entries, &rows, &numbers)
            }
            _ => None,
        };
        numbers.push(u32::MAX);
        Self {
            source: source.finish(),
            destination: destination.finish(),
            services,
            interfaces,
            rows,
            products,
            numbers,
        }
    }

    /// The lowest rule number.
    pub(crate) fn lowest(&self) -> u32 {
        self.numbers.first().copied().unwrap_or(u32::MAX)
    }

    pub(crate) fn rule_count(&self) -> usize {
        self.numbers.len() - 1
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let (a, b, c, more) = match &self.services {
            Services::Combined {
                source_port,
                destination_port,
                kinds,
                entries,
            } => (source_port, destination_port, kinds, entries.len()),
            Services::Apart {
                source_port,
                destination_port,
                kinds,
            } => (source_port, destination_port, kinds, 0),
        };
        let fields = [&self.source, &self.destination, a, b];
        let words = c.len() + more + self.interfaces.len() + self.numbers.len();
        fields.map(Trie::memory_bytes).iter().sum::<usize>()
            + words * size_of::<u32>()
            + self.rows.lines.len() * size_of::<Line>()
            + self.products.as_ref().map_or(0, Products::memory_bytes)
    }

    /// The first rule from number `from` on that matches.
    #[inline(always)]
    pub(crate) fn first<S: Simd>(
        &self,
        simd: S,
        probe: &Probe,
        class: u32,
        from: u32,
    ) -> Option<u32> {
        if from == 0
            && let Some(products) = &self.products
            && let Some(entry) = self.services.entry(probe)
        {
            return products.first(probe, entry);
        }
        let bit = match from {
            0 => 0,
            from => self.numbers.partition_point(|number| *number < from) as u32,
        };
        let found = match &self.services {
            Services::Combined { .. } if self.interfaces.is_empty() => {
                let [a, b, c, _] = self.locate(probe, class);
                simd.first_common(self.rows.get([a, b, c]), bit)
            }
            Services::Combined { .. } => {
                let rows = self.locate(probe, class);
                simd.first_common(self.rows.get(rows), bit)
            }
            Services::Apart {
                source_port,
                destination_port,
                kinds,
            } => {
                let source = self.source.find(probe.source);
                // Without interface tests the row of the source serves twice.
                let interface = self.interfaces.get(class as usize).copied();
                let rows = [
                    source,
                    self.destination.find(probe.destination),
                    source_port.find(u32::from(probe.source_port())),
                    destination_port.find(u32::from(probe.destination_port())),
                    kinds[kind_of(probe)],
                    interface.unwrap_or(source),
                ];
                simd.first_common(self.rows.get(rows), bit)
            }
        };
        found.map(|bit| self.numbers[bit as usize])
    }

    /// Lowers each of `best` to the first match of its probe, if that is lower.
    #[inline(always)]
    pub(crate) fn lower_batch<S: Simd>(
        &self,
        simd: S,
        probes: &Probes,
        class: u32,
        best: &mut Column,
    ) {
        // The packets for which a match here would count.
        let mut open = [0u8; BATCH];
        let mut count = 0;
        let lowest = self.lowest();
        for (packet, best) in best.0.iter().enumerate().take(probes.count) {
            open[count % BATCH] = packet as u8;
            count += usize::from(lowest < *best);
        }
        let open = &open[..count];
        let picked;
        let probes = match count == probes.count {
            true => probes,
            false => {
                picked = probes.pick(open);
                &picked
            }
        };
        let mut firsts = Column::ZERO;
        self.first_each(simd, probes, class, &mut firsts);
        for (packet, first) in open.iter().zip(firsts.0) {
            let best = &mut best.0[usize::from(*packet)];
            *best = (*best).min(first);
        }
    }

    /// The first match of each probe; `u32::MAX` where none matches.
    #[inline(always)]
    pub(crate) fn first_each<S: Simd>(
        &self,
        simd: S,
        probes: &Probes,
        class: u32,
        firsts: &mut Column,
    ) {
        let count = probes.count;
        if let Some(products) = &self.products
            && let Some(services) = self.services.entry_each(simd, probes)
        {
            let addresses = [&probes.source, &probes.destination];
            *firsts = products.first_each(simd, addresses, services, count);
            return;
        }
        let rows = self.locate_each(simd, probes, class);
        let (lines, length) = (&self.rows.lines, self.rows.length);
        let [source, destination, services, interface, more, kind] = rows;
        match (&self.services, self.interfaces.is_empty()) {
            (Services::Combined { .. }, true) => {
                let rows = [source, destination, services];
                simd.first_common_each(lines, length, &rows, count, firsts);
            }
            (Services::Combined { .. }, false) => {
                let rows = [source, destination, services, interface];
                simd.first_common_each(lines, length, &rows, count, firsts);
            }
            (Services::Apart { .. }, true) => {
                let rows = [source, destination, services, more, kind];
                simd.first_common_each(lines, length, &rows, count, firsts);
            }
            (Services::Apart { .. }, false) => {
                let rows = [source, destination, services, interface, more, kind];
                simd.first_common_each(lines, length, &rows, count, firsts);
            }
        }
        simd.look_up(&self.numbers, firsts, count);
    }

    /// For each packet its rows: source, destination, services or source
    /// port, interface, and only if services are apart destination port and
    /// kind.
    #[inline(always)]
    fn locate_each<S: Simd>(&self, simd: S, probes: &Probes, class: u32) -> [Column; 6] {
        let Probes {
            count,
            source,
            destination,
            source_port,
            destination_port,
            kind,
        } = probes;
        let count = *count;
        let mut rows = [Column::ZERO; 6];
        rows[0] = self.source.find_each(simd, source, count);
        rows[1] = self.destination.find_each(simd, destination, count);
        let mut kind = *kind;
        match &self.services {
            Services::Combined { entries, .. } => {
                rows[2] = self
                    .services
                    .entry_each(simd, probes)
                    .unwrap_or(Column::ZERO);
                simd.look_up(entries, &mut rows[2], count);
            }
            Services::Apart {
                source_port: by_source,
                destination_port: by_destination,
                kinds,
            } => {
                rows[2] = by_source.find_each(simd, source_port, count);
                rows[4] = by_destination.find_each(simd, destination_port, count);
                simd.look_up(kinds, &mut kind, count);
                rows[5] = kind;
            }
        }
        if let Some(row) = self.interfaces.get(class as usize) {
            rows[3] = Column([*row; BATCH]);
        }
        rows
    }

    /// The rows whose intersection holds the matches; the last one counts
    /// only if rules test interfaces.
    #[inline(always)]
    fn locate(&self, probe: &Probe, class: u32) -> [u32; 4] {
        let services = match (&self.services, self.services.entry(probe)) {
            (Services::Combined { entries, .. }, Some(entry)) => entries[entry],
            _ => 0,
        };
        [
            self.source.find(probe.source),
            self.destination.find(probe.destination),
            services,
            self.interfaces.get(class as usize).copied().unwrap_or(0),
        ]
    }
}

impl Services {
    fn new(rows: &mut field::RowStore, rules: &[PlainRule]) -> Self {
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
                kinds,
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
            kinds,
            entries,
        }
    }
}

impl Services {
    /// The place of a packet in `entries`, if services have one.
    #[inline(always)]
    fn entry(&self, probe: &Probe) -> Option<usize> {
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
        Some((source + destination + kinds[kind_of(probe)]) as usize)
    }

    /// The same for many packets.
    #[inline(always)]
    fn entry_each<S: Simd>(&self, simd: S, probes: &Probes) -> Option<Column> {
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
        let mut kind = probes.kind;
        simd.look_up(kinds, &mut kind, count);
        places.add(&kind);
        Some(places)
    }
}

impl Rows {
    /// How many there are.
    fn count(&self) -> usize {
        self.lines.len() / self.length
    }

    #[inline(always)]
    fn get<const ROWS: usize>(&self, rows: [u32; ROWS]) -> [&[Line]; ROWS] {
        let mut lines = [&[][..]; ROWS];
        for (lines, row) in lines.iter_mut().zip(rows) {
            *lines = self.row(row);
        }
        lines
    }

    #[inline(always)]
    fn row(&self, row: u32) -> &[Line] {
        &self.lines[row as usize * self.length..][..self.length]
    }
}

fn and(a: &[Line], b: &[Line]) -> Vec<Line> {
    let both = |(a, b): (&Line, &Line)| Line(std::array::from_fn(|word| a.0[word] & b.0[word]));
    a.iter().zip(b).map(both).collect()
}

#[inline(always)]
fn kind_of(probe: &Probe) -> usize {
    usize::from(probe.protocol) << 2 | usize::from(probe.kind % 4)
}

/// For each protocol and kind its row.
fn kind_rows(rows: &mut field::RowStore, rules: &[PlainRule]) -> Vec<u32> {
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

fn interface_rows(
    rows: &mut field::RowStore,
    rules: &[PlainRule],
    interfaces: &Interfaces,
) -> Vec<u32> {
    (0..interfaces.class_count())
        .map(|class| {
            let holding = interfaces.holding(class as u32);
            rows.add_rules(rules, |rule| holding[usize::from(rule.meets.interface)])
        })
        .collect()
}
