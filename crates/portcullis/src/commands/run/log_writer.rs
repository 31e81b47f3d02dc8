//! Writes log lines, in a thread of its own.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use jiff::Zoned;
use portcullis_runtime::live::{Figure, LogEvent, Stats};

use super::firewall::Plane;
use crate::report::stderr::tell;

/// The local syslog daemon.
const DEV_LOG: &str = "/dev/log";
/// The journal of systemd, in its own protocol: fields, one a line.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Facility kern, priority info: what the kernel gave these lines.
const PRIORITY: &str = "<6>";
/// How long the end waits for who takes the last lines.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often somebody's wish to open the file again is looked for.
const TICK: Duration = Duration::from_millis(100);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogTarget {
    Stdout,
    File(PathBuf),
    Syslog,
    Journald,
}

/// Outputs that are open.
pub(super) struct LogWriter {
    outputs: Vec<(LogTarget, Output)>,
    before: Before,
    /// Lines that an output did not take are counted there.
    stats: Arc<Stats>,
}

/// What stands before a line, besides the time.
struct Before {
    host: String,
    tag: String,
    /// Where nothing is stopped.
    would: &'static str,
}

/// The thread that writes.
pub(super) struct Writing {
    thread: JoinHandle<()>,
}

enum Output {
    Stdout,
    File(File),
    Syslog(UnixDatagram),
    Journald(UnixDatagram),
}

impl FromStr for LogTarget {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::Stdout,
            "syslog" => Self::Syslog,
            "journald" => Self::Journald,
            file => Self::File(PathBuf::from(file)),
        })
    }
}

impl LogWriter {
    /// Opens the outputs.
    pub(super) fn open(
        targets: &[LogTarget],
        tag: &str,
        plane: Plane,
        stats: Arc<Stats>,
    ) -> anyhow::Result<Self> {
        let open = |target: &LogTarget| Ok((target.clone(), Output::open(target)?));
        Ok(Self {
            outputs: targets.iter().map(open).collect::<anyhow::Result<_>>()?,
            before: Before {
                host: host(),
                tag: tag.to_owned(),
                would: if plane.enforces() { "" } else { "would: " },
            },
            stats,
        })
    }

    /// Begins to write what comes.
    pub(super) fn start(
        mut self,
        receiver: Receiver<LogEvent>,
        reopen: Arc<AtomicBool>,
    ) -> Writing {
        let thread = thread::spawn(move || {
            let mut events = Vec::new();
            loop {
                let event = receiver.recv_timeout(TICK);
                if reopen.swap(false, Ordering::Relaxed) {
                    self.reopen();
                }
                match event {
                    Ok(event) => {
                        events.clear();
                        events.push(event);
                        // What waits goes out together.
                        events.extend(receiver.try_iter().take(512));
                        self.write(&events);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Writing { thread }
    }

    fn reopen(&mut self) {
        for (target, output) in &mut self.outputs {
            match Output::open(target) {
                Ok(opened) => *output = opened,
                Err(error) => tell(format_args!("portcullis: {error:#}")),
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the time in a line of text")]
    fn write(&mut self, events: &[LogEvent]) {
        let time = Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        for (_, output) in &mut self.outputs {
            let mut text = String::new();
            for event in events {
                output.add(event, &self.before, &time, &mut text);
            }
            self.stats.add(Figure::LostLines, output.write(&text));
        }
    }
}

impl Writing {
    /// Waits until everything is written, but not for ever: whoever should take it may have stopped.
    /// All senders must be gone.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let start = Instant::now();
        while !self.thread.is_finished() {
            if start.elapsed() > PATIENCE {
                bail!("nobody takes the last log lines: they are lost");
            }
            thread::sleep(TICK / 10);
        }
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the writer of log lines panicked"))
    }
}

impl Output {
    fn open(target: &LogTarget) -> anyhow::Result<Self> {
        Ok(match target {
            LogTarget::Stdout => Self::Stdout,
            LogTarget::File(path) => Self::File(append(path)?),
            LogTarget::Syslog => Self::Syslog(daemon(DEV_LOG)?),
            LogTarget::Journald => Self::Journald(daemon(JOURNAL)?),
        })
    }

    /// Adds the lines of an event, each with what stands before it here.
    fn add(&self, event: &LogEvent, before: &Before, time: &str, text: &mut String) {
        let message = match event {
            LogEvent::Packet(line) => line.to_string(),
            LogEvent::Text(lines) => lines.clone(),
            LogEvent::Suppressed { chain, rule, lines } => {
                format!("portcullis: {lines} lines of {chain} rule {rule} suppressed")
            }
        };
        let Before { host, tag, would } = before;
        for line in message.lines() {
            let written = match self {
                // As syslog(3) does it.
                Self::Syslog(_) => writeln!(text, "{PRIORITY}{time} {tag}: {would}{line}"),
                Self::Journald(_) => writeln!(text, "{tag}\0{would}{line}"),
                Self::Stdout | Self::File(_) => {
                    writeln!(text, "{time} {host} {tag}: {would}{line}")
                }
            };
            debug_assert!(written.is_ok(), "strings take everything");
        }
    }

    /// Writes lines; how many could not be written. Packets go on in any case.
    fn write(&mut self, text: &str) -> u64 {
        let all = |result: io::Result<()>| match result {
            Ok(()) => 0,
            Err(_) => text.lines().count() as u64,
        };
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                all(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
            }
            Self::File(file) => all(file.write_all(text.as_bytes())),
            Self::Syslog(socket) => send(socket, DEV_LOG, text.lines().map(str::to_owned)),
            Self::Journald(socket) => send(socket, JOURNAL, text.lines().map(fields)),
        }
    }
}

/// A line in the journal's words.
fn fields(line: &str) -> String {
    let (tag, line) = line.split_once('\0').unwrap_or(("kernel", line));
    format!("PRIORITY=6\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER={tag}\nMESSAGE={line}\n")
}

/// A daemon that takes datagrams.
fn daemon(path: &str) -> anyhow::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let connected = socket.connect(path);
    connected.with_context(|| format!("no daemon takes log lines at {path}"))?;
    // One that is busy costs lines, not time.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sends datagrams; how many the daemon did not take.
fn send(socket: &UnixDatagram, path: &str, datagrams: impl Iterator<Item = String>) -> u64 {
    let mut lost = 0;
    for datagram in datagrams {
        let mut sent = socket.send(datagram.as_bytes());
        let busy = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if sent.as_ref().is_err_and(|error| !busy(error)) {
            // The daemon was started again, perhaps.
            sent = socket
                .connect(path)
                .and_then(|()| socket.send(datagram.as_bytes()));
        }
        lost += u64::from(sent.is_err());
    }
    lost
}

fn append(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("cannot write {}", path.display()))
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim().split('.').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_fields_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut output = Output::Journald(daemon(path.to_str().unwrap()).unwrap());
        let before = Before {
            host: "box".to_owned(),
            tag: "fw".to_owned(),
            would: "",
        };
        let mut text = String::new();
        let event = LogEvent::Text("one\ntwo".to_owned());
        output.add(&event, &before, "Oct 17 00:30:06", &mut text);
        assert_eq!(output.write(&text), 0);
        for line in ["one", "two"] {
            let mut datagram = [0; 200];
            let length = journal.recv(&mut datagram).unwrap();
            let fields = std::str::from_utf8(&datagram[..length]).unwrap();
            let expected =
                format!("PRIORITY=6\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=fw\nMESSAGE={line}\n");
            assert_eq!(fields, expected);
        }
        // A daemon that is gone costs lines, which are counted.
        drop(journal);
        assert_eq!(output.write(&text), 2);
        let mut full = Output::File(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert_eq!(full.write("one\ntwo\n"), 2);
    }
}
