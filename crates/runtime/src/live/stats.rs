//! What happened to frames, in numbers.

use crate::sync::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Figure {
    /// Frames taken from an interface.
    Received,
    /// Bytes in them.
    Bytes,
    /// Frames let through.
    Passed,
    /// Packets dropped silently.
    Denied,
    /// Packets dropped with an answer.
    Rejected,
    /// ARP frames, which pass.
    Arp,
    /// Frames that are neither IPv4 nor ARP.
    NotIpv4,
    /// Packets that the kernel would drop before any rule.
    Damaged,
    /// Packets whose time to live ran out.
    TtlExceeded,
    /// Frames that the other interface did not take.
    NotSent,
    /// Frames lost before they could be read.
    Overflow,
    /// Frames that the kernel could not hand over as they are.
    NotReceived,
    /// Rejected packets without an answer, as there were too many.
    NotAnswered,
    /// Log lines that found the channel full.
    LostLines,
    /// Log lines over the limit of their rule.
    SuppressedLines,
}

impl Figure {
    /// All figures, in order.
    pub const ALL: [Self; 15] = [
        Self::Received,
        Self::Bytes,
        Self::Passed,
        Self::Denied,
        Self::Rejected,
        Self::Arp,
        Self::NotIpv4,
        Self::Damaged,
        Self::TtlExceeded,
        Self::NotSent,
        Self::Overflow,
        Self::NotReceived,
        Self::NotAnswered,
        Self::LostLines,
        Self::SuppressedLines,
    ];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Bytes => "bytes",
            Self::Passed => "passed",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Arp => "arp",
            Self::NotIpv4 => "not_ipv4",
            Self::Damaged => "damaged",
            Self::TtlExceeded => "ttl_exceeded",
            Self::NotSent => "not_sent",
            Self::Overflow => "overflow",
            Self::NotReceived => "not_received",
            Self::NotAnswered => "not_answered",
            Self::LostLines => "lost_lines",
            Self::SuppressedLines => "suppressed_lines",
        }
    }
}

/// A set of figures. Workers write to one of their own and publish it once a batch.
#[derive(Debug, Default)]
pub struct Stats {
    figures: [AtomicU64; Figure::ALL.len()],
}

impl Stats {
    /// Adds to a figure.
    pub fn add(&self, figure: Figure, count: u64) {
        self.figures[figure as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// A figure as it is now.
    pub fn get(&self, figure: Figure) -> u64 {
        self.figures[figure as usize].load(Ordering::Relaxed)
    }
}
