use std::{fmt, io, sync::Arc};

use thiserror::Error;

/// What ended the reading of a capture, and where.
#[derive(Debug, Error)]
#[error("{file}: {}", Located(self))]
pub struct CaptureError {
    /// The name the capture was opened by.
    pub file: Arc<str>,
    /// Where the bad record or block begins, in bytes into the decompressed file. Everything
    /// before it was read.
    pub offset: u64,
    /// Records returned before this.
    pub records: u64,
    /// What is wrong there.
    pub kind: CaptureErrorKind,
}

/// What can be wrong with a capture.
#[derive(Debug, Error)]
pub enum CaptureErrorKind {
    /// The file cannot be opened.
    #[error("{0}")]
    Open(io::Error),
    /// Reading or decompressing failed half-way.
    #[error("cannot read on: {0}")]
    Read(io::Error),
    /// There is not one byte.
    #[error("the file is empty")]
    Empty,
    /// The first bytes are not those of any capture format.
    #[error("this is not a capture: it begins with {}", Beginning(.0))]
    NotACapture(Vec<u8>),
    /// The file ends before what it has begun is complete.
    #[error("the file ends inside a {part}: it needs {needed} bytes and {left} are left",
        needed = Grouped(*.needed), left = Grouped(*.left))]
    Ends {
        /// What is cut.
        part: Part,
        /// Bytes it takes, as far as is known.
        needed: u64,
        /// Bytes the file has from its start on.
        left: u64,
    },
    /// A pcap record, or the packet in a pcapng block, is longer than its block or than this
    /// reader accepts.
    #[error("the record claims {claimed} captured bytes; {why} {limit}",
        claimed = Grouped((*.claimed).into()), why = .why, limit = Grouped((*.limit).into()))]
    RecordTooLong {
        /// Captured bytes by the record's header.
        claimed: u32,
        /// Most it could be.
        limit: u32,
        /// Says where the limit comes from.
        why: LengthLimit,
    },
    /// A pcapng block has an impossible length.
    #[error("block length {length} {why}", length = Grouped((*.length).into()))]
    BlockLength {
        /// The length field at the block's start.
        length: u32,
        /// What is wrong with it.
        why: BlockLengthFault,
    },
    /// The two lengths of a pcapng block differ.
    #[error("trailing block length {trailing} differs from leading {leading}")]
    TrailingLength {
        /// At the block's start.
        leading: u32,
        /// At its end.
        trailing: u32,
    },
    /// A section header's byte-order magic is neither order's.
    #[error("section header with byte-order magic 0x{0:08x}")]
    ByteOrder(u32),
    /// A packet refers to an interface its section has not described.
    #[error("packet of interface {interface}; the section has described {described}")]
    UnknownInterface {
        /// As the packet numbers it, from 0.
        interface: u32,
        /// Interfaces described so far in this section.
        described: usize,
    },
    /// More interfaces than a capture can sensibly have.
    #[error("more than {0} interfaces")]
    TooManyInterfaces(usize),
}

/// Where the limit on a record's captured length comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthLimit {
    /// The bound of this reader, by the snap length.
    Accepted,
    /// The block the packet is in.
    Block,
}

/// What is wrong with the length of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockLengthFault {
    /// Blocks are padded to four bytes.
    NotAMultipleOfFour,
    /// The fixed fields of this kind of block take more.
    TooShort {
        /// Bytes they take.
        least: u32,
    },
    /// Beyond what this reader accepts.
    TooLong {
        /// Most bytes accepted.
        most: u32,
    },
}

/// A part of a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The header of a pcap file.
    FileHeader,
    /// The header of a pcap record.
    RecordHeader,
    /// A pcap record.
    Record,
    /// The type and length of a pcapng block.
    BlockHeader,
    /// A pcapng block.
    Block,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileHeader => "file header",
            Self::RecordHeader => "record header",
            Self::Record => "record",
            Self::BlockHeader => "block header",
            Self::Block => "block",
        })
    }
}

impl fmt::Display for LengthLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "the most accepted is",
            Self::Block => "the room in its block is",
        })
    }
}

impl fmt::Display for BlockLengthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMultipleOfFour => f.write_str("is not a multiple of 4"),
            Self::TooShort { least } => write!(f, "is below the {least} its fields take"),
            Self::TooLong { most } => {
                write!(f, "is above the {} accepted", Grouped((*most).into()))
            }
        }
    }
}

/// The message without the file name: opening and the first bytes need no position.
struct Located<'a>(&'a CaptureError);

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CaptureError {
            offset,
            records,
            kind,
            ..
        } = self.0;
        match kind {
            CaptureErrorKind::Open(_)
            | CaptureErrorKind::Empty
            | CaptureErrorKind::NotACapture(_) => write!(f, "{kind}"),
            _ => {
                let plural = if *records == 1 { "" } else { "s" };
                write!(
                    f,
                    "at byte {offset}: {kind}, after {records} record{plural}"
                )
            }
        }
    }
}

/// The first bytes of a file: as text if they are, else in hex.
struct Beginning<'a>(&'a [u8]);

impl fmt::Display for Beginning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
        if self.0.iter().all(is_text) {
            write!(f, "the text \"{}\"", self.0.escape_ascii())
        } else {
            f.write_str("the bytes")?;
            self.0.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
        }
    }
}

/// A number with commas between groups of three digits.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{CaptureError, CaptureErrorKind, Grouped, Part};

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (3_000_000_000, "3,000,000,000"),
        ] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }

    #[test]
    fn messages_say_what_where_and_after_how_many() {
        let error = |kind| CaptureError {
            file: "a.pcap".into(),
            offset: 1234,
            records: 1,
            kind,
        };
        let ends = CaptureErrorKind::Ends {
            part: Part::Record,
            needed: 1516,
            left: 12,
        };
        assert_eq!(
            error(ends).to_string(),
            "a.pcap: at byte 1234: the file ends inside a record: it needs 1,516 bytes and 12 are \
             left, after 1 record"
        );
        assert_eq!(
            error(CaptureErrorKind::NotACapture(b"hello".to_vec())).to_string(),
            "a.pcap: this is not a capture: it begins with the text \"hello\""
        );
        assert_eq!(
            error(CaptureErrorKind::NotACapture(vec![0x7f, 0x45])).to_string(),
            "a.pcap: this is not a capture: it begins with the bytes 7f 45"
        );
    }
}
