//! The summary of a replay.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use portcullis_core::matcher::Matcher;
use portcullis_core::packet::Damage;
use portcullis_core::ruleset::{BuiltIn, Counter, Ruleset, Verdict};
use portcullis_runtime::capture::{CaptureError, CaptureErrorKind, Format};
use portcullis_runtime::replay::{Assumed, InterfaceNames, NotJudged, Replay, Tally};
use portcullis_syntax::ipchains::{ListOptions, Listed};
use portcullis_syntax::listing;
use portcullis_syntax::names::Names;

use super::replay_json;
use crate::{DONE, FINDINGS};

/// Everything that a replay found out.
pub(crate) struct ReplayReport {
    /// The rules with what they counted.
    pub(super) ruleset: Ruleset,
    pub(super) tally: Tally,
    pub(super) captures: Vec<CaptureReport>,
    pub(super) remarks: Vec<String>,
}

/// What stands on standard output already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// Log lines, or the JSON member that holds them.
    Log,
}

/// How the reading of one capture went.
pub(crate) struct CaptureReport {
    pub(crate) file: String,
    pub(crate) format: Option<Format>,
    pub(crate) records: u64,
    /// Oddities that did not end the reading.
    pub(crate) warnings: Vec<String>,
    /// What ended it.
    pub(super) error: Option<String>,
    status: u8,
}

impl CaptureReport {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            file: path.display().to_string(),
            format: None,
            records: 0,
            warnings: Vec::new(),
            error: None,
            status: DONE,
        }
    }

    /// Notes what ended the reading.
    pub(crate) fn fail(&mut self, error: &CaptureError, status: u8) {
        self.error = Some(match error.kind {
            CaptureErrorKind::Open(_) => format!("cannot open {error}"),
            _ => error.to_string(),
        });
        self.status = status;
    }
}

impl ReplayReport {
    pub(crate) fn new<M: Matcher>(
        ruleset: &Ruleset,
        replay: &Replay<M>,
        captures: Vec<CaptureReport>,
    ) -> Self {
        let mut ruleset = ruleset.clone();
        ruleset.add_counters(replay.counters());
        let tally = replay.tally().clone();
        Self {
            remarks: remarks(&tally, replay.interfaces(), replay.unmet_steps()),
            ruleset,
            tally,
            captures,
        }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        let refused = match self.tally.refused_link_types().next() {
            Some(_) => FINDINGS,
            None => DONE,
        };
        let captures = self.captures.iter().map(|capture| capture.status);
        captures.chain([refused]).max().unwrap_or(DONE)
    }

    /// Says on standard error what went wrong, and unless that is unwanted,
    /// what looked odd.
    pub(crate) fn complain(&self, quiet: bool) {
        for capture in &self.captures {
            for warning in capture.warnings.iter().filter(|_| !quiet) {
                eprintln!("portcullis: {}: {warning}", capture.file);
            }
            if let Some(error) = &capture.error {
                eprintln!("portcullis: {error}");
            }
        }
        for (link, records) in self.tally.refused_link_types() {
            eprintln!(
                "portcullis: link type {link} is not supported; {} were not judged",
                counted(records, "record")
            );
        }
    }

    /// Prints the summary; an empty line sets it apart from log lines.
    pub(crate) fn write_text(&self, after: After) -> anyhow::Result<()> {
        let mut out = String::new();
        if after == After::Log {
            out.push('\n');
        }
        self.write_records(&mut out)?;
        self.write_verdicts(&mut out)?;
        let all = Listed {
            chain: None,
            options: ListOptions {
                numeric: true,
                verbose: true,
                ..ListOptions::default()
            },
            zero: false,
        };
        // All chains exist.
        let _ = listing::write(&mut out, &self.ruleset, &all, &Names::new());
        if !self.remarks.is_empty() {
            out.push('\n');
        }
        for remark in &self.remarks {
            writeln!(out, "Note: {remark}")?;
        }
        io::stdout().write_all(out.as_bytes())?;
        Ok(io::stdout().flush()?)
    }

    /// Finishes the JSON document that the log lines began, or writes a whole
    /// one.
    pub(crate) fn write_json(&self, after: After) -> anyhow::Result<()> {
        let document = serde_json::to_string_pretty(&replay_json::document(self))?;
        let rest = match after {
            After::Log => document.replacen('{', ",", 1),
            After::Nothing => document,
        };
        writeln!(io::stdout(), "{rest}")?;
        Ok(io::stdout().flush()?)
    }

    fn write_records(&self, out: &mut String) -> std::fmt::Result {
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

    fn write_verdicts(&self, out: &mut String) -> std::fmt::Result {
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

    /// What chains decided, where they decided anything.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (BuiltIn, Verdict, Counter)> {
        let all = BuiltIn::ALL
            .into_iter()
            .flat_map(|chain| Verdict::ALL.into_iter().map(move |it| (chain, it)));
        all.map(|(chain, verdict)| (chain, verdict, self.tally.ruled(chain, verdict)))
            .filter(|(_, _, counter)| counter.packets > 0)
    }
}

fn remarks(tally: &Tally, interfaces: &InterfaceNames, unmet_steps: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(records) = tally.assumed.get(&Assumed::Chain) {
        let records = counted(*records, "packet");
        remarks.push(format!(
            "{records} assumed to be for input, for want of --local, --chain or --steps"
        ));
    }
    if tally.assumed.contains_key(&Assumed::Interface) {
        let names: Vec<&str> = interfaces
            .made_up()
            .iter()
            .map(|name| name.as_str())
            .collect();
        let names = names.join(", ");
        remarks.push(format!(
            "interface assumed to be {names}, for a capture has no names; --interface sets one"
        ));
    }
    for (given, name) in interfaces.changed() {
        remarks.push(format!(
            "the interface `{given}' is called {name}; --interface sets another name"
        ));
    }
    let checksum = NotJudged::Damaged(Damage::Checksum);
    if let Some((_, records)) = tally.not_judged().find(|(why, _)| *why == checksum) {
        let records = counted(records, "packet");
        remarks.push(format!(
            "{records} with a wrong header checksum dropped, as the kernel would; a capture made \
             on the sending machine may lack checksums, --ignore-checksums judges them"
        ));
    }
    if unmet_steps > 0 {
        let packets = counted(unmet_steps as u64, "packet");
        remarks.push(format!(
            "{packets} named in the file of steps came in no capture"
        ));
    }
    remarks
}

/// A number with its noun.
fn counted(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (number, Some(stem)) => format!("{number} {stem}ies"),
        (number, None) => format!("{number} {noun}s"),
    }
}

/// Reasons grouped by their first words, for readers that are programs.
pub(super) fn reasons(tally: &Tally) -> BTreeMap<String, u64> {
    tally
        .not_judged()
        .map(|(why, records)| (why.to_string(), records))
        .collect()
}
