//! The summary for people.

use std::fmt::{self, Write as _};

use portcullis_core::ruleset::Counter;
use portcullis_runtime::replay::Finished;

use super::{ReplayReport, counted};
use crate::report::log_lines::After;
use crate::report::stdout;

impl ReplayReport {
    /// Prints the summary; an empty line sets it apart from log lines.
    pub(crate) fn write_text(&self, after: After) -> anyhow::Result<()> {
        let mut out = String::new();
        if !matches!(after, After::Lines(0)) {
            out.push('\n');
        }
        if self.finished == Finished::Partial {
            out.push_str("Interrupted: this is partial, up to where it was stopped\n\n");
        }
        self.write_records(&mut out)?;
        self.write_verdicts(&mut out)?;
        if let Some(stats) = &self.stats {
            stats.write_text(&mut out)?;
        }
        out.push_str(&self.listing());
        if !self.remarks.is_empty() {
            out.push('\n');
        }
        for remark in &self.remarks {
            writeln!(out, "Note: {remark}")?;
        }
        stdout::write(out.as_bytes())
    }

    fn write_records(&self, out: &mut String) -> fmt::Result {
        let tally = &self.tally;
        let (judged, not_judged) = (tally.judged_records(), tally.not_judged_records());
        for capture in &self.captures {
            let format = capture.format.map_or(String::new(), |it| format!(", {it}"));
            let records = counted(capture.records, "record");
            writeln!(out, "{}{format}: {records}", capture.file)?;
        }
        writeln!(out, "\n{judged:>10} judged")?;
        if tally.ttl_exceeded > 0 {
            let exceeded = tally.ttl_exceeded;
            writeln!(out, "{exceeded:>14} of them ran out of TTL before forward")?;
        }
        writeln!(out, "{not_judged:>10} not judged")?;
        for (why, records) in tally.not_judged() {
            writeln!(out, "{records:>14} {why}")?;
        }
        let read = tally.records;
        let verdict = if tally.adds_up() {
            "all accounted for"
        } else {
            "NOT all accounted for: this is a mistake in portcullis"
        };
        writeln!(out, "{read:>10} read, {verdict}\n")
    }

    fn write_verdicts(&self, out: &mut String) -> fmt::Result {
        let (packets, bytes) = ("packets", "bytes");
        writeln!(
            out,
            "{:<9}{:<9}{packets:>10} {bytes:>14}",
            "chain", "verdict"
        )?;
        for (chain, verdict, counter) in self.verdicts() {
            let Counter { packets, bytes } = counter;
            writeln!(out, "{chain:<9}{verdict:<9}{packets:>10} {bytes:>14}")?;
        }
        if self.tally.copies > 0 {
            writeln!(
                out,
                "{} to user space (-o)",
                counted(self.tally.copies, "copy")
            )?;
        }
        writeln!(out)
    }
}
