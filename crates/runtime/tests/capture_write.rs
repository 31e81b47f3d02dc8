//! What the writer writes, the reader reads.

mod support;

use std::{fs, path::Path};

use portcullis_runtime::{
    Direction,
    capture::{
        CaptureInterface, CaptureReader, CaptureWriteErrorKind, CaptureWriter, Record, Timestamp,
    },
    link::LinkType,
};
use support::{Owned, captures_in, read_all, shared};

fn interface(capture: &str, index: usize, link_type: LinkType) -> CaptureInterface {
    let name = Some(format!("eth{index}"));
    CaptureInterface {
        capture: capture.into(),
        index,
        name,
        link_type,
        snaplen: 65535,
    }
}

fn record<'a>(interface: &'a CaptureInterface, data: &'a [u8], nanos: i64) -> Record<'a> {
    Record {
        number: 1,
        offset: 0,
        time: Some(Timestamp::from_nanos(nanos)),
        interface,
        direction: None,
        original_length: 1500,
        data,
    }
}

#[allow(clippy::unwrap_used, reason = "tests only")]
fn read(path: &Path) -> (Vec<Owned>, CaptureReader) {
    let mut reader = CaptureReader::open(path).unwrap();
    let (records, error) = read_all(&mut reader);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(reader.warnings(), []);
    (records, reader)
}

#[test]
fn pcapng_keeps_interfaces_times_directions_and_comments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.pcapng");
    let interfaces = [
        interface("a", 0, LinkType::ETHERNET),
        interface("a", 1, LinkType::RAW),
        // The same numbers in another capture are another interface.
        interface("b", 0, LinkType::ETHERNET),
    ];
    let comment = "x".repeat(65_534) + "é!";
    let mut writer = CaptureWriter::create(&path).unwrap();
    for (at, direction) in [None, Some(Direction::Inbound), Some(Direction::Outbound)]
        .into_iter()
        .enumerate()
    {
        let time = 1_700_000_000_123_456_789;
        let record = Record {
            direction,
            ..record(&interfaces[at], &[7; 5], time)
        };
        let comment = (at < 2).then_some(&comment[..]);
        writer.write(&record, comment).unwrap();
        let record = Record {
            interface: &interfaces[0],
            ..record
        };
        writer.write(&record, Some("DENY input 3")).unwrap();
    }
    writer.finish().unwrap();

    let (records, reader) = read(&path);
    let described: Vec<_> = reader
        .interfaces()
        .iter()
        .map(|interface| {
            (
                interface.name.as_deref(),
                interface.link_type,
                interface.snaplen,
            )
        })
        .collect();
    assert_eq!(
        described,
        [
            (Some("eth0"), LinkType::ETHERNET, 65535),
            (Some("eth1"), LinkType::RAW, 65535),
            (Some("eth0"), LinkType::ETHERNET, 65535)
        ]
    );
    let which: Vec<_> = records
        .iter()
        .map(|record| (record.interface, record.direction))
        .collect();
    let (inbound, outbound) = (Some(Direction::Inbound), Some(Direction::Outbound));
    assert_eq!(
        which,
        [
            (0, None),
            (0, None),
            (1, inbound),
            (0, inbound),
            (2, outbound),
            (0, outbound)
        ]
    );
    for record in records {
        assert_eq!(
            record.time,
            Some(Timestamp::from_nanos(1_700_000_000_123_456_789))
        );
        assert_eq!((record.original_length, record.data), (1500, vec![7; 5]));
    }
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.windows(12).any(|window| window == b"DENY input 3"));
}

#[test]
fn pcap_keeps_nanoseconds_and_one_link_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.pcap");
    let mut writer = CaptureWriter::create(&path).unwrap();
    let (raw, ethernet) = (
        interface("a", 0, LinkType::RAW),
        interface("a", 1, LinkType::ETHERNET),
    );
    writer
        .write(&record(&raw, &[1, 2, 3], 5_000_000_007), Some("lost"))
        .unwrap();
    let refused = writer.write(&record(&ethernet, &[1], 0), None).unwrap_err();
    assert!(
        refused.to_string().ends_with(
            "out.pcap: a pcap file holds one link type: it began with RAW, record 1 is ETHERNET; \
             a .pcapng file can hold both"
        ),
        "{refused}"
    );
    let refused = writer.write(&record(&raw, &[1], -1), None).unwrap_err();
    assert!(matches!(refused.kind, CaptureWriteErrorKind::Time { .. }));
    let refused = writer
        .write(&record(&raw, &[1; 300_000], 0), None)
        .unwrap_err();
    assert!(matches!(
        refused.kind,
        CaptureWriteErrorKind::TooLong { most: 262_144, .. }
    ));
    writer.finish().unwrap();

    let (records, reader) = read(&path);
    assert_eq!(reader.interfaces()[0].link_type, LinkType::RAW);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].time, Some(Timestamp::from_nanos(5_000_000_007)));
    assert_eq!(
        (records[0].original_length, &records[0].data[..]),
        (1500, &[1, 2, 3][..])
    );
}

#[test]
fn a_capture_of_nothing_is_a_capture() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["out.pcap", "out.pcapng"] {
        let path = folder.path().join(name);
        CaptureWriter::create(&path).unwrap().finish().unwrap();
        assert_eq!(read(&path).0, []);
    }
}

#[test]
fn other_endings_are_refused() {
    for name in ["out", "out.pcap.gz", "-"] {
        let error = CaptureWriter::create(name.as_ref()).unwrap_err();
        let expected = format!("{name}: a capture to write must end in .pcap or .pcapng");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn samples_survive_a_round_trip() {
    let Some(folder) = shared("captures") else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    for source in captures_in(&folder) {
        let mut reader = CaptureReader::open(&source).unwrap();
        let path = out.path().join("out.pcapng");
        let mut writer = CaptureWriter::create(&path).unwrap();
        while let Ok(Some(record)) = reader.next_record() {
            writer.write(&record, None).unwrap();
        }
        writer.finish().unwrap();
        let originals = read_all(&mut CaptureReader::open(&source).unwrap()).0;
        let copies = read_all(&mut CaptureReader::open(&path).unwrap()).0;
        assert_eq!(originals.len(), copies.len(), "{}", source.display());
        for (original, copy) in originals.iter().zip(&copies) {
            let time = original.time.unwrap_or(Timestamp::from_nanos(0));
            assert_eq!(copy.time, Some(time));
            assert_eq!(copy.direction, original.direction);
            assert_eq!(copy.original_length, original.original_length);
            assert!(copy.data == original.data);
        }
    }
}
