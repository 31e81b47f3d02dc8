//! A frame of any link type: finding the packet never panics, what is found is the frame's end,
//! and of Ethernet it is what etherparse finds.

#![no_main]

use etherparse::{EtherType, LaxSlicedPacket, ether_type};
use libfuzzer_sys::fuzz_target;
use portcullis_core::packet::Ipv4Packet;
use portcullis_runtime::link::{Foreign, LinkType, Network, network_layer};

const MACSEC: u16 = 0x88e5;
const PPPOE: u16 = 0x8864;
const LINKS: [LinkType; 13] = [
    LinkType::ETHERNET,
    LinkType::NULL,
    LinkType::PPP,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::PPP_HDLC,
    LinkType::RAW,
    LinkType::C_HDLC,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
];

fuzz_target!(|input: &[u8]| {
    let Some((link, frame)) = input.split_first() else {
        return;
    };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    let network = network_layer(link, frame);
    if link == LinkType::ETHERNET {
        agree_with_etherparse(frame, &network);
    }
    if let Network::Ipv4 { packet, .. } = network {
        assert!(!packet.is_empty() && frame.ends_with(packet));
        let _ = Ipv4Packet::received(packet, packet.len()).map(|packet| packet.key());
    }
});

fn agree_with_etherparse(frame: &[u8], ours: &Network<'_>) {
    let Ok(theirs) = LaxSlicedPacket::from_ethernet(frame) else {
        assert_eq!(*ours, Network::CutShort);
        return;
    };
    let Some(payload) = theirs.ether_payload() else {
        return;
    };
    let offset = payload.payload.as_ptr().addr() - frame.as_ptr().addr();
    match (ours, payload.ether_type) {
        // It takes three tags at most, knows no PPPoE, and looks through MACsec, which a filter
        // does not.
        (Network::NotIpv4(Foreign::EtherType(MACSEC)), _) => {}
        (_, EtherType(PPPOE)) => {}
        (
            _,
            ether_type::VLAN_TAGGED_FRAME
            | ether_type::PROVIDER_BRIDGING
            | ether_type::VLAN_DOUBLE_TAGGED_FRAME,
        ) => assert!(theirs.link_exts.is_full() || *ours == Network::CutShort),
        (Network::CutShort, EtherType(0x0800)) => assert_eq!(offset, frame.len()),
        (Network::Ipv4 { packet, group, .. }, EtherType(0x0800)) => {
            assert_eq!(frame.len() - packet.len(), offset);
            assert_eq!(*group, frame[0] & 1 == 1);
        }
        (Network::NotIpv4(what), EtherType(number)) => match what {
            Foreign::Llc => assert!(number < 0x0600),
            Foreign::Ipv6 => assert_eq!(number, 0x86dd),
            Foreign::EtherType(ours) => assert_eq!(*ours, number),
            other => panic!("{other:?} and {number:04x}"),
        },
        (ours, theirs) => panic!("{ours:?} and {theirs:?}"),
    }
}
