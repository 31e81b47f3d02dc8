//! The packet that nearly every packet is, read in one go.

use super::key::{PacketKey, protocol};

/// A whole IPv4 packet without options that is no fragment.
///
/// Says of such a packet what [`Ipv4Packet`](super::Ipv4Packet) says of any,
/// without the questions that only others need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainPacket {
    /// Source, then destination.
    addresses: u64,
    /// What stands for the source port, then for the destination port.
    ports: u32,
    /// Protocol, then whether it opens a connection: as in
    /// [`PacketKey::words`].
    kind: u32,
    total_length: u16,
    ttl: u8,
}

/// For each protocol the least total length that has room for the fields the
/// kernel reads.
const LEAST: [u8; 256] = {
    let mut least = [20; 256];
    least[protocol::TCP as usize] = 36;
    least[protocol::UDP as usize] = 28;
    least[protocol::ICMP as usize] = 28;
    least
};

impl PlainPacket {
    /// How many bytes hold the header, ports and TCP flags.
    pub const HEAD: usize = 34;

    /// Reads a packet that is received intact; `None` where that takes a closer
    /// look. `length` is the packet's length in bytes, on the wire or as far as
    /// it was captured, whichever is more.
    ///
    /// TCP and UDP alternate from packet to packet, so nothing here branches on
    /// which of them it is.
    #[inline(always)]
    pub fn read(head: &[u8; Self::HEAD], length: usize) -> Option<Self> {
        // Fields are picked from few words: byte n of the header stands at bit
        // 8n of the first, or 8(n - 8) of the second.
        let (first, second) = (
            u64::from_le_bytes(at(head, 0)),
            u64::from_le_bytes(at(head, 8)),
        );
        // Version 4, no options, no more fragments, and no offset.
        let whole = first & 0xff3f_0000_0000_00ff == 0x45;
        let total_length = ((first >> 16) as u16).swap_bytes();
        let protocol = (second >> 8) as u8;
        let stated = usize::from(total_length);
        let least = usize::from(LEAST[usize::from(protocol)]);
        let fits = (stated >= least) & (stated <= length);
        // The sum of 16-bit words is intact if it is a multiple of 65,535, in
        // either byte order; and so is that of words of 64 bits with the carries
        // added (RFC 1071, section 2), which is never 0 here.
        let last = u64::from(u32::from_le_bytes(at(head, 16)));
        let (sum, carry) = first.overflowing_add(second);
        let (sum, again) = (sum + u64::from(carry)).overflowing_add(last);
        let intact = (sum + u64::from(again)) % 0xffff == 0;
        if !(whole & fits & intact) {
            return None;
        }
        let start = u32::from_be_bytes(at(head, 20));
        let tcp = protocol == protocol::TCP;
        let ports = match tcp | (protocol == protocol::UDP) {
            true => start,
            false => other_ports(protocol, start),
        };
        let syn = tcp & PacketKey::opens(head[33]);
        Some(Self {
            addresses: u64::from_be_bytes(at(head, 12)),
            ports,
            kind: u32::from(protocol) << 8 | u32::from(syn),
            total_length,
            ttl: second as u8,
        })
    }

    /// What rules can test.
    #[inline(always)]
    pub fn key(&self) -> PacketKey {
        PacketKey {
            source: self.source(),
            destination: self.destination(),
            source_port: (self.ports >> 16) as u16,
            destination_port: self.ports as u16,
            protocol: (self.kind >> 8) as u8,
            fragment: false,
            syn: self.kind & 1 != 0,
        }
    }

    /// [`PacketKey::words`] of the key.
    #[inline(always)]
    pub fn words(&self) -> [u64; 2] {
        [
            self.addresses,
            u64::from(self.ports) << 32 | u64::from(self.kind),
        ]
    }

    /// Source address, first octet in the highest byte.
    #[inline(always)]
    pub fn source(&self) -> u32 {
        (self.addresses >> 32) as u32
    }

    /// Destination address, likewise.
    #[inline(always)]
    pub fn destination(&self) -> u32 {
        self.addresses as u32
    }

    /// Length of header and payload in bytes, as the header states it.
    #[inline(always)]
    pub fn total_length(&self) -> u16 {
        self.total_length
    }

    /// Time to live.
    #[inline(always)]
    pub fn ttl(&self) -> u8 {
        self.ttl
    }
}

/// Bytes from a place in the head that is known to hold them.
#[inline(always)]
fn at<const COUNT: usize>(head: &[u8; PlainPacket::HEAD], place: usize) -> [u8; COUNT] {
    *head[place..].first_chunk().unwrap_or(&[0; COUNT])
}

/// What stands for ports where there are none, in the order of ports.
#[cold]
fn other_ports(protocol: u8, start: u32) -> u32 {
    match protocol {
        protocol::ICMP => start >> 24 << 16 | start >> 16 & 0xff,
        _ => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::packet::{Ipv4Packet, Missing, header_checksum};

    fn slow(bytes: &[u8], wire_length: usize) -> Option<(PacketKey, u16, u8)> {
        let packet = Ipv4Packet::received(bytes, wire_length).ok()?;
        let plain = packet.header().len() == 20
            && packet.fragment_field() & 0x3fff == 0
            && packet.missing() == Missing::Nothing;
        let key = packet.key().ok().filter(|key| plain && !key.fragment)?;
        Some((key, packet.total_length(), packet.ttl()))
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
                        let head = bytes.first_chunk();
                        let length = wire.max(captured);
                        let quick = head.and_then(|head| PlainPacket::read(head, length));
                        let slow = slow(&bytes, wire).filter(|_| head.is_some());
                        let words = quick.map(|it| it.words());
                        assert_eq!(words, slow.map(|(key, ..)| key.words()));
                        let quick = quick.map(|it| (it.key(), it.total_length(), it.ttl()));
                        assert_eq!(quick, slow, "byte {at} = {value} of {captured}/{wire}");
                        plain += u32::from(quick.is_some());
                    }
                }
            }
        }
        assert!(plain > 50_000, "only {plain} plain packets");
    }
}
