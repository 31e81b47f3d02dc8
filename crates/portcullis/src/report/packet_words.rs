//! Packets in the words of people who look after services.

use std::net::Ipv4Addr;

use portcullis_core::packet::{PacketKey, protocol};
use portcullis_core::ruleset::PortRange;
use portcullis_syntax::names::{Names, Transport, icmp_name_for, protocol_name};

/// What a packet is about: `tcp to http`, `tcp from ftp-data`,
/// `icmp echo-request`, `gre`.
pub(crate) fn service(key: &PacketKey, names: &Names) -> String {
    let protocol = protocol_words(key.protocol);
    if key.fragment {
        return format!("{protocol} fragments");
    }
    if key.protocol == protocol::ICMP {
        return format!("icmp {}", icmp(key.source_port, key.destination_port));
    }
    let Some(transport) = transport(key.protocol) else {
        return protocol;
    };
    let known = |port| port < 1024 || names.service_name(port, transport).is_some();
    if !known(key.destination_port) && key.source_port < 1024 {
        let port = port(key.source_port, transport, names);
        return format!("{protocol} from {port}");
    }
    let port = port(key.destination_port, transport, names);
    format!("{protocol} to {port}")
}

/// `tcp 192.0.2.7:ftp-data > 198.51.100.1:61394 SYN`.
pub(crate) fn packet(key: &PacketKey, names: &Names) -> String {
    let protocol = protocol_words(key.protocol);
    let [from, to] = [key.source, key.destination].map(Ipv4Addr::from_bits);
    if key.fragment {
        return format!("{protocol} {from} > {to} fragment");
    }
    if key.protocol == protocol::ICMP {
        let kind = icmp(key.source_port, key.destination_port);
        return format!("{protocol} {from} > {to} {kind}");
    }
    let Some(transport) = transport(key.protocol) else {
        return format!("{protocol} {from} > {to}");
    };
    let [a, b] = [key.source_port, key.destination_port].map(|it| port(it, transport, names));
    let syn = if key.syn { " SYN" } else { "" };
    format!("{protocol} {from}:{a} > {to}:{b}{syn}")
}

/// A protocol's name, or its number.
pub(crate) fn protocol_words(number: u8) -> String {
    match protocol_name(number.into()) {
        Some(name) if number != 0 => name.to_owned(),
        _ => format!("protocol {number}"),
    }
}

fn transport(number: u8) -> Option<Transport> {
    match number {
        protocol::TCP => Some(Transport::Tcp),
        protocol::UDP => Some(Transport::Udp),
        _ => None,
    }
}

fn port(port: u16, transport: Transport, names: &Names) -> String {
    match names.service_name(port, transport) {
        Some(name) => name.to_owned(),
        None => port.to_string(),
    }
}

fn icmp(kind: u16, code: u16) -> String {
    let name = |codes| icmp_name_for(PortRange::single(kind), codes);
    match name(PortRange::single(code)).or_else(|| name(PortRange::ALL)) {
        Some(name) => name.to_owned(),
        None => format!("type {kind} code {code}"),
    }
}
