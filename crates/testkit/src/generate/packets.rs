//! Packets for rulesets.

use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{Chain, Conditions, Network, PortRange, Rule, Ruleset, Test};

use super::Random;

/// Keys near the rules of a ruleset: inside one, on its border or just
/// outside, and now and then anywhere.
pub fn keys_near(random: &mut Random, ruleset: &Ruleset, count: usize) -> Vec<PacketKey> {
    let rules: Vec<&Rule> = ruleset.chains().iter().flat_map(Chain::rules).collect();
    (0..count)
        .map(|_| match rules.is_empty() || random.one_in(16) {
            true => anywhere(random),
            false => {
                let rule = random.pick(&rules);
                key_near(random, &rule.conditions)
            }
        })
        .collect()
}

/// A key near some conditions.
pub fn key_near(random: &mut Random, conditions: &Conditions) -> PacketKey {
    PacketKey {
        source: address_near(random, &conditions.source),
        destination: address_near(random, &conditions.destination),
        source_port: port_near(random, &conditions.source_ports.value),
        destination_port: port_near(random, &conditions.destination_ports.value),
        protocol: match random.below(4) {
            0 => random.pick(&[0, 1, 6, 17, 47, 255]),
            _ => match conditions.protocol.value {
                0 => random.pick(&[1, 6, 17]),
                number => number as u8,
            },
        },
        fragment: random.one_in(6),
        syn: random.one_in(3),
    }
}

fn anywhere(random: &mut Random) -> PacketKey {
    PacketKey {
        source: random.next() as u32,
        destination: random.next() as u32,
        source_port: random.next() as u16,
        destination_port: random.next() as u16,
        protocol: random.next() as u8,
        fragment: random.one_in(4),
        syn: random.one_in(4),
    }
}

fn address_near(random: &mut Random, test: &Test<Network>) -> u32 {
    let (address, mask) = (test.value.address(), test.value.mask());
    match random.below(8) {
        0 => address,
        1 => address | !mask,
        2 => address.wrapping_sub(1),
        3 => (address | !mask).wrapping_add(1),
        4 => 0x0a00_0000 | random.below(4) << 16 | random.below(4) << 8 | random.below(16),
        _ => address | random.next() as u32 & !mask,
    }
}

fn port_near(random: &mut Random, range: &PortRange) -> u16 {
    match random.below(8) {
        0 => range.first,
        1 => range.last,
        2 => range.first.wrapping_sub(1),
        3 => range.last.wrapping_add(1),
        4 => PacketKey::NO_PORT,
        _ if range.first <= range.last => {
            random.between(u32::from(range.first), u32::from(range.last)) as u16
        }
        _ => random.next() as u16,
    }
}
