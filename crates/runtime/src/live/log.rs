//! The way of log lines out of the hot path: a bounded channel, and a limit for each rule.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Sender, TrySendError};
use portcullis_core::message::Message;
use portcullis_core::names::ChainName;
use portcullis_core::packet_log::PacketLog;

use super::stats::{Figure, Stats};

/// Something to be written to the log.
#[derive(Clone, Debug)]
pub enum LogEvent {
    /// A packet-log line, to be formatted by who writes it.
    Packet(PacketLog),
    /// Other messages of the kernel, seldom enough to come as text.
    Text(String),
    /// Lines of a rule that were left out.
    Suppressed {
        /// The rule's chain.
        chain: ChainName,
        /// The rule's number, from 1.
        rule: u32,
        /// How many.
        lines: u64,
    },
}

/// Where workers put log lines. Whoever reads may be slow: a full channel costs lines, which are
/// counted, and never a packet.
#[derive(Clone, Debug)]
pub struct LogChannel {
    sender: Sender<LogEvent>,
    stats: Arc<Stats>,
}

/// How many lines a rule may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimit {
    /// Lines a second, on the average.
    pub per_second: u32,
    /// Lines at once after a quiet time.
    pub burst: u32,
}

/// What a rule may still write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Thousandths of a line.
    left: u64,
    filled: Instant,
    suppressed: u64,
}

impl LogChannel {
    /// Losses are counted in `stats`.
    pub fn new(sender: Sender<LogEvent>, stats: Arc<Stats>) -> Self {
        Self { sender, stats }
    }

    pub(super) fn put(&self, event: LogEvent) {
        match self.sender.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.stats.add(Figure::LostLines, 1);
            }
        }
    }

    pub(super) fn put_message(&self, message: &Message<'_>) {
        self.put(match message {
            Message::Packet(line) => LogEvent::Packet(*line),
            other => LogEvent::Text(other.to_string()),
        });
    }

    pub(super) fn count_suppressed(&self) {
        self.stats.add(Figure::SuppressedLines, 1);
    }
}

impl Bucket {
    pub(super) fn full(limit: LogLimit, now: Instant) -> Self {
        Self {
            left: u64::from(limit.burst) * 1000,
            filled: now,
            suppressed: 0,
        }
    }

    /// Whether a line may be written; with it comes the number of those that were not since the
    /// last one.
    pub(super) fn take(&mut self, limit: LogLimit, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.filled).as_millis() as u64;
        if passed > 0 {
            let most = u64::from(limit.burst) * 1000;
            let gained = passed.saturating_mul(u64::from(limit.per_second));
            self.left = most.min(self.left.saturating_add(gained));
            self.filled = now;
        }
        if self.left < 1000 {
            self.suppressed += 1;
            return None;
        }
        self.left -= 1000;
        Some(std::mem::take(&mut self.suppressed))
    }

    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let limit = LogLimit {
            per_second: 10,
            burst: 3,
        };
        let start = Instant::now();
        let mut bucket = Bucket::full(limit, start);
        let passed: Vec<_> = (0..5).map(|_| bucket.take(limit, start)).collect();
        assert_eq!(passed, [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(bucket.suppressed(), 2);
        let later = start + Duration::from_millis(150);
        assert_eq!(bucket.take(limit, later), Some(2));
        assert_eq!(bucket.take(limit, later), None);
    }

    #[test]
    fn a_full_channel_costs_lines_that_are_counted() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let stats = Arc::new(Stats::default());
        let channel = LogChannel::new(sender, Arc::clone(&stats));
        for _ in 0..3 {
            channel.put(LogEvent::Text("x".to_owned()));
        }
        assert_eq!(stats.get(Figure::LostLines), 2);
        assert_eq!(receiver.len(), 1);
    }
}
