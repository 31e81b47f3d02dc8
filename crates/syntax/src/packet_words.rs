//! Packets in a person's words: `input eth0 tcp 192.0.2.7:20 > 198.51.100.1:61394 syn`.

use std::fmt;
use std::net::Ipv4Addr;

use portcullis_core::names::InterfaceName;
use portcullis_core::packet::{PacketKey, protocol};
use portcullis_core::ruleset::BuiltIn;

use crate::names::{Names, Transport, icmp_name, protocol_number};

/// A packet and the chain that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketWords {
    /// The chain.
    pub chain: BuiltIn,
    /// The chain's interface.
    pub interface: InterfaceName,
    /// The packet.
    pub key: PacketKey,
}

/// A word that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketWordsError {
    /// The word, empty at the end.
    pub word: String,
    /// What should stand there.
    pub expected: &'static str,
}

impl fmt::Display for PacketWordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.word.as_str() {
            "" => write!(f, "the packet ends where {} should stand", self.expected),
            word => write!(f, "`{word}' should be {}", self.expected),
        }
    }
}

impl std::error::Error for PacketWordsError {}

/// Reads `CHAIN INTERFACE PROTOCOL ADDRESS[:PORT] > ADDRESS[:PORT] [syn] [fragment]`.
///
/// Ports are numbers or service names. ICMP has its type and code where ports
/// stand, as log lines do, or one name of ICMP behind the addresses. Without
/// `>` (which shells want quoted) the word `to` or `->` serves.
pub fn read(text: &str, names: &Names) -> Result<PacketWords, PacketWordsError> {
    let mut words = text.split_whitespace();
    let mut next = |expected| Expected {
        word: words.next().unwrap_or_default().to_owned(),
        expected,
    };
    let chain = next("input, forward or output").read(BuiltIn::from_name)?;
    let interface = next("an interface").read(|word| {
        let (name, changed) = InterfaceName::for_device(word);
        (!changed && !word.is_empty()).then_some(name)
    })?;
    let number = next("a protocol such as tcp").read(|word| {
        let number = word.parse().ok().or_else(|| protocol_number(word))?;
        u8::try_from(number).ok()
    })?;
    let transport = match number {
        protocol::TCP => Some(Transport::Tcp),
        protocol::UDP => Some(Transport::Udp),
        _ => None,
    };
    let side = |word: &str| side(word, |port| read_port(port, transport, names));
    let (source, source_port) = next("ADDRESS:PORT").read(side)?;
    next("`>'").read(|word| [">", "->", "to"].contains(&word).then_some(()))?;
    let (destination, destination_port) = next("ADDRESS:PORT").read(side)?;
    let mut packet = Described {
        ports: (source_port, destination_port),
        number,
        fragment: false,
        syn: false,
    };
    for word in words {
        packet.note(word)?;
    }
    let (source_port, destination_port) = packet.ports()?;
    Ok(PacketWords {
        chain,
        interface,
        key: PacketKey {
            source,
            destination,
            source_port,
            destination_port,
            protocol: number,
            fragment: packet.fragment,
            syn: packet.syn,
        },
    })
}

struct Expected {
    word: String,
    expected: &'static str,
}

impl Expected {
    fn read<T>(self, read: impl FnOnce(&str) -> Option<T>) -> Result<T, PacketWordsError> {
        let value = read(&self.word).filter(|_| !self.word.is_empty());
        value.ok_or(PacketWordsError {
            word: self.word,
            expected: self.expected,
        })
    }
}

fn side(word: &str, port: impl Fn(&str) -> Option<u16>) -> Option<(u32, Option<u16>)> {
    let (address, number) = match word.split_once(':') {
        Some((address, number)) => (address, Some(port(number)?)),
        None => (word, None),
    };
    let address: Ipv4Addr = address.parse().ok()?;
    Some((address.to_bits(), number))
}

fn read_port(word: &str, transport: Option<Transport>, names: &Names) -> Option<u16> {
    word.parse()
        .ok()
        .or_else(|| names.service(word, transport?))
}

/// What the words say so far.
struct Described {
    ports: (Option<u16>, Option<u16>),
    number: u8,
    fragment: bool,
    syn: bool,
}

impl Described {
    fn note(&mut self, word: &str) -> Result<(), PacketWordsError> {
        let wrong = |expected| PacketWordsError {
            word: word.to_owned(),
            expected,
        };
        match word {
            "syn" | "SYN" if self.number == protocol::TCP => self.syn = true,
            "syn" | "SYN" => return Err(wrong("left out: only TCP opens connections")),
            "fragment" => self.fragment = true,
            name if self.number == protocol::ICMP => {
                let named = icmp_name(name).ok().flatten();
                let named = named.ok_or_else(|| wrong("a name of ICMP, or `fragment'"))?;
                self.ports = (Some(named.kind), Some(named.codes.first));
            }
            _ => return Err(wrong("`syn', `fragment' or the end")),
        }
        Ok(())
    }

    /// Ports as rules see them (§3.4).
    fn ports(&self) -> Result<(u16, u16), PacketWordsError> {
        let end = |expected| PacketWordsError {
            word: String::new(),
            expected,
        };
        const NONE: u16 = PacketKey::NO_PORT;
        match (self.number, self.ports) {
            _ if self.fragment && self.syn => Err(end("either `syn' or `fragment'")),
            (_, (None | Some(NONE), None | Some(NONE))) if self.fragment => Ok((NONE, NONE)),
            (_, _) if self.fragment => Err(end("no port: fragments show none")),
            (protocol::TCP | protocol::UDP, (Some(from), Some(to))) => Ok((from, to)),
            (protocol::TCP | protocol::UDP, _) => Err(end("a port behind each address")),
            (protocol::ICMP, (Some(kind @ 0..=255), Some(code @ 0..=255))) => Ok((kind, code)),
            (protocol::ICMP, _) => Err(end(
                "the ICMP type behind the source and the code behind the destination, each 0 to 255",
            )),
            (_, (None | Some(NONE), None | Some(NONE))) => Ok((NONE, NONE)),
            (_, _) => Err(end("no port: this protocol has none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<PacketKey, String> {
        read(text, &Names::new())
            .map(|it| it.key)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn packets_are_read() {
        let packet = read(
            "input eth0 tcp 192.0.2.7:20 > 198.51.100.1:61394 syn",
            &Names::new(),
        )
        .unwrap();
        assert_eq!(packet.chain, BuiltIn::Input);
        assert_eq!(packet.interface.as_str(), "eth0");
        let ports = (packet.key.source_port, packet.key.destination_port);
        assert_eq!((ports, packet.key.syn), ((20, 61394), true));
        let named = key("output lo udp 10.0.0.1:domain to 10.0.0.2:ntp").unwrap();
        assert_eq!((named.source_port, named.destination_port), (53, 123));
        let ping = key("input eth0 icmp 10.0.0.1 > 10.0.0.2 echo-request").unwrap();
        assert_eq!((ping.source_port, ping.destination_port), (8, 0));
        let fragment = key("input eth0 tcp 10.0.0.1 > 10.0.0.2 fragment").unwrap();
        assert_eq!((fragment.fragment, fragment.source_port), (true, 65535));
        assert_eq!(
            key("input eth0 47 10.0.0.1 > 10.0.0.2").unwrap().protocol,
            47
        );
    }

    #[test]
    fn mistakes_name_their_word() {
        for (text, error) in [
            ("inptu", "`inptu' should be input, forward or output"),
            (
                "input eth0 tcp",
                "the packet ends where ADDRESS:PORT should stand",
            ),
            (
                "input eth0 tcp 1.2.3.4:x > 1.2.3.4:1",
                "`1.2.3.4:x' should be ADDRESS:PORT",
            ),
            (
                "input eth0 udp 1.2.3.4:1 > 1.2.3.4:1 syn",
                "`syn' should be left out: only TCP opens connections",
            ),
            (
                "input eth0 tcp 1.2.3.4 > 1.2.3.4",
                "the packet ends where a port behind each address should stand",
            ),
        ] {
            assert_eq!(key(text), Err(error.to_owned()), "{text}");
        }
    }
}
