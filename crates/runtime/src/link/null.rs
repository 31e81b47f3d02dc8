//! BSD loopback: a four-byte address family before the packet.

use super::{Addressing, Foreign, Network};

/// Whose byte order the address family is in.
pub(super) enum ByteOrder {
    OfTheCapturingMachine,
    Network,
}

pub(super) fn network_layer(order: ByteOrder, frame: &[u8]) -> Network<'_> {
    let Some((family, packet)) = frame.split_first_chunk::<4>() else {
        return Network::CutShort;
    };
    let family = match (order, u32::from_be_bytes(*family)) {
        // Families are small: a number in the upper half means the other byte order.
        (ByteOrder::OfTheCapturingMachine, number) if number > 0xffff => number.swap_bytes(),
        (_, number) => number,
    };
    match family {
        2 => Addressing::NONE.ipv4(packet),
        // NetBSD and OpenBSD, FreeBSD, macOS; 10 is Linux.
        24 | 28 | 30 | 10 => Network::NotIpv4(Foreign::Ipv6),
        other => Network::NotIpv4(Foreign::AddressFamily(other)),
    }
}
