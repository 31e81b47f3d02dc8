//! A frame of any link type: finding the packet, its key, its log line and
//! its state never panics, and what the key says is what the bytes say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::packet::{Ipv4Packet, PacketKey, protocol};
use portcullis_runtime::link::{LinkType, Network, network_layer};

fuzz_target!(|input: (u16, &[u8], u16)| {
    let (link, frame, wire_length) = input;
    let Network::Ipv4 { packet, .. } = network_layer(LinkType(link), frame) else {
        return;
    };
    assert!(!packet.is_empty() && frame.ends_with(packet));
    let wire_length = packet.len().max(usize::from(wire_length));
    let received = Ipv4Packet::received(packet, wire_length);
    let Ok(sent) = Ipv4Packet::sent(packet, wire_length) else {
        assert!(received.is_err());
        return;
    };
    assert_eq!(sent.header().len() + sent.payload().len(), packet.len());
    assert_eq!(sent.options().words().len() * 4 + 20, sent.header().len());
    if let Ok(key) = sent.key() {
        assert_eq!(key.source.to_be_bytes(), packet[12..16]);
        let fragment = sent.fragment_offset() != 0;
        assert!(!fragment || key.fragment);
        if key.fragment {
            assert_eq!(key.source_port, PacketKey::NO_PORT);
        }
        assert!(!key.syn || key.protocol == protocol::TCP);
    }
});
