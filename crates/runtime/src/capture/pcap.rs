//! pcap files, by the [draft](https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html) and
//! by what libpcap reads.

use super::{
    CaptureErrorKind, Part, Timestamp,
    chunk::Head,
    error::LengthLimit,
    step::{ByteOrder, Findings, Located, Oddity, Step, StepResult, most_captured},
    walk::{Ahead, Walker},
};
use crate::link::LinkType;

/// Decodes one pcap file, from its header on.
pub(super) struct Decoder {
    magic: Magic,
    state: State,
    /// Memory of the walks, kept so that none allocates anew.
    ahead: Ahead,
}

enum State {
    BeforeHeader,
    Records { snaplen: u32, lengths: LengthFields },
}

/// How the records of a file are laid out: enough to read one that is known to
/// lie whole somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    magic: Magic,
    lengths: LengthFields,
}

/// What the first four bytes say.
#[derive(Debug, Clone, Copy)]
struct Magic {
    order: ByteOrder,
    /// Nanoseconds in one unit of the fraction field.
    nanos_per_tick: i64,
    record_header: usize,
}

/// Which of the two length fields of a record comes first, and how one can tell.
#[derive(Debug, Clone, Copy)]
enum LengthFields {
    CapturedFirst,
    OriginalFirst,
    /// Version 2.3 was written both ways: the smaller one is the captured length.
    Either,
}

const FILE_HEADER: usize = 24;
pub(super) const RECORD_HEADER: usize = 16;
/// Where the captured length stands in a record header, and after it the original one.
pub(super) const LENGTHS: usize = 8;
/// Alexey Kuznetsov's patch appended interface, protocol and packet type.
const MODIFIED_RECORD_HEADER: usize = 24;

impl Decoder {
    /// `None` if the bytes are not the first of a pcap file.
    pub(super) fn new(first: &[u8]) -> Option<Self> {
        let first = *first.first_chunk::<4>()?;
        let magic = [ByteOrder::Little, ByteOrder::Big]
            .into_iter()
            .find_map(|order| Magic::new(order, order.u32(first)))?;
        Some(Self {
            magic,
            state: State::BeforeHeader,
            ahead: Ahead::default(),
        })
    }

    #[inline]
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        offset: u64,
        findings: &mut Findings,
    ) -> StepResult {
        match self.state {
            State::BeforeHeader => self.file_header(bytes, offset, findings),
            State::Records { snaplen, lengths } => {
                self.record(bytes, offset, findings, snaplen, lengths)
            }
        }
    }

    /// How the records are laid out; `None` before the file header was read.
    pub(super) fn layout(&self) -> Option<Layout> {
        match self.state {
            State::BeforeHeader => None,
            State::Records { lengths, .. } => Some(Layout {
                magic: self.magic,
                lengths,
            }),
        }
    }

    /// Adds the beginnings of the ordinary records that lie whole at `start`
    /// and after it, and gives back where they end: what [`step`](Self::step)
    /// would say one by one, which is to be asked about what follows.
    pub(super) fn ordinary(&mut self, bytes: &[u8], start: usize, starts: &mut Vec<u32>) -> usize {
        let State::Records {
            snaplen,
            lengths: LengthFields::CapturedFirst,
        } = self.state
        else {
            return start;
        };
        if self.magic.record_header != RECORD_HEADER {
            return start;
        }
        let limit = match snaplen {
            0 => most_captured(snaplen),
            _ => most_captured(snaplen).min(snaplen),
        };
        match self.magic.order {
            ByteOrder::Little => {
                let number = u32::from_le_bytes;
                Walker { number, limit }.walk(bytes, start, starts, &mut self.ahead)
            }
            ByteOrder::Big => {
                let number = u32::from_be_bytes;
                Walker { number, limit }.walk(bytes, start, starts, &mut self.ahead)
            }
        }
    }

    fn file_header(&mut self, bytes: &[u8], offset: u64, findings: &mut Findings) -> StepResult {
        let Some(header) = bytes.first_chunk::<FILE_HEADER>() else {
            return Ok(Step::Need {
                bytes: FILE_HEADER,
                part: Part::FileHeader,
            });
        };
        let order = self.magic.order;
        let field =
            |at: usize| order.u32([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let version = (
            order.u16([header[4], header[5]]),
            order.u16([header[6], header[7]]),
        );
        let lengths = match version {
            (2, 0..=2) | (543, 0) => LengthFields::OriginalFirst,
            (2, 3) => LengthFields::Either,
            _ => LengthFields::CapturedFirst,
        };
        if !matches!(version, (2, 0..=4) | (543, 0)) {
            findings.warn(offset, Oddity::Version(version.0, version.1));
        }
        let snaplen = field(16);
        // The upper half holds flags and the length of the frame check sequence.
        let link_type = LinkType((field(20) & 0xffff) as u16);
        findings.describe(None, link_type, snaplen)?;
        self.state = State::Records { snaplen, lengths };
        Ok(Step::Skip {
            length: FILE_HEADER,
        })
    }

    #[inline]
    fn record(
        &self,
        bytes: &[u8],
        offset: u64,
        findings: &mut Findings,
        snaplen: u32,
        lengths: LengthFields,
    ) -> StepResult {
        let Magic {
            order,
            record_header,
            ..
        } = self.magic;
        let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else {
            return Ok(Step::Need {
                bytes: record_header,
                part: Part::RecordHeader,
            });
        };
        let field =
            |at: usize| order.u32([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (captured, original) = lengths.sort(field(8), field(12));
        let limit = most_captured(snaplen);
        if captured > limit {
            let why = LengthLimit::Accepted;
            return Err(CaptureErrorKind::RecordTooLong {
                claimed: captured,
                limit,
                why,
            });
        }
        let length = record_header + captured as usize;
        if bytes.len() < length {
            return Ok(Step::Need {
                bytes: length,
                part: Part::Record,
            });
        }
        findings.check_lengths(offset, captured, original, snaplen);
        let record = Located {
            time: Some(self.magic.time(field(0), field(4))),
            interface: 0,
            direction: None,
            original_length: original,
            data: record_header..length,
        };
        Ok(Step::Record { length, record })
    }
}

impl Layout {
    /// Whether [`usual_head`] gives the beginning of what [`data`](Self::data) does.
    pub(super) fn is_usual(&self) -> bool {
        let Magic {
            order,
            record_header,
            ..
        } = self.magic;
        let captured_first = matches!(self.lengths, LengthFields::CapturedFirst);
        order == ByteOrder::Little && record_header == RECORD_HEADER && captured_first
    }

    /// The captured bytes of a record that begins at `start`, and how many it
    /// had on the link.
    pub(super) fn data<'a>(&self, bytes: &'a [u8], start: usize) -> (&'a [u8], u32) {
        let order = self.magic.order;
        let record = &bytes[start..];
        let field = |at: usize| [record[at], record[at + 1], record[at + 2], record[at + 3]];
        let (first, second) = (order.u32(field(8)), order.u32(field(12)));
        let (captured, original) = self.lengths.sort(first, second);
        let data = &record[self.magic.record_header..][..captured as usize];
        (data, original)
    }

    /// When the frame of a record that begins at `start` was captured.
    pub(super) fn time(&self, bytes: &[u8], start: usize) -> Timestamp {
        let record = &bytes[start..];
        let field = |at: usize| [record[at], record[at + 1], record[at + 2], record[at + 3]];
        let order = self.magic.order;
        self.magic.time(order.u32(field(0)), order.u32(field(4)))
    }
}

/// The beginning of the frame in a record as nearly every file has them, which begins where the
/// bytes do and lies whole in them; `None` if less was captured.
#[inline(always)]
pub(super) fn usual_head<const HEAD: usize>(record: &[u8]) -> Option<Head<'_, HEAD>> {
    let (header, rest) = record.split_first_chunk::<RECORD_HEADER>()?;
    let bytes = rest.first_chunk()?;
    // The captured length in the lower half, the original length above.
    let lengths = u64::from_le_bytes(*header.last_chunk()?);
    let (captured, original) = (lengths as u32, (lengths >> 32) as u32);
    (captured as usize >= HEAD).then_some(Head {
        bytes,
        frame_length: captured.max(original),
    })
}

impl Magic {
    fn new(order: ByteOrder, number: u32) -> Option<Self> {
        let (nanos_per_tick, record_header) = match number {
            0xa1b2_c3d4 => (1_000, RECORD_HEADER),
            0xa1b2_3c4d => (1, RECORD_HEADER),
            0xa1b2_cd34 => (1_000, MODIFIED_RECORD_HEADER),
            _ => return None,
        };
        Some(Self {
            order,
            nanos_per_tick,
            record_header,
        })
    }

    /// At most 2^32 seconds and 2^32 microseconds: far from overflow.
    #[inline]
    fn time(&self, seconds: u32, ticks: u32) -> Timestamp {
        let nanos = i64::from(ticks) * self.nanos_per_tick;
        Timestamp::from_nanos(i64::from(seconds) * 1_000_000_000 + nanos)
    }
}

impl LengthFields {
    /// Captured and original length, from the fields in the order of the file.
    #[inline]
    fn sort(self, first: u32, second: u32) -> (u32, u32) {
        match self {
            Self::CapturedFirst => (first, second),
            Self::OriginalFirst => (second, first),
            Self::Either => (first.min(second), first.max(second)),
        }
    }
}
