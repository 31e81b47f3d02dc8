//! Why a packet gets its verdict: every rule that it met, and what was wrong.

use std::fmt;
use std::net::Ipv4Addr;

use portcullis_core::matcher::{Ending, Place, Trace};
use portcullis_core::packet::protocol;
use portcullis_core::reference::{Outcome, Reference};
use portcullis_core::ruleset::{
    Conditions, Field, InterfacePattern, Network, PortRange, Sense, Test,
};

use crate::Packet;

/// A packet's way through a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The rules that it was compared with, in order; no more than asked for.
    pub considered: Vec<Considered>,
    /// How many there were.
    pub count: usize,
    /// Where it came out.
    pub outcome: Outcome,
    /// How the walk ended. After [`Ending::Rule`] the last rule that matched
    /// gave the verdict.
    pub ending: Ending,
    /// The rules that matched.
    pub matched: Vec<Place>,
}

/// A rule that a packet was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The rule.
    pub place: Place,
    /// The first condition that the packet fails; `None` if the rule matches.
    pub failed: Option<Field>,
}

/// Follows a packet from the start of chain number `chain`, with the reference
/// matcher's own walk. Notes at most `most` rules.
///
/// # Panics
///
/// If the ruleset has no such chain.
pub fn explain(reference: &Reference, chain: usize, packet: &Packet, most: usize) -> Explanation {
    let mut trace = Trace::new();
    let (mut considered, mut count) = (Vec::new(), 0);
    let Packet { interface, key } = packet;
    let outcome = reference.walk_noting(chain, interface, key, &mut trace, |place, failed| {
        count += 1;
        if considered.len() < most {
            considered.push(Considered { place, failed });
        }
    });
    Explanation {
        considered,
        count,
        outcome,
        ending: trace.ending(),
        matched: trace.matched().to_vec(),
    }
}

/// Why a packet fails a condition, as half a sentence: `source 192.0.2.7 is
/// not in 10.0.0.0/8`.
pub fn reason(field: Field, conditions: &Conditions, packet: &Packet) -> String {
    let key = &packet.key;
    let icmp = key.protocol == protocol::ICMP;
    match field {
        Field::Source => network("source", key.source, &conditions.source),
        Field::Destination => network("destination", key.destination, &conditions.destination),
        Field::Interface => {
            let (name, test) = (packet.interface, &conditions.interface);
            let is = if test.is_inverted() { "is" } else { "is not" };
            match test.value {
                InterfacePattern::Prefix(prefix) => format!("interface {name} {is} {prefix}+"),
                InterfacePattern::Exact(other) => format!("interface {name} {is} {other}"),
            }
        }
        Field::Fragment if key.fragment => "it is a fragment".to_owned(),
        Field::Fragment => "it is no fragment".to_owned(),
        Field::Syn if key.fragment => {
            "it is a fragment, which neither -y nor ! -y meets".to_owned()
        }
        Field::Syn => match conditions.syn {
            Some(Sense::Clear) => "it opens a connection".to_owned(),
            _ => "it does not open a connection".to_owned(),
        },
        Field::Protocol => {
            let is = is_word(&conditions.protocol, "is");
            let (own, asked) = (u16::from(key.protocol), conditions.protocol.value);
            format!("protocol {} {is} {}", Protocol(own), Protocol(asked))
        }
        Field::SourcePort if key.fragment => "a fragment has no ports".to_owned(),
        Field::DestinationPort if key.fragment => "a fragment has no ports".to_owned(),
        Field::SourcePort => {
            let what = if icmp { "ICMP type" } else { "source port" };
            port(what, key.source_port, &conditions.source_ports)
        }
        Field::DestinationPort => {
            let what = if icmp {
                "ICMP code"
            } else {
                "destination port"
            };
            port(what, key.destination_port, &conditions.destination_ports)
        }
    }
}

fn is_word<T>(test: &Test<T>, is: &str) -> String {
    let not = if test.is_inverted() { "" } else { " not" };
    format!("{is}{not}")
}

fn network(what: &str, address: u32, test: &Test<Network>) -> String {
    let address = Ipv4Addr::from_bits(address);
    let base = Ipv4Addr::from_bits(test.value.address());
    let is = is_word(test, "is");
    match test.value.prefix_length() {
        Some(32) => format!("{what} {address} {is} {base}"),
        Some(length) => format!("{what} {address} {is} in {base}/{length}"),
        None => {
            let mask = Ipv4Addr::from_bits(test.value.mask());
            format!("{what} {address} {is} in {base}/{mask}")
        }
    }
}

fn port(what: &str, port: u16, test: &Test<PortRange>) -> String {
    let PortRange { first, last } = test.value;
    let is = is_word(test, "is");
    if first == last {
        format!("{what} {port} {is} {first}")
    } else {
        format!("{what} {port} {is} in {first}:{last}")
    }
}

struct Protocol(u16);

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ICMP: u16 = protocol::ICMP as u16;
        const TCP: u16 = protocol::TCP as u16;
        const UDP: u16 = protocol::UDP as u16;
        match self.0 {
            ICMP => f.write_str("icmp"),
            TCP => f.write_str("tcp"),
            UDP => f.write_str("udp"),
            number => write!(f, "{number}"),
        }
    }
}
