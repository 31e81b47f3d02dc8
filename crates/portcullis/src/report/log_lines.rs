//! Kernel messages as lines of a log: formatted by workers, written in order.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;
use portcullis_core::message::Message;
use portcullis_runtime::capture::Timestamp;

use super::stdout;

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 18;

/// How lines stand in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    /// Elements of an array, each after a comma.
    Json,
}

/// What stands on standard output already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// So many log lines.
    Lines(u64),
    /// The beginning of a JSON object, up to the end of its first member.
    JsonMember,
}

/// Lines that were formatted together.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: String,
    count: u64,
}

/// Formats the messages about a chunk of records.
pub(crate) struct Formatter {
    prefix: Prefix,
    shape: Shape,
    text: String,
    count: u64,
    /// The text about each record, in the order in which it came.
    pieces: Vec<(u64, Range<usize>)>,
    message: String,
}

/// What stands before each line.
#[derive(Clone)]
pub(crate) enum Prefix {
    /// Nothing.
    None,
    /// Time, host and `kernel:`.
    Syslog(Box<SyslogPrefix>),
}

#[derive(Clone)]
pub(crate) struct SyslogPrefix {
    /// `None` for the machine's, until a line asks for it: to find it, the folders
    /// of all time zones are read.
    zone: Option<TimeZone>,
    host: String,
    /// The second that `text` is for.
    second: Option<i64>,
    text: String,
}

impl Formatter {
    pub(crate) fn new(prefix: Prefix, shape: Shape) -> Self {
        Self {
            prefix,
            shape,
            text: String::new(),
            count: 0,
            pieces: Vec::new(),
            message: String::new(),
        }
    }

    /// Adds the lines of a message about a record.
    pub(crate) fn add(&mut self, record: u64, time: Option<Timestamp>, message: &Message<'_>) {
        let start = self.text.len();
        let prefix = self.prefix.at(time);
        match (self.shape, message) {
            // The one message that comes by the million.
            (Shape::Text, Message::Packet(line)) => {
                self.text.push_str(prefix);
                // Writing to a string cannot fail.
                let _ = write!(self.text, "{line}");
                self.text.push('\n');
                self.count += 1;
            }
            (shape, message) => {
                self.message.clear();
                let _ = write!(self.message, "{message}");
                for line in self.message.lines() {
                    let _ = match shape {
                        Shape::Text => writeln!(self.text, "{prefix}{line}"),
                        Shape::Json => {
                            let line = serde_json::Value::from(format!("{prefix}{line}"));
                            write!(self.text, ",\n{line}")
                        }
                    };
                    self.count += 1;
                }
            }
        }
        self.pieces.push((record, start..self.text.len()));
    }

    /// Gives all lines in the order of their records, and is empty again.
    pub(crate) fn take(&mut self) -> Lines {
        let count = std::mem::take(&mut self.count);
        let text = if self.pieces.is_sorted_by_key(|(record, _)| *record) {
            std::mem::take(&mut self.text)
        } else {
            self.pieces.sort_by_key(|(record, _)| *record);
            let pieces = self
                .pieces
                .iter()
                .map(|(_, range)| &self.text[range.clone()]);
            let text = pieces.collect();
            self.text.clear();
            text
        };
        self.pieces.clear();
        Lines { text, count }
    }
}

/// Where lines are written: a file, standard output, or the JSON document that
/// begins there.
pub(crate) struct LogFile {
    out: BufWriter<Box<dyn Write + Send>>,
    shape: Shape,
    lines: u64,
    /// The file's name; `None` for standard output.
    path: Option<String>,
}

impl LogFile {
    pub(crate) fn stdout(shape: Shape) -> anyhow::Result<Self> {
        let mut file = Self::new(Box::new(io::stdout()), shape, None);
        if shape == Shape::Json {
            file.write_all("{\"log\":[")?;
        }
        Ok(file)
    }

    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("cannot write the log {name}"))?;
        Ok(Self::new(Box::new(file), Shape::Text, Some(name)))
    }

    fn new(out: Box<dyn Write + Send>, shape: Shape, path: Option<String>) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER, out),
            shape,
            lines: 0,
            path,
        }
    }

    pub(crate) fn write(&mut self, lines: &Lines) -> anyhow::Result<()> {
        let mut text = lines.text.as_str();
        if self.shape == Shape::Json && self.lines == 0 {
            // No comma before the first.
            text = text.strip_prefix(',').unwrap_or(text);
        }
        self.lines += lines.count;
        self.write_all(text)
    }

    fn write_all(&mut self, text: &str) -> anyhow::Result<()> {
        let written = self.out.write_all(text.as_bytes());
        written.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: io::Error) -> anyhow::Error {
        match &self.path {
            None => stdout::explain(error),
            Some(path) => anyhow::Error::new(error).context(format!("cannot write the log {path}")),
        }
    }

    /// Writes everything that is buffered, and says what the report follows.
    pub(crate) fn finish(mut self) -> anyhow::Result<After> {
        let after = match self.shape {
            Shape::Text => After::Lines(self.lines),
            Shape::Json => {
                self.write_all("]")?;
                After::JsonMember
            }
        };
        self.out.flush().map_err(|error| self.explain(error))?;
        Ok(match self.path {
            None => after,
            Some(_) => After::Lines(0),
        })
    }
}

impl Prefix {
    /// `None` for the machine's time zone.
    pub(crate) fn syslog(zone: Option<TimeZone>, host: &str) -> Self {
        Self::Syslog(Box::new(SyslogPrefix {
            zone,
            host: host.to_owned(),
            second: None,
            text: String::new(),
        }))
    }

    fn at(&mut self, time: Option<Timestamp>) -> &str {
        match self {
            Self::None => "",
            Self::Syslog(prefix) => prefix.at(time),
        }
    }
}

impl SyslogPrefix {
    /// The prefix of a time; of the epoch, for a record without one.
    fn at(&mut self, time: Option<Timestamp>) -> &str {
        let second = time.map_or(0, Timestamp::seconds);
        if self.second != Some(second) {
            self.second = Some(second);
            let instant = Instant::from_second(second).unwrap_or_default();
            let zone = self.zone.get_or_insert_with(TimeZone::system);
            let local = instant.to_zoned(zone.clone());
            let (stamp, host) = (local.strftime("%b %e %H:%M:%S"), &self.host);
            self.text = format!("{stamp} {host} kernel: ");
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_padded_with_a_blank() {
        let mut prefix = Prefix::syslog(Some(TimeZone::UTC), "server");
        let time = |seconds: i64| Some(Timestamp::from_nanos(seconds * 1_000_000_000));
        for (time, text) in [
            (time(1_003_278_766), "Oct 17 00:32:46 server kernel: "),
            (time(1_002_415_000), "Oct  7 00:36:40 server kernel: "),
            (None, "Jan  1 00:00:00 server kernel: "),
        ] {
            assert_eq!(prefix.at(time), text);
        }
    }
}
