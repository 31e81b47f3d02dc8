//! pcapng files, by the [draft](https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html).

mod clock;
mod options;

use super::{
    CaptureErrorKind, Part,
    error::{BlockLengthFault, LengthLimit},
    step::{ByteOrder, Findings, Located, MOST_CAPTURED, Oddity, Step, StepResult, most_captured},
};
use crate::{Direction, link::LinkType};
use clock::Clock;
use options::Options;

/// Decodes the blocks of one pcapng file.
pub(super) struct Decoder {
    /// The section being read. Each has its own byte order and its own interfaces.
    order: ByteOrder,
    first_interface: usize,
    interfaces: Vec<Interface>,
}

/// What it takes to read the packets of an interface.
struct Interface {
    clock: Clock,
    snaplen: u32,
}

mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const OBSOLETE_PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// Type, length, trailing length: the shortest block.
const SHORTEST: usize = 12;

/// The longest packet with a mebibyte for its options.
const MOST_BLOCK: u32 = MOST_CAPTURED + 1024 * 1024;

impl Decoder {
    /// `None` if the bytes are not the first of a pcapng file.
    pub(super) fn new(first: &[u8]) -> Option<Self> {
        first
            .starts_with(&block::SECTION.to_be_bytes())
            .then_some(Self {
                order: ByteOrder::Little,
                first_interface: 0,
                interfaces: Vec::new(),
            })
    }

    #[inline]
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        offset: u64,
        findings: &mut Findings,
    ) -> StepResult {
        let Some(header) = bytes.first_chunk::<SHORTEST>() else {
            return Ok(Step::Need {
                bytes: SHORTEST,
                part: Part::BlockHeader,
            });
        };
        // The section type reads the same in both orders.
        let (kind, leading) = match header[..4] {
            [0x0a, 0x0d, 0x0d, 0x0a] => {
                self.order = byte_order([header[8], header[9], header[10], header[11]])?;
                (block::SECTION, self.u32_at(header, 4))
            }
            _ => (self.u32_at(header, 0), self.u32_at(header, 4)),
        };
        let length = block_length(kind, leading)?;
        let Some(block) = bytes.get(..length) else {
            return Ok(Step::Need {
                bytes: length,
                part: Part::Block,
            });
        };
        let trailing = self.u32_at(block, length - 4);
        if trailing != leading {
            return Err(CaptureErrorKind::TrailingLength { leading, trailing });
        }
        let block = Block {
            bytes: &block[..length - 4],
            offset,
        };
        let record = match kind {
            block::ENHANCED_PACKET => {
                let interface = self.u32_at(block.bytes, 8);
                self.packet(block, interface, findings)?
            }
            block::OBSOLETE_PACKET => {
                let interface = self.order.u16([block.bytes[8], block.bytes[9]]);
                self.packet(block, interface.into(), findings)?
            }
            block::SIMPLE_PACKET => self.simple_packet(block, findings)?,
            block::INTERFACE => {
                self.describe_interface(block, findings)?;
                return Ok(Step::Skip { length });
            }
            block::SECTION => {
                self.first_interface = findings.interfaces.len();
                self.interfaces.clear();
                return Ok(Step::Skip { length });
            }
            _ => return Ok(Step::Skip { length }),
        };
        Ok(Step::Record { length, record })
    }

    /// Enhanced and obsolete packet blocks differ in the width of the interface number, which at
    /// offset 8 is followed by time (high, low), captured length, original length, data, options.
    #[inline]
    fn packet(
        &self,
        block: Block<'_>,
        interface: u32,
        findings: &mut Findings,
    ) -> Result<Located, CaptureErrorKind> {
        const DATA: usize = 28;
        let described = self.interface(interface)?;
        let captured = self.u32_at(block.bytes, 20);
        let original_length = self.u32_at(block.bytes, 24);
        let data = block.data(DATA, captured, described.snaplen)?;
        findings.check_lengths(block.offset, captured, original_length, described.snaplen);
        let time = described
            .clock
            .time(self.u32_at(block.bytes, 12), self.u32_at(block.bytes, 16));
        if time.is_none() {
            findings.warn(block.offset, Oddity::TimeOutOfRange);
        }
        let options = block
            .bytes
            .get(data.end.next_multiple_of(4)..)
            .unwrap_or_default();
        let direction = if options.is_empty() {
            None
        } else {
            self.direction(block, options, findings)
        };
        let interface = self.first_interface + interface as usize;
        Ok(Located {
            time,
            interface,
            direction,
            original_length,
            data,
        })
    }

    /// Simple packet blocks have no captured length: it is the least of what they hold by the
    /// original length and the snap length of interface 0, to which they all belong.
    fn simple_packet(
        &self,
        block: Block<'_>,
        findings: &mut Findings,
    ) -> Result<Located, CaptureErrorKind> {
        const DATA: usize = 12;
        let Interface { snaplen, .. } = *self.interface(0)?;
        let original_length = self.u32_at(block.bytes, 8);
        let captured = match snaplen {
            0 => original_length,
            limit => original_length.min(limit),
        };
        let data = block.data(DATA, captured, snaplen)?;
        findings.check_lengths(block.offset, captured, original_length, snaplen);
        let interface = self.first_interface;
        Ok(Located {
            time: None,
            interface,
            direction: None,
            original_length,
            data,
        })
    }

    fn describe_interface(
        &mut self,
        block: Block<'_>,
        findings: &mut Findings,
    ) -> Result<(), CaptureErrorKind> {
        const NAME: u16 = 2;
        const TIME_RESOLUTION: u16 = 9;
        const TIME_OFFSET: u16 = 14;
        let link_type = LinkType(self.order.u16([block.bytes[8], block.bytes[9]]));
        let snaplen = self.u32_at(block.bytes, 12);
        let mut clock = Clock::default();
        let mut name = None;
        for option in Options::new(self.order, &block.bytes[16..]) {
            match option {
                Ok((NAME, value)) => name = Some(text(value)),
                Ok((TIME_RESOLUTION, &[resolution, ..])) => clock.set_resolution(resolution),
                Ok((TIME_OFFSET, value)) => {
                    if let Some(&seconds) = value.first_chunk() {
                        clock.set_offset(self.order.i64(seconds));
                    }
                }
                Ok(_) => {}
                Err(options::Broken) => findings.warn(block.offset, Oddity::BrokenOptions),
            }
        }
        self.interfaces.push(Interface { clock, snaplen });
        findings.describe(name, link_type, snaplen)
    }

    fn direction(
        &self,
        block: Block<'_>,
        options: &[u8],
        findings: &mut Findings,
    ) -> Option<Direction> {
        const FLAGS: u16 = 2;
        let mut direction = None;
        for option in Options::new(self.order, options) {
            match option {
                Ok((FLAGS, value)) => {
                    let flags = value.first_chunk().map(|&flags| self.order.u32(flags));
                    direction = match flags.map(|flags| flags & 0b11) {
                        Some(0b01) => Some(Direction::Inbound),
                        Some(0b10) => Some(Direction::Outbound),
                        _ => None,
                    };
                }
                Ok(_) => {}
                Err(options::Broken) => findings.warn(block.offset, Oddity::BrokenOptions),
            }
        }
        direction
    }

    #[inline]
    fn interface(&self, interface: u32) -> Result<&Interface, CaptureErrorKind> {
        let described = self.interfaces.len();
        self.interfaces
            .get(interface as usize)
            .ok_or(CaptureErrorKind::UnknownInterface {
                interface,
                described,
            })
    }

    /// The number at `at`, which the checked length of the block covers.
    #[inline]
    fn u32_at(&self, block: &[u8], at: usize) -> u32 {
        self.order
            .u32([block[at], block[at + 1], block[at + 2], block[at + 3]])
    }
}

/// A block of a checked length, without its trailing length.
#[derive(Clone, Copy)]
struct Block<'a> {
    bytes: &'a [u8],
    offset: u64,
}

impl Block<'_> {
    /// The range of a packet's data.
    #[inline]
    fn data(
        self,
        from: usize,
        claimed: u32,
        snaplen: u32,
    ) -> Result<std::ops::Range<usize>, CaptureErrorKind> {
        // Blocks are bounded by `MOST_BLOCK`, so the room fits.
        let room = (self.bytes.len() - from) as u32;
        let accepted = most_captured(snaplen);
        let (limit, why) = if room < accepted {
            (room, LengthLimit::Block)
        } else {
            (accepted, LengthLimit::Accepted)
        };
        if claimed > limit {
            return Err(CaptureErrorKind::RecordTooLong {
                claimed,
                limit,
                why,
            });
        }
        Ok(from..from + claimed as usize)
    }
}

fn byte_order(magic: [u8; 4]) -> Result<ByteOrder, CaptureErrorKind> {
    match u32::from_be_bytes(magic) {
        0x1a2b_3c4d => Ok(ByteOrder::Big),
        0x4d3c_2b1a => Ok(ByteOrder::Little),
        other => Err(CaptureErrorKind::ByteOrder(other)),
    }
}

/// Checks the leading length of a block, so that its fixed fields can be read without checks.
#[inline]
fn block_length(kind: u32, length: u32) -> Result<usize, CaptureErrorKind> {
    let least = match kind {
        block::SECTION => 28,
        block::INTERFACE => 20,
        block::ENHANCED_PACKET | block::OBSOLETE_PACKET => 32,
        block::SIMPLE_PACKET => 16,
        _ => SHORTEST as u32,
    };
    let why = if !length.is_multiple_of(4) {
        BlockLengthFault::NotAMultipleOfFour
    } else if length < least {
        BlockLengthFault::TooShort { least }
    } else if length > MOST_BLOCK {
        BlockLengthFault::TooLong { most: MOST_BLOCK }
    } else {
        return Ok(length as usize);
    };
    Err(CaptureErrorKind::BlockLength { length, why })
}

/// A name, some of which are padded with zeros; cut because all of them stay in memory.
fn text(value: &[u8]) -> String {
    const MOST: usize = 256;
    let end = value
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end.min(MOST)]).into_owned()
}
