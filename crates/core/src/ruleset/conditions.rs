//! What must hold for a rule to match (§4).

use crate::names::InterfaceName;
use crate::packet::PacketKey;

/// All conditions of a rule; they must all hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// `-s`.
    pub source: Test<Network>,
    /// `-d`.
    pub destination: Test<Network>,
    /// `-i`.
    pub interface: Test<InterfacePattern>,
    /// `-f` or `! -f`.
    pub fragment: Option<Sense>,
    /// `-y` or `! -y`.
    pub syn: Option<Sense>,
    /// `-p`: 0 is any. The kernel keeps 16 bits, so numbers over 255 are legal
    /// and match nothing.
    pub protocol: Test<u16>,
    /// `--sport`, or the ICMP type.
    pub source_ports: Test<PortRange>,
    /// `--dport`, or the ICMP code.
    pub destination_ports: Test<PortRange>,
    /// Which packets' ports are tested.
    pub ports_of: PortsOf,
}

/// Which packets a rule's port conditions look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PortsOf {
    /// Those of a rule that names a protocol, as ipchains has it (§4.6).
    #[default]
    NamedProtocol,
    /// All, whatever the protocol: filters of other origin say this (those of
    /// ClassBench do); ipchains text cannot.
    EveryProtocol,
}

/// A condition's value and whether `!` inverts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Test<T> {
    /// What to compare with.
    pub value: T,
    /// Whether `!` stood before it.
    pub inverted: Inverted,
}

/// Whether a condition stands after `!`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Inverted {
    /// The comparison must succeed.
    #[default]
    No,
    /// The comparison must fail.
    Yes,
}

impl From<Inverted> for bool {
    fn from(inverted: Inverted) -> Self {
        inverted == Inverted::Yes
    }
}

/// The two senses of a flag condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sense {
    /// The flag must be set.
    Set,
    /// `!`: the flag must be clear.
    Clear,
}

/// An address with a mask of any bit pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: u32,
    mask: u32,
}

/// An inclusive range of ports; empty if `last < first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

/// An interface name to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InterfacePattern {
    /// This interface only.
    Exact(InterfaceName),
    /// `NAME+`: every interface whose name begins so; empty is any.
    Prefix(InterfaceName),
}

/// The conditions by name, in the order in which they are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Interface.
    Interface,
    /// Fragment flag.
    Fragment,
    /// Opening SYN.
    Syn,
    /// Protocol number.
    Protocol,
    /// Source port or ICMP type.
    SourcePort,
    /// Destination port or ICMP code.
    DestinationPort,
}

impl Field {
    /// In the order of testing.
    pub const ALL: [Self; 8] = [
        Self::Source,
        Self::Destination,
        Self::Interface,
        Self::Fragment,
        Self::Syn,
        Self::Protocol,
        Self::SourcePort,
        Self::DestinationPort,
    ];
}

impl Conditions {
    /// Everything matches.
    pub const ANY: Self = Self {
        source: Test::is(Network::ANY),
        destination: Test::is(Network::ANY),
        interface: Test::is(InterfacePattern::ANY),
        fragment: None,
        syn: None,
        protocol: Test::is(0),
        source_ports: Test::is(PortRange::ALL),
        destination_ports: Test::is(PortRange::ALL),
        ports_of: PortsOf::NamedProtocol,
    };

    /// Whether a packet on an interface meets all conditions.
    pub fn hold(&self, key: &PacketKey, interface: &InterfaceName) -> bool {
        self.first_failed(key, interface).is_none()
    }

    /// The first condition that a packet fails.
    pub fn first_failed(&self, key: &PacketKey, interface: &InterfaceName) -> Option<Field> {
        Field::ALL
            .into_iter()
            .find(|field| !self.holds(*field, key, interface))
    }

    /// Whether one condition holds.
    pub fn holds(&self, field: Field, key: &PacketKey, interface: &InterfaceName) -> bool {
        match field {
            Field::Source => self.source.passes(|it| it.contains(key.source)),
            Field::Destination => self.destination.passes(|it| it.contains(key.destination)),
            Field::Interface => self.interface.passes(|it| it.names(interface)),
            Field::Fragment => match self.fragment {
                None => true,
                Some(Sense::Set) => key.fragment,
                Some(Sense::Clear) => !key.fragment,
            },
            Field::Syn => match self.syn {
                None => true,
                Some(Sense::Set) => key.syn,
                // A fragment meets neither sense (§4.4).
                Some(Sense::Clear) => !key.syn && !key.fragment,
            },
            Field::Protocol => {
                self.protocol.value == 0
                    || self.protocol.passes(|it| *it == u16::from(key.protocol))
            }
            Field::SourcePort => self.port_holds(&self.source_ports, key.source_port, key),
            Field::DestinationPort => {
                self.port_holds(&self.destination_ports, key.destination_port, key)
            }
        }
    }

    /// Whether some packet that is not a fragment could fail this condition.
    pub fn tests(&self, field: Field) -> bool {
        match field {
            Field::Source => self.source != Test::is(Network::ANY),
            Field::Destination => self.destination != Test::is(Network::ANY),
            Field::Interface => self.interface != Test::is(InterfacePattern::ANY),
            Field::Fragment => self.fragment.is_some(),
            Field::Syn => self.syn.is_some(),
            Field::Protocol => self.protocol.value != 0,
            Field::SourcePort => self.tests_port(&self.source_ports),
            Field::DestinationPort => self.tests_port(&self.destination_ports),
        }
    }

    /// Whether the port conditions count at all.
    pub fn looks_at_ports(&self) -> bool {
        self.protocol.value != 0 || self.ports_of == PortsOf::EveryProtocol
    }

    fn port_holds(&self, ports: &Test<PortRange>, port: u16, key: &PacketKey) -> bool {
        if !self.looks_at_ports() {
            return true;
        }
        if key.fragment {
            // Whatever `!` says: the full range lets fragments through (§4.6).
            return ports.value == PortRange::ALL;
        }
        ports.passes(|range| range.contains(port))
    }

    fn tests_port(&self, ports: &Test<PortRange>) -> bool {
        self.looks_at_ports() && *ports != Test::is(PortRange::ALL)
    }
}

impl<T> Test<T> {
    /// The condition without `!`.
    pub const fn is(value: T) -> Self {
        Self {
            value,
            inverted: Inverted::No,
        }
    }

    /// The condition after `!`.
    pub const fn is_not(value: T) -> Self {
        Self {
            value,
            inverted: Inverted::Yes,
        }
    }

    /// Whether `!` stands before it.
    pub fn is_inverted(&self) -> bool {
        self.inverted == Inverted::Yes
    }

    fn passes(&self, compare: impl FnOnce(&T) -> bool) -> bool {
        compare(&self.value) != self.is_inverted()
    }
}

impl Network {
    /// All addresses.
    pub const ANY: Self = Self {
        address: 0,
        mask: 0,
    };

    /// Host bits are cleared, as the command does (§4.1).
    pub const fn new(address: u32, mask: u32) -> Self {
        Self {
            address: address & mask,
            mask,
        }
    }

    /// A mask of `length` leading ones, at most 32.
    pub const fn with_prefix(address: u32, length: u8) -> Self {
        let mask = match length {
            0 => 0,
            1..=31 => u32::MAX << (32 - length),
            _ => u32::MAX,
        };
        Self::new(address, mask)
    }

    /// The address, host bits zero.
    pub fn address(&self) -> u32 {
        self.address
    }

    /// The mask.
    pub fn mask(&self) -> u32 {
        self.mask
    }

    /// The number of leading ones, if the mask is nothing else.
    pub fn prefix_length(&self) -> Option<u8> {
        let ones = self.mask.leading_ones();
        (self.mask.count_ones() == ones).then_some(ones as u8)
    }

    /// Whether an address belongs to the network.
    #[inline(always)]
    pub fn contains(&self, address: u32) -> bool {
        address & self.mask == self.address
    }
}

impl PortRange {
    /// 0 to 65535.
    pub const ALL: Self = Self {
        first: 0,
        last: 0xffff,
    };

    /// Just one port.
    pub const fn single(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// Whether a port lies in the range.
    pub fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl InterfacePattern {
    /// Every interface.
    pub const ANY: Self = Self::Prefix(InterfaceName::EMPTY);

    /// The name or prefix that is written, without the `+`.
    pub fn name(&self) -> &InterfaceName {
        match self {
            Self::Exact(name) | Self::Prefix(name) => name,
        }
    }

    /// Whether the pattern names this interface.
    pub fn names(&self, interface: &InterfaceName) -> bool {
        match self {
            // A rule's 16th character leaves no room for the end of the name in
            // the kernel, so it equals no device's name (§9).
            Self::Exact(name) => {
                name == interface && name.as_bytes().len() <= InterfaceName::DEVICE_LENGTH
            }
            Self::Prefix(prefix) => interface.as_bytes().starts_with(prefix.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "lo";

    fn key() -> PacketKey {
        PacketKey {
            source: 0x0a01_0203,
            destination: 0xc0a8_0101,
            source_port: 1024,
            destination_port: 80,
            protocol: 6,
            fragment: false,
            syn: true,
        }
    }

    fn holds(conditions: &Conditions, key: &PacketKey) -> bool {
        conditions.hold(key, &InterfaceName::new(LOOPBACK).unwrap())
    }

    #[test]
    fn fragments_meet_neither_sense_of_syn() {
        let fragment = PacketKey {
            fragment: true,
            syn: false,
            ..key()
        };
        for sense in [Sense::Set, Sense::Clear] {
            let conditions = Conditions {
                syn: Some(sense),
                ..Conditions::ANY
            };
            assert!(!holds(&conditions, &fragment));
        }
    }

    #[test]
    fn an_inverted_full_range_passes_fragments_only() {
        let conditions = Conditions {
            protocol: Test::is(6),
            source_ports: Test::is_not(PortRange::ALL),
            ..Conditions::ANY
        };
        assert!(!holds(&conditions, &key()));
        let fragment = PacketKey {
            fragment: true,
            ..key()
        };
        assert!(holds(&conditions, &fragment));
    }

    #[test]
    fn no_interface_is_outside_an_empty_prefix() {
        let conditions = Conditions {
            interface: Test::is_not(InterfacePattern::ANY),
            ..Conditions::ANY
        };
        assert!(!holds(&conditions, &key()));
    }

    #[test]
    fn ports_count_without_protocol_only_on_request() {
        let mut conditions = Conditions {
            destination_ports: Test::is(PortRange::single(53)),
            ..Conditions::ANY
        };
        assert!(holds(&conditions, &key()));
        conditions.ports_of = PortsOf::EveryProtocol;
        assert!(!holds(&conditions, &key()));
        let to_53 = PacketKey {
            destination_port: 53,
            protocol: 47,
            ..key()
        };
        assert!(holds(&conditions, &to_53));
        assert!(conditions.tests(Field::DestinationPort));
    }

    #[test]
    fn protocols_beyond_a_byte_never_match() {
        let mut conditions = Conditions {
            protocol: Test::is(256),
            ..Conditions::ANY
        };
        assert!(!holds(&conditions, &key()));
        conditions.protocol = Test::is_not(256);
        assert!(holds(&conditions, &key()));
    }

    #[test]
    fn odd_masks_have_no_prefix_length() {
        assert_eq!(Network::new(0, 0xff00_ff00).prefix_length(), None);
        assert_eq!(Network::with_prefix(0x0a01_0203, 8).address(), 0x0a00_0000);
        assert_eq!(Network::ANY.prefix_length(), Some(0));
    }
}
