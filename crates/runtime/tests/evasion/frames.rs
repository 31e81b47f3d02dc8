//! Frames as whoever means ill would build them.

use portcullis_core::packet::header_checksum;

pub(crate) const ATTACKER: [u8; 4] = [192, 0, 2, 66];
pub(crate) const US: [u8; 4] = [10, 0, 0, 1];
pub(crate) const BEHIND_US: [u8; 4] = [10, 0, 0, 7];

/// TCP flags.
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PUSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const URGENT: u8 = 32;
/// More fragments follow.
pub(crate) const MORE: u16 = 0x2000;

/// An IPv4 packet, right in all that is not changed on purpose.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) destination: [u8; 4],
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    /// Flags and offset.
    pub(crate) fragment: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn new(protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            destination: US,
            protocol,
            ttl: 64,
            fragment: 0,
            options: Vec::new(),
            payload,
        }
    }

    pub(crate) fn fragment(protocol: u8, fragment: u16, payload: &[u8]) -> Self {
        Self {
            fragment,
            ..Self::new(protocol, payload.to_vec())
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = 20 + self.options.len();
        let total = (header + self.payload.len()) as u16;
        let mut bytes = vec![0x40 | (header / 4) as u8, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend([0x12, 0x34]);
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(ATTACKER);
        bytes.extend(self.destination);
        bytes.extend(&self.options);
        let sum = header_checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The packet in an Ethernet frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        ethernet(&[], 0x0800, &self.bytes())
    }

    /// Its frame, with bytes of the packet changed and the checksum put right again.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = self.bytes();
        change(&mut bytes);
        bytes[10..12].fill(0);
        let sum = header_checksum(&bytes[..20]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        ethernet(&[], 0x0800, &bytes)
    }
}

/// A TCP header.
pub(crate) fn tcp(from: u16, to: u16, flags: u8) -> Vec<u8> {
    let mut header = [from.to_be_bytes(), to.to_be_bytes()].concat();
    header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    header
}

/// A UDP header and eight bytes.
pub(crate) fn udp(from: u16, to: u16) -> Vec<u8> {
    let mut datagram = [from.to_be_bytes(), to.to_be_bytes()].concat();
    datagram.extend([0, 16, 0, 0]);
    datagram.extend(*b"........");
    datagram
}

/// An Ethernet frame: tags as type and number, the type of what follows, and that.
pub(crate) fn ethernet(tags: &[(u16, u16)], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (kind, number) in tags {
        frame.extend(kind.to_be_bytes());
        frame.extend(number.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IPv6 packet to a web server.
pub(crate) fn ipv6() -> Vec<u8> {
    let segment = tcp(40000, 80, SYN);
    let mut packet = vec![0x60, 0, 0, 0, 0, segment.len() as u8, 6, 64];
    packet.extend([0x20; 32]);
    packet.extend(segment);
    packet
}
