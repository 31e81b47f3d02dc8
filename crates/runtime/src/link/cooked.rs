//! Linux cooked captures, versions 1 and 2.
//!
//! Read by hand: etherparse's `LinuxSllHeaderSlice` refuses devices whose ARPHRD type it does not
//! list, loopback (772), PPP (512) and tunnels among them, and it does not know version 2.

use super::{Addressing, Foreign, Network, be16, ethernet};
use crate::Direction;

const ARPHRD_LOOPBACK: u16 = 772;

/// Packet type, ARPHRD type, address length, address (8 bytes), protocol: 16 bytes.
pub(super) fn network_layer(frame: &[u8]) -> Network<'_> {
    let fields = (
        be16(frame, 0),
        be16(frame, 2),
        be16(frame, 14),
        frame.get(16..),
    );
    let (Some(packet_type), Some(arphrd), Some(protocol), Some(payload)) = fields else {
        return Network::CutShort;
    };
    Cooked {
        packet_type,
        arphrd,
        protocol,
        payload,
    }
    .network_layer()
}

/// Protocol, reserved, interface index, ARPHRD type, packet type (1 byte), address length (1),
/// address (8): 20 bytes.
pub(super) fn network_layer_v2(frame: &[u8]) -> Network<'_> {
    let fields = (
        be16(frame, 0),
        be16(frame, 8),
        frame.get(10),
        frame.get(20..),
    );
    let (Some(protocol), Some(arphrd), Some(&packet_type), Some(payload)) = fields else {
        return Network::CutShort;
    };
    Cooked {
        packet_type: packet_type.into(),
        arphrd,
        protocol,
        payload,
    }
    .network_layer()
}

struct Cooked<'a> {
    packet_type: u16,
    arphrd: u16,
    protocol: u16,
    payload: &'a [u8],
}

impl<'a> Cooked<'a> {
    fn network_layer(self) -> Network<'a> {
        let addressing = Addressing {
            // 0 to this host, 1 broadcast, 2 multicast, 3 to another host, 4 sent by this host.
            group: matches!(self.packet_type, 1 | 2),
            direction: match self.packet_type {
                0..=2 => Some(Direction::Inbound),
                4 => Some(Direction::Outbound),
                _ => None,
            },
            loopback: self.arphrd == ARPHRD_LOOPBACK,
        };
        match self.arphrd {
            // Frame relay (770), 802.11 with and without radio headers (801 to 803), netlink
            // (824): the protocol field is absent or means something else.
            770 | 801..=803 | 824 => Network::NotIpv4(Foreign::Device(self.arphrd)),
            _ => ethernet::payload_of(self.protocol, self.payload, addressing),
        }
    }
}
