//! A world of few packets, and rulesets about it.

#![allow(dead_code, reason = "each test file uses a part")]

use portcullis_analysis::Packet;
use portcullis_core::names::{ChainName, InterfaceName};
use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, InterfacePattern, Network, Policy, PortRange, Rule, Ruleset, Sense,
    Target, Test,
};
use portcullis_testkit::generate::Random;

const ADDRESSES: [u32; 4] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0101, 0xc0a8_0001];
const PORTS: [u16; 4] = [0, 80, 1024, 65535];
const INTERFACES: [&str; 4] = ["eth0", "eth1", "lo", "ppp7"];

/// Every packet of the small world.
pub(crate) fn packets() -> Vec<Packet> {
    let mut packets = Vec::new();
    for interface in INTERFACES {
        for source in ADDRESSES {
            for destination in ADDRESSES {
                for key in keys(source, destination) {
                    packets.push(Packet {
                        interface: InterfaceName::new(interface).unwrap(),
                        key,
                    });
                }
            }
        }
    }
    packets
}

/// Every key of the small world between two addresses.
pub(crate) fn keys(source: u32, destination: u32) -> Vec<PacketKey> {
    let key = |protocol, source_port, destination_port, fragment, syn| PacketKey {
        source,
        destination,
        source_port,
        destination_port,
        protocol,
        fragment,
        syn,
    };
    let mut keys = Vec::new();
    for from in PORTS {
        for to in PORTS {
            keys.push(key(6, from, to, false, true));
            keys.push(key(6, from, to, false, false));
            keys.push(key(17, from, to, false, false));
        }
    }
    for (kind, code) in [(8, 0), (3, 3), (80, 0)] {
        keys.push(key(1, kind, code, false, false));
    }
    for protocol in [0, 47] {
        keys.push(key(protocol, 65535, 65535, false, false));
    }
    for protocol in [1, 6, 17, 47] {
        keys.push(key(protocol, 65535, 65535, true, false));
    }
    keys
}

/// Up to twelve rules in `input` and two user chains, which may loop.
pub(crate) fn small_ruleset(random: &mut Random) -> Ruleset {
    let mut ruleset = Ruleset::new();
    let user = ["one", "two"].map(|name| ChainName::new(name).unwrap());
    for name in user {
        ruleset.new_chain(name).unwrap();
    }
    ruleset.set_policy(BuiltIn::Input, random.pick(&Policy::ALL));
    let input = ChainName::new("input").unwrap();
    for _ in 0..1 + random.below(12) {
        let chain = random.pick(&[input, input, user[0], user[1]]);
        ruleset.append(&chain, small_rule(random, &user)).unwrap();
    }
    ruleset
}

/// One rule about the small world.
pub(crate) fn small_rule(random: &mut Random, user: &[ChainName]) -> Rule {
    let sense = |random: &mut Random| {
        random.pick(&[None, None, None, Some(Sense::Set), Some(Sense::Clear)])
    };
    let target = match random.below(8) {
        0 => None,
        1 => Some(Target::Return),
        2 if !user.is_empty() => Some(Target::Chain(random.pick(user))),
        3 => Some(Target::Reject),
        4 | 5 => Some(Target::Deny),
        _ => Some(Target::Accept),
    };
    Rule {
        conditions: Conditions {
            source: test(random, network),
            destination: test(random, network),
            interface: test(random, interface),
            fragment: sense(random),
            syn: sense(random),
            protocol: test(random, |random| {
                random.pick(&[0, 0, 0, 1, 6, 6, 17, 47, 300])
            }),
            source_ports: test(random, ports),
            destination_ports: test(random, ports),
            ..Conditions::ANY
        },
        log: random.one_in(5),
        target,
        ..Rule::ANY
    }
}

fn test<T>(random: &mut Random, value: impl Fn(&mut Random) -> T) -> Test<T> {
    match random.one_in(6) {
        true => Test::is_not(value(random)),
        false => Test::is(value(random)),
    }
}

fn network(random: &mut Random) -> Network {
    let address = random.pick(&ADDRESSES);
    let mask = random.pick(&[0, 0, 0, 0xff00_0000, 0xffff_ff00, u32::MAX, 0xff00_00ff, 1]);
    Network::new(address, mask)
}

fn interface(random: &mut Random) -> InterfacePattern {
    let name = |name| InterfaceName::new(name).unwrap();
    match random.below(8) {
        0 => InterfacePattern::Exact(name(random.pick(&["eth0", "eth1", "lo"]))),
        1 => InterfacePattern::Prefix(name(random.pick(&["e", "eth", "ppp"]))),
        2 => InterfacePattern::Exact(name("sixteen-letters!")),
        _ => InterfacePattern::ANY,
    }
}

fn ports(random: &mut Random) -> PortRange {
    match random.below(5) {
        0 => PortRange::single(random.pick(&PORTS)),
        1 => PortRange {
            first: random.pick(&PORTS),
            last: random.pick(&PORTS),
        },
        _ => PortRange::ALL,
    }
}
