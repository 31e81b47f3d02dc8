//! What a replay found out, as text, as JSON and as a page.

mod chart;
mod denials;
mod html;
mod json;
mod over_time;
mod stats;
mod text;

use portcullis_core::matcher::Matcher;
use portcullis_core::names::ShortName;
use portcullis_core::packet::Damage;
use portcullis_core::ruleset::{BuiltIn, Counter, Ruleset, Verdict};
use portcullis_runtime::capture::{CaptureErrorKind, Format};
use portcullis_runtime::replay::{
    Assumed, CaptureOutcome, Finished, NotJudged, Placement, Replay, Tally,
};
use portcullis_syntax::ipchains::{ListOptions, Listed};
use portcullis_syntax::listing;
use portcullis_syntax::names::Names;

pub(crate) use denials::{Denial, Denials};
pub(crate) use over_time::{MOST_ROWS, OverTime};

use super::stderr::{printable, tell};
use crate::interrupt::INTERRUPTED;
use crate::{DONE, FINDINGS, USAGE};

/// Everything that a replay found out.
pub(crate) struct ReplayReport {
    /// The rules with what they counted.
    ruleset: Ruleset,
    tally: Tally,
    captures: Vec<CaptureReport>,
    remarks: Vec<String>,
    finished: Finished,
    /// What captures that were written lack.
    left_out: Vec<String>,
    /// Verdicts over time, where they are part of the report.
    pub(crate) stats: Option<OverTime>,
}

/// How the reading of one capture went.
struct CaptureReport {
    file: String,
    format: Option<Format>,
    records: u64,
    warnings: Vec<String>,
    error: Option<String>,
    status: u8,
}

impl CaptureReport {
    fn new(outcome: &CaptureOutcome) -> Self {
        let error = outcome.error.as_ref();
        Self {
            file: printable(&outcome.path.display().to_string()),
            format: outcome.format,
            records: outcome.records,
            warnings: outcome.warnings.iter().map(ToString::to_string).collect(),
            error: error.map(|error| match error.kind {
                CaptureErrorKind::Open(_) => format!("cannot open {error}"),
                _ => error.to_string(),
            }),
            // What can be read of a damaged capture is judged; a file that is
            // no capture is a mistake of whoever named it.
            status: match (error, outcome.format) {
                (None, _) => DONE,
                (Some(_), Some(_)) => FINDINGS,
                (Some(_), None) => USAGE,
            },
        }
    }
}

impl ReplayReport {
    pub(crate) fn new<M: Matcher>(
        ruleset: &Ruleset,
        replay: &Replay<M>,
        captures: &[CaptureOutcome],
        finished: Finished,
        left_out: Vec<String>,
    ) -> Self {
        let mut ruleset = ruleset.clone();
        ruleset.add_counters(&replay.counters());
        let tally = replay.tally();
        Self {
            remarks: remarks(&tally, replay.placement()),
            ruleset,
            tally,
            captures: captures.iter().map(CaptureReport::new).collect(),
            finished,
            left_out,
            stats: None,
        }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        if self.finished == Finished::Partial {
            return INTERRUPTED;
        }
        let refused = match self.tally.refused_link_types().next() {
            None if self.left_out.is_empty() => DONE,
            _ => FINDINGS,
        };
        let captures = self.captures.iter().map(|capture| capture.status);
        captures.chain([refused]).max().unwrap_or(DONE)
    }

    /// Says on standard error what went wrong, and unless that is unwanted,
    /// what looked odd.
    pub(crate) fn complain(&self, quiet: bool) {
        for capture in &self.captures {
            for warning in capture.warnings.iter().filter(|_| !quiet) {
                tell(format_args!("portcullis: {}: {warning}", capture.file));
            }
            if let Some(error) = &capture.error {
                tell(format_args!("portcullis: {}", printable(error)));
            }
        }
        for what in &self.left_out {
            tell(format_args!("portcullis: {}", printable(what)));
        }
        for (link, records) in self.tally.refused_link_types() {
            let records = counted(records, "record");
            tell(format_args!(
                "portcullis: link type {link} is not supported; not judged for it: {records}"
            ));
        }
    }

    /// All chains, as `ipchains -L -v -n` lists them.
    fn listing(&self) -> String {
        let all = Listed {
            chain: None,
            options: ListOptions {
                numeric: true,
                verbose: true,
                ..ListOptions::default()
            },
            zero: false,
        };
        let mut out = String::new();
        // All chains exist.
        let _ = listing::write(&mut out, &self.ruleset, &all, &Names::new());
        out
    }

    /// What chains decided, where they decided anything.
    fn verdicts(&self) -> impl Iterator<Item = (BuiltIn, Verdict, Counter)> {
        let all = BuiltIn::ALL
            .into_iter()
            .flat_map(|chain| Verdict::ALL.into_iter().map(move |it| (chain, it)));
        all.map(|(chain, verdict)| (chain, verdict, self.tally.ruled(chain, verdict)))
            .filter(|(_, _, counter)| counter.packets > 0)
    }
}

fn remarks(tally: &Tally, placement: &Placement) -> Vec<String> {
    let interfaces = placement.interfaces();
    let unmet_steps = placement.steps_after(tally.records);
    let mut remarks = Vec::new();
    let assumed = |what| Some(tally.assumed(what)).filter(|records| *records > 0);
    if let Some(records) = assumed(Assumed::Chain) {
        let records = counted(records, "packet");
        remarks.push(format!(
            "{records} assumed to be for input, for want of --local, --chain or --steps"
        ));
    }
    if let Some(records) = assumed(Assumed::Outgoing) {
        let records = counted(records, "packet");
        remarks.push(format!(
            "{records} forwarded: the outgoing interface was assumed to be the incoming one; \
             --interface forward=NAME --interface output=NAME tell it"
        ));
    }
    if assumed(Assumed::Interface).is_some() {
        let names: Vec<&str> = interfaces.made_up().iter().map(ShortName::as_str).collect();
        let names = names.join(", ");
        remarks.push(format!(
            "interface assumed to be {names}, for a capture has no names; --interface sets one"
        ));
    }
    for (given, name) in interfaces.changed() {
        let given = printable(given);
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
