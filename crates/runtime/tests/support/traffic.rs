//! Captures of made-up traffic: all that a packet, a frame and a file can differ in.

use portcullis_core::packet::header_checksum;

use super::damage::Random;
use super::{Order, interface, packet, pcap_header, pcap_record, section};

const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const LINUX_SLL: u16 = 113;
const NULL: u16 = 0;

const RECORDS: usize = 1500;

/// Captures with their names, the same each time.
pub(crate) fn captures() -> Vec<(String, Vec<u8>)> {
    let mut captures = Vec::new();
    for link in [ETHERNET, RAW, LINUX_SLL, NULL] {
        for order in [Order::Little, Order::Big] {
            let mut bytes = pcap_header(order, 0xa1b2_c3d4, 65535, link.into());
            for frame in frames(&[link]) {
                bytes.extend(pcap_record(order, 1_003_278_766, 0, &frame.1));
            }
            captures.push((format!("pcap of link type {link}, {order:?}"), bytes));
        }
    }
    let links = [ETHERNET, RAW, ETHERNET, LINUX_SLL];
    let mut bytes = section(Order::Little);
    for link in links {
        bytes.extend(interface(Order::Little, link, 65535, &[]));
    }
    for (interface, frame) in frames(&links) {
        bytes.extend(packet(Order::Little, interface as u32, 0, &frame, &[]));
    }
    captures.push(("pcapng".to_owned(), bytes));
    captures
}

/// Frames, some again and again, each with the place of its link type.
fn frames(links: &[u16]) -> Vec<(usize, Vec<u8>)> {
    let mut random = Random::new(0x2001_1017);
    let mut frames = Vec::new();
    while frames.len() < RECORDS {
        let interface = random.below(links.len());
        let mut frame = link_header(links[interface], &mut random);
        frame.extend(ip_packet(&mut random));
        // Some are cut anywhere, some lack only a little.
        match random.below(30) {
            0 => frame.truncate(random.below(frame.len())),
            1 => frame.truncate(frame.len() - 1 - random.below(7)),
            _ => {}
        }
        let times = [1, 1, 1, 2, 5][random.below(5)];
        frames.extend(std::iter::repeat_n((interface, frame), times));
    }
    frames
}

fn link_header(link: u16, random: &mut Random) -> Vec<u8> {
    match link {
        ETHERNET => {
            let first = [2, 2, 2, 1, 0xff][random.below(5)];
            let mut header = vec![first, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
            header.extend(match random.below(20) {
                0 => &[8, 6][..],
                1 => &[0x86, 0xdd],
                2 => &[0x81, 0, 0, 7, 8, 0],
                _ => &[8, 0],
            });
            header
        }
        // Some to this machine, some to many, some from it.
        LINUX_SLL => {
            let kind = [0, 0, 1, 2, 4][random.below(5)];
            vec![0, kind, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0, 8, 0]
        }
        NULL => vec![2, 0, 0, 0],
        _ => Vec::new(),
    }
}

fn ip_packet(random: &mut Random) -> Vec<u8> {
    let mut pick = |of: &[u8]| of[random.below(of.len())];
    let protocol = pick(&[6, 6, 6, 17, 17, 1, 47]);
    let (ports, flags) = (
        [
            pick(&[0, 4, 156]),
            pick(&[25, 53, 80]),
            pick(&[0, 4, 156]),
            pick(&[25, 53, 80]),
        ],
        pick(&[0x02, 0x10, 0x12, 0]),
    );
    let payload = match protocol {
        6 => {
            let mut header = vec![0; 20];
            header[..4].copy_from_slice(&ports);
            (header[12], header[13]) = (0x50, flags);
            header
        }
        17 => [&ports[..], &[0, 8, 0, 0]].concat(),
        1 => vec![pick(&[0, 3, 8]), pick(&[0, 1]), 0, 0, 0, 0, 0, 0],
        _ => vec![0; 4],
    };
    let options: &[u8] = match pick(&[0, 0, 0, 0, 0, 0, 0, 1]) {
        0 => &[],
        _ => &[1, 1, 1, 0],
    };
    let fragment = [
        [0x40, 0],
        [0x40, 0],
        [0x40, 0],
        [0, 0],
        [0x20, 0],
        [0, 1],
        [0, 185],
    ];
    let fragment = fragment[usize::from(pick(&[0, 0, 0, 1, 1, 2, 3, 4, 5, 6]))];
    let length = (20 + options.len() + payload.len()) as u8;
    let mut bytes = vec![
        0x45 + (options.len() / 4) as u8,
        pick(&[0, 0, 0x10]),
        0,
        length,
        0,
        1,
    ];
    bytes.extend(fragment);
    bytes.extend([pick(&[64, 64, 64, 2, 1, 0]), protocol, 0, 0]);
    bytes.extend([10, 0, 0, pick(&[1, 2, 3])]);
    bytes.extend(
        [
            [10, 0, 0, 1],
            [2, 2, 2, 2],
            [224, 0, 0, 5],
            [255, 255, 255, 255],
        ][usize::from(pick(&[0, 0, 0, 1, 1, 2, 3]))],
    );
    bytes.extend(options);
    let checksum = header_checksum(&bytes) ^ u16::from(pick(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes.extend(payload);
    bytes
}
