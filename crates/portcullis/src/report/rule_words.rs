//! Rules as people write them.

use std::net::Ipv4Addr;

use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{Conditions, InterfacePattern, Network, PortRange, Rule, Sense};
use portcullis_syntax::names::icmp_name_for;

/// What stands behind `ipchains -A CHAIN` for a rule without inversions, TOS,
/// mark and copy: `-i eth0 -p tcp -s 192.0.2.7 20 -d 198.51.100.1 -j ACCEPT`.
pub(crate) fn rule_words(rule: &Rule) -> String {
    let it = &rule.conditions;
    let mut words = Vec::new();
    match &it.interface.value {
        InterfacePattern::Exact(name) => words.push(format!("-i {name}")),
        InterfacePattern::Prefix(name) if name.as_str().is_empty() => {}
        InterfacePattern::Prefix(name) => words.push(format!("-i {name}+")),
    }
    let icmp = it.protocol.value == u16::from(protocol::ICMP);
    match u8::try_from(it.protocol.value) {
        Ok(0) => {}
        Ok(protocol::ICMP) => words.push("-p icmp".to_owned()),
        Ok(protocol::TCP) => words.push("-p tcp".to_owned()),
        Ok(protocol::UDP) => words.push("-p udp".to_owned()),
        _ => words.push(format!("-p {}", it.protocol.value)),
    }
    let named = icmp_name(it).filter(|_| icmp);
    let (from, to) = match named {
        Some(_) => (PortRange::ALL, PortRange::ALL),
        None => (it.source_ports.value, it.destination_ports.value),
    };
    words.extend(named.map(|name| format!("--icmp-type {name}")));
    words.extend(side("-s", &it.source.value, from));
    words.extend(side("-d", &it.destination.value, to));
    match it.syn {
        Some(Sense::Set) => words.push("-y".to_owned()),
        Some(Sense::Clear) => words.push("! -y".to_owned()),
        None => {}
    }
    if let Some(target) = &rule.target {
        words.push(format!("-j {}", target.as_str()));
    }
    if rule.log {
        words.push("-l".to_owned());
    }
    words.join(" ")
}

fn icmp_name(it: &Conditions) -> Option<&'static str> {
    icmp_name_for(it.source_ports.value, it.destination_ports.value)
}

fn side(option: &str, network: &Network, ports: PortRange) -> Option<String> {
    let ports = match ports {
        PortRange::ALL => String::new(),
        PortRange { first, last } if first == last => format!(" {first}"),
        PortRange { first, last } => format!(" {first}:{last}"),
    };
    let address = Ipv4Addr::from_bits(network.address());
    match network.prefix_length() {
        Some(0) if ports.is_empty() => None,
        Some(0) => Some(format!("{option} 0/0{ports}")),
        Some(32) => Some(format!("{option} {address}{ports}")),
        Some(length) => Some(format!("{option} {address}/{length}{ports}")),
        None => {
            let mask = Ipv4Addr::from_bits(network.mask());
            Some(format!("{option} {address}/{mask}{ports}"))
        }
    }
}
