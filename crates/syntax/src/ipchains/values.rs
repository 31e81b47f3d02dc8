//! Words to values: numbers, addresses, ports, targets, marks.

use std::net::Ipv4Addr;

use portcullis_core::names::{ChainName, InterfaceName};
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{InterfacePattern, Mark, Network, Policy, PortRange, TosChange};

use super::error::UsageErrorKind;
use super::fidelity::Fidelity;
use super::numbers::{decimal, signed, unsigned};
use crate::names::{ICMP_NAMES, Names, Transport, icmp_name, protocol_number};

pub(super) fn rule_number(word: &str) -> Result<usize, UsageErrorKind> {
    decimal(word, 1, i32::MAX as u32)
        .map(|number| number as usize)
        .ok_or_else(|| UsageErrorKind::RuleNumber(word.to_owned()))
}

pub(super) fn chain_name(word: &str) -> Result<ChainName, UsageErrorKind> {
    ChainName::new(word).ok_or_else(|| UsageErrorKind::ChainNameTooLong(word.to_owned()))
}

pub(super) fn target_name(word: &str) -> Result<ChainName, UsageErrorKind> {
    if word.is_empty() {
        return Err(UsageErrorKind::TargetTooShort);
    }
    let name =
        ChainName::new(word).ok_or_else(|| UsageErrorKind::TargetTooLong(word.to_owned()))?;
    if word.contains(|letter: char| letter.is_ascii_whitespace() || letter == '\u{b}') {
        return Err(UsageErrorKind::TargetWithBlank(word.to_owned()));
    }
    Ok(name)
}

pub(super) fn policy(word: &str) -> Result<Policy, UsageErrorKind> {
    Policy::from_name(word).ok_or_else(|| UsageErrorKind::PolicyName(word.to_owned()))
}

/// A protocol by number or by name. The few that ipchains knows itself may be
/// written in any case, others as the table of protocols spells them.
pub(super) fn protocol(word: &str) -> Result<u16, UsageErrorKind> {
    let own = || {
        let lower = word.to_ascii_lowercase();
        let known = matches!(lower.as_str(), "all" | "tcp" | "udp" | "icmp");
        protocol_number(&lower).filter(|_| known)
    };
    decimal(word, 0, 0xffff)
        .map(|number| number as u16)
        .or_else(|| protocol_number(word))
        .or_else(own)
        .ok_or_else(|| UsageErrorKind::Protocol(word.to_owned()))
}

/// An interface, or with `+` at the end a prefix.
pub(super) fn interface(
    word: &str,
    fidelity: Fidelity,
) -> Result<InterfacePattern, UsageErrorKind> {
    let error = || UsageErrorKind::Interface(word.to_owned());
    // The original lets 16 characters pass, which leaves no room for the end
    // of the name, so that the rule never matches.
    let longest = match fidelity {
        Fidelity::Strict => 16,
        Fidelity::Repaired => InterfaceName::DEVICE_LENGTH + usize::from(word.ends_with('+')),
    };
    if word.len() > longest {
        return Err(error());
    }
    let name = |name: &str| InterfaceName::new(name).ok_or_else(error);
    Ok(match word.strip_suffix('+') {
        Some(prefix) => InterfacePattern::Prefix(name(prefix)?),
        None if word.is_empty() => InterfacePattern::ANY,
        None => InterfacePattern::Exact(name(word)?),
    })
}

/// Refuses changes of TOS that would make an illegal value (§9).
pub(super) fn check_tos(change: TosChange) -> Result<(), UsageErrorKind> {
    let altered = !change.and;
    if (altered | change.xor) & 0x01 != 0 {
        return Err(UsageErrorKind::TosBitZero);
    }
    if (altered & change.xor & 0x0e).count_ones() > 1 {
        return Err(UsageErrorKind::TosSeveralBits);
    }
    Ok(())
}

/// A byte in hexadecimal, with or without `0x`.
pub(super) fn hex_byte(word: &str) -> Result<u8, UsageErrorKind> {
    signed(word, 16)
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| UsageErrorKind::HexByte(word.to_owned()))
}

/// `-m`: a number as `strtoul` reads it with base 0; a sign makes it relative.
pub(super) fn mark(word: &str) -> Result<Mark, UsageErrorKind> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    let value = unsigned(digits)
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| UsageErrorKind::Mark(word.to_owned()))?;
    Ok(match word.as_bytes().first() {
        Some(b'+') => Mark::Add(value),
        Some(b'-') => Mark::Add(value.wrapping_neg()),
        _ => Mark::Set(value),
    })
}

pub(super) fn output_size(word: &str) -> Result<u16, UsageErrorKind> {
    decimal(word, 0, 0xffff)
        .map(|size| size as u16)
        .ok_or_else(|| UsageErrorKind::OutputSize(word.to_owned()))
}

pub(super) fn timeout(word: &str) -> Result<u32, UsageErrorKind> {
    decimal(word, 0, i32::MAX as u32).ok_or_else(|| UsageErrorKind::Timeout(word.to_owned()))
}

/// The networks that `ADDRESS[/MASK]` stands for; several if the address is a
/// host with several addresses.
pub(super) fn networks(word: &str, names: &Names) -> Result<Vec<Network>, UsageErrorKind> {
    let (address, mask) = match word.rsplit_once('/') {
        Some((address, mask)) => (address, parse_mask(mask)?),
        None => (word, u32::MAX),
    };
    if mask == 0 {
        // What stands before /0 is not even looked at.
        return Ok(vec![Network::ANY]);
    }
    let mut networks: Vec<Network> = Vec::new();
    for address in addresses(address, names)? {
        let network = Network::new(address, mask);
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(networks)
}

/// The network that a word with a numeric address stands for, if the address
/// has bits that the mask takes away.
pub(crate) fn cut_address(word: &str) -> Option<Network> {
    let (address, mask) = word.rsplit_once('/')?;
    let address = dotted_quad(address).or_else(|| short_address(address))?;
    let mask = parse_mask(mask).ok()?;
    (address & mask != address).then(|| Network::new(address, mask))
}

fn addresses(word: &str, names: &Names) -> Result<Vec<u32>, UsageErrorKind> {
    if let Some(address) = dotted_quad(word).or_else(|| short_address(word)) {
        return Ok(vec![address]);
    }
    let found = names.host(word);
    if !found.is_empty() {
        return Ok(found);
    }
    let numeric = word
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    Err(if numeric || names.looks_up_hosts() {
        UsageErrorKind::Host(word.to_owned())
    } else {
        UsageErrorKind::HostNotLookedUp(word.to_owned())
    })
}

fn parse_mask(word: &str) -> Result<u32, UsageErrorKind> {
    if let Some(mask) = dotted_quad(word) {
        return Ok(mask);
    }
    decimal(word, 0, 32)
        .map(|length| Network::with_prefix(u32::MAX, length as u8).mask())
        .ok_or_else(|| UsageErrorKind::Mask(word.to_owned()))
}

/// Four decimal numbers, leading zeros allowed.
fn dotted_quad(word: &str) -> Option<u32> {
    let mut parts = word.split('.').map(|part| decimal(part, 0, 255));
    let octets = [
        parts.next()??,
        parts.next()??,
        parts.next()??,
        parts.next()??,
    ];
    if parts.next().is_some() {
        return None;
    }
    Some(u32::from(Ipv4Addr::from(octets.map(|octet| octet as u8))))
}

/// The C library's other numeric forms of a host name: fewer than four parts,
/// of which the last fills the rest, with `0` before octal ones. It takes only
/// digits and dots for such a form, so hexadecimal is a name to look up.
fn short_address(word: &str) -> Option<u32> {
    let parts: Vec<&str> = word.split('.').collect();
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 {
        return None;
    }
    let mut address: u32 = 0;
    for part in leading {
        address = address << 8 | c_number(part).filter(|octet| *octet <= 0xff)?;
    }
    let rest = 32 - 8 * leading.len() as u32;
    let last = c_number(last)?;
    if rest == 32 {
        return Some(last);
    }
    (last >> rest == 0).then_some(address << rest | last)
}

fn c_number(word: &str) -> Option<u32> {
    let (radix, digits) = match word.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => (8, octal),
        _ => (10, word),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(digits, radix).ok().filter(|_| plain)
}

/// `PORT`, `FIRST:LAST`, `FIRST:`, `:LAST` or `:`, by number or service.
pub(super) fn ports(word: &str, protocol: u16, names: &Names) -> Result<PortRange, UsageErrorKind> {
    let one = |word: &str| port(word, protocol, names);
    let Some((first, last)) = word.split_once(':') else {
        return one(word).map(PortRange::single);
    };
    Ok(PortRange {
        first: if first.is_empty() { 0 } else { one(first)? },
        last: if last.is_empty() { 0xffff } else { one(last)? },
    })
}

/// One port, by number or service.
pub(super) fn port(word: &str, protocol: u16, names: &Names) -> Result<u16, UsageErrorKind> {
    let transport = match u8::try_from(protocol) {
        Ok(protocol::TCP) => Some(Transport::Tcp),
        Ok(protocol::UDP) => Some(Transport::Udp),
        Ok(protocol::ICMP) => None,
        _ => return Err(UsageErrorKind::PortsWithoutProtocol),
    };
    if let Some(port) = decimal(word, 0, 0xffff) {
        return Ok(port as u16);
    }
    match transport {
        None => Err(UsageErrorKind::IcmpType(word.to_owned())),
        Some(transport) => names
            .service(word, transport)
            .ok_or_else(|| UsageErrorKind::Port(word.to_owned())),
    }
}

/// What a name of an ICMP type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IcmpKind {
    /// The type.
    pub(super) kind: u16,
    /// The codes.
    pub(super) codes: PortRange,
    /// The code that `-C` takes; none if the name leaves several open.
    pub(super) exact: Option<u16>,
}

/// The ICMP type that a word names; `Ok(None)` if it names none.
pub(super) fn icmp_name_of(word: &str) -> Result<Option<IcmpKind>, UsageErrorKind> {
    let found = icmp_name(word).map_err(|ambiguous| UsageErrorKind::AmbiguousIcmp {
        written: word.to_owned(),
        first: ambiguous.first,
        second: ambiguous.second,
    })?;
    Ok(found.map(|entry| {
        let several = entry.codes == PortRange::ALL
            && ICMP_NAMES
                .iter()
                .any(|other| other.kind == entry.kind && other.codes != PortRange::ALL);
        IcmpKind {
            kind: entry.kind,
            codes: entry.codes,
            exact: (!several).then_some(entry.codes.first),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(word: &str) -> Result<(u32, u32), UsageErrorKind> {
        let networks = networks(word, &Names::new())?;
        Ok((networks[0].address(), networks[0].mask()))
    }

    #[test]
    fn addresses_in_all_their_forms() {
        for (word, address, mask) in [
            ("1.2.3.4", 0x0102_0304, u32::MAX),
            ("10.1.2.3/8", 0x0a00_0000, 0xff00_0000),
            ("1.2.3.4/255.0.255.0", 0x0100_0300, 0xff00_ff00),
            ("any/0", 0, 0),
            ("0", 0, u32::MAX),
            ("1.2.3", 0x0102_0003, u32::MAX),
            ("010.0.0.1", 0x0a00_0001, u32::MAX),
            ("010.1", 0x0800_0001, u32::MAX),
        ] {
            assert_eq!(network(word), Ok((address, mask)), "{word}");
        }
        for word in ["1.2.3.256", "1.2.3.4.5", "08.1", "1.2.", ""] {
            assert_eq!(network(word), Err(UsageErrorKind::Host(word.to_owned())));
        }
        for (word, mask) in [
            ("1.2.3.4/33", "33"),
            ("1.2.3.4/", ""),
            ("1.2.3.4/1.2", "1.2"),
        ] {
            assert_eq!(network(word), Err(UsageErrorKind::Mask(mask.to_owned())));
        }
    }

    #[test]
    fn marks_follow_strtoul() {
        assert_eq!(mark("010"), Ok(Mark::Set(8)));
        assert_eq!(mark("0x10"), Ok(Mark::Set(16)));
        assert_eq!(mark("-1"), Ok(Mark::Add(u32::MAX)));
        assert_eq!(mark("+0"), Ok(Mark::Add(0)));
        for word in ["x", "0x100000000", "", "1x", "08"] {
            assert!(mark(word).is_err(), "{word}");
        }
    }

    #[test]
    fn ranges_may_be_open_or_empty() {
        let range = |word| ports(word, 6, &Names::new()).map(|it| (it.first, it.last));
        assert_eq!(range(":"), Ok((0, 65535)));
        assert_eq!(range("80:70"), Ok((80, 70)));
        assert_eq!(range("www:https"), Ok((80, 443)));
        assert_eq!(range("65536"), Err(UsageErrorKind::Port("65536".into())));
    }
}
