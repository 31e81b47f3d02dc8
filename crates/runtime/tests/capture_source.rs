//! Where captures come from: compressed, slow, failing.

mod support;

use std::io::{Read, Write};

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
