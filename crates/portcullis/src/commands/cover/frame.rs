//! A packet of which rules see what they are meant to see.

use portcullis_core::packet::{PacketKey, header_checksum, protocol};

/// Where a later fragment begins, in units of 8 bytes: after one that filled
/// an Ethernet frame.
const FRAGMENT_OFFSET: u16 = 185;

/// The bytes of an IPv4 packet with this key; checksums are right.
pub(super) fn frame(key: &PacketKey, id: u16) -> Vec<u8> {
    let payload = match (key.fragment, key.protocol) {
        (false, protocol::TCP) => tcp(key),
        (false, protocol::UDP) => udp(key),
        (false, protocol::ICMP) => icmp(key),
        _ => vec![0; 8],
    };
    let length = 20 + payload.len() as u16;
    let offset = if key.fragment { FRAGMENT_OFFSET } else { 0 };
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes.extend([64, key.protocol, 0, 0]);
    bytes.extend(key.source.to_be_bytes());
    bytes.extend(key.destination.to_be_bytes());
    put_checksum(&mut bytes, 10);
    bytes.extend(payload);
    bytes
}

fn tcp(key: &PacketKey) -> Vec<u8> {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let flags = if key.syn { SYN } else { ACK };
    let mut bytes = ports(key);
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    over_addresses(key, bytes, 16)
}

fn udp(key: &PacketKey) -> Vec<u8> {
    let mut bytes = ports(key);
    bytes.extend([0, 8, 0, 0]);
    over_addresses(key, bytes, 6)
}

/// Type and code stand where ports do, a byte each.
fn icmp(key: &PacketKey) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes[0] = key.source_port as u8;
    bytes[1] = key.destination_port as u8;
    put_checksum(&mut bytes, 2);
    bytes
}

fn ports(key: &PacketKey) -> Vec<u8> {
    let ports = [key.source_port, key.destination_port];
    ports.into_iter().flat_map(u16::to_be_bytes).collect()
}

/// Puts the checksum in that covers addresses, protocol and length as well.
fn over_addresses(key: &PacketKey, mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let mut covered = Vec::new();
    covered.extend(key.source.to_be_bytes());
    covered.extend(key.destination.to_be_bytes());
    covered.extend([0, key.protocol]);
    covered.extend((bytes.len() as u16).to_be_bytes());
    covered.extend(&bytes);
    let sum = header_checksum(&covered);
    // To UDP, 0 means that there is no checksum.
    let sum = if sum == 0 { 0xffff } else { sum };
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn put_checksum(bytes: &mut [u8], at: usize) {
    let sum = header_checksum(bytes);
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
