//! The kernel's queue: packets wait for their verdict where ipchains had its three chains.
//!
//! - [`Tables`] make the kernel hand packets over, and translate addresses.
//! - [`Queue`] judges what waits.

mod answers;
#[cfg(fuzzing)]
mod attack;
mod links;
mod packet;
mod rules;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_core::judge::{PacketState, Ruling};
use portcullis_core::matcher::Matcher;
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::ruleset::{BuiltIn, Verdict};
use portcullis_core::traversal::Step;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::NETFILTER;

use crate::backend::netlink::{Netlink, Writer, messages};
use crate::live::{Figure, Judging, Stats, Worker};

use answers::Answers;
use links::Links;
use packet::Queued;
use rules::{MASQUERADE, OURS, REDIRECT};

#[cfg(fuzzing)]
pub use attack::attack;
pub use rules::{Tables, TablesError};

/// Packets judged together at most.
const BATCH: usize = 32;
/// A message with the largest packet.
const MESSAGE: usize = (1 << 16) + 1024;
/// Packets that may wait for each chain; more of them the kernel drops, and counts. What has passed
/// one chain finds room before the next: in a flood packets are lost where they come in, and not
/// after work was done for them.
const LENGTHS: [u32; 3] = [2048, 8192, 8192];
/// Bytes that the kernel keeps for us while we are busy.
const RECEIVE_BUFFER: usize = 32 << 20;
/// Bytes of verdicts after which they are sent. The kernel takes 200 kB at once, and one verdict
/// may have 64 kB.
const VERDICTS: usize = 1 << 16;
/// How often they are sent again if the kernel cannot take them, and when.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(1);
/// How long is waited before looking whether to stop.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// How often the kernel's losses are read.
const LOSSES: Duration = Duration::from_millis(200);
/// Where the kernel counts them.
const COUNTERS: &str = "/proc/net/netfilter/nfnetlink_queue";

/// A queue that we listen on.
pub struct Queue {
    socket: Netlink,
    links: Links,
    answers: Answers,
    redirects: Redirects,
    losses: Losses,
}

/// The ports that the kernel knows the marks of.
struct Redirects {
    socket: Netlink,
    known: HashSet<u16>,
}

/// What the kernel could not hand over.
struct Losses {
    /// Kept open: later no file can be opened.
    counters: File,
    numbers: [u16; 3],
    seen: u64,
    next: Instant,
}

/// What becomes of a packet that waits.
enum Outcome {
    /// It goes on with this mark, and with other fields if they changed.
    Accept(u32, Option<PacketState>),
    /// It goes to a local port, 0 for the one it is for already.
    Redirect(u16),
    Drop,
    /// It is dropped and answered.
    Answer,
}

impl Queue {
    /// Listens on the queues that these tables fill.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` or `PermissionDenied` if somebody else listens there.
    pub fn open(tables: &Tables) -> io::Result<Self> {
        let socket = Netlink::open(Some(NETFILTER), 0)?;
        socket.keep(RECEIVE_BUFFER)?;
        let mut writer = Writer::default();
        for (queue, length) in tables.queues().into_iter().zip(LENGTHS) {
            packet::write_begin(queue, length, tables.fail_open, &mut writer);
        }
        let redirects = Redirects {
            socket: Netlink::open(Some(NETFILTER), 0)?,
            known: HashSet::new(),
        };
        let (links, answers) = (Links::open()?, Answers::open()?);
        let losses = Losses {
            counters: File::open(COUNTERS)?,
            numbers: tables.queues(),
            seen: 0,
            next: Instant::now(),
        };
        socket.request(writer.bytes(), 2 * LENGTHS.len())?;
        Ok(Self {
            socket,
            links,
            answers,
            redirects,
            losses,
        })
    }

    /// Judges packets until `stop` is set.
    ///
    /// # Errors
    ///
    /// If the kernel takes no verdicts any more.
    pub fn run<M: Matcher>(
        &mut self,
        worker: &mut Worker<M>,
        stats: &Stats,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        let mut slots = vec![(vec![0u8; MESSAGE], 0usize); BATCH];
        let mut verdicts = Writer::default();
        while !stop.load(Ordering::Relaxed) {
            self.wait()?;
            let mut count = 0;
            while let Some((buffer, length)) = slots.get_mut(count) {
                match self.socket.receive(buffer) {
                    Ok(Some(received)) => {
                        *length = received;
                        count += 1;
                    }
                    Ok(None) => break,
                    // Some were lost, which the kernel counts.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                    Err(error) => return Err(error),
                }
            }
            if count > 0 {
                let sent = worker.batch(|judging| {
                    for (buffer, length) in &slots[..count] {
                        for message in messages(&buffer[..*length]) {
                            if let Some(queued) = packet::read(message) {
                                self.decide(queued, judging, stats, &mut verdicts);
                            }
                        }
                        // Verdicts that change packets carry them.
                        if verdicts.bytes().len() > VERDICTS {
                            self.send(&mut verdicts)?;
                        }
                    }
                    self.send(&mut verdicts)
                });
                sent?;
            }
            self.losses.add_to(stats);
        }
        Ok(())
    }

    /// Tells the kernel. What waits for a verdict that never comes fills the queue, so a kernel
    /// without memory is asked again.
    fn send(&self, verdicts: &mut Writer) -> io::Result<()> {
        if verdicts.bytes().is_empty() {
            return Ok(());
        }
        let mut sent = self.socket.send(verdicts.bytes());
        for _ in 0..TRIES {
            if sent.is_ok() {
                break;
            }
            thread::sleep(PAUSE);
            sent = self.socket.send(verdicts.bytes());
        }
        verdicts.clear();
        sent
    }

    fn wait(&mut self) -> io::Result<()> {
        let mut both = [
            PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.links.as_fd(), PollFlags::IN),
        ];
        match poll(&mut both, Some(&PATIENCE)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let changed = !both[1].revents().is_empty();
        if changed {
            self.links.update();
        }
        Ok(())
    }

    /// Judges a packet and writes its verdict.
    fn decide<M: Matcher>(
        &mut self,
        queued: Result<Queued<'_>, (u16, u32)>,
        judging: &mut Judging<'_, M>,
        stats: &Stats,
        verdicts: &mut Writer,
    ) {
        stats.add(Figure::Received, 1);
        let queued = match queued {
            Ok(queued) => queued,
            Err((queue, id)) => {
                stats.add(Figure::Damaged, 1);
                return packet::write_drop(queue, id, verdicts);
            }
        };
        stats.add(Figure::Bytes, queued.bytes.len() as u64);
        match self.judge(&queued, judging, stats) {
            Outcome::Accept(mark, changed) => {
                packet::write_accept(&queued, mark, changed, verdicts);
            }
            Outcome::Redirect(port) if self.redirects.know(port) => {
                let mark = REDIRECT | u32::from(port);
                packet::write_accept(&queued, mark, None, verdicts);
            }
            Outcome::Answer => {
                let own = queued.chain == BuiltIn::Output && queued.arrived == 0;
                if let Ok(packet) = Ipv4Packet::sent(queued.bytes, queued.bytes.len()) {
                    self.answers.send(&packet, queued.chain, own, stats);
                }
                packet::write_drop(queued.queue, queued.id, verdicts);
            }
            Outcome::Redirect(_) | Outcome::Drop => {
                packet::write_drop(queued.queue, queued.id, verdicts);
            }
        }
    }

    fn judge<M: Matcher>(
        &mut self,
        queued: &Queued<'_>,
        judging: &mut Judging<'_, M>,
        stats: &Stats,
    ) -> Outcome {
        let length = queued.bytes.len();
        // What this machine sends has not been received by anybody.
        let (index, read) = match queued.chain {
            BuiltIn::Input => (queued.arrived, Ipv4Packet::received(queued.bytes, length)),
            BuiltIn::Forward | BuiltIn::Output => {
                (queued.leaves, Ipv4Packet::sent(queued.bytes, length))
            }
        };
        let (Some(interface), Ok(packet)) = (self.links.name(index), read) else {
            stats.add(Figure::Damaged, 1);
            return Outcome::Drop;
        };
        let step = Step {
            chain: queued.chain,
            interface,
        };
        // Nobody has marked a packet before its first chain.
        let mark = match queued.chain {
            BuiltIn::Input => 0,
            BuiltIn::Forward | BuiltIn::Output => queued.mark & !OURS,
        };
        let ruling = judging.step(&step, &packet, mark);
        let (figure, outcome) = outcome(&step, &packet, &ruling);
        stats.add(figure, 1);
        outcome
    }
}

/// What follows from a ruling (§2).
fn outcome(step: &Step, packet: &Ipv4Packet<'_>, ruling: &Ruling) -> (Figure, Outcome) {
    let state = ruling.state;
    let mark = state.mark & !OURS;
    let changed = (state.tos != packet.tos()).then_some(state);
    match (step.chain, ruling.verdict) {
        (_, Verdict::Reject) => (Figure::Rejected, Outcome::Answer),
        (BuiltIn::Input, Verdict::Redirect) => {
            let asked = packet.key().ok().map(|key| key.destination_port);
            let port = ruling.redirect_port.filter(|port| Some(*port) != asked);
            (Figure::Passed, Outcome::Redirect(port.unwrap_or(0)))
        }
        (BuiltIn::Forward, Verdict::Masq) => {
            let outcome = Outcome::Accept(mark | MASQUERADE, changed);
            (Figure::Passed, outcome)
        }
        (_, verdict) if step.lets_through(verdict) => {
            (Figure::Passed, Outcome::Accept(mark, changed))
        }
        _ => (Figure::Denied, Outcome::Drop),
    }
}

impl Redirects {
    /// Makes the kernel know a port; `false` if it cannot.
    fn know(&mut self, port: u16) -> bool {
        if port != 0 && !self.known.contains(&port) {
            if rules::add_redirect(&self.socket, port).is_err() {
                return false;
            }
            self.known.insert(port);
        }
        true
    }
}

impl Losses {
    /// Adds what was lost since the last time, now and then.
    fn add_to(&mut self, stats: &Stats) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + LOSSES;
        let mut text = [0; 4096];
        let Ok(length) = self.counters.read_at(&mut text, 0) else {
            return;
        };
        let text = String::from_utf8_lossy(&text[..length]);
        let lost = self
            .numbers
            .iter()
            .map(|number| losses(&text, *number))
            .sum::<u64>();
        stats.add(Figure::Overflow, lost.saturating_sub(self.seen));
        self.seen = self.seen.max(lost);
    }
}

/// Packets that did not fit into the queue and those that we did not take in time, from the
/// kernel's table: a line each queue, the numbers sixth and seventh.
fn losses(table: &str, number: u16) -> u64 {
    let lines = table.lines().map(str::split_whitespace);
    let mut lines = lines.map(|words| words.filter_map(|word| word.parse().ok()));
    let line: Option<Vec<u64>> = lines.find_map(|numbers| {
        let numbers: Vec<u64> = numbers.collect();
        (numbers.first() == Some(&u64::from(number))).then_some(numbers)
    });
    line.iter().flatten().skip(5).take(2).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_found_in_the_line_of_the_queue() {
        let table = "    0  31415     0 2 65535     1     2        7  1\n\
                     \x20  22  27182     0 2 65535    10    20        7  1\n";
        assert_eq!(losses(table, 22), 30);
        assert_eq!(losses(table, 0), 3);
        assert_eq!(losses(table, 1), 0);
        assert_eq!(losses("", 0), 0);
    }
}
