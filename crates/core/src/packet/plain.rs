//! The packet that nearly every packet is, read in one go.

use super::key::{PacketKey, protocol};

/// A whole IPv4 packet without options that is no fragment.
///
/// Says of such a packet what [`Ipv4Packet`](super::Ipv4Packet) says of any,
/// without the questions that only others need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainPacket {
    /// What rules can test.
    pub key: PacketKey,
    /// Length of header and payload in bytes, as the header states it.
    pub total_length: u16,
}

/// The header and as much of the payload as holds ports and TCP flags.
const HEAD: usize = 34;

impl PlainPacket {
    /// Reads a packet that is received intact; `None` where that takes a closer
    /// look. `wire_length` is the packet's length on the wire in bytes.
    #[inline(always)]
    pub fn read(bytes: &[u8], wire_length: usize) -> Option<Self> {
        let head = bytes.first_chunk::<HEAD>()?;
        let two = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let four = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let (total_length, protocol) = (two(2), head[9]);
        let tcp = protocol == protocol::TCP;
        let least = match protocol {
            protocol::TCP => 36,
            protocol::UDP | protocol::ICMP => 28,
            _ => 20,
        };
        let length = usize::from(total_length);
        let fits = length >= least && length <= wire_length.max(bytes.len());
        // More fragments, or an offset.
        let whole = two(6) & 0x3fff == 0;
        // The sum of words is intact in either byte order (RFC 1071, section 2).
        let sum: u64 = [0, 4, 8, 12, 16]
            .map(|at| u64::from(u32::from_ne_bytes(four(at))))
            .iter()
            .sum();
        let sum = (sum & 0xffff_ffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        let intact = (sum & 0xffff) + (sum >> 16) == 0xffff;
        if !((head[0] == 0x45) & fits & whole & intact) {
            return None;
        }
        let (source_port, destination_port) = match protocol {
            protocol::TCP | protocol::UDP => (two(20), two(22)),
            protocol::ICMP => (u16::from(head[20]), u16::from(head[21])),
            _ => (PacketKey::NO_PORT, PacketKey::NO_PORT),
        };
        let key = PacketKey {
            source: u32::from_be_bytes(four(12)),
            destination: u32::from_be_bytes(four(16)),
            source_port,
            destination_port,
            protocol,
            fragment: false,
            syn: tcp & PacketKey::opens(head[33]),
        };
        Some(Self { key, total_length })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::packet::{Ipv4Packet, Missing, header_checksum};

    fn slow(bytes: &[u8], wire_length: usize) -> Option<PlainPacket> {
        let packet = Ipv4Packet::received(bytes, wire_length).ok()?;
        let plain = packet.header().len() == 20
            && packet.fragment_field() & 0x3fff == 0
            && packet.missing() == Missing::Nothing;
        let key = packet.key().ok().filter(|key| plain && !key.fragment)?;
        let total_length = packet.total_length();
        Some(PlainPacket { key, total_length })
    }

    /// Every value of every byte of the head, alone and with the checksum put
    /// right after it, at several lengths.
    #[test]
    fn says_what_the_closer_look_says() {
        let mut plain = 0;
        for protocol in [1, 6, 17, 47] {
            for (captured, wire) in [(60, 60), (46, 46), (34, 60), (34, 34), (33, 60), (50, 48)] {
                for (at, value) in (0..36).flat_map(|at| (0..=255).map(move |it| (at, it))) {
                    let mut bytes = vec![0; captured];
                    bytes[..12].copy_from_slice(&[0x45, 0, 0, 46, 9, 9, 64, 0, 9, protocol, 0, 0]);
                    bytes[12..24].copy_from_slice(&[10, 1, 2, 3, 200, 4, 5, 6, 1, 2, 3, 4]);
                    for fixed in [false, true] {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = value;
                        }
                        if fixed {
                            bytes[10..12].fill(0);
                            let sum = header_checksum(&bytes[..20]);
                            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
                        }
                        let quick = PlainPacket::read(&bytes, wire);
                        let slow = slow(&bytes, wire).filter(|_| captured >= HEAD);
                        assert_eq!(quick, slow, "byte {at} = {value} of {captured}/{wire}");
                        plain += u32::from(quick.is_some());
                    }
                }
            }
        }
        assert!(plain > 50_000, "only {plain} plain packets");
    }
}
