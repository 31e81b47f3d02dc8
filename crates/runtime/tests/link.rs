//! Frames of every supported link type, and the Ethernet path against etherparse.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, ether_type};
use portcullis_runtime::{
    Direction,
    capture::CaptureReader,
    link::{Foreign, LinkType, Network, network_layer},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use support::shared;

const PACKET: [u8; 4] = [0x45, 0, 0, 20];

fn ipv4(packet: &[u8]) -> Network<'_> {
    Network::Ipv4 {
        packet,
        group: false,
        direction: None,
        loopback: false,
    }
}

fn frame(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Every header of this link type carries the packet whole, and no beginning of it panics or
/// finds a packet that is not there.
#[track_caller]
fn carries(link: LinkType, header: &[u8], expected: Network<'_>) {
    let whole = frame(&[header, &PACKET]);
    assert_eq!(network_layer(link, &whole), expected);
    for length in 0..=header.len() {
        assert_eq!(
            network_layer(link, &whole[..length]),
            Network::CutShort,
            "{length} bytes"
        );
    }
}

const ADDRESSES: [u8; 12] = [0x02, 1, 1, 1, 1, 1, 0x02, 2, 2, 2, 2, 2];

#[test]
fn ethernet_with_tags_and_pppoe() {
    let ethernet = |rest: &[u8]| frame(&[&ADDRESSES, rest]);
    let session = [0x88, 0x64, 0x11, 0, 0, 1, 0, 6];
    for header in [
        ethernet(&[0x08, 0]),
        ethernet(&[0x81, 0, 0, 5, 0x08, 0]),
        ethernet(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x08, 0]),
        ethernet(&frame(&[&[0x91, 0, 0, 5].repeat(6), &[0x08, 0]])),
        ethernet(&frame(&[&session, &[0, 0x21]])),
        ethernet(&frame(&[&[0x81, 0, 0, 5], &session, &[0, 0x21]])),
        ethernet(&frame(&[&session, &[0x21]])),
    ] {
        carries(LinkType::ETHERNET, &header, ipv4(&PACKET));
    }
    let mut broadcast = ethernet(&[0x81, 0, 0, 5, 0x08, 0]);
    broadcast[..6].fill(0xff);
    let expected = Network::Ipv4 {
        packet: &PACKET,
        group: true,
        direction: None,
        loopback: false,
    };
    carries(LinkType::ETHERNET, &broadcast, expected);
}

#[test]
fn ethernet_with_something_else() {
    for (rest, expected) in [
        (&[0x08, 0x06][..], "ARP"),
        (&[0x86, 0xdd], "IPv6"),
        (&[0x81, 0, 0, 5, 0x86, 0xdd], "IPv6"),
        (&[0x00, 0x26, 0x42, 0x42, 3], "802.2 LLC"),
        (&[0x88, 0x47], "MPLS"),
        (&[0x88, 0x63], "PPPoE discovery"),
        (&[0x88, 0x64, 0x11, 0, 0, 1, 0, 2, 0xc0, 0x21], "PPP LCP"),
        (&[0x88, 0x64, 0x11, 0, 0, 1, 0, 2, 0x57], "IPv6"),
        (&[0x88, 0x64, 0x11, 0xa7, 0, 1], "PPPoE session control"),
        (&[0x12, 0x34], "EtherType 0x1234"),
    ] {
        let whole = frame(&[&ADDRESSES, rest]);
        match network_layer(LinkType::ETHERNET, &whole) {
            Network::NotIpv4(what) => assert_eq!(what.to_string(), expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn an_ether_type_is_believed_whatever_the_version() {
    let whole = frame(&[&ADDRESSES, &[0x08, 0, 0x60]]);
    assert_eq!(network_layer(LinkType::ETHERNET, &whole), ipv4(&[0x60]));
}

#[test]
fn loopback_in_every_byte_order() {
    carries(LinkType::NULL, &[2, 0, 0, 0], ipv4(&PACKET));
    carries(LinkType::NULL, &[0, 0, 0, 2], ipv4(&PACKET));
    carries(LinkType::LOOP, &[0, 0, 0, 2], ipv4(&PACKET));
    for family in [10, 24, 28, 30] {
        let ipv6 = Network::NotIpv4(Foreign::Ipv6);
        assert_eq!(
            network_layer(LinkType::NULL, &[family, 0, 0, 0, 0x60]),
            ipv6
        );
        assert_eq!(
            network_layer(LinkType::LOOP, &[0, 0, 0, family, 0x60]),
            ipv6
        );
    }
    let other = Network::NotIpv4(Foreign::AddressFamily(0x0200_0000));
    assert_eq!(network_layer(LinkType::LOOP, &[2, 0, 0, 0, 0x45]), other);
}

#[test]
fn ppp_and_hdlc() {
    for header in [
        &[0xff, 3, 0, 0x21][..],
        &[0, 0x21],
        &[0x21],
        &[0xff, 3, 0x21],
    ] {
        let whole = frame(&[header, &PACKET]);
        assert_eq!(network_layer(LinkType::PPP, &whole), ipv4(&PACKET));
        assert_eq!(network_layer(LinkType::PPP_HDLC, &whole), ipv4(&PACKET));
        assert_eq!(network_layer(LinkType::PPP, header), Network::CutShort);
    }
    carries(LinkType::C_HDLC, &[0x0f, 0, 0x08, 0], ipv4(&PACKET));
    carries(LinkType::PPP_HDLC, &[0x0f, 0, 0x08, 0], ipv4(&PACKET));
    let group = Network::Ipv4 {
        packet: &PACKET,
        group: true,
        direction: None,
        loopback: false,
    };
    carries(LinkType::C_HDLC, &[0x8f, 0, 0x08, 0], group);
}

#[test]
fn cooked_captures_say_direction_group_and_loopback() {
    for (packet_type, group, direction) in [
        (0, false, Some(Direction::Inbound)),
        (1, true, Some(Direction::Inbound)),
        (2, true, Some(Direction::Inbound)),
        (3, false, None),
        (4, false, Some(Direction::Outbound)),
        (9, false, None),
    ] {
        for (arphrd, loopback) in [([0, 1], false), ([2, 0], false), ([3, 4], true)] {
            let expected = Network::Ipv4 {
                packet: &PACKET,
                group,
                direction,
                loopback,
            };
            let first = frame(&[&[0, packet_type], &arphrd, &[0, 6], &[0; 8], &[8, 0]]);
            carries(LinkType::LINUX_SLL, &first, expected);
            let second = frame(&[
                &[8, 0, 0, 0, 0, 0, 0, 2],
                &arphrd,
                &[packet_type, 6],
                &[0; 8],
            ]);
            carries(LinkType::LINUX_SLL2, &second, expected);
        }
    }
    let netlink = frame(&[&[0, 4, 3, 0x38, 0, 0], &[0; 8], &[8, 0], &PACKET]);
    let device = Network::NotIpv4(Foreign::Device(824));
    assert_eq!(network_layer(LinkType::LINUX_SLL, &netlink), device);
}

/// Always the same cases, and no files with the failed ones.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Headers and tags as they occur, stacked and cut at random, then random bytes.
fn ethernet_frames() -> impl Strategy<Value = Vec<u8>> {
    let ether_type = prop_oneof![
        4 => select(vec![0x0800_u16, 0x8100, 0x88a8, 0x9100]),
        2 => select(vec![0x86dd_u16, 0x0806, 0x8847, 0x8863, 0x88cc, 0x002e, 0x0600]),
        1 => any::<u16>(),
    ];
    let tags = vec((any::<[u8; 2]>(), ether_type.clone()), 0..4);
    let first = prop_oneof![Just(0x45_u8), Just(0x46), any::<u8>()];
    let packet = (first, vec(any::<u8>(), 0..60));
    (any::<[u8; 12]>(), ether_type, tags, packet, 0..100_usize).prop_map(
        |(addresses, ether_type, tags, (first, rest), cut)| {
            let mut frame = addresses.to_vec();
            frame.extend(ether_type.to_be_bytes());
            for (tag, ether_type) in tags {
                frame.extend(tag);
                frame.extend(ether_type.to_be_bytes());
            }
            frame.push(first);
            frame.extend(rest);
            frame.truncate(cut);
            frame
        },
    )
}

/// What etherparse makes of an Ethernet frame.
#[derive(Debug, PartialEq)]
enum Sliced {
    /// The link headers end at the offset, before this EtherType's payload.
    Network(usize, u16),
    CutShort,
    /// It takes three tags at most and knows no PPPoE; and it looks through MACsec, which a
    /// filter does not.
    Beyond,
}

fn by_etherparse(frame: &[u8]) -> Sliced {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
        return Sliced::CutShort;
    };
    let payload = packet
        .ether_payload()
        .expect("an Ethernet frame has a payload");
    let offset = payload.payload.as_ptr().addr() - frame.as_ptr().addr();
    if let Some(LaxNetSlice::Ipv4(ip)) = &packet.net {
        // Where it also accepts the packet, the header is at the same place.
        assert_eq!(
            ip.header().slice().as_ptr().addr() - frame.as_ptr().addr(),
            offset
        );
    }
    match payload.ether_type {
        // Slicing stops with a tag's own EtherType before one that is cut, or one too many.
        ether_type::VLAN_TAGGED_FRAME
        | ether_type::PROVIDER_BRIDGING
        | ether_type::VLAN_DOUBLE_TAGGED_FRAME => {
            if packet.link_exts.is_full() {
                Sliced::Beyond
            } else {
                Sliced::CutShort
            }
        }
        ether_type::MACSEC | EtherType(0x8864) => Sliced::Beyond,
        EtherType(number) => Sliced::Network(offset, number),
    }
}

#[test]
fn the_fast_path_agrees_with_etherparse() {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let counted = std::cell::RefCell::new(&mut counts);
    runner(200_000)
        .run(&ethernet_frames(), |frame| {
            let ours = network_layer(LinkType::ETHERNET, &frame);
            let kind = match (ours, by_etherparse(&frame)) {
                (_, Sliced::Beyond) => "beyond",
                (Network::CutShort, Sliced::CutShort) => "cut in the link headers",
                (Network::CutShort, Sliced::Network(offset, 0x0800)) => {
                    prop_assert_eq!(offset, frame.len());
                    "cut before the packet"
                }
                (
                    Network::Ipv4 {
                        packet,
                        group,
                        direction: None,
                        loopback: false,
                    },
                    theirs,
                ) => {
                    let offset = frame.len() - packet.len();
                    prop_assert_eq!(theirs, Sliced::Network(offset, 0x0800));
                    prop_assert_eq!(group, frame[0] & 1 == 1);
                    "IPv4"
                }
                (Network::NotIpv4(what), Sliced::Network(_, number)) => {
                    let same = match what {
                        Foreign::Llc => number < 0x0600,
                        Foreign::Ipv6 => number == 0x86dd,
                        Foreign::EtherType(ours) => ours == number,
                        _ => false,
                    };
                    prop_assert!(same, "{:?} and {:04x}", what, number);
                    "something else"
                }
                (ours, theirs) => {
                    prop_assert!(false, "{:?} and {:?}", ours, theirs);
                    "disagreement"
                }
            };
            *counted.borrow_mut().entry(kind).or_default() += 1;
            Ok(())
        })
        .unwrap();
    println!("{counts:?}");
    for kind in [
        "cut in the link headers",
        "cut before the packet",
        "IPv4",
        "something else",
    ] {
        assert!(counts[kind] > 100, "{counts:?}");
    }
}

#[test]
fn no_frame_of_any_link_type_panics() {
    runner(20_000)
        .run(&(0..300_u16, vec(any::<u8>(), 0..40)), |(link, frame)| {
            if let Network::Ipv4 { packet, .. } = network_layer(LinkType(link), &frame) {
                prop_assert!(!packet.is_empty() && frame.ends_with(packet));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn samples_carry_what_they_should() {
    let Some(folder) = shared("captures") else {
        return;
    };
    let expected: [(&str, &[(&str, usize)]); 13] = [
        (
            "chdlc.pcap",
            &[("EtherType 0x2000", 4), ("IPv4", 10), ("RARP or SLARP", 24)],
        ),
        ("null-loop.pcap", &[("IPv4", 381)]),
        ("raw-12.pcap", &[("IPv6", 81)]),
        ("raw-ip.pcap", &[("IPv4", 50), ("IPv6", 50)]),
        ("linktype-228.pcap", &[("IPv4", 13)]),
        ("ppp-traceroute.pcap", &[("IPv4", 9), ("PPP MPLS", 9)]),
        ("pppoe-qinq.pcap", &[("IPv4", 86)]),
        ("sll-large.pcap", &[("ARP", 7), ("IPv4", 510), ("IPv6", 1)]),
        ("ns-sll.pcap", &[("IPv4", 3)]),
        ("sll2-a.pcap", &[("IPv4", 5)]),
        ("vlan-icmp.pcap", &[("ARP", 6), ("IPv4", 9)]),
        ("vlan-mpls.pcap", &[("IPv4", 36), ("MPLS", 11)]),
        ("dns.pcapng", &[("IPv4", 5)]),
    ];
    for (file, expected) in expected {
        let mut reader = CaptureReader::open(&folder.join(file)).unwrap();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(record) = reader.next_record().unwrap() {
            let kind = match network_layer(record.interface.link_type, record.data) {
                Network::Ipv4 { .. } => "IPv4".to_owned(),
                Network::NotIpv4(what) => what.to_string(),
                other => format!("{other:?}"),
            };
            *counts.entry(kind).or_default() += 1;
        }
        let counts: Vec<_> = counts
            .iter()
            .map(|(kind, &count)| (&kind[..], count))
            .collect();
        assert_eq!(counts, expected, "{file}");
    }
}
