//! Rule sets like those that firewalls and routers have.

use portcullis_core::ruleset::{Conditions, Network, PortRange, PortsOf, Rule, Target, Test};

use crate::random::Random;

/// What made-up rules are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// A router's access list: destinations and services, few wildcards.
    Acl,
    /// A firewall: many wildcards and port ranges.
    Fw,
    /// Chains of a host: both ends, mixed.
    Ipc,
}

/// Ports of well-known services.
const SERVICES: [u16; 12] = [20, 21, 22, 23, 25, 53, 80, 110, 123, 143, 443, 3128];

/// Makes `count` rules that accept or deny.
pub fn rules(random: &mut Random, kind: RuleKind, count: usize) -> Vec<Rule> {
    // Networks that the rules are about, so that addresses share prefixes.
    let sites = (count as f64).sqrt() as u32 + 4;
    let networks: Vec<u32> = (0..sites)
        .map(|_| random.next() as u32 & 0xffff_ff00)
        .collect();
    (0..count)
        .map(|_| Rule {
            conditions: conditions(random, kind, &networks),
            target: Some(random.pick(&[Target::Accept, Target::Deny])),
            ..Rule::ANY
        })
        .collect()
}

fn conditions(random: &mut Random, kind: RuleKind, networks: &[u32]) -> Conditions {
    // Out of a hundred: source and destination left open, exact ports.
    let (open_source, open_destination, exact_ports) = match kind {
        RuleKind::Acl => (15, 1, 80),
        RuleKind::Fw => (45, 30, 45),
        RuleKind::Ipc => (15, 15, 55),
    };
    let mut address = |open: u32| {
        let network = random.pick(networks) | random.below(256);
        match random.below(100) < open {
            true => Network::with_prefix(network, random.pick(&[0, 0, 0, 1, 2, 4])),
            false => Network::with_prefix(network, random.pick(&[16, 24, 24, 27, 30, 32, 32, 32])),
        }
    };
    let (source, destination) = (address(open_source), address(open_destination));
    let protocol = random.pick(&[6, 6, 6, 6, 17, 17, 1, 0]);
    let ports = match random.below(100) {
        share if share < exact_ports => PortRange::single(match random.one_in(3) {
            true => random.between(1024, 65535) as u16,
            false => random.pick(&SERVICES),
        }),
        share if share < exact_ports + 15 => PortRange {
            first: 1024,
            last: 65535,
        },
        share if share < exact_ports + 20 => {
            let first = random.between(0, 65000) as u16;
            let width = random.between(1, 500) as u16;
            PortRange {
                first,
                last: first + width,
            }
        }
        _ => PortRange::ALL,
    };
    Conditions {
        source: Test::is(source),
        destination: Test::is(destination),
        protocol: Test::is(protocol),
        source_ports: Test::is(match random.one_in(12) {
            true => PortRange::single(random.pick(&SERVICES)),
            false => PortRange::ALL,
        }),
        destination_ports: Test::is(ports),
        ports_of: PortsOf::EveryProtocol,
        ..Conditions::ANY
    }
}
