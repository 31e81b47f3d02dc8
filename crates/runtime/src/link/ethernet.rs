//! Ethernet II, VLAN tags and PPPoE sessions.

use etherparse::{EtherType, SingleVlanHeaderSlice, ether_type};

use super::{Addressing, Foreign, Network, ppp};

const HEADER: usize = 14;
const PPPOE_SESSION: u16 = 0x8864;

/// Plain IPv4, which is nearly every frame, is decided on the first line.
pub(super) fn network_layer(frame: &[u8]) -> Network<'_> {
    let Some((header, payload)) = frame.split_first_chunk::<HEADER>() else {
        return Network::CutShort;
    };
    let addressing = Addressing::group(header[0] & 1 == 1);
    match u16::from_be_bytes([header[12], header[13]]) {
        Foreign::IPV4_ETHER_TYPE => addressing.ipv4(payload),
        other => payload_of(other, payload, addressing),
    }
}

/// What follows an EtherType: IPv4, or IPv4 behind any number of VLAN tags or in a PPPoE session.
/// Every tag takes four bytes of the frame, so the walk ends.
pub(super) fn payload_of(
    mut ether_type: u16,
    mut payload: &[u8],
    addressing: Addressing,
) -> Network<'_> {
    while is_vlan_tag(ether_type) {
        let Ok(tag) = SingleVlanHeaderSlice::from_slice(payload) else {
            return Network::CutShort;
        };
        ether_type = tag.ether_type().0;
        payload = &payload[tag.slice().len()..];
    }
    match ether_type {
        Foreign::IPV4_ETHER_TYPE => addressing.ipv4(payload),
        PPPOE_SESSION => pppoe_session(payload, addressing),
        other => Network::NotIpv4(Foreign::of_ether_type(other)),
    }
}

fn is_vlan_tag(number: u16) -> bool {
    matches!(
        EtherType(number),
        ether_type::VLAN_TAGGED_FRAME
            | ether_type::PROVIDER_BRIDGING
            | ether_type::VLAN_DOUBLE_TAGGED_FRAME
    )
}

/// RFC 2516: version and type, code, session id, length, then a PPP frame. The length is not
/// applied: link padding stays with the packet, as everywhere.
fn pppoe_session(payload: &[u8], addressing: Addressing) -> Network<'_> {
    const SESSION_HEADER: usize = 6;
    match (payload.get(1), payload.get(SESSION_HEADER..)) {
        (Some(0), Some(frame)) => ppp::payload_of(frame, addressing),
        (None, _) | (Some(0), None) => Network::CutShort,
        // Code 0 is session data; the others belong to the discovery stage.
        (Some(_), _) => Network::NotIpv4(Foreign::EtherType(PPPOE_SESSION)),
    }
}
