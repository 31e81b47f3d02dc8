//! Conditions brought into a form that compares the same way for every rule.
//!
//! Fragments, SYN and the special cases of ports (§4) become a set of the
//! four *kinds* of packet a rule accepts; `!` before ports becomes a range
//! that wraps around; conditions that always hold become "any", and rules that
//! can never match disappear.

use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{Conditions, Network, PortRange, Sense, Test};

/// The fields of a packet in the form that compiled rules compare.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    /// Source port in the low half, destination port in the high one.
    pub(crate) ports: u32,
    pub(crate) protocol: u8,
    /// Bit 0: opening SYN; bit 1: fragment.
    pub(crate) kind: u8,
}

/// Sets of kinds, one bit a kind.
const ALL_KINDS: u8 = 0b1111;
const FRAGMENTS: u8 = 0b1100;
const SYNS: u8 = 0b1010;

/// A rule that some packet can match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlainRule {
    /// Place in its chain, from 0.
    pub(crate) number: u32,
    /// Whether a packet that matches goes no further in this chain.
    pub(crate) ends: bool,
    pub(crate) meets: Meets,
}

/// What a packet must be like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Meets {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) source_port: Ports,
    pub(crate) destination_port: Ports,
    pub(crate) protocol: Protocol,
    /// Accepted kinds, a bit each.
    pub(crate) kinds: u8,
    /// Number of the interface test in the ruleset's table; 0 is any.
    pub(crate) interface: u16,
}

/// `address & mask == value`, or the opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) value: u32,
    pub(crate) mask: u32,
    pub(crate) inverted: bool,
}

/// `port - first <= width`, modulo 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ports {
    pub(crate) first: u16,
    pub(crate) width: u16,
}

/// A test of the protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Any,
    Is(u8),
    IsNot(u8),
}

impl Probe {
    #[inline(always)]
    pub(crate) fn new(key: &PacketKey) -> Self {
        Self {
            source: key.source,
            destination: key.destination,
            ports: u32::from(key.source_port) | u32::from(key.destination_port) << 16,
            protocol: key.protocol,
            kind: u8::from(key.fragment) << 1 | u8::from(key.syn),
        }
    }

    pub(crate) fn source_port(&self) -> u16 {
        self.ports as u16
    }

    pub(crate) fn destination_port(&self) -> u16 {
        (self.ports >> 16) as u16
    }
}

impl Meets {
    /// `None` if no packet can meet the conditions. `interface` is the number
    /// of their interface test.
    pub(crate) fn new(conditions: &Conditions, interface: u16) -> Option<Self> {
        let mut kinds = ALL_KINDS;
        kinds &= match conditions.fragment {
            None => ALL_KINDS,
            Some(Sense::Set) => FRAGMENTS,
            Some(Sense::Clear) => !FRAGMENTS,
        };
        kinds &= match conditions.syn {
            None => ALL_KINDS,
            Some(Sense::Set) => SYNS,
            // A fragment meets neither sense (§4.4).
            Some(Sense::Clear) => !SYNS & !FRAGMENTS,
        };
        let mut ports = |test: &Test<PortRange>| {
            if !conditions.looks_at_ports() {
                return Some(Ports::ANY);
            }
            let (accepted, ports) = accepted_ports(test);
            kinds &= accepted;
            ports
        };
        let source_port = ports(&conditions.source_ports)?;
        let destination_port = ports(&conditions.destination_ports)?;
        if kinds == 0 {
            return None;
        }
        Some(Self {
            source: Address::new(&conditions.source)?,
            destination: Address::new(&conditions.destination)?,
            source_port,
            destination_port,
            protocol: Protocol::new(conditions.protocol)?,
            kinds,
            interface,
        })
    }

    /// Whether every packet that meets `other` surely meets this.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.source.covers(&other.source)
            && self.destination.covers(&other.destination)
            && self.source_port.covers(other.source_port)
            && self.destination_port.covers(other.destination_port)
            && (self.protocol == Protocol::Any || self.protocol == other.protocol)
            && self.kinds & other.kinds == other.kinds
            && (self.interface == 0 || self.interface == other.interface)
    }
}

/// The kinds of packet that pass a port test at all, and the ports of those
/// that are no fragments. Fragments pass iff the range is full (§4.6).
fn accepted_ports(test: &Test<PortRange>) -> (u8, Option<Ports>) {
    let PortRange { first, last } = test.value;
    let all = test.value == PortRange::ALL;
    let empty = last < first;
    let width = last.wrapping_sub(first);
    match (test.is_inverted(), all, empty) {
        (false, true, _) => (ALL_KINDS, Some(Ports::ANY)),
        (true, true, _) => (FRAGMENTS, Some(Ports::ANY)),
        (false, _, true) => (0, None),
        (true, _, true) => (!FRAGMENTS, Some(Ports::ANY)),
        (false, _, false) => (!FRAGMENTS, Some(Ports { first, width })),
        (true, _, false) => {
            let rest = Ports {
                first: last.wrapping_add(1),
                width: 0xfffe - width,
            };
            (!FRAGMENTS, Some(rest))
        }
    }
}

impl Address {
    fn new(test: &Test<Network>) -> Option<Self> {
        let (value, mask) = (test.value.address(), test.value.mask());
        let inverted = test.is_inverted();
        if mask == 0 && inverted {
            return None;
        }
        Some(Self {
            value,
            mask,
            inverted,
        })
    }

    /// The addresses as one range, wrapping around if inverted; `None` if
    /// there are holes in the mask.
    pub(crate) fn range(&self) -> Option<(u32, u32)> {
        if self.mask.leading_ones() != self.mask.count_ones() {
            return None;
        }
        let (first, last) = (self.value, self.value | !self.mask);
        Some(if self.inverted {
            (last.wrapping_add(1), first.wrapping_sub(1))
        } else {
            (first, last)
        })
    }

    fn covers(&self, other: &Self) -> bool {
        let wider = !self.inverted
            && !other.inverted
            && self.mask & other.mask == self.mask
            && other.value & self.mask == self.value;
        wider || self == other
    }

    pub(crate) fn contains(&self, address: u32) -> bool {
        (address & self.mask == self.value) != self.inverted
    }
}

impl Ports {
    pub(crate) const ANY: Self = Self {
        first: 0,
        width: 0xffff,
    };

    pub(crate) fn contains(self, port: u16) -> bool {
        port.wrapping_sub(self.first) <= self.width
    }

    fn covers(self, other: Self) -> bool {
        let offset = other.first.wrapping_sub(self.first);
        self == Self::ANY || u32::from(offset) + u32::from(other.width) <= u32::from(self.width)
    }

    /// First and last port; last is lower where the range wraps around.
    pub(crate) fn range(self) -> (u16, u16) {
        (self.first, self.first.wrapping_add(self.width))
    }
}

impl Protocol {
    fn new(test: Test<u16>) -> Option<Self> {
        match (test.value, u8::try_from(test.value), test.is_inverted()) {
            (0, _, _) | (_, Err(_), true) => Some(Self::Any),
            (_, Err(_), false) => None,
            (_, Ok(number), false) => Some(Self::Is(number)),
            (_, Ok(number), true) => Some(Self::IsNot(number)),
        }
    }

    pub(crate) fn contains(self, number: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Is(only) => number == only,
            Self::IsNot(other) => number != other,
        }
    }
}
