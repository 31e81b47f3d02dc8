//! PPP, PPP in HDLC-like framing, and Cisco HDLC.

use super::{Addressing, Foreign, Network, be16, ethernet};

/// Link type 9: address and control bytes may have been left out (RFC 1661 compression).
pub(super) fn network_layer(frame: &[u8]) -> Network<'_> {
    let frame = frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame);
    payload_of(frame, Addressing::NONE)
}

/// Link type 50: the first byte tells Cisco's framing (RFC 1547) from PPP's.
pub(super) fn hdlc_network_layer(frame: &[u8]) -> Network<'_> {
    match frame.first() {
        Some(&(CISCO_UNICAST | CISCO_BROADCAST)) => cisco_network_layer(frame),
        _ => network_layer(frame),
    }
}

const CISCO_UNICAST: u8 = 0x0f;
const CISCO_BROADCAST: u8 = 0x8f;

/// Link type 104: address, control, EtherType.
pub(super) fn cisco_network_layer(frame: &[u8]) -> Network<'_> {
    let (Some(ether_type), Some(payload)) = (be16(frame, 2), frame.get(4..)) else {
        return Network::CutShort;
    };
    let addressing = Addressing::group(frame[0] == CISCO_BROADCAST);
    ethernet::payload_of(ether_type, payload, addressing)
}

/// The PPP protocol number and what follows it. An odd first byte is a whole number in one byte.
pub(super) fn payload_of(frame: &[u8], addressing: Addressing) -> Network<'_> {
    let (protocol, payload) = match *frame {
        [low, ref payload @ ..] if low & 1 == 1 => (u16::from(low), payload),
        [high, low, ref payload @ ..] => (u16::from_be_bytes([high, low]), payload),
        _ => return Network::CutShort,
    };
    match protocol {
        0x0021 => addressing.ipv4(payload),
        0x0057 => Network::NotIpv4(Foreign::Ipv6),
        other => Network::NotIpv4(Foreign::Ppp(other)),
    }
}
