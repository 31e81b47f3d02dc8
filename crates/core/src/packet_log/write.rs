//! Writing packet-log lines: digit by digit into a buffer on the stack, for a
//! replay may print one for every packet. The tests keep the same line in the
//! words of `core::fmt` beside it.

use core::fmt;
use core::str;

use super::{LoggedPacket, PacketLog};
use crate::names::ShortName;

impl fmt::Display for PacketLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line::new();
        line.text("Packet log: ");
        line.name(&self.chain);
        line.text(" ");
        line.name(&self.target);
        line.text(" ");
        if let Some(port) = self.redirect_port {
            line.decimal(port.into());
            line.text(" ");
        }
        line.name(&self.interface);
        line.text(" ");
        line.packet(&self.packet);
        line.text(if self.syn { " SYN (#" } else { " (#" });
        line.decimal(self.rule);
        line.text(")");
        f.write_str(line.as_str())
    }
}

impl fmt::Display for LoggedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line::new();
        line.packet(self);
        f.write_str(line.as_str())
    }
}

/// The longest line: names of 8, 8 and 16 bytes, ten words of options, and all
/// numbers at their longest take less.
const LONGEST: usize = 384;

struct Line {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Line {
    fn new() -> Self {
        Self {
            bytes: [0; LONGEST],
            length: 0,
        }
    }

    fn as_str(&self) -> &str {
        // Only whole names, `str`s and digits get in.
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn packet(&mut self, packet: &LoggedPacket) {
        self.text("PROTO=");
        self.octet(packet.protocol);
        self.endpoint(packet.source, packet.source_port);
        self.endpoint(packet.destination, packet.destination_port);
        self.text(" L=");
        self.decimal(packet.length.into());
        self.text(" S=0x");
        self.hex::<2>(packet.tos.into());
        self.text(" I=");
        self.decimal(packet.id.into());
        self.text(" F=0x");
        self.hex::<4>(packet.fragment.into());
        self.text(" T=");
        self.octet(packet.ttl);
        for word in packet.options.words() {
            self.text(" O=0x");
            self.hex::<8>(*word);
        }
    }

    fn endpoint(&mut self, address: u32, port: u16) {
        let [a, b, c, d] = address.to_be_bytes();
        self.text(" ");
        self.octet(a);
        for octet in [b, c, d] {
            self.text(".");
            self.octet(octet);
        }
        self.text(":");
        self.decimal(port.into());
    }

    #[inline]
    fn text(&mut self, text: &str) {
        let end = self.length + text.len();
        self.bytes[self.length..end].copy_from_slice(text.as_bytes());
        self.length = end;
    }

    #[inline]
    fn name<const MOST: usize>(&mut self, name: &ShortName<MOST>) {
        let (bytes, length) = name.padded();
        self.put(bytes, length);
    }

    #[inline]
    fn octet(&mut self, number: u8) {
        let [a, b, c, digits] = OCTETS[usize::from(number)];
        self.put([a, b, c], digits.into());
    }

    #[inline]
    fn decimal(&mut self, number: u32) {
        if let Ok(octet) = u8::try_from(number) {
            return self.octet(octet);
        }
        if number < 100_000 {
            return self.five_digits(number);
        }
        // From the end on, two digits at a time.
        let mut digits = [0; 10];
        let (mut rest, mut start) = (number, digits.len());
        while rest > 0 {
            start -= 2;
            digits[start..start + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        start += usize::from(digits[start] == b'0');
        let length = digits.len() - start;
        self.bytes[self.length..self.length + length].copy_from_slice(&digits[start..]);
        self.length += length;
    }

    /// Adds a number of three to five digits.
    #[inline]
    fn five_digits(&mut self, number: u32) {
        let pair = |number: u32| PAIRS[(number % 100) as usize];
        let ([_, a], [b, c], [d, e]) = (pair(number / 10_000), pair(number / 100), pair(number));
        let zeros = usize::from(number < 10_000) + usize::from(number < 1000);
        let digits = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]) >> (8 * zeros);
        self.put(digits.to_le_bytes(), 5 - zeros);
    }

    #[inline]
    fn hex<const DIGITS: usize>(&mut self, number: u32) {
        let digit = |place| b"0123456789ABCDEF"[(number >> (4 * place) & 0xf) as usize];
        let digits = core::array::from_fn::<u8, DIGITS, _>(|place| digit(DIGITS - 1 - place));
        self.put(digits, DIGITS);
    }

    /// Adds the first `length` of these bytes; the others are overwritten by
    /// what follows, or cut off.
    #[inline]
    fn put<const MOST: usize>(&mut self, bytes: [u8; MOST], length: usize) {
        self.bytes[self.length..self.length + MOST].copy_from_slice(&bytes);
        self.length += length;
    }
}

/// The digits of every number of a byte, and how many there are.
const OCTETS: [[u8; 4]; 256] = {
    let mut octets = [[0; 4]; 256];
    let mut number = 0;
    while number < octets.len() {
        let [hundreds, tens, ones] = [number / 100, number / 10 % 10, number % 10];
        let [hundreds, tens, ones] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        octets[number] = match number {
            0..10 => [ones, 0, 0, 1],
            10..100 => [tens, ones, 0, 2],
            _ => [hundreds, tens, ones, 3],
        };
        number += 1;
    }
    octets
};

/// The digits of every number below 100, with a leading zero.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};
    use core::fmt::Write;
    use core::net::Ipv4Addr;

    use super::*;
    use crate::names::{ChainName, InterfaceName};
    use crate::packet::IpOptions;

    /// The line as §6.1 describes it.
    fn plain(log: &PacketLog) -> String {
        let mut line = format!("Packet log: {} {} ", log.chain, log.target);
        if let Some(port) = log.redirect_port {
            line += &format!("{port} ");
        }
        let packet = &log.packet;
        let _ = write!(
            line,
            "{} PROTO={} {}:{} {}:{} L={} S=0x{:02X} I={} F=0x{:04X} T={}",
            log.interface,
            packet.protocol,
            Ipv4Addr::from_bits(packet.source),
            packet.source_port,
            Ipv4Addr::from_bits(packet.destination),
            packet.destination_port,
            packet.length,
            packet.tos,
            packet.id,
            packet.fragment,
            packet.ttl,
        );
        for word in packet.options.words() {
            let _ = write!(line, " O=0x{word:08X}");
        }
        let syn = if log.syn { "SYN " } else { "" };
        line + &format!(" {syn}(#{})", log.rule)
    }

    #[test]
    fn numbers_of_all_lengths_are_written() {
        for number in (0..100_100).chain([u32::MAX]) {
            let mut line = Line::new();
            line.decimal(number);
            assert_eq!(line.as_str(), number.to_string());
        }
    }

    #[test]
    fn every_line_is_the_plain_one() {
        let mut random = 0x2001_1017_u64;
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Half of the numbers are at an end of their range.
            match random >> 62 {
                0 => 0,
                1 => u32::MAX,
                _ => (random >> 29) as u32,
            }
        };
        for round in 0..20_000 {
            let mut options = IpOptions::default();
            for _ in 0..round % 11 {
                options.push(next());
            }
            let log = PacketLog {
                chain: ChainName::new("eightchr").unwrap(),
                target: ChainName::new("-").unwrap(),
                redirect_port: (round % 3 == 0).then(|| next() as u16),
                interface: InterfaceName::new("sixteen-letters-").unwrap(),
                packet: LoggedPacket {
                    protocol: next() as u8,
                    source: next(),
                    source_port: next() as u16,
                    destination: next(),
                    destination_port: next() as u16,
                    length: next() as u16,
                    tos: next() as u8,
                    id: next() as u16,
                    fragment: next() as u16,
                    ttl: next() as u8,
                    options,
                },
                syn: round % 2 == 0,
                rule: next(),
            };
            assert_eq!(log.to_string(), plain(&log));
        }
    }
}
