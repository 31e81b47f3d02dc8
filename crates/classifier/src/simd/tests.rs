//! Every operation of every instruction set against its portable twin.

use portcullis_core::packet::PacketKey;
use portcullis_testkit::generate::Random;

use portcullis_simd::InstructionSet;

use super::{Borders, Column, Line, Simd, Thresholds, Work, run, table as table_of};
use crate::block::Block;
use crate::plain_rule::{Address, Meets, PlainRule, Ports, Probe, Protocol};
use crate::probes::Probes;

/// Everything the operations say about some random input.
struct Answers(u64);

impl Work for Answers {
    type Output = Vec<u64>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<u64> {
        let mut random = Random::new(self.0);
        let mut answers = Vec::new();
        for _ in 0..500 {
            let lines = 1 + random.below(4) as usize;
            let mut row = || -> Vec<Line> { (0..lines).map(|_| sparse(&mut random)).collect() };
            let rows = [row(), row(), row()];
            let rows = rows.each_ref().map(Vec::as_slice);
            let from = random.below(512 * lines as u32 + 1);
            for from in [0, from] {
                let first = simd.first_common(rows, from);
                answers.push(first.map_or(u64::MAX, u64::from));
            }

            let count = random.below(65) as usize;
            let values = Column(std::array::from_fn(|_| edge(&mut random)));
            let table = (0..=random.below(200)).map(|_| random.next() as u32);
            let table = table_of(table.collect());
            let length = table.len() as u32;
            let mut found = Column(values.0.map(|value| value % length));
            simd.look_up(&table, &mut found, count);
            answers.extend(found.0[..count].iter().map(|it| u64::from(*it)));

            let number = edge(&mut random);
            answers.push(simd.with_any(&values, number));
            answers.push(simd.above(&values, number));

            let mut numbers: Vec<u32> = (0..random.below(600)).map(|_| edge(&mut random)).collect();
            numbers.sort_unstable();
            let ranks = simd.rank(&Borders::new(&numbers), &values, count);
            answers.extend(ranks.0[..count].iter().map(|it| u64::from(*it)));

            let keys: Vec<PacketKey> = (0..count).map(|_| key(&mut random)).collect();
            let probes = simd.probes(&keys);
            let Probes {
                count,
                source,
                destination,
                source_port,
                destination_port,
                kind,
            } = probes;
            for column in [source, destination, source_port, destination_port, kind] {
                answers.extend(column.0[..count].iter().map(|it| u64::from(*it)));
            }

            let all: Vec<Line> = (0..lines * 20).map(|_| sparse(&mut random)).collect();
            let mut starts = || Column(std::array::from_fn(|_| random.below(20)));
            let rows = [starts(), starts(), starts()];
            let mut firsts = Column::ZERO;
            simd.first_common_each(&all, lines, &rows, count, &mut firsts);
            answers.extend(firsts.0[..count].iter().map(|first| u64::from(*first)));

            let rules: Vec<PlainRule> = (0..8).map(|number| rule(&mut random, number)).collect();
            let mut blocks = Vec::new();
            Block::pack(rules.iter(), &mut blocks);
            let probe = Probe {
                source: small(&mut random),
                destination: small(&mut random),
                ports: random.next() as u32 & 0x8003_8003,
                protocol: random.below(3) as u8,
                kind: random.below(4) as u8,
            };
            answers.push(u64::from(simd.matching(&blocks[0], &probe)));

            let thresholds = Thresholds(std::array::from_fn(|_| edge(&mut random) as u16));
            answers.push(u64::from(simd.reached(&thresholds, edge(&mut random))));
            let (value, mask) = (random.next(), random.next() & random.next());
            answers.push(simd.extract(value, mask));
            answers.push(simd.extract(value, u64::MAX));
        }
        answers
    }
}

#[test]
fn every_instruction_set_agrees_with_the_portable_one() {
    for set in InstructionSet::ALL {
        if !set.is_available() {
            eprintln!("skipped: this CPU has no {set}");
            continue;
        }
        for seed in 0..10 {
            let portable = run(InstructionSet::Portable.unit(), Answers(seed));
            assert_eq!(run(set.unit(), Answers(seed)), portable, "{set}");
        }
    }
}

fn edge(random: &mut Random) -> u32 {
    match random.below(4) {
        0 => 0,
        1 => u32::MAX,
        2 => 0x7fff_ffff + random.below(3),
        _ => random.next() as u32,
    }
}

fn key(random: &mut Random) -> PacketKey {
    PacketKey {
        source: edge(random),
        destination: edge(random),
        source_port: edge(random) as u16,
        destination_port: edge(random) as u16,
        protocol: edge(random) as u8,
        fragment: random.below(2) == 0,
        syn: random.below(2) == 0,
    }
}

fn sparse(random: &mut Random) -> Line {
    Line(std::array::from_fn(|_| match random.below(3) {
        0 => random.next() & random.next(),
        _ => 0,
    }))
}

fn small(random: &mut Random) -> u32 {
    random.next() as u32 & 0x8000_0001
}

fn rule(random: &mut Random, number: u32) -> PlainRule {
    let mut address = || {
        let mask = small(random);
        Address {
            value: small(random) & mask,
            mask,
            inverted: random.below(4) == 0,
        }
    };
    let (source, destination) = (address(), address());
    let mut ports = || Ports {
        first: random.next() as u16 & 0x8003,
        width: random.next() as u16 & 0xc003,
    };
    let (source_port, destination_port) = (ports(), ports());
    PlainRule {
        number,
        ends: true,
        meets: Meets {
            source,
            destination,
            source_port,
            destination_port,
            protocol: match random.below(3) {
                0 => Protocol::Any,
                1 => Protocol::Is(random.below(3) as u8),
                _ => Protocol::IsNot(random.below(3) as u8),
            },
            kinds: 1 + random.below(15) as u8,
            interface: 0,
        },
    }
}
