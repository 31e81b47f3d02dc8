//! Kernel messages as lines of a log.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;
use portcullis_core::message::Message;
use portcullis_runtime::capture::Timestamp;

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 16;

/// Writes messages line by line, into a file, to standard output, or into the
/// JSON document that begins there.
pub(crate) struct LogLines {
    out: BufWriter<Box<dyn Write>>,
    prefix: Prefix,
    shape: Shape,
    /// The message that is being written.
    text: String,
}

/// What stands before each line.
pub(crate) enum Prefix {
    /// Nothing.
    None,
    /// Time, host and `kernel:`.
    Syslog(Box<SyslogPrefix>),
}

pub(crate) struct SyslogPrefix {
    zone: TimeZone,
    host: String,
    /// The second that `text` is for.
    second: Option<i64>,
    text: String,
}

/// How lines stand in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    /// The first element of an array.
    JsonFirst,
    /// Any other element.
    JsonNext,
}

impl LogLines {
    pub(crate) fn to_stdout(prefix: Prefix) -> Self {
        Self::new(Box::new(io::stdout().lock()), prefix, Shape::Text)
    }

    pub(crate) fn to_file(path: &Path, prefix: Prefix) -> anyhow::Result<Self> {
        let file = File::create(path)
            .with_context(|| format!("cannot write the log {}", path.display()))?;
        Ok(Self::new(Box::new(file), prefix, Shape::Text))
    }

    pub(crate) fn to_json(prefix: Prefix) -> anyhow::Result<Self> {
        let mut lines = Self::new(Box::new(io::stdout().lock()), prefix, Shape::JsonFirst);
        lines.out.write_all(b"{\"log\":[")?;
        Ok(lines)
    }

    fn new(out: Box<dyn Write>, prefix: Prefix, shape: Shape) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER, out),
            prefix,
            shape,
            text: String::new(),
        }
    }

    /// Writes the lines of a message; `time` is the packet's.
    pub(crate) fn write(
        &mut self,
        time: Option<Timestamp>,
        message: &Message<'_>,
    ) -> anyhow::Result<()> {
        let prefix = self.prefix.at(time);
        self.text.clear();
        write!(self.text, "{message}")?;
        for line in self.text.lines() {
            match self.shape {
                Shape::Text => {
                    self.out.write_all(prefix.as_bytes())?;
                    self.out.write_all(line.as_bytes())?;
                    self.out.write_all(b"\n")?;
                }
                Shape::JsonFirst | Shape::JsonNext => {
                    let comma: &[u8] = match self.shape {
                        Shape::JsonNext => b",\n",
                        _ => b"\n",
                    };
                    self.out.write_all(comma)?;
                    serde_json::to_writer(&mut self.out, &format_args!("{prefix}{line}"))?;
                    self.shape = Shape::JsonNext;
                }
            }
        }
        Ok(())
    }

    /// Writes everything that is buffered.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if self.shape != Shape::Text {
            self.out.write_all(b"]")?;
        }
        self.out.flush()?;
        Ok(())
    }
}

impl Prefix {
    pub(crate) fn syslog(zone: TimeZone, host: &str) -> Self {
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
    /// The prefix of a time. A packet without one gets that of the packet
    /// before it, or of the epoch.
    fn at(&mut self, time: Option<Timestamp>) -> &str {
        let second = time.map(Timestamp::seconds).or(self.second).unwrap_or(0);
        if self.second != Some(second) {
            self.second = Some(second);
            let instant = Instant::from_second(second).unwrap_or_default();
            let local = instant.to_zoned(self.zone.clone());
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
        let Prefix::Syslog(mut prefix) = Prefix::syslog(TimeZone::UTC, "server") else {
            unreachable!()
        };
        let time = |seconds: i64| Some(Timestamp::from_nanos(seconds * 1_000_000_000));
        assert_eq!(
            prefix.at(time(1_003_278_766)),
            "Oct 17 00:32:46 server kernel: "
        );
        assert_eq!(
            prefix.at(time(1_002_415_000)),
            "Oct  7 00:36:40 server kernel: "
        );
        assert_eq!(prefix.at(None), "Oct  7 00:36:40 server kernel: ");
    }
}
