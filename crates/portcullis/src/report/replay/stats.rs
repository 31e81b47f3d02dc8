//! Verdicts over time as tables.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use portcullis_core::ruleset::Counter;

use super::OverTime;

impl OverTime {
    /// Comma-separated values under a line of names; the start of a bucket is
    /// in seconds since the epoch, or empty for packets without a time.
    pub(crate) fn csv(&self) -> String {
        let mut out = String::from("start,chain,verdict,packets,bytes\n");
        for (slot, Counter { packets, bytes }) in self.rows() {
            let start = slot.start.map_or(String::new(), |start| start.to_string());
            let (chain, verdict) = (slot.chain, slot.verdict);
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{start},{chain},{verdict},{packets},{bytes}");
        }
        out
    }

    /// A table for people, with an empty line behind it.
    pub(super) fn write_text(&self, out: &mut String) -> fmt::Result {
        let (packets, bytes) = ("packets", "bytes");
        let head = format!("by {} s, UTC", self.width());
        writeln!(
            out,
            "{head:<21}{:<9}{:<9}{packets:>10} {bytes:>14}",
            "chain", "verdict"
        )?;
        for (slot, Counter { packets, bytes }) in self.rows() {
            let start = slot.start.map_or("no time".to_owned(), date_and_time);
            let (chain, verdict) = (slot.chain, slot.verdict);
            writeln!(
                out,
                "{start:<21}{chain:<9}{verdict:<9}{packets:>10} {bytes:>14}"
            )?;
        }
        writeln!(out)
    }
}

/// A time in UTC, given in seconds since the epoch.
pub(super) fn date_and_time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        // Captures cannot say such times.
        Err(_) => seconds.to_string(),
    }
}
