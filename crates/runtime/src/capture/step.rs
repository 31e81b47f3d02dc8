//! What a decoder answers when it is shown bytes.

use std::{fmt, ops::Range, sync::Arc};

use super::{CaptureErrorKind, CaptureInterface, Part, Timestamp};
use crate::{Direction, link::LinkType};

/// What to do next, for the bytes a decoder was shown.
pub(super) enum Step {
    /// Show at least this many bytes, from the same place on. An end of file before that is clean
    /// if no byte is left, and else cuts the part named.
    Need { bytes: usize, part: Part },
    /// The first `length` bytes are a record.
    Record { length: usize, record: Located },
    /// The first `length` bytes are something else.
    Skip { length: usize },
}

/// A record whose data is a range of the bytes shown.
pub(super) struct Located {
    pub(super) time: Option<Timestamp>,
    pub(super) interface: usize,
    pub(super) direction: Option<Direction>,
    pub(super) original_length: u32,
    pub(super) data: Range<usize>,
}

pub(super) type StepResult = Result<Step, CaptureErrorKind>;

/// Something odd that did not end the reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// Where its record or block begins, in bytes into the decompressed file.
    pub offset: u64,
    /// What is odd.
    pub oddity: Oddity,
}

/// What can be odd in a capture. Each kind is reported where it first occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// A pcap version other than 2.0 to 2.4; read as 2.4.
    Version(u16, u16),
    /// More bytes were captured than the frame had.
    CapturedAboveOriginal,
    /// More bytes were captured than the snap length allows.
    CapturedAboveSnaplen,
    /// The options of a block run over its end; those before are used.
    BrokenOptions,
    /// A time outside the years 1677 to 2262; the record is returned without time.
    TimeOutOfRange,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.oddity)
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(major, minor) => {
                write!(f, "pcap version {major}.{minor} is read as 2.4")
            }
            Self::CapturedAboveOriginal => f.write_str("more bytes captured than the frame had"),
            Self::CapturedAboveSnaplen => {
                f.write_str("more bytes captured than the snap length allows")
            }
            Self::BrokenOptions => f.write_str("the options run over the end of their block"),
            Self::TimeOutOfRange => f.write_str("a time outside the years 1677 to 2262"),
        }
    }
}

/// What a decoder finds besides records.
pub(super) struct Findings {
    pub(super) capture: Arc<str>,
    pub(super) interfaces: Vec<CaptureInterface>,
    pub(super) warnings: Vec<Warning>,
}

/// No real capture comes near; without a bound a hostile one could fill the memory.
const MOST_INTERFACES: usize = 1 << 16;

impl Findings {
    pub(super) fn new(capture: Arc<str>) -> Self {
        Self {
            capture,
            interfaces: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn describe(
        &mut self,
        name: Option<String>,
        link_type: LinkType,
        snaplen: u32,
    ) -> Result<(), CaptureErrorKind> {
        let index = self.interfaces.len();
        if index == MOST_INTERFACES {
            return Err(CaptureErrorKind::TooManyInterfaces(MOST_INTERFACES));
        }
        let capture = Arc::clone(&self.capture);
        self.interfaces.push(CaptureInterface {
            capture,
            index,
            name,
            link_type,
            snaplen,
        });
        Ok(())
    }

    /// Reports only the first of a kind, so that a file of oddities cannot fill the memory.
    #[cold]
    pub(super) fn warn(&mut self, offset: u64, oddity: Oddity) {
        if self.warnings.iter().all(|known| known.oddity != oddity) {
            self.warnings.push(Warning { offset, oddity });
        }
    }

    /// Compares the lengths of a record; tools of old wrote such, so it is odd and no more.
    pub(super) fn check_lengths(&mut self, offset: u64, captured: u32, original: u32, snap: u32) {
        if captured > original {
            self.warn(offset, Oddity::CapturedAboveOriginal);
        }
        if captured > snap && snap > 0 {
            self.warn(offset, Oddity::CapturedAboveSnaplen);
        }
    }
}

/// Most captured bytes of one record when the snap length does not ask for more: what libpcap
/// calls its maximum snap length.
const USUAL_MOST_CAPTURED: u32 = 256 * 1024;

/// Most captured bytes of one record, whatever the snap length.
pub(super) const MOST_CAPTURED: u32 = 64 * 1024 * 1024;

/// Most captured bytes accepted of one record. A snap length may raise the usual bound; a small
/// one does not lower it, because some tools write 0 or a wrong one.
pub(super) fn most_captured(snaplen: u32) -> u32 {
    snaplen.clamp(USUAL_MOST_CAPTURED, MOST_CAPTURED)
}

/// The byte order of a file or section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }
}
