//! Reading packet-log lines.

use core::net::Ipv4Addr;
use core::str::FromStr;

use super::{LoggedPacket, PacketLog, ParsePacketLogError};
use crate::names::{ChainName, InterfaceName};
use crate::packet::IpOptions;

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
