//! The packet-log line: one description that is written and read (§6.1).

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use crate::names::{ChainName, InterfaceName};
use crate::packet::IpOptions;

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

impl fmt::Display for PacketLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet log: {} {} ", self.chain, self.target)?;
        if let Some(port) = self.redirect_port {
            write!(f, "{port} ")?;
        }
        let syn = if self.syn { "SYN " } else { "" };
        let (interface, packet, rule) = (self.interface, self.packet, self.rule);
        write!(f, "{interface} {packet} {syn}(#{rule})")
    }
}

impl fmt::Display for LoggedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PROTO={} {}:{} {}:{} L={} S=0x{:02X} I={} F=0x{:04X} T={}",
            self.protocol,
            Ipv4Addr::from_bits(self.source),
            self.source_port,
            Ipv4Addr::from_bits(self.destination),
            self.destination_port,
            self.length,
            self.tos,
            self.id,
            self.fragment,
            self.ttl,
        )?;
        for word in self.options.words() {
            write!(f, " O=0x{word:08X}")?;
        }
        Ok(())
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

impl FromStr for PacketLog {
    type Err = ParsePacketLogError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = Words { line, at: 0 };
        words.next("`Packet`", |word| (word == "Packet").then_some(()))?;
        words.next("`log:`", |word| (word == "log:").then_some(()))?;
        let chain = words.next("a chain", ChainName::new)?;
        let target = words.next("a target", ChainName::new)?;
        let redirect_port = if target.as_str() == "REDIRECT" {
            Some(words.next("a redirect port", decimal)?)
        } else {
            None
        };
        let interface = words.next("an interface", InterfaceName::new)?;
        let packet = LoggedPacket::read(&mut words)?;
        let syn = words.take_if("SYN");
        let rule = words.next("a rule number such as (#1)", |word| {
            decimal(word.strip_prefix("(#")?.strip_suffix(')')?)
        })?;
        words.finish()?;
        Ok(Self {
            chain,
            target,
            redirect_port,
            interface,
            packet,
            syn,
            rule,
        })
    }
}

impl LoggedPacket {
    fn read(words: &mut Words<'_>) -> Result<Self, ParsePacketLogError> {
        let protocol = words.next("PROTO=", |word| decimal(word.strip_prefix("PROTO=")?))?;
        let (source, source_port) = words.next("ADDRESS:PORT", endpoint)?;
        let (destination, destination_port) = words.next("ADDRESS:PORT", endpoint)?;
        let length = words.next("L=", |word| decimal(word.strip_prefix("L=")?))?;
        let tos = words.next("S=0x and two digits", |word| {
            hex(word.strip_prefix("S=0x")?, 2).map(|it| it as u8)
        })?;
        let id = words.next("I=", |word| decimal(word.strip_prefix("I=")?))?;
        let fragment = words.next("F=0x and four digits", |word| {
            hex(word.strip_prefix("F=0x")?, 4).map(|it| it as u16)
        })?;
        let ttl = words.next("T=", |word| decimal(word.strip_prefix("T=")?))?;
        let mut options = IpOptions::default();
        while words.peek().starts_with("O=") {
            words.next("O=0x and eight digits, ten times at most", |word| {
                let word = hex(word.strip_prefix("O=0x")?, 8)?;
                options.push(word).then_some(())
            })?;
        }
        Ok(Self {
            protocol,
            source,
            source_port,
            destination,
            destination_port,
            length,
            tos,
            id,
            fragment,
            ttl,
            options,
        })
    }
}

/// The words of a line, separated by exactly one blank.
struct Words<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> &'a str {
        let rest = self.line.get(self.at..).unwrap_or_default();
        rest.split(' ').next().unwrap_or_default()
    }

    fn next<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ParsePacketLogError> {
        let word = self.peek();
        let error = ParsePacketLogError {
            at: self.at.min(self.line.len()),
            expected,
        };
        if word.is_empty() {
            return Err(error);
        }
        let value = read(word).ok_or(error)?;
        self.at += word.len() + 1;
        Ok(value)
    }

    fn take_if(&mut self, expected: &str) -> bool {
        let taken = self.peek() == expected;
        if taken {
            self.at += expected.len() + 1;
        }
        taken
    }

    fn finish(&self) -> Result<(), ParsePacketLogError> {
        // One past the end: the last word has no blank behind it.
        if self.at == self.line.len() + 1 {
            return Ok(());
        }
        Err(ParsePacketLogError {
            at: self.at,
            expected: "the end of the line",
        })
    }
}

/// A number in digits only, as the kernel writes it: no sign, no leading zero.
fn decimal<T: FromStr>(word: &str) -> Option<T> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let padded = word.len() > 1 && word.starts_with('0');
    (plain && !padded).then(|| word.parse().ok())?
}

fn hex(word: &str, digits: usize) -> Option<u32> {
    let upper = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    if word.len() != digits || !word.bytes().all(upper) {
        return None;
    }
    u32::from_str_radix(word, 16).ok()
}

fn endpoint(word: &str) -> Option<(u32, u16)> {
    let (address, port) = word.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    Some((address.to_bits(), decimal(port)?))
}

#[cfg(test)]
mod tests {
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
}
