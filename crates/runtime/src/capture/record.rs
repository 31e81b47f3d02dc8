use std::{fmt, sync::Arc};

use crate::{Direction, link::LinkType};

/// One captured frame, lent until the next one is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Counts from 1, over the whole file.
    pub number: u64,
    /// Where the record (pcap) or block (pcapng) begins, in bytes into the decompressed file.
    pub offset: u64,
    /// When the frame was captured. Simple packet blocks have no time.
    pub time: Option<Timestamp>,
    /// Where the frame was captured: one of
    /// [`CaptureReader::interfaces`](super::CaptureReader::interfaces).
    pub interface: &'a CaptureInterface,
    /// Which way the frame went, where the file says so (pcapng flags).
    pub direction: Option<Direction>,
    /// Bytes the frame had on the link; at least `data.len()` unless the file is odd.
    pub original_length: u32,
    /// The captured bytes, from the first link-layer byte on.
    pub data: &'a [u8],
}

/// An interface that a capture file describes. A pcap file has exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CaptureInterface {
    /// The capture it was described in, as in error messages.
    pub capture: Arc<str>,
    /// Its index in that capture.
    pub index: usize,
    /// Its name on the capturing machine (pcapng `if_name`), at most 256 bytes of it.
    pub name: Option<String>,
    /// How its frames begin.
    pub link_type: LinkType,
    /// Most bytes captured of one frame; 0 says there was no limit.
    pub snaplen: u32,
}

/// Nanoseconds since 1970-01-01 00:00 UTC, from the year 1677 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Timestamp {
    /// The time that many nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// Nanoseconds since the last whole second: below 1,000,000,000.
    #[must_use]
    pub const fn subsecond_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS_PER_SECOND) as u32
    }
}

/// Seconds since the epoch with nine decimals.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let second = NANOS_PER_SECOND.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / second, nanos % second)
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn times_before_the_epoch_round_down() {
        let time = Timestamp::from_nanos(-1);
        assert_eq!((time.seconds(), time.subsecond_nanos()), (-1, 999_999_999));
        assert_eq!(time.to_string(), "-0.000000001");
        assert_eq!(
            Timestamp::from_nanos(1_000_000_002).to_string(),
            "1.000000002"
        );
    }
}
