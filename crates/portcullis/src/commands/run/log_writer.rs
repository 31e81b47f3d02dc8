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
/// Facility kern, priority info: what the kernel gave these lines.
const PRIORITY: &str = "<6>";
/// How often somebody's wish to open the file again is looked for.
const TICK: Duration = Duration::from_millis(100);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogTarget {
    Stdout,
    File(PathBuf),
    Syslog,
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
}

impl FromStr for LogTarget {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::Stdout,
            "syslog" => Self::Syslog,
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
            LogTarget::Syslog => {
                let socket = UnixDatagram::unbound()?;
                let connected = socket.connect(DEV_LOG);
                connected.with_context(|| format!("no syslog daemon listens at {DEV_LOG}"))?;
                // A daemon that is busy costs lines, not time.
                socket.set_nonblocking(true)?;
                Self::Syslog(socket)
            }
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
            Plane::Bridge | Plane::Host => "",
        };
        for line in message.lines() {
            let before = match self {
                Self::Syslog(_) => format!("{PRIORITY}kernel: "),
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
            Self::Syslog(socket) => {
                let sent = text
                    .lines()
                    .try_for_each(|line| socket.send(line.as_bytes()).map(drop));
                if sent.is_err() {
                    // The daemon was started again, perhaps.
                    let _ = socket.connect(DEV_LOG);
                }
                sent
            }
        };
    }
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
