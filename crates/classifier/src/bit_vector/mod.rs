//! Bit vectors: for each field the set of rules that a value satisfies, one
//! bit a rule; the first bit that all fields share is the first match.
//!
//! Values that satisfy the same rules share a row of bits. Ports, protocol and
//! kind have few distinct rows, so their intersections are made beforehand
//! where that stays small.

mod field;
mod products;
mod services;

use portcullis_core::batch::BATCH;

use field::Field;
use products::Products;
use services::{Services, kind_of};

use crate::interfaces::Interfaces;
use crate::intervals::Intervals;
use crate::plain_rule::{PlainRule, Probe};
use crate::probes::Probes;
use crate::simd::{Column, Line, Simd};

/// Rules in one bit vector. Rows grow with the rules, and so do their number:
/// memory grows with the square.
pub(crate) const MAX_RULES: usize = 2048;

/// So few packets of a batch go one by one.
const FEW_PACKETS: usize = 4;

/// Up to [`MAX_RULES`] rules as rows of bits.
#[derive(Clone, Debug)]
pub(crate) struct BitVector {
    source: Intervals,
    destination: Intervals,
    services: Services,
    /// For each interface class its row; empty if no rule tests interfaces.
    interfaces: Vec<u32>,
    rows: Rows,
    /// For few rules the answers themselves, for each interface class; just one
    /// if no rule tests interfaces.
    products: Vec<Products>,
    /// The rule number of each bit, rising; last `u32::MAX`, for no rule.
    numbers: Vec<u32>,
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
            Services::Combined { entries, .. } => {
                let fields = (&source, &destination, &**entries);
                Products::of_classes(fields, &rows, &interfaces, &numbers)
            }
            Services::Apart { .. } => Vec::new(),
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
        let words = self.interfaces.len() + self.numbers.len();
        self.source.memory_bytes()
            + self.destination.memory_bytes()
            + self.services.memory_bytes()
            + words * size_of::<u32>()
            + self.rows.lines.len() * size_of::<Line>()
            + self
                .products
                .iter()
                .map(Products::memory_bytes)
                .sum::<usize>()
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
            && let Some(products) = self.products(class)
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
                    kinds.find(kind_of(probe)),
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
        if count <= FEW_PACKETS {
            for packet in open {
                let packet = usize::from(*packet) % BATCH;
                let found = self.first(simd, &probes.get(packet), class, 0);
                best.0[packet] = best.0[packet].min(found.unwrap_or(u32::MAX));
            }
            return;
        }
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
        if let Some(products) = self.products(class)
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
        // No bit stands for no rule, which is the last number.
        let last = self.numbers.len() as u32 - 1;
        for first in &mut firsts.0 {
            *first = (*first).min(last);
        }
        simd.look_up(&self.numbers, firsts, count);
    }

    /// The answers for packets of an interface class, if they are there.
    #[inline(always)]
    fn products(&self, class: u32) -> Option<&Products> {
        match self.interfaces.is_empty() {
            true => self.products.first(),
            false => self.products.get(class as usize),
        }
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
                rows[5] = kinds.find_each(simd, kind, count);
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
