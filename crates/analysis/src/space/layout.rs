//! How a packet becomes a point: which field stands on which level.

use portcullis_core::packet::{PacketKey, protocol};

/// Interface class.
pub(super) const INTERFACE: usize = 0;
/// Protocol, fragment and SYN in one: only some of them go together.
pub(super) const KIND: usize = 1;
/// Four octets.
pub(super) const SOURCE: usize = 2;
/// Four octets.
pub(super) const DESTINATION: usize = 6;
/// Source port or ICMP type.
pub(super) const SOURCE_PORT: usize = 10;
/// Destination port or ICMP code.
pub(super) const DESTINATION_PORT: usize = 11;
/// How many levels there are.
pub(super) const LEVELS: usize = 12;

/// Protocols, then protocols of fragments, then the opening SYN.
pub(super) const LAST_KIND: u16 = 512;
const FIRST_FRAGMENT: u16 = 256;
const SYN: u16 = 512;

/// Which ports packets of a kind can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// TCP and UDP.
    Any,
    /// ICMP types and codes.
    Byte,
    /// Everything else reads as [`PacketKey::NO_PORT`].
    None,
}

impl Ports {
    /// The lowest and the highest.
    pub(super) fn bounds(self) -> (u16, u16) {
        match self {
            Self::Any => (0, u16::MAX),
            Self::Byte => (0, 255),
            Self::None => (PacketKey::NO_PORT, PacketKey::NO_PORT),
        }
    }
}

/// The kind of a packet.
pub(super) fn kind_of(key: &PacketKey) -> u16 {
    match (key.fragment, key.syn) {
        (true, _) => FIRST_FRAGMENT + u16::from(key.protocol),
        (false, true) => SYN,
        (false, false) => u16::from(key.protocol),
    }
}

/// A packet of a kind, all else zero.
pub(super) fn key_of_kind(kind: u16) -> PacketKey {
    let none = ports_of(kind) == Ports::None;
    let port = if none { PacketKey::NO_PORT } else { 0 };
    PacketKey {
        source: 0,
        destination: 0,
        source_port: port,
        destination_port: port,
        protocol: match kind {
            SYN => protocol::TCP,
            kind => kind as u8,
        },
        fragment: (FIRST_FRAGMENT..SYN).contains(&kind),
        syn: kind == SYN,
    }
}

/// The ports of a kind.
pub(super) fn ports_of(kind: u16) -> Ports {
    const TCP: u16 = protocol::TCP as u16;
    const UDP: u16 = protocol::UDP as u16;
    const ICMP: u16 = protocol::ICMP as u16;
    match kind {
        TCP | UDP | SYN => Ports::Any,
        ICMP => Ports::Byte,
        _ => Ports::None,
    }
}

/// The coordinate of a packet on a level, its interface's class aside.
pub(super) fn value(key: &PacketKey, level: usize) -> u16 {
    match level {
        KIND => kind_of(key),
        SOURCE..DESTINATION => octet(key.source, level - SOURCE),
        DESTINATION..SOURCE_PORT => octet(key.destination, level - DESTINATION),
        SOURCE_PORT => key.source_port,
        _ => key.destination_port,
    }
}

/// Octet 0 is the first that is written.
pub(super) fn octet(address: u32, place: usize) -> u16 {
    u16::from(address.to_be_bytes()[place])
}

/// The values to show people first, for packets that so far look like this.
/// None for a level where any will do.
pub(super) fn usual(level: usize, values: &[u16; LEVELS]) -> &'static [u16] {
    const ICMP: u16 = protocol::ICMP as u16;
    const ADDRESSES: [&[u16]; 8] = [
        // Of the networks that are kept for examples.
        &[192, 10, 1],
        &[0, 168, 1],
        &[2, 1],
        &[7, 1],
        &[198, 192, 10, 1],
        &[51, 168, 0, 1],
        &[100, 1],
        &[1],
    ];
    match level {
        KIND => &[SYN, 6, 17, 1],
        SOURCE..SOURCE_PORT => ADDRESSES[level - SOURCE],
        SOURCE_PORT if values[KIND] == ICMP => &[8, 3, 0],
        DESTINATION_PORT if values[KIND] == ICMP => &[0],
        SOURCE_PORT if ports_of(values[KIND]) == Ports::None => &[PacketKey::NO_PORT],
        DESTINATION_PORT if ports_of(values[KIND]) == Ports::None => &[PacketKey::NO_PORT],
        SOURCE_PORT => &[1024, 61000],
        DESTINATION_PORT => &[80, 1024],
        _ => &[0],
    }
}
