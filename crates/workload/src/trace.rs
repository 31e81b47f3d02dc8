//! Packets for rules.

use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{Conditions, Network, PortRange, Rule};

use crate::random::Random;

/// What a generated trace shows; the kinds of `classbench/FORMAT.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceKind {
    /// A point in a rule chosen at random: no locality but that of the rules.
    Rand,
    /// An eighth as many flows, drawn by Zipf's law with exponent 1.1.
    Zipf,
    /// Uniform in all fields.
    Void,
}

/// A trace of `count` headers for rules without inversions.
pub fn trace(random: &mut Random, kind: TraceKind, rules: &[Rule], count: usize) -> Vec<PacketKey> {
    let inside = |count: usize, random: &mut Random| -> Vec<PacketKey> {
        (0..count)
            .map(|_| {
                let place = random.below(rules.len() as u32);
                key_inside(random, &rules[place as usize].conditions)
            })
            .collect()
    };
    match kind {
        TraceKind::Void => (0..count)
            .map(|_| key_inside(random, &Conditions::ANY))
            .collect(),
        _ if rules.is_empty() => Vec::new(),
        TraceKind::Rand => inside(count, random),
        TraceKind::Zipf => {
            let flows = inside((count / 8).max(1), random);
            let mut sum = 0.0;
            let weights = (1..=flows.len()).map(|rank| (rank as f64).powf(-1.1));
            let sums: Vec<f64> = weights
                .map(|weight| {
                    sum += weight;
                    sum
                })
                .collect();
            (0..count)
                .map(|_| {
                    let drawn = random.unit() * sum;
                    let rank = sums.partition_point(|sum| *sum <= drawn);
                    flows[rank.min(flows.len() - 1)]
                })
                .collect()
        }
    }
}

/// A uniform point inside conditions.
fn key_inside(random: &mut Random, conditions: &Conditions) -> PacketKey {
    let mut address =
        |network: &Network| network.address() | random.next() as u32 & !network.mask();
    let (source, destination) = (
        address(&conditions.source.value),
        address(&conditions.destination.value),
    );
    let mut port = |range: &PortRange| match range.first <= range.last {
        true => random.between(u32::from(range.first), u32::from(range.last)) as u16,
        false => range.first,
    };
    PacketKey {
        source,
        destination,
        source_port: port(&conditions.source_ports.value),
        destination_port: port(&conditions.destination_ports.value),
        protocol: match conditions.protocol.value {
            0 => random.pick(&[6, 17, 1]),
            number => number as u8,
        },
        fragment: false,
        syn: false,
    }
}
