//! Where captures come from: compressed, slow, failing.

mod support;

use std::{
    io::{self, Read, Write},
    os::fd::AsRawFd,
    path::Path,
    thread,
};

use portcullis_runtime::capture::CaptureReader;
use support::{Order, interface, packet, pcap_header, pcap_record, read_all, reader, section};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const FRAME: &[u8] = b"frame";

#[allow(clippy::unwrap_used, reason = "tests only")]
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Larger than any buffer on the way, and not too regular.
fn large_capture() -> (Vec<u8>, u64) {
    let mut capture = pcap_header(Order::Little, MICROSECONDS, 65535, 1);
    let mut records = 0;
    while capture.len() < 5_000_000 {
        let data = vec![(records % 251) as u8; records as usize * 7919 % 1500];
        capture.extend(pcap_record(Order::Little, records as u32, 0, &data));
        records += 1;
    }
    (capture, records)
}

#[test]
fn compressed_captures_read_as_plain_ones() {
    let (plain, count) = large_capture();
    let (first, second) = plain.split_at(plain.len() / 3);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let skippable = [
        &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..],
        &zstd(&plain),
    ]
    .concat();
    let expected = read_all(&mut reader(&plain).unwrap()).0;
    assert_eq!(expected.len() as u64, count);
    for compressed in [
        gzip(&plain),
        [gzip(first), gzip(second)].concat(),
        zstd(&plain),
        [zstd(first), zstd(second)].concat(),
        skippable,
    ] {
        let mut reader = reader(&compressed).unwrap();
        let (records, error) = read_all(&mut reader);
        assert!(error.is_none(), "{error:?}");
        assert!(records == expected);
        assert_eq!(reader.bytes_read(), compressed.len() as u64);
    }
}

#[test]
fn a_reader_counts_the_records_that_it_gave() {
    let (capture, count) = large_capture();
    let mut reader = reader(&capture).unwrap();
    for given in 0..count {
        assert_eq!(reader.records(), given);
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!(record.number, given + 1);
    }
    assert!(reader.next_record().unwrap().is_none());
    assert_eq!(reader.records(), count);
}

#[test]
fn a_pipe_can_be_opened_by_name() {
    let (capture, count) = large_capture();
    for bytes in [gzip(&capture), capture] {
        let (end, mut write) = io::pipe().unwrap();
        let writer = thread::spawn(move || write.write_all(&bytes).unwrap());
        let name = format!("/proc/self/fd/{}", end.as_raw_fd());
        let mut reader = CaptureReader::open(Path::new(&name)).unwrap();
        drop(end);
        let (records, error) = read_all(&mut reader);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(records.len() as u64, count);
        writer.join().unwrap();
    }
}

#[test]
fn cut_compressed_captures_give_what_can_be_read() {
    let (plain, count) = large_capture();
    for compressed in [gzip(&plain), zstd::encode_all(&plain[..], 1).unwrap()] {
        let half = &compressed[..compressed.len() / 2];
        let (records, error) = read_all(&mut reader(half).unwrap());
        let message = error.unwrap().to_string();
        assert!(message.contains("cannot read on: "), "{message}");
        assert!(records.len() as u64 > count / 10 && (records.len() as u64) < count);
    }
}

#[test]
fn a_reader_dropped_half_way_does_not_hang() {
    let (plain, _) = large_capture();
    let mut reader = reader(&gzip(&plain)).unwrap();
    assert!(reader.next_record().unwrap().is_some());
}

/// Gives one byte at a time, as the slowest of pipes.
struct Dripping(std::io::Cursor<Vec<u8>>);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

#[test]
fn slow_sources_are_read_whole() {
    let order = Order::Big;
    let capture = [
        section(order),
        interface(order, 1, 0, &[]),
        packet(order, 0, 1, &[7; 3000], &[]),
        packet(order, 0, 2, FRAME, &[]),
    ]
    .concat();
    let source = Dripping(std::io::Cursor::new(capture));
    let mut reader = CaptureReader::new(source, "pipe").unwrap();
    let (records, error) = read_all(&mut reader);
    assert!(error.is_none());
    assert_eq!(records.len(), 2);
}

/// A source that fails after some bytes.
struct Failing(std::io::Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::other("the disk is on fire")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_failing_source_gives_its_records_first() {
    let order = Order::Little;
    let capture = [
        pcap_header(order, MICROSECONDS, 0, 1),
        pcap_record(order, 0, 0, FRAME),
    ]
    .concat();
    let source = Failing(std::io::Cursor::new(capture));
    let (records, error) = read_all(&mut CaptureReader::new(source, "disk").unwrap());
    assert_eq!(records.len(), 1);
    assert_eq!(
        error.unwrap().to_string(),
        "disk: at byte 45: cannot read on: the disk is on fire, after 1 record"
    );
}

/// Gives at most so many bytes at a time.
struct Slices<'a>(&'a [u8], usize);

impl Read for Slices<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

/// A record may begin in one piece of a file and end several pieces later.
#[test]
fn records_longer_than_any_buffer_are_read() {
    let order = Order::Little;
    let lengths = [
        60, 65_536, 60, 70_000, 1_048_560, 1, 3_500_000, 0, 2_097_152, 60,
    ];
    let mut capture = pcap_header(order, MICROSECONDS, 4_000_000, 1);
    let mut places = Vec::new();
    for (number, length) in lengths.iter().cycle().take(25).enumerate() {
        places.push((capture.len(), *length));
        let data = vec![number as u8; *length];
        capture.extend(pcap_record(order, number as u32, 0, &data));
    }
    let last = capture.len() - 16 - 1_048_560;
    let cuts = [last + 15, last + 17, last, last - 100_000];
    let file = tempfile::NamedTempFile::new().unwrap();
    for end in cuts.into_iter().chain([capture.len()]) {
        let bytes = &capture[..end];
        std::fs::write(file.path(), bytes).unwrap();
        let (records, error) = read_all(&mut CaptureReader::open(file.path()).unwrap());
        let whole = |(start, length): &&(usize, usize)| start + 16 + length <= end;
        let expected: Vec<_> = places.iter().take_while(whole).copied().collect();
        let found: Vec<_> = records
            .iter()
            .map(|it| (it.offset as usize, it.data.len()))
            .collect();
        assert_eq!(found, expected);
        for (number, record) in records.iter().enumerate() {
            assert!(record.data.iter().all(|byte| usize::from(*byte) == number));
        }
        assert_eq!(error.is_some(), end != last && end != capture.len());
        // Leaked, as sources outlive the test.
        let bytes: &'static [u8] = bytes.to_vec().leak();
        for slice in [1000, 100_000, usize::MAX] {
            let mut slowly = CaptureReader::new(Slices(bytes, slice), "slices").unwrap();
            let (again, other_error) = read_all(&mut slowly);
            assert!(again == records);
            let message = |error: &Option<_>| error.as_ref().map(|error| format!("{error}"));
            let expected =
                message(&error).map(|it| it.replace(file.path().to_str().unwrap(), "slices"));
            assert_eq!(message(&other_error), expected);
        }
    }
}
