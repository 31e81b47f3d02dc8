//! What a running firewall is asked, and what it answers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use portcullis_core::ruleset::{Counter, CounterTable, Ruleset};
use portcullis_runtime::control::{Connection, ControlSocket};
use portcullis_syntax::ipchains::{self, Fidelity, Output};
use portcullis_syntax::names::Names;

use super::firewall::Firewall;
use super::messages::{Counts, Request, Response};
use crate::report::stderr::tell;
use crate::ruleset_file;

const BUSY: &str = "somebody else is changing the rules";

/// Makes the socket; nobody is answered yet.
pub(super) fn bind(path: &Path, group: Option<u32>) -> anyhow::Result<Arc<ControlSocket>> {
    let socket = ControlSocket::bind(path, group).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!("another firewall listens at {}", path.display())
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen at {}", path.display())),
    })?;
    Ok(Arc::new(socket))
}

/// Begins to answer; each conversation has a thread of its own.
pub(super) fn listen(socket: Arc<ControlSocket>, firewall: Arc<Firewall>) {
    thread::spawn(move || {
        loop {
            let Ok(connection) = socket.accept() else {
                // Too many files are open, say: they will not always be.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            let firewall = Arc::clone(&firewall);
            thread::spawn(move || converse(connection, &firewall));
        }
    });
}

fn converse(mut connection: Connection, firewall: &Firewall) {
    let mut locked = None;
    // Whoever goes away in the middle has changed nothing.
    while let Ok(Some(text)) = connection.receive() {
        let response = match serde_json::from_str(&text) {
            Ok(Request::Lock) => match firewall.turn() {
                Some(turn) => {
                    let read = firewall.live.current().ruleset();
                    let response = rules(&read);
                    locked = Some((turn, read));
                    response
                }
                None => Ok(Response::Refused(BUSY.to_owned())),
            },
            Ok(Request::Keep { ruleset, counters }) => match &locked {
                Some((_, read)) => keep(firewall, &ruleset, &counters, read),
                None => Ok(Response::Refused("the rules are not locked".to_owned())),
            },
            Ok(request) => answer(firewall, request),
            Err(error) => Ok(Response::Refused(format!("not understood: {error}"))),
        };
        let response = response.unwrap_or_else(|error| Response::Refused(format!("{error:#}")));
        let Ok(text) = serde_json::to_string(&response) else {
            return;
        };
        if connection.send(&text).is_err() {
            return;
        }
    }
}

fn answer(firewall: &Firewall, request: Request) -> anyhow::Result<Response> {
    Ok(match request {
        Request::Status => Response::Status(Box::new(firewall.status())),
        Request::Read => rules(&firewall.live.current().ruleset())?,
        Request::Edit { words, strict } => edit(firewall, &words, strict)?,
        Request::Reload {
            ruleset,
            zero,
            confirm_seconds,
        } => {
            let ruleset = ruleset_file::parse_text(&ruleset)?;
            let confirm = confirm_seconds.map(Duration::from_secs);
            let generation = firewall.reload(ruleset, zero, confirm)?;
            tell(format_args!(
                "portcullis: generation {generation} is in force"
            ));
            Response::Done { generation }
        }
        Request::Confirm => match firewall.confirm() {
            true => Response::Done {
                generation: firewall.live.current().number,
            },
            false => Response::Refused("nothing waits to be confirmed".to_owned()),
        },
        Request::Stop => {
            firewall.stop.store(true, Ordering::Relaxed);
            Response::Done {
                generation: firewall.live.current().number,
            }
        }
        Request::Lock | Request::Keep { .. } => Response::Refused("not here".to_owned()),
    })
}

fn keep(
    firewall: &Firewall,
    ruleset: &str,
    counters: &[Counts],
    read: &Ruleset,
) -> anyhow::Result<Response> {
    let edited = with_counters(ruleset, counters)?;
    let generation = firewall.keep(edited, read)?;
    Ok(Response::Done { generation })
}

/// Carries a command out. One that fails leaves everything as it was; in strict mode what it did
/// before it failed stands, as it did in the kernel.
fn edit(firewall: &Firewall, words: &[String], strict: bool) -> anyhow::Result<Response> {
    let Some(_turn) = firewall.turn() else {
        return Ok(Response::Refused(BUSY.to_owned()));
    };
    let fidelity = if strict {
        Fidelity::Strict
    } else {
        Fidelity::Repaired
    };
    let read = firewall.live.current().ruleset();
    let mut edited = read.clone();
    let output = ipchains::run(words, &mut edited, &Names::new(), fidelity);
    if (output.status == 0 || strict) && edited != read {
        firewall.keep(edited, &read)?;
    }
    let Output {
        stdout,
        stderr,
        status,
        ..
    } = output;
    Ok(Response::Edited {
        stdout,
        stderr,
        status,
    })
}

fn rules(ruleset: &Ruleset) -> anyhow::Result<Response> {
    let (ruleset, counters) = to_text(ruleset)?;
    Ok(Response::Rules { ruleset, counters })
}

/// Rules as they go over the socket.
pub(crate) fn to_text(ruleset: &Ruleset) -> anyhow::Result<(String, Vec<Counts>)> {
    let counters = CounterTable::of(ruleset);
    let counters = counters.as_slice().iter();
    let counters = counters.map(|counter| [counter.packets, counter.bytes]);
    Ok((ruleset_file::text(ruleset)?, counters.collect()))
}

/// The same back again.
pub(crate) fn with_counters(text: &str, counters: &[Counts]) -> anyhow::Result<Ruleset> {
    let mut ruleset = ruleset_file::parse_text(text)?;
    let mut table = CounterTable::new(&ruleset);
    let slots = table.as_mut_slice();
    if slots.len() != counters.len() {
        return Err(anyhow!("there are not as many counters as rules"));
    }
    for (slot, [packets, bytes]) in slots.iter_mut().zip(counters) {
        *slot = Counter {
            packets: *packets,
            bytes: *bytes,
        };
    }
    ruleset.zero_counters();
    ruleset.add_counters(&table);
    Ok(ruleset)
}

impl Response {
    /// Asks the firewall at the other end.
    pub(crate) fn of(connection: &mut Connection, request: &Request) -> anyhow::Result<Self> {
        connection.send(&serde_json::to_string(request)?)?;
        let text = connection.receive()?;
        let text = text.context("the firewall ended in the middle of the conversation")?;
        Ok(serde_json::from_str(&text)?)
    }
}
