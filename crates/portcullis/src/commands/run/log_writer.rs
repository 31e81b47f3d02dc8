//! Writes log lines, in a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use jiff::Zoned;
use portcullis_runtime::live::LogEvent;

use super::firewall::Plane;
use crate::report::stderr::tell;

/// The local syslog daemon.
const DEV_LOG: &str = "/dev/log";
/// The journal of systemd, in its own protocol: fields, one a line.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Facility kern, priority info: what the kernel gave these lines.
const PRIORITY: &str = "<6>";
/// The same for the journal.
const FIELDS: [&str; 2] = [
    "PRIORITY=6\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\nMESSAGE=",
    "\n",
];
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

/// An output that is open.
pub(super) struct LogWriter {
    target: LogTarget,
    output: Output,
    host: String,
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
    /// Opens the output.
    pub(super) fn open(target: &LogTarget) -> anyhow::Result<Self> {
        Ok(Self {
            output: Output::open(target)?,
            target: target.clone(),
            host: host(),
        })
    }

    /// Begins to write what comes.
    pub(super) fn start(
        self,
        receiver: Receiver<LogEvent>,
        plane: Plane,
        reopen: Arc<AtomicBool>,
    ) -> Writing {
        let Self {
            target,
            mut output,
            host,
        } = self;
        let thread = thread::spawn(move || {
            let mut text = String::new();
            loop {
                let event = receiver.recv_timeout(TICK);
                if reopen.swap(false, Ordering::Relaxed) {
                    match Output::open(&target) {
                        Ok(opened) => output = opened,
                        Err(error) => tell(format_args!("portcullis: {error:#}")),
                    }
                }
                match event {
                    Ok(event) => {
                        text.clear();
                        // What waits goes out together.
                        output.add(&event, plane, &host, &mut text);
                        for event in receiver.try_iter().take(512) {
                            output.add(&event, plane, &host, &mut text);
                        }
                        output.write(&text);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Writing { thread }
    }
}

impl Writing {
    /// Waits until everything is written; all senders must be gone.
    pub(super) fn finish(self) -> anyhow::Result<()> {
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
    fn add(&self, event: &LogEvent, plane: Plane, host: &str, text: &mut String) {
        let message = match event {
            LogEvent::Packet(line) => line.to_string(),
            LogEvent::Text(lines) => lines.clone(),
            LogEvent::Suppressed { chain, rule, lines } => {
                format!("portcullis: {lines} lines of {chain} rule {rule} suppressed")
            }
        };
        let would = match plane {
            Plane::Observe => "would: ",
            Plane::Bridge | Plane::Host | Plane::Queue => "",
        };
        for line in message.lines() {
            let before = match self {
                Self::Syslog(_) => format!("{PRIORITY}kernel: "),
                Self::Journald(_) => String::new(),
                Self::Stdout | Self::File(_) => {
                    let now = Zoned::now();
                    format!("{} {host} kernel: ", now.strftime("%b %e %H:%M:%S"))
                }
            };
            text.push_str(&before);
            text.push_str(would);
            text.push_str(line);
            text.push('\n');
        }
    }

    fn write(&mut self, text: &str) {
        // Where lines cannot be written there is nobody to tell; packets go on.
        let _ = match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Self::File(file) => file.write_all(text.as_bytes()),
            Self::Syslog(socket) => send_lines(socket, DEV_LOG, ["", ""], text),
            Self::Journald(socket) => send_lines(socket, JOURNAL, FIELDS, text),
        };
    }
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

/// Sends each line as a datagram, with what stands before and after it there.
fn send_lines(
    socket: &UnixDatagram,
    path: &str,
    [before, after]: [&str; 2],
    text: &str,
) -> io::Result<()> {
    let mut datagrams = text.lines().map(|line| format!("{before}{line}{after}"));
    let sent = datagrams.try_for_each(|datagram| socket.send(datagram.as_bytes()).map(drop));
    if sent.is_err() {
        // The daemon was started again, perhaps.
        let _ = socket.connect(path);
    }
    sent
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
    use std::fs;

    use super::*;

    #[test]
    fn the_journal_gets_fields_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut output = Output::Journald(daemon(path.to_str().unwrap()).unwrap());
        let mut text = String::new();
        let event = LogEvent::Text("one\ntwo".to_owned());
        output.add(&event, Plane::Host, "box", &mut text);
        output.write(&text);
        for line in ["one", "two"] {
            let mut datagram = [0; 200];
            let length = journal.recv(&mut datagram).unwrap();
            let fields = std::str::from_utf8(&datagram[..length]).unwrap();
            let expected = format!(
                "PRIORITY=6\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\nMESSAGE={line}\n"
            );
            assert_eq!(fields, expected);
        }
        fs::remove_file(path).unwrap();
    }
}
