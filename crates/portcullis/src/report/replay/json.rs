//! The JSON form of a replay's result; `docs/replay-json.md` describes it.

use std::collections::BTreeMap;

use portcullis_core::ruleset::{BuiltIn, Chain, Counter, Policy, Target, Verdict};
use portcullis_runtime::replay::Finished;
use portcullis_syntax::save::{self, Form};
use serde::Serialize;

use super::{OverTime, ReplayReport};
use crate::report::log_lines::After;
use crate::report::stdout;

impl ReplayReport {
    /// Finishes the JSON document that the log lines began, or writes a whole
    /// one.
    pub(crate) fn write_json(&self, after: After) -> anyhow::Result<()> {
        let document = serde_json::to_string_pretty(&document(self))?;
        let rest = match after {
            After::JsonMember => document.replacen('{', ",", 1),
            After::Lines(_) => document,
        };
        stdout::write(format!("{rest}\n").as_bytes())
    }
}

#[derive(Serialize)]
struct Document<'a> {
    partial: bool,
    captures: Vec<CaptureObject<'a>>,
    records: RecordsObject,
    verdicts: Vec<VerdictObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsObject>,
    chains: Vec<ChainObject<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct CaptureObject<'a> {
    file: &'a str,
    format: Option<String>,
    records: u64,
    warnings: &'a [String],
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct RecordsObject {
    read: u64,
    judged: u64,
    not_judged: u64,
    reasons: BTreeMap<String, u64>,
    ttl_exceeded: u64,
    netlink_copies: u64,
    all_accounted_for: bool,
}

#[derive(Serialize)]
struct VerdictObject {
    chain: &'static str,
    verdict: &'static str,
    packets: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct StatsObject {
    seconds: i64,
    rows: Vec<StatsRow>,
}

#[derive(Serialize)]
struct StatsRow {
    start: Option<i64>,
    #[serde(flatten)]
    sum: VerdictObject,
}

#[derive(Serialize)]
struct ChainObject<'a> {
    name: &'a str,
    policy: Option<&'static str>,
    references: usize,
    policy_packets: u64,
    policy_bytes: u64,
    rules: Vec<RuleObject<'a>>,
}

#[derive(Serialize)]
struct RuleObject<'a> {
    number: usize,
    target: Option<&'a str>,
    packets: u64,
    bytes: u64,
    rule: String,
}

fn document(report: &ReplayReport) -> Document<'_> {
    let tally = &report.tally;
    let chains = report.ruleset.chains().iter();
    Document {
        partial: report.finished == Finished::Partial,
        captures: report
            .captures
            .iter()
            .map(|capture| CaptureObject {
                file: &capture.file,
                format: capture.format.map(|format| format.to_string()),
                records: capture.records,
                warnings: &capture.warnings,
                error: capture.error.as_deref(),
            })
            .collect(),
        records: RecordsObject {
            read: tally.records,
            judged: tally.judged_records(),
            not_judged: tally.not_judged_records(),
            reasons: tally
                .not_judged()
                .map(|(why, records)| (why.to_string(), records))
                .collect(),
            ttl_exceeded: tally.ttl_exceeded,
            netlink_copies: tally.copies,
            all_accounted_for: tally.adds_up(),
        },
        verdicts: report
            .verdicts()
            .map(|(chain, verdict, counter)| verdict_object(chain, verdict, counter))
            .collect(),
        stats: report.stats.as_ref().map(stats_object),
        chains: chains
            .zip(report.ruleset.references())
            .map(|(chain, references)| chain_object(chain, references))
            .collect(),
        notes: &report.remarks,
    }
}

fn verdict_object(chain: BuiltIn, verdict: Verdict, counter: Counter) -> VerdictObject {
    VerdictObject {
        chain: chain.as_str(),
        verdict: verdict.as_str(),
        packets: counter.packets,
        bytes: counter.bytes,
    }
}

fn stats_object(stats: &OverTime) -> StatsObject {
    let rows = stats.rows().map(|(slot, counter)| StatsRow {
        start: slot.start,
        sum: verdict_object(slot.chain, slot.verdict, counter),
    });
    StatsObject {
        seconds: stats.width(),
        rows: rows.collect(),
    }
}

fn chain_object(chain: &Chain, references: usize) -> ChainObject<'_> {
    let counter = chain.policy_counter();
    ChainObject {
        name: chain.name().as_str(),
        policy: chain.policy().map(Policy::as_str),
        references,
        policy_packets: counter.packets,
        policy_bytes: counter.bytes,
        rules: (1..)
            .zip(chain.rules())
            .map(|(number, rule)| RuleObject {
                number,
                target: rule.target.as_ref().map(Target::as_str),
                packets: rule.counter.packets,
                bytes: rule.counter.bytes,
                rule: save::rule_text(rule, Form::Lossless),
            })
            .collect(),
    }
}
