//! Forwarding keeps the header's checksum right.

#![allow(clippy::unwrap_used, reason = "tests")]

use portcullis_core::judge::PacketState;
use portcullis_core::packet::{Ipv4Packet, header_checksum};
use proptest::prelude::*;

proptest! {
    /// The checksum that follows from the old one is the one that adding up everything gives.
    #[test]
    fn a_lower_time_to_live_has_a_right_checksum(header in any::<[u8; 20]>(), ttl in 1..=255u8) {
        let mut header = header;
        header[0] = 0x45;
        header[8] = ttl;
        header[10..12].fill(0);
        let sum = header_checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let packet = Ipv4Packet::sent(&header, header.len()).unwrap();
        let lower = PacketState::of(&packet).with_ttl(ttl - 1);
        header[8] = lower.ttl;
        header[10..12].copy_from_slice(&lower.checksum.to_be_bytes());
        prop_assert_eq!(header_checksum(&header), 0);
    }
}
