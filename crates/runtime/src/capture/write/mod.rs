//! Writing captures.

mod pcap;
mod pcapng;

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Format, Record, Timestamp, step::MOST_CAPTURED};
use crate::link::LinkType;

/// Writes records to a new capture file, in the format its ending names.
///
/// Times are always written in nanoseconds (pcap magic `a1b23c4d`, pcapng `if_tsresol` 9), so that
/// none loses precision; a record without time gets time zero. A pcap file has no place for
/// directions and comments.
pub struct CaptureWriter {
    path: PathBuf,
    file: BufWriter<File>,
    encoder: Encoder,
    /// What is to go out next.
    pending: Vec<u8>,
}

/// What kept a capture from being written.
#[derive(Debug, Error)]
#[error("{}: {kind}", .file.display())]
pub struct CaptureWriteError {
    /// The file being written.
    pub file: PathBuf,
    /// What is wrong.
    pub kind: CaptureWriteErrorKind,
}

/// What can go wrong when a capture is written. Records are named by their number in the capture
/// they come from.
#[derive(Debug, Error)]
pub enum CaptureWriteErrorKind {
    /// The name does not say a format.
    #[error("a capture to write must end in .pcap or .pcapng")]
    UnknownEnding,
    /// The file cannot be created or written.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
    /// A pcap file holds one link type only.
    #[error(
        "a pcap file holds one link type: it began with {first}, record {record} is {second}; a \
         .pcapng file can hold both"
    )]
    SecondLinkType {
        /// The record refused.
        record: u64,
        /// Of the records written so far.
        first: LinkType,
        /// Of the record refused.
        second: LinkType,
    },
    /// pcap has the years 1970 to 2106, pcapng as written here those from 1970 on.
    #[error("the format cannot hold {time}, the time of record {record} in seconds since 1970")]
    Time {
        /// The record refused.
        record: u64,
        /// Its time.
        time: Timestamp,
    },
    /// The record is longer than a reader of the file would accept.
    #[error("record {record} has {length} captured bytes; the file can hold {most}")]
    TooLong {
        /// The record refused.
        record: u64,
        /// Its captured bytes.
        length: usize,
        /// The most it could have.
        most: u32,
    },
}

impl CaptureWriter {
    /// Creates or replaces the file.
    ///
    /// # Errors
    /// When the name ends in neither `.pcap` nor `.pcapng`, or the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, CaptureWriteError> {
        let start = || {
            let encoder = match path.extension().and_then(|ending| ending.to_str()) {
                Some("pcap") => Encoder::Pcap(pcap::Encoder::default()),
                Some("pcapng") => Encoder::Pcapng(pcapng::Encoder::default()),
                _ => return Err(CaptureWriteErrorKind::UnknownEnding),
            };
            let file = BufWriter::with_capacity(BUFFER, File::create(path)?);
            Ok(Self {
                path: path.to_owned(),
                file,
                encoder,
                pending: Vec::new(),
            })
        };
        start().map_err(|kind| CaptureWriteError {
            file: path.to_owned(),
            kind,
        })
    }

    /// Writes one record. A pcapng file gets a description of each interface that records come
    /// from, a pcap file the link type of the first.
    ///
    /// # Errors
    /// When writing fails or the format cannot hold the record, which is then left out.
    pub fn write(
        &mut self,
        record: &Record<'_>,
        comment: Option<&str>,
    ) -> Result<(), CaptureWriteError> {
        let encoded = match &mut self.encoder {
            Encoder::Pcap(encoder) => encoder.encode(record, &mut self.pending),
            Encoder::Pcapng(encoder) => encoder.encode(record, comment, &mut self.pending),
        };
        encoded
            .and_then(|()| self.flush_pending())
            .map_err(|kind| self.error(kind))
    }

    /// Writes what is buffered. A file without records gets the header of its format, with link
    /// type Ethernet in a pcap.
    ///
    /// # Errors
    /// When writing fails. Dropping the writer instead would lose such an error.
    pub fn finish(mut self) -> Result<(), CaptureWriteError> {
        match &mut self.encoder {
            Encoder::Pcap(encoder) => encoder.finish(&mut self.pending),
            Encoder::Pcapng(encoder) => encoder.finish(&mut self.pending),
        }
        self.flush_pending()
            .and_then(|()| Ok(self.file.flush()?))
            .map_err(|kind| self.error(kind))
    }

    /// The format the ending named.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.encoder {
            Encoder::Pcap(_) => Format::Pcap,
            Encoder::Pcapng(_) => Format::Pcapng,
        }
    }

    fn flush_pending(&mut self) -> Result<(), CaptureWriteErrorKind> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    fn error(&self, kind: CaptureWriteErrorKind) -> CaptureWriteError {
        CaptureWriteError {
            file: self.path.clone(),
            kind,
        }
    }
}

impl fmt::Debug for CaptureWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureWriter")
            .field("path", &self.path)
            .field("format", &self.format())
            .finish_non_exhaustive()
    }
}

const BUFFER: usize = 256 * 1024;

/// Appends the bytes of records to a buffer: all of a record's, or none with an error.
enum Encoder {
    Pcap(pcap::Encoder),
    Pcapng(pcapng::Encoder),
}

/// Captured length of a record, checked against what the file can hold.
fn captured_length(record: &Record<'_>, most: u32) -> Result<u32, CaptureWriteErrorKind> {
    let length = record.data.len();
    match u32::try_from(length) {
        Ok(captured) if captured <= most.min(MOST_CAPTURED) => Ok(captured),
        _ => Err(CaptureWriteErrorKind::TooLong {
            record: record.number,
            length,
            most,
        }),
    }
}

/// The error of a record whose time the format cannot hold.
fn bad_time(record: &Record<'_>, time: Timestamp) -> CaptureWriteErrorKind {
    CaptureWriteErrorKind::Time {
        record: record.number,
        time,
    }
}

fn put(out: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}
