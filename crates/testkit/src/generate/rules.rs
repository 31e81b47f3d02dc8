//! Rulesets of many shapes.

use portcullis_core::names::{ChainName, InterfaceName};
use portcullis_core::ruleset::{
    BuiltIn, Conditions, InterfacePattern, Network, Policy, PortRange, PortsOf, Rule, Ruleset,
    Sense, Target, Test,
};

use super::Random;

/// Names of interfaces that generated rules and packets use.
pub const INTERFACES: [&str; 7] = ["eth0", "eth1", "eth10", "ppp0", "lo", "e", "wlan0"];

/// What a generated ruleset is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Everything at once, from small alphabets.
    Mixed,
    /// Rules that hardly say anything.
    Wildcards,
    /// Prefixes within prefixes.
    NestedPrefixes,
    /// Ranges of ports, each starting a little higher.
    PortLadder,
    /// Every other condition inverted.
    Inversions,
    /// Chains that jump to chains, deep and with loops.
    JumpGraph,
    /// Fragment and SYN conditions on everything.
    Kinds,
    /// Masks with holes.
    OddMasks,
    /// Interface conditions of many kinds.
    Interfaces,
    /// Single hosts and ports: what trees cut best.
    Exact,
    /// Rules without targets: every packet matches many.
    Accounting,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 11] = [
        Self::Mixed,
        Self::Wildcards,
        Self::NestedPrefixes,
        Self::PortLadder,
        Self::Inversions,
        Self::JumpGraph,
        Self::Kinds,
        Self::OddMasks,
        Self::Interfaces,
        Self::Exact,
        Self::Accounting,
    ];
}

/// A ruleset of `rules` rules in all, spread over its chains.
pub fn ruleset(random: &mut Random, shape: Shape, rules: usize) -> Ruleset {
    let mut ruleset = Ruleset::new();
    let user_chains = match shape {
        Shape::JumpGraph => 2 + random.below(20),
        Shape::Mixed | Shape::Accounting => random.below(4),
        _ => 0,
    };
    let user: Vec<ChainName> = (0..user_chains)
        .map(|number| chain_name(&format!("user{number}")))
        .collect();
    for name in &user {
        // A new name cannot be refused.
        let _ = ruleset.new_chain(*name);
    }
    for chain in BuiltIn::ALL {
        ruleset.set_policy(chain, random.pick(&Policy::ALL));
    }
    let mut chains: Vec<ChainName> = user.clone();
    // Most rules stand in one chain, so that it grows long.
    chains.extend([chain_name("input"); 3]);
    chains.extend([chain_name("forward"), chain_name("output")]);
    for number in 0..rules {
        let chain = match shape {
            Shape::JumpGraph | Shape::Mixed | Shape::Accounting => random.pick(&chains),
            _ => chain_name("input"),
        };
        let rule = Rule {
            conditions: conditions(random, shape, number as u32),
            target: target(random, shape, &user),
            ..Rule::ANY
        };
        // Chains and targets exist, so nothing is refused.
        let _ = ruleset.append(&chain, rule);
    }
    ruleset
}

fn chain_name(name: &str) -> ChainName {
    ChainName::new(name).unwrap_or(ChainName::EMPTY)
}

fn target(random: &mut Random, shape: Shape, user: &[ChainName]) -> Option<Target> {
    let jumps = match shape {
        Shape::JumpGraph => 2,
        _ => 6,
    };
    if !user.is_empty() && random.one_in(jumps) {
        return Some(Target::Chain(random.pick(user)));
    }
    let silent = match shape {
        Shape::Accounting => 2,
        Shape::JumpGraph => 3,
        _ => 8,
    };
    if random.one_in(silent) {
        return None;
    }
    Some(random.pick(&[
        Target::Accept,
        Target::Deny,
        Target::Reject,
        Target::Masq,
        Target::Redirect(0),
        Target::Redirect(8080),
        Target::Return,
    ]))
}

fn conditions(random: &mut Random, shape: Shape, number: u32) -> Conditions {
    let mut conditions = match shape {
        Shape::Mixed | Shape::JumpGraph | Shape::Accounting => mixed(random),
        Shape::Wildcards => Conditions {
            protocol: test(random, 8, |random| random.pick(&[0, 0, 6, 17])),
            ..Conditions::ANY
        },
        Shape::NestedPrefixes => Conditions {
            source: Test::is(nested(random)),
            destination: Test::is(nested(random)),
            ..Conditions::ANY
        },
        Shape::PortLadder => port_ladder(random, number),
        Shape::Inversions => inverted(random, number),
        Shape::Kinds => Conditions {
            source: Test::is(address(random)),
            protocol: test(random, 4, protocol),
            source_ports: test(random, 3, ports),
            ..Conditions::ANY
        },
        Shape::OddMasks => Conditions {
            source: test(random, 4, odd_mask),
            destination: test(random, 4, odd_mask),
            ..Conditions::ANY
        },
        Shape::Interfaces => Conditions {
            source: Test::is(address(random)),
            interface: test(random, 3, interface),
            ..Conditions::ANY
        },
        Shape::Exact => exact(random),
    };
    if matches!(shape, Shape::Kinds | Shape::Mixed | Shape::JumpGraph) {
        let sense = |random: &mut Random| {
            random.pick(&[None, None, None, Some(Sense::Set), Some(Sense::Clear)])
        };
        conditions.fragment = sense(random);
        conditions.syn = sense(random);
    }
    if random.one_in(5) {
        conditions.ports_of = PortsOf::EveryProtocol;
    }
    conditions
}

fn mixed(random: &mut Random) -> Conditions {
    Conditions {
        source: test(random, 8, address),
        destination: test(random, 8, address),
        interface: match random.one_in(3) {
            true => test(random, 5, interface),
            false => Test::is(InterfacePattern::ANY),
        },
        protocol: test(random, 8, protocol),
        source_ports: test(random, 6, ports),
        destination_ports: test(random, 6, ports),
        ..Conditions::ANY
    }
}

fn port_ladder(random: &mut Random, number: u32) -> Conditions {
    let first = (number * 7) as u16;
    let width = random.pick(&[0, 1, 100, 10_000]);
    Conditions {
        protocol: Test::is(random.pick(&[6, 17])),
        source_ports: test(random, 10, |_| PortRange {
            first,
            last: first.saturating_add(width),
        }),
        destination_ports: test(random, 10, ports),
        ..Conditions::ANY
    }
}

/// Half of the conditions inverted, in turn.
fn inverted(random: &mut Random, number: u32) -> Conditions {
    let mut conditions = mixed(random);
    let inversion = |even: bool| match number.is_multiple_of(2) == even {
        true => Test::<()>::is(()).inverted,
        false => Test::<()>::is_not(()).inverted,
    };
    conditions.source.inverted = inversion(true);
    conditions.destination.inverted = inversion(false);
    conditions.protocol.inverted = inversion(true);
    conditions.source_ports.inverted = inversion(false);
    conditions.destination_ports.inverted = inversion(true);
    conditions
}

fn exact(random: &mut Random) -> Conditions {
    let host = |random: &mut Random| Network::with_prefix(0x0a00_0000 + random.below(4096), 32);
    let any_or_host = |random: &mut Random| match random.one_in(3) {
        true => Network::with_prefix(0x0a00_0000, random.pick(&[0, 8, 20, 24])),
        false => host(random),
    };
    Conditions {
        source: Test::is(any_or_host(random)),
        destination: Test::is(host(random)),
        protocol: Test::is(random.pick(&[6, 17])),
        destination_ports: Test::is(ports(random)),
        ..Conditions::ANY
    }
}

/// A condition, inverted once in `times`.
fn test<T>(random: &mut Random, times: u32, value: impl Fn(&mut Random) -> T) -> Test<T> {
    match random.one_in(times) {
        true => Test::is_not(value(random)),
        false => Test::is(value(random)),
    }
}

fn address(random: &mut Random) -> Network {
    let host = 0x0a00_0000 | random.below(4) << 16 | random.below(4) << 8 | random.below(16);
    match random.below(8) {
        0 => Network::new(host, random.pick(&[0xff00_00ff, 0x0000_000f, 0xffff_00ff])),
        1 | 2 => Network::ANY,
        _ => Network::with_prefix(host, random.pick(&[1, 7, 8, 15, 16, 23, 24, 28, 31, 32])),
    }
}

fn nested(random: &mut Random) -> Network {
    Network::with_prefix(0x0a01_0203, random.below(33) as u8)
}

fn odd_mask(random: &mut Random) -> Network {
    let mask = random.next() & random.next();
    Network::new(0x0a01_0203 ^ random.below(4), mask as u32)
}

fn protocol(random: &mut Random) -> u16 {
    random.pick(&[0, 0, 1, 6, 6, 6, 17, 17, 47, 255, 256, 65535])
}

fn ports(random: &mut Random) -> PortRange {
    let first = random.pick(&[0, 0, 1, 20, 53, 80, 1023, 1024, 8080, 65534, 65535]);
    let last = random.pick(&[0, 20, 53, 80, 1023, 1024, 65534, 65535, 65535]);
    match random.below(6) {
        0 | 1 => PortRange::ALL,
        // Often empty.
        2 => PortRange { first, last },
        3 => PortRange {
            first: first.min(last),
            last: last.max(first),
        },
        _ => PortRange::single(first),
    }
}

fn interface(random: &mut Random) -> InterfacePattern {
    let name = |name: &str| InterfaceName::new(name).unwrap_or(InterfaceName::EMPTY);
    match random.below(3) {
        0 => InterfacePattern::Exact(name(random.pick(&INTERFACES))),
        1 => InterfacePattern::Prefix(name(random.pick(&["", "e", "eth", "eth1", "ppp", "z"]))),
        _ => InterfacePattern::Exact(name(&format!("tap{}", random.below(40)))),
    }
}
