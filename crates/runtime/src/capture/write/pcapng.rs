use std::collections::HashMap;

use super::{CaptureWriteErrorKind, bad_time, captured_length, put};
use crate::{
    Direction,
    capture::{CaptureInterface, Record, Timestamp, step::most_captured},
};

/// Encodes one pcapng file: one section, an interface block before the first record of each
/// interface, enhanced packet blocks.
#[derive(Default)]
pub(super) struct Encoder {
    section: Section,
    interfaces: HashMap<CaptureInterface, u32>,
    /// The interface of the previous record, which mostly is that of the next.
    latest: Option<(CaptureInterface, u32)>,
}

#[derive(Default, PartialEq)]
enum Section {
    #[default]
    NotBegun,
    Begun,
}

impl Encoder {
    pub(super) fn encode(
        &mut self,
        record: &Record<'_>,
        comment: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), CaptureWriteErrorKind> {
        let captured = captured_length(record, most_captured(record.interface.snaplen))?;
        let time = record.time.unwrap_or(Timestamp::from_nanos(0));
        let ticks = u64::try_from(time.as_nanos()).map_err(|_| bad_time(record, time))?;
        self.begin(out);
        let interface = self.number(record.interface, out);
        block(6, out, |out| {
            let (high, low) = ((ticks >> 32) as u32, ticks as u32);
            put(
                out,
                &[interface, high, low, captured, record.original_length],
            );
            out.extend_from_slice(record.data);
            pad(out);
            if let Some(comment) = comment {
                option(1, cut(comment, usize::from(u16::MAX)).as_bytes(), out);
            }
            if let Some(direction) = record.direction {
                let flags: u32 = match direction {
                    Direction::Inbound => 0b01,
                    Direction::Outbound => 0b10,
                };
                option(2, &flags.to_le_bytes(), out);
            }
            if comment.is_some() || record.direction.is_some() {
                option(0, &[], out);
            }
        });
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.section == Section::NotBegun {
            block(0x0a0d_0d0a, out, |out| {
                // Byte-order magic, version 1.0, section length not given (-1).
                put(out, &[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
            });
            self.section = Section::Begun;
        }
    }

    /// The number of an interface in this file; describes it if it is new.
    fn number(&mut self, interface: &CaptureInterface, out: &mut Vec<u8>) -> u32 {
        if let Some((latest, number)) = &self.latest
            && latest == interface
        {
            return *number;
        }
        // As many as fit into memory: far below 2^32.
        let next = self.interfaces.len() as u32;
        let number = *self.interfaces.entry(interface.clone()).or_insert_with(|| {
            describe(interface, out);
            next
        });
        self.latest = Some((interface.clone(), number));
        number
    }
}

fn describe(interface: &CaptureInterface, out: &mut Vec<u8>) {
    block(1, out, |out| {
        put(out, &[interface.link_type.0.into(), interface.snaplen]);
        if let Some(name) = &interface.name {
            option(2, cut(name, usize::from(u16::MAX)).as_bytes(), out);
        }
        option(9, &[9], out);
        option(0, &[], out);
    });
}

/// Appends a block: type, length, what `body` appends, length again.
fn block(kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put(out, &[kind, 0]);
    body(out);
    // Bounded by the captured length and by two 16-bit options.
    let length = (out.len() - start + 4) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    put(out, &[length]);
}

fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    // Callers cut values to 16 bits of length.
    let length = value.len() as u16;
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

/// Up to four bytes: everything before in `out` is padded too.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The longest beginning of a text that has at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}
