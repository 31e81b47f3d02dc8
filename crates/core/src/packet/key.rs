//! The fields of a packet that rules can test, and the checks before them.

use super::ipv4::Ipv4Packet;

/// Protocol numbers with ports or types of their own.
pub mod protocol {
    /// Internet control messages: type and code stand where ports do.
    pub const ICMP: u8 = 1;
    /// Transmission control protocol.
    pub const TCP: u8 = 6;
    /// User datagrams.
    pub const UDP: u8 = 17;
}

/// What rules can test of a packet, the interface aside (which belongs to the
/// [`Step`](crate::traversal::Step): one packet meets several).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PacketKey {
    /// Source address, first octet in the highest byte.
    pub source: u32,
    /// Destination address, likewise.
    pub destination: u32,
    /// Source port of TCP and UDP, type of ICMP, 65535 of all else and of
    /// fragments (§3.4).
    pub source_port: u16,
    /// Destination port, ICMP code, or 65535.
    pub destination_port: u16,
    /// Protocol number.
    pub protocol: u8,
    /// Not the start of the payload, or too short for its ports (§3.3).
    pub fragment: bool,
    /// TCP opening a connection: SYN set, ACK and RST clear (§3.5).
    pub syn: bool,
}

impl PacketKey {
    /// The port that stands for "none".
    pub const NO_PORT: u16 = 0xffff;

    /// The same fields in two words that are equal where keys are: compared
    /// without a branch for each field. Never all ones.
    #[inline(always)]
    pub fn words(&self) -> [u64; 2] {
        let addresses = u64::from(self.source) | u64::from(self.destination) << 32;
        let ports = u64::from(self.source_port) | u64::from(self.destination_port) << 16;
        let kind =
            u64::from(self.protocol) | u64::from(self.fragment) << 8 | u64::from(self.syn) << 16;
        [addresses, ports | kind << 32]
    }

    /// Whether TCP flags are those of a packet that opens a connection (§3.5).
    #[inline(always)]
    pub(super) const fn opens(flags: u8) -> bool {
        flags & (TCP_SYN | TCP_ACK | TCP_RST) == TCP_SYN
    }
}

/// A fragment that is dropped before any rule sees it (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suspect {
    /// A TCP fragment at offset 1, which would overwrite the flags.
    TcpFragment,
    /// A first fragment too short for its ports and flags.
    ShortFirstFragment,
}

/// Fields that a rule may ask for and the capture does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Everything is there.
    Nothing,
    /// The TCP flags.
    Flags,
    /// Ports (or ICMP type and code) and TCP flags.
    PortsAndFlags,
}

/// Where the TCP flags stand in the header, in bytes.
const TCP_FLAGS: usize = 13;
const TCP_SYN: u8 = 0x02;
const TCP_RST: u8 = 0x04;
const TCP_ACK: u8 = 0x10;

impl Ipv4Packet<'_> {
    /// The key of this packet, or the pre-check that drops it (§3).
    ///
    /// Fields named by [`missing`](Self::missing) read as zero.
    #[inline]
    pub fn key(&self) -> Result<PacketKey, Suspect> {
        let protocol = self.protocol();
        let offset = self.fragment_offset();
        if offset == 1 && protocol == protocol::TCP {
            return Err(Suspect::TcpFragment);
        }
        let short = offset == 0 && self.is_short();
        if short && self.more_fragments() {
            return Err(Suspect::ShortFirstFragment);
        }
        let mut key = PacketKey {
            source: self.source(),
            destination: self.destination(),
            source_port: PacketKey::NO_PORT,
            destination_port: PacketKey::NO_PORT,
            protocol,
            fragment: offset != 0 || short,
            syn: false,
        };
        if !key.fragment {
            self.read_ports(&mut key);
        }
        Ok(key)
    }

    /// What the capture lacks of the fields that [`key`](Self::key) reads.
    #[inline]
    pub fn missing(&self) -> Missing {
        let captured = self.payload().len();
        let (ports, flags) = match self.protocol() {
            protocol::TCP => (4, TCP_FLAGS + 1),
            protocol::UDP => (4, 4),
            protocol::ICMP => (2, 2),
            _ => return Missing::Nothing,
        };
        if captured >= flags || self.fragment_offset() != 0 || self.is_short() {
            Missing::Nothing
        } else if captured >= ports {
            Missing::Flags
        } else {
            Missing::PortsAndFlags
        }
    }

    /// Whether the stated length has no room for the fields the kernel reads.
    #[inline]
    fn is_short(&self) -> bool {
        let needed = match self.protocol() {
            protocol::TCP => 16,
            protocol::UDP | protocol::ICMP => 8,
            _ => 0,
        };
        usize::from(self.total_length()) < self.header().len() + needed
    }

    #[inline]
    fn read_ports(&self, key: &mut PacketKey) {
        let payload = self.payload();
        let start = payload.first_chunk::<4>().copied().unwrap_or_else(|| {
            let mut start = [0; 4];
            start[..payload.len()].copy_from_slice(payload);
            start
        });
        match key.protocol {
            protocol::TCP | protocol::UDP => {
                key.source_port = u16::from_be_bytes([start[0], start[1]]);
                key.destination_port = u16::from_be_bytes([start[2], start[3]]);
            }
            protocol::ICMP => {
                key.source_port = u16::from(start[0]);
                key.destination_port = u16::from(start[1]);
            }
            _ => {}
        }
        let flags = payload.get(TCP_FLAGS).copied().unwrap_or(0);
        key.syn = key.protocol == protocol::TCP && PacketKey::opens(flags);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn packet(protocol: u8, fragment: u16, total: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = alloc::vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn key(bytes: &[u8]) -> Result<PacketKey, Suspect> {
        Ipv4Packet::sent(bytes, bytes.len()).unwrap().key()
    }

    fn tcp(flags: u8) -> [u8; 20] {
        let mut header = [0; 20];
        header[..4].copy_from_slice(&[4, 0, 0, 80]);
        header[13] = flags;
        header
    }

    #[test]
    fn syn_looks_at_syn_ack_and_rst_only() {
        for (flags, syn) in [(0x02, true), (0xc3, true), (0x12, false), (0x06, false)] {
            let key = key(&packet(6, 0, 40, &tcp(flags))).unwrap();
            assert_eq!(key.syn, syn, "flags {flags:#x}");
            assert_eq!((key.source_port, key.destination_port), (1024, 80));
        }
    }

    #[test]
    fn words_differ_where_keys_do() {
        let plain = key(&packet(6, 0, 40, &tcp(2))).unwrap();
        let others = [
            PacketKey { source: 1, ..plain },
            PacketKey {
                destination: 1,
                ..plain
            },
            PacketKey {
                source_port: 1,
                ..plain
            },
            PacketKey {
                destination_port: 1,
                ..plain
            },
            PacketKey {
                protocol: 17,
                ..plain
            },
            PacketKey {
                fragment: true,
                ..plain
            },
            PacketKey {
                syn: false,
                ..plain
            },
        ];
        for (number, other) in others.iter().enumerate() {
            assert_ne!(plain.words(), other.words());
            for another in &others[number + 1..] {
                assert_ne!(other.words(), another.words());
            }
        }
    }

    #[test]
    fn suspects_are_dropped_before_rules() {
        let offset_one = packet(6, 0x0001, 40, &tcp(2));
        assert_eq!(key(&offset_one), Err(Suspect::TcpFragment));
        let tiny = packet(17, 0x2000, 27, &[0; 7]);
        assert_eq!(key(&tiny), Err(Suspect::ShortFirstFragment));
    }

    #[test]
    fn short_packets_count_as_fragments() {
        let key = key(&packet(17, 0, 27, &[0; 7])).unwrap();
        assert!(key.fragment);
        assert_eq!(key.source_port, PacketKey::NO_PORT);
    }

    #[test]
    fn what_the_snap_length_took_is_missing() {
        let bytes = packet(6, 0, 40, &tcp(2));
        let missing = |captured| {
            Ipv4Packet::sent(&bytes[..captured], bytes.len())
                .unwrap()
                .missing()
        };
        assert_eq!(missing(34), Missing::Nothing);
        assert_eq!(missing(33), Missing::Flags);
        assert_eq!(missing(23), Missing::PortsAndFlags);
    }
}
