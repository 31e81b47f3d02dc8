//! Hand-made captures: each feature of the formats, and each kind of damage.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portcullis_runtime::{
    Direction,
    capture::{CaptureReader, Format, Oddity, Timestamp},
    link::LinkType,
};
use support::{
    Order, block, interface, option, packet, pcap_header, pcap_record, read_all, reader, section,
};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;
const FRAME: &[u8] = b"frame";

/// Records and error of a capture: times in nanoseconds, offsets, the message.
fn outcome(bytes: &[u8]) -> (Vec<u64>, String) {
    match reader(bytes) {
        Err(error) => (Vec::new(), error.to_string()),
        Ok(mut reader) => {
            let (records, error) = read_all(&mut reader);
            let offsets = records.iter().map(|record| record.offset).collect();
            (
                offsets,
                error.map(|error| error.to_string()).unwrap_or_default(),
            )
        }
    }
}

fn nanos(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_nanos)
}

#[test]
fn pcap_of_both_orders_and_precisions() {
    for order in [Order::Little, Order::Big] {
        for (magic, fraction, expected) in [
            (MICROSECONDS, 5, 3_000_005_000),
            (NANOSECONDS, 5, 3_000_000_005),
        ] {
            let header = pcap_header(order, magic, 65535, 0xf400_0001);
            let record = pcap_record(order, 3, fraction, FRAME);
            let mut reader = reader(&[header, record.clone(), record].concat()).unwrap();
            let (records, error) = read_all(&mut reader);
            assert!(error.is_none());
            assert_eq!(reader.format(), Format::Pcap);
            assert_eq!(reader.format().to_string(), "pcap");
            assert_eq!(reader.interfaces()[0].link_type, LinkType::ETHERNET);
            assert_eq!(records.len(), 2);
            assert_eq!(records[1].offset, 24 + 16 + 5);
            assert_eq!(nanos(records[1].time), Some(expected));
            assert_eq!(records[1].data, FRAME);
            assert_eq!(records[1].original_length, 5);
        }
    }
}

#[test]
fn modified_pcap_has_longer_record_headers() {
    for order in [Order::Little, Order::Big] {
        let mut record = pcap_record(order, 3, 5, FRAME);
        record.splice(16..16, [9; 8]);
        let capture = [pcap_header(order, MODIFIED, 0, 1), record.clone(), record].concat();
        let (records, error) = read_all(&mut reader(&capture).unwrap());
        assert!(error.is_none());
        assert_eq!((records.len(), &records[1].data[..]), (2, FRAME));
    }
}

#[test]
fn old_pcap_versions_swap_the_lengths() {
    for (minor, fields) in [(4, [5, 9]), (3, [5, 9]), (3, [9, 5]), (2, [9, 5])] {
        let mut capture = pcap_header(Order::Little, MICROSECONDS, 65535, 1);
        capture[6] = minor;
        capture.extend(Order::Little.words(&[0, 0, fields[0], fields[1]]));
        capture.extend(FRAME);
        let (records, error) = read_all(&mut reader(&capture).unwrap());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(
            (&records[0].data[..], records[0].original_length),
            (FRAME, 9)
        );
    }
}

#[test]
fn what_is_not_a_capture_is_said_to_be_none() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "test: the file is empty"),
        (
            b"\xd4\xc3",
            "test: this is not a capture: it begins with the bytes d4 c3",
        ),
        (
            b"*filter\n:INPUT ACCEPT [0:0]\n",
            r#"test: this is not a capture: it begins with the text "*filter\n:INPUT A""#,
        ),
        (
            b"\x7fELF",
            "test: this is not a capture: it begins with the bytes 7f 45 4c 46",
        ),
    ];
    for (bytes, message) in cases {
        assert_eq!(outcome(bytes), (vec![], message.to_owned()));
    }
    let missing = CaptureReader::open("no/such.pcap".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("no/such.pcap: No such file"),
        "{missing}"
    );
}

#[test]
fn damaged_pcap_gives_what_can_be_read() {
    let order = Order::Little;
    let header = pcap_header(order, MICROSECONDS, 65535, 1);
    let record = pcap_record(order, 3, 5, FRAME);
    let good = [header.clone(), record.clone()].concat();
    let with = |rest: &[u8]| outcome(&[&good, rest].concat());
    let after = |message: &str| {
        (
            vec![24],
            format!("test: at byte 45: {message}, after 1 record"),
        )
    };

    assert_eq!(
        outcome(&header[..10]).1,
        "test: at byte 0: the file ends inside a file header: it needs 24 bytes and 10 are left, \
         after 0 records"
    );
    assert_eq!(
        with(&record[..20]),
        after("the file ends inside a record: it needs 21 bytes and 20 are left")
    );
    assert_eq!(
        with(&record[..3]),
        after("the file ends inside a record header: it needs 16 bytes and 3 are left")
    );
    assert_eq!(
        with(&order.words(&[0, 0, 3_000_000_000, 60, 0, 0, 0])),
        after("the record claims 3,000,000,000 captured bytes; the most accepted is 262,144")
    );
}

#[test]
fn the_snap_length_raises_the_bound_up_to_another() {
    for (snaplen, most) in [
        (0, "262,144"),
        (300_000, "300,000"),
        (u32::MAX, "67,108,864"),
    ] {
        let header = pcap_header(Order::Little, MICROSECONDS, snaplen, 1);
        let record = Order::Little.words(&[0, 0, u32::MAX, 60]);
        let (_, message) = outcome(&[header, record].concat());
        assert!(
            message.contains(&format!("the most accepted is {most},")),
            "{message}"
        );
    }
}

#[test]
fn odd_lengths_and_versions_are_warned_of_once() {
    let mut capture = pcap_header(Order::Little, MICROSECONDS, 3, 1);
    capture[4] = 9;
    for _ in 0..2 {
        capture.extend(Order::Little.words(&[0, 0, 5, 4]));
        capture.extend(FRAME);
    }
    let mut reader = reader(&capture).unwrap();
    assert_eq!(read_all(&mut reader).0.len(), 2);
    let warnings: Vec<_> = reader
        .warnings()
        .iter()
        .map(|warning| (warning.offset, warning.oddity))
        .collect();
    assert_eq!(
        warnings,
        [
            (0, Oddity::Version(9, 4)),
            (24, Oddity::CapturedAboveOriginal),
            (24, Oddity::CapturedAboveSnaplen)
        ]
    );
}

/// Sections in both orders, each with interfaces of its own; blocks of every kind.
#[test]
fn pcapng_sections_interfaces_and_packets() {
    let (little, big) = (Order::Little, Order::Big);
    let named = [
        option(big, 2, b"eth0"),
        option(big, 9, &[9]),
        option(big, 0, &[]),
    ]
    .concat();
    let inbound = [option(big, 2, &big.u32(0b101)), option(big, 0, &[])].concat();
    let outbound = option(big, 2, &big.u32(0b010));
    let obsolete = [
        &big.u16(1)[..],
        &[0, 0],
        &big.words(&[0, 7, 5, 60]),
        FRAME,
        &[0; 3],
        &option(big, 2, &big.u32(0b01)),
    ]
    .concat();
    let simple = [&little.u32(60)[..], b"four"].concat();
    let blocks = [
        section(big),
        interface(big, 1, 65535, &named),
        interface(big, 101, 0, &[]),
        packet(big, 0, 1_000, FRAME, &inbound),
        block(big, 4, b"names"),
        block(big, 0x0bad, b"custom"),
        packet(big, 1, 1, FRAME, &outbound),
        block(big, 2, &obsolete),
        section(little),
        interface(little, 113, 4, &[]),
        block(little, 3, &simple),
        packet(little, 0, 1, b"", &[]),
        block(little, 5, &[0; 12]),
    ];
    let mut reader = reader(&blocks.concat()).unwrap();
    let (records, error) = read_all(&mut reader);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(reader.format(), Format::Pcapng);
    assert_eq!(reader.format().to_string(), "pcapng");

    let described: Vec<_> = reader
        .interfaces()
        .iter()
        .map(|interface| {
            (
                interface.index,
                interface.name.as_deref(),
                interface.link_type,
            )
        })
        .collect();
    assert_eq!(
        described,
        [
            (0, Some("eth0"), LinkType::ETHERNET),
            (1, None, LinkType::RAW),
            (2, None, LinkType::LINUX_SLL)
        ]
    );
    let read: Vec<_> = records
        .iter()
        .map(|r| {
            (
                r.interface,
                nanos(r.time),
                r.direction,
                r.original_length,
                &r.data[..],
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            (0, Some(1_000), Some(Direction::Inbound), 5, FRAME),
            (1, Some(1_000), Some(Direction::Outbound), 5, FRAME),
            (1, Some(7_000), Some(Direction::Inbound), 60, FRAME),
            (2, None, None, 60, b"four"),
            (2, Some(1_000), None, 0, b""),
        ]
    );
    let before: usize = blocks[..3].iter().map(Vec::len).sum();
    assert_eq!(records[0].offset, before as u64);
}

#[test]
fn damaged_pcapng_gives_what_can_be_read() {
    let order = Order::Little;
    let good = [
        section(order),
        interface(order, 1, 65535, &[]),
        packet(order, 0, 1, FRAME, &[]),
    ]
    .concat();
    let next = packet(order, 0, 1, FRAME, &[]);
    let edited = |at: usize, number: u32| {
        let mut block = next.clone();
        block[at..at + 4].copy_from_slice(&order.u32(number));
        block
    };
    let mut other_order = section(order);
    other_order[8..12].copy_from_slice(&[1, 2, 3, 4]);
    let cases = [
        (edited(4, 41), "block length 41 is not a multiple of 4"),
        (
            edited(4, 28),
            "block length 28 is below the 32 its fields take",
        ),
        (
            edited(4, 0x4000_0000),
            "block length 1,073,741,824 is above the 68,157,440 accepted",
        ),
        (
            edited(36, 44),
            "trailing block length 44 differs from leading 40",
        ),
        (
            edited(8, 3),
            "packet of interface 3; the section has described 1",
        ),
        (
            edited(20, 9),
            "the record claims 9 captured bytes; the room in its block is 8",
        ),
        (
            next[..11].to_vec(),
            "the file ends inside a block header: it needs 12 bytes and 11 are left",
        ),
        (
            next[..39].to_vec(),
            "the file ends inside a block: it needs 40 bytes and 39 are left",
        ),
        (
            other_order,
            "section header with byte-order magic 0x01020304",
        ),
        (
            [section(order), block(order, 3, &[0; 4])].concat(),
            "packet of interface 0; the section has described 0",
        ),
    ];
    let start = 28 + 20;
    for (bytes, message) in cases {
        let at = good.len() + if bytes.len() == 28 + 16 { 28 } else { 0 };
        assert_eq!(
            outcome(&[&good[..], &bytes].concat()),
            (
                vec![start],
                format!("test: at byte {at}: {message}, after 1 record")
            )
        );
    }
}

#[test]
fn broken_options_and_times_are_only_odd() {
    let order = Order::Little;
    let broken = [
        option(order, 2, &order.u32(0b10)),
        order.words(&[0xffff_0001]),
    ]
    .concat();
    let seconds = option(order, 9, &[0]);
    let capture = [
        section(order),
        interface(order, 1, 0, &seconds),
        packet(order, 0, u64::MAX, FRAME, &broken),
    ];
    let mut reader = reader(&capture.concat()).unwrap();
    let (records, error) = read_all(&mut reader);
    assert!(error.is_none());
    assert_eq!(records[0].direction, Some(Direction::Outbound));
    assert_eq!(records[0].time, None);
    let oddities: Vec<_> = reader
        .warnings()
        .iter()
        .map(|warning| warning.oddity)
        .collect();
    assert_eq!(oddities, [Oddity::TimeOutOfRange, Oddity::BrokenOptions]);
}

#[test]
fn interfaces_are_bounded() {
    let order = Order::Little;
    let one = interface(order, 1, 0, &[]);
    let capture = [section(order), one.repeat((1 << 16) + 1)].concat();
    let (_, message) = outcome(&capture);
    assert!(message.contains("more than 65536 interfaces"), "{message}");
}
