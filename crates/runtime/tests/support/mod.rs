//! What the tests of this crate share.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests; and each file uses its part"
)]

pub(crate) mod damage;
pub(crate) mod traffic;

use std::{
    env, fs,
    io::{self, Cursor, Write},
    path::{Path, PathBuf},
};

use portcullis_runtime::{
    Direction,
    capture::{CaptureError, CaptureReader, Timestamp},
};

/// A record that outlives its reader.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owned {
    pub(crate) offset: u64,
    pub(crate) time: Option<Timestamp>,
    pub(crate) interface: usize,
    pub(crate) direction: Option<Direction>,
    pub(crate) original_length: u32,
    pub(crate) data: Vec<u8>,
}

/// All a reader gives until its end or its first error, which nothing follows.
pub(crate) fn read_all(reader: &mut CaptureReader) -> (Vec<Owned>, Option<CaptureError>) {
    let mut records = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                assert_eq!(record.number, records.len() as u64 + 1);
                records.push(Owned {
                    offset: record.offset,
                    time: record.time,
                    interface: record.interface.index,
                    direction: record.direction,
                    original_length: record.original_length,
                    data: record.data.to_vec(),
                });
            }
            Ok(None) => return (records, None),
            Err(error) => {
                assert!(
                    matches!(reader.next_record(), Ok(None)),
                    "nothing follows an error"
                );
                return (records, Some(error));
            }
        }
    }
}

pub(crate) fn reader(bytes: &[u8]) -> Result<CaptureReader, CaptureError> {
    CaptureReader::new(Cursor::new(bytes.to_vec()), "test")
}

/// A folder of the sample data beside the workspace. `None`, with a word on standard error, where
/// it is absent; on CI that is a failure.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no {} on CI",
        path.display()
    );
    // Not `eprintln`: the test harness would hide that of a test that passes.
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "SKIPPED: no sample data in {}", path.display()).unwrap();
    None
}

/// The files of a folder, sorted, by their endings.
pub(crate) fn captures_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "pcap" || e == "pcapng")
        })
        .collect();
    files.sort();
    files
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(crate) fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(crate) fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|&word| self.u32(word)).collect()
    }
}

/// A pcapng block around a body, which is padded.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = body.len() as u32 + 12;
    [&order.words(&[kind, length])[..], &body, &order.u32(length)].concat()
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let versions = [order.u16(1), order.u16(0)].concat();
    let length = order.words(&[u32::MAX, u32::MAX]);
    block(
        order,
        0x0a0d_0d0a,
        &[&order.u32(0x1a2b_3c4d)[..], &versions, &length].concat(),
    )
}

pub(crate) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = [order.u16(code), order.u16(value.len() as u16)].concat();
    option.extend_from_slice(value);
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

pub(crate) fn interface(order: Order, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
    let fields = [&order.u16(link)[..], &[0, 0], &order.u32(snaplen), options].concat();
    block(order, 1, &fields)
}

/// An enhanced packet block with as many captured bytes as `data` has.
pub(crate) fn packet(
    order: Order,
    interface: u32,
    time: u64,
    data: &[u8],
    options: &[u8],
) -> Vec<u8> {
    let length = data.len() as u32;
    let fields = order.words(&[interface, (time >> 32) as u32, time as u32, length, length]);
    let mut body = [&fields, data].concat();
    body.resize(body.len().next_multiple_of(4), 0);
    block(order, 6, &[&body, options].concat())
}

pub(crate) fn pcap_header(order: Order, magic: u32, snaplen: u32, link: u32) -> Vec<u8> {
    let version = [order.u16(2), order.u16(4)].concat();
    [
        &order.u32(magic)[..],
        &version,
        &order.words(&[0, 0, snaplen, link]),
    ]
    .concat()
}

/// A pcap record with as many captured and original bytes as `data` has.
pub(crate) fn pcap_record(order: Order, seconds: u32, fraction: u32, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u32;
    [&order.words(&[seconds, fraction, length, length])[..], data].concat()
}
