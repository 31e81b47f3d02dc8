//! The packet-log line: one description that is written and read (§6.1).

mod read;
mod write;

use core::fmt;

use crate::names::{ChainName, InterfaceName};
use crate::packet::{IpOptions, PacketKey, protocol};

/// A line as the kernel printed it for a rule with `-l`.
///
/// `Display` writes it without syslog prefix and line end; `FromStr` reads
/// exactly what `Display` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketLog {
    /// The chain that holds the rule.
    pub chain: ChainName,
    /// The rule's target by name, `-` if it has none.
    pub target: ChainName,
    /// The port of a REDIRECT rule.
    pub redirect_port: Option<u16>,
    /// The interface that the chain was called with.
    pub interface: InterfaceName,
    /// The packet itself.
    pub packet: LoggedPacket,
    /// Whether the packet opens a TCP connection.
    pub syn: bool,
    /// The rule's number in its chain, from 1.
    pub rule: u32,
}

/// The fields of a packet that log lines show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoggedPacket {
    /// Protocol number.
    pub protocol: u8,
    /// Source address, first octet in the highest byte.
    pub source: u32,
    /// Source port, ICMP type, or 65535.
    pub source_port: u16,
    /// Destination address.
    pub destination: u32,
    /// Destination port, ICMP code, or 65535.
    pub destination_port: u16,
    /// Total length in bytes.
    pub length: u16,
    /// TOS as it was before the rule's own change.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Fragment flags and offset.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// IP options.
    pub options: IpOptions,
}

impl PacketLog {
    /// What rules saw of the packet (§3).
    pub fn key(&self) -> PacketKey {
        let packet = &self.packet;
        let header = 20 + 4 * packet.options.words().len();
        let needed = match packet.protocol {
            protocol::TCP => 16,
            protocol::UDP | protocol::ICMP => 8,
            _ => 0,
        };
        let offset = packet.fragment & 0x1fff;
        PacketKey {
            source: packet.source,
            destination: packet.destination,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            protocol: packet.protocol,
            fragment: offset != 0 || usize::from(packet.length) < header + needed,
            syn: self.syn,
        }
    }
}

/// Why text is not a packet-log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsePacketLogError {
    /// Byte offset of the word that is wrong, or the length of the text.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl fmt::Display for ParsePacketLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

impl core::error::Error for ParsePacketLogError {}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    fn round_trip(line: &str) {
        let read: PacketLog = line.parse().unwrap();
        assert_eq!(read.to_string(), line);
    }

    #[test]
    fn lines_come_back_as_they_were() {
        round_trip(
            "Packet log: input DENY eth0 PROTO=6 10.1.2.3:1024 192.168.1.1:80 L=48 S=0x10 \
             I=65535 F=0x4000 T=1 O=0x04030201 O=0xD4C3B2A1 SYN (#1)",
        );
        round_trip(
            "Packet log: input REDIRECT 3128 eth0 PROTO=17 1.2.3.4:65535 5.6.7.8:65535 L=28 \
             S=0x00 I=0 F=0x00B6 T=255 (#12)",
        );
        round_trip(
            "Packet log: a-chain - ppp0 PROTO=1 1.2.3.4:8 5.6.7.8:0 L=84 S=0xC0 I=1 F=0x0000 \
             T=64 (#3)",
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (line, at, expected) in [
            ("Packet log: input", 18, "a target"),
            ("Packet log: input DENY eth0 PROTO=x", 28, "PROTO="),
            ("Packet log:  input", 12, "a chain"),
            ("", 0, "`Packet`"),
        ] {
            let at = at.min(line.len());
            let error = line.parse::<PacketLog>().unwrap_err();
            assert_eq!(error, ParsePacketLogError { at, expected }, "{line}");
        }
    }

    /// Too short for its ports and flags a packet is a fragment (§3), and one
    /// byte more is enough.
    #[test]
    fn keys_of_short_packets_are_those_of_fragments() {
        let key = |protocol: u8, length: u16, offset: u16, options: &str| {
            let line = format!(
                "Packet log: input DENY eth0 PROTO={protocol} 1.2.3.4:1 5.6.7.8:2 L={length} \
                 S=0x00 I=1 F=0x{offset:04X} T=64{options} (#1)"
            );
            line.parse::<PacketLog>().unwrap().key().fragment
        };
        for (protocol, needed) in [(6, 36), (17, 28), (1, 28), (47, 20)] {
            assert!(!key(protocol, needed, 0, ""));
            assert!(key(protocol, needed - 1, 0, ""));
            assert!(key(protocol, needed + 3, 0, " O=0x01010101"));
            assert!(!key(protocol, needed + 4, 0, " O=0x01010101"));
            assert!(key(protocol, 1500, 1, ""));
            assert!(!key(protocol, 1500, 0x2000, ""));
        }
    }
}
