//! The names that ipchains gives to ICMP types and codes (§8).

use portcullis_core::ruleset::PortRange;

/// A name for an ICMP type, or for one code of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpName {
    /// What may be written instead of the number.
    pub name: &'static str,
    /// The type.
    pub kind: u16,
    /// The code, or all codes for names of whole types.
    pub codes: PortRange,
}

/// A beginning that several names share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousIcmpName {
    /// The first name with this beginning.
    pub first: &'static str,
    /// The second.
    pub second: &'static str,
}

const fn class(name: &'static str, kind: u16) -> IcmpName {
    IcmpName {
        name,
        kind,
        codes: PortRange::ALL,
    }
}

const fn exact(name: &'static str, kind: u16, code: u16) -> IcmpName {
    IcmpName {
        name,
        kind,
        codes: PortRange::single(code),
    }
}

/// All names in the order of `ipchains -h icmp`; a synonym follows the name
/// that listings show.
pub const ICMP_NAMES: [IcmpName; 39] = [
    class("echo-reply", 0),
    class("pong", 0),
    class("destination-unreachable", 3),
    exact("network-unreachable", 3, 0),
    exact("host-unreachable", 3, 1),
    exact("protocol-unreachable", 3, 2),
    exact("port-unreachable", 3, 3),
    exact("fragmentation-needed", 3, 4),
    exact("source-route-failed", 3, 5),
    exact("network-unknown", 3, 6),
    exact("host-unknown", 3, 7),
    exact("network-prohibited", 3, 9),
    exact("host-prohibited", 3, 10),
    exact("TOS-network-unreachable", 3, 11),
    exact("TOS-host-unreachable", 3, 12),
    exact("communication-prohibited", 3, 13),
    exact("host-precedence-violation", 3, 14),
    exact("precedence-cutoff", 3, 15),
    class("source-quench", 4),
    class("redirect", 5),
    exact("network-redirect", 5, 0),
    exact("host-redirect", 5, 1),
    exact("TOS-network-redirect", 5, 2),
    exact("TOS-host-redirect", 5, 3),
    class("echo-request", 8),
    class("ping", 8),
    class("router-advertisement", 9),
    class("router-solicitation", 10),
    class("time-exceeded", 11),
    class("ttl-exceeded", 11),
    exact("ttl-zero-during-transit", 11, 0),
    exact("ttl-zero-during-reassembly", 11, 1),
    class("parameter-problem", 12),
    exact("ip-header-bad", 12, 0),
    exact("required-option-missing", 12, 1),
    class("timestamp-request", 13),
    class("timestamp-reply", 14),
    class("address-mask-request", 17),
    class("address-mask-reply", 18),
];

/// The name that `word` begins, in any case; `Ok(None)` if there is none.
pub fn icmp_name(word: &str) -> Result<Option<&'static IcmpName>, AmbiguousIcmpName> {
    let mut found = ICMP_NAMES.iter().filter(|entry| begins(entry.name, word));
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => Err(AmbiguousIcmpName {
            first: first.name,
            second: second.name,
        }),
        (only, _) => Ok(only),
    }
}

/// The name that listings show for exactly this type and these codes.
pub fn icmp_name_for(kinds: PortRange, codes: PortRange) -> Option<&'static str> {
    ICMP_NAMES
        .iter()
        .find(|entry| PortRange::single(entry.kind) == kinds && entry.codes == codes)
        .map(|entry| entry.name)
}

fn begins(name: &str, word: &str) -> bool {
    name.get(..word.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_beginnings_are_enough() {
        assert_eq!(icmp_name("PING").unwrap().unwrap().kind, 8);
        assert_eq!(icmp_name("echo-req").unwrap().unwrap().kind, 8);
        let ambiguous = icmp_name("echo").unwrap_err();
        assert_eq!(ambiguous.second, "echo-request");
        assert_eq!(icmp_name("nosuch"), Ok(None));
    }
}
