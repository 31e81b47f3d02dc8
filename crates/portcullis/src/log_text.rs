//! Syslog files as they lie about: plain or packed, one or many.

mod follow;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use flate2::bufread::MultiGzDecoder;
use portcullis_syntax::syslog::{Damaged, Entry, Event, Reader};

use crate::report::stderr::{printable, tell};

pub(crate) use follow::Followed;

/// What is wrong or uncertain about the files that were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// Packets.
    pub(crate) packets: u64,
    /// Damaged lines with their file.
    pub(crate) damaged: Vec<(String, Damaged)>,
    /// Lines that were broken and have been joined.
    pub(crate) joined: u64,
    /// Packets that only `last message repeated` tells of.
    pub(crate) repeated: u64,
    /// Packets without rule number, of old kernels.
    pub(crate) without_tail: u64,
    /// Fragments dropped before any rule.
    pub(crate) suspect: u64,
    /// Lines that only speak of packet logs.
    pub(crate) prose: u64,
    /// Messages that the kernel left out.
    pub(crate) suppressed: u64,
    /// Repetitions of a message that no file has.
    pub(crate) unknown_repetitions: u64,
    /// Whether a date has no year.
    pub(crate) yearless: bool,
}

/// Bytes of one line, at most: what is longer is no log.
const LONGEST: u64 = 1 << 16;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What rotated logs are packed with that is not unpacked here.
const PACKED: [(&[u8], &str); 2] = [(b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")];

/// Reads a whole file; `-` is standard input. Shows every packet to
/// `use_entry`. A file without packets is an error if it is not even text.
pub(crate) fn read(
    path: &Path,
    condition: &mut Condition,
    mut use_entry: impl FnMut(Entry),
) -> anyhow::Result<()> {
    let name = printable(&path.display().to_string());
    let mut lines = open(path).with_context(|| format!("cannot read {name}"))?;
    let mut reader = Reader::new();
    let mut events = Vec::new();
    let mut line = Vec::new();
    let before = condition.lines();
    let mut is_text = true;
    loop {
        line.clear();
        let count = (&mut lines).take(LONGEST).read_until(b'\n', &mut line);
        if count.with_context(|| format!("cannot read {name}"))? == 0 {
            break;
        }
        is_text &= !line.contains(&0);
        reader.push(&text(&line), &mut events);
        condition.note_all(&name, &mut events, &mut use_entry);
    }
    reader.finish(&mut events);
    condition.note_all(&name, &mut events, &mut use_entry);
    // A crash may leave zeros in a log; one that is nothing else is no log.
    if !is_text && condition.lines() == before {
        bail!("{name} is neither a log nor a capture");
    }
    Ok(())
}

/// Whether a file is a capture, packed or not. Standard input is a log.
pub(crate) fn is_capture(path: &Path) -> anyhow::Result<bool> {
    if path == Path::new("-") {
        return Ok(false);
    }
    let name = printable(&path.display().to_string());
    let mut start = Vec::new();
    let read = open(path).and_then(|bytes| bytes.take(4).read_to_end(&mut start));
    read.with_context(|| format!("cannot read {name}"))?;
    Ok(CAPTURES.iter().any(|magic| start == magic))
}

/// How captures begin: pcap of both byte orders and resolutions, pcapng.
const CAPTURES: [[u8; 4]; 5] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

/// Opens a file, unpacking it if need be.
fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let bytes: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let mut bytes = BufReader::new(bytes);
    let start = bytes.fill_buf()?;
    if start.starts_with(&GZIP) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(bytes))));
    }
    if start.starts_with(&ZSTD) {
        let unpacked = zstd::Decoder::with_buffer(bytes)?;
        return Ok(Box::new(BufReader::new(unpacked)));
    }
    if let Some((_, program)) = PACKED.iter().find(|(magic, _)| start.starts_with(magic)) {
        let advice = format!("it is packed: try `{program} -dc FILE | portcullis ... -'");
        return Err(io::Error::new(io::ErrorKind::Unsupported, advice));
    }
    Ok(Box::new(bytes))
}

/// A line of bytes: in Latin-1 if it is not UTF-8.
fn text(line: &[u8]) -> String {
    match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => line.iter().copied().map(char::from).collect(),
    }
}

impl Condition {
    /// Empties `events`.
    pub(crate) fn note_all(
        &mut self,
        file: &str,
        events: &mut Vec<Event>,
        mut use_entry: impl FnMut(Entry),
    ) {
        for event in events.drain(..) {
            match event {
                Event::Entry(entry) => {
                    self.note(&entry);
                    use_entry(entry);
                }
                Event::Damaged(damaged) => self.damaged.push((file.to_owned(), damaged)),
                Event::Prose => self.prose += 1,
                Event::Suspect => self.suspect += 1,
                Event::Suppressed(messages) => self.suppressed += messages,
                Event::RepeatedUnknown { times, .. } => self.unknown_repetitions += times,
            }
        }
    }

    /// How many packet-log lines there were, whole or damaged.
    pub(crate) fn lines(&self) -> u64 {
        self.packets + self.suspect + self.damaged.len() as u64
    }

    fn note(&mut self, entry: &Entry) {
        self.packets += entry.times;
        self.joined += u64::from(entry.lines > 1);
        if entry.times > 1 {
            self.repeated += entry.times;
        }
        if entry.tail == portcullis_syntax::syslog::Tail::Missing {
            self.without_tail += entry.times;
        }
        self.yearless |= entry.stamp.is_some_and(|stamp| stamp.year.is_none());
    }

    /// Says what is damaged, where, and what was made of the rest.
    pub(crate) fn tell(&self) {
        for (file, damaged) in &self.damaged {
            let column = damaged.column.map(|column| format!(":{column}"));
            let (line, column) = (damaged.line, column.unwrap_or_default());
            tell(format_args!("{file}:{line}{column}: {damaged}"));
            tell(format_args!("    {}", printable(&damaged.text)));
        }
        for remark in self.remarks() {
            tell(format_args!("{remark}"));
        }
    }

    /// What somebody who relies on the numbers should know.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let damaged: u64 = self.damaged.iter().map(|(_, it)| it.times).sum();
        [
            (damaged, "damaged packet-log line", "left out"),
            (self.joined, "broken line", "joined"),
            (
                self.without_tail,
                "packet",
                "logged without a rule number, nor is it known whether a connection was opened: \
                 kernels before 2.2.10 did not write it",
            ),
            (self.prose, "line", "left out: words about packet logs"),
            (
                self.suspect,
                "suspect fragment",
                "dropped before any rule, and left out here",
            ),
            (self.suppressed, "kernel message", "suppressed and missing"),
            (
                self.unknown_repetitions,
                "repetition",
                "left out, of a message before the beginning of the file",
            ),
        ]
        .into_iter()
        .filter_map(|(count, what, became)| match count {
            0 => None,
            1 => Some(format!("1 {what} was {became}")),
            count => Some(format!("{count} {what}s were {became}")),
        })
        .collect()
    }
}
