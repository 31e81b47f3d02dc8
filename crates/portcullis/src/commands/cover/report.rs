//! How coverage is shown.

use std::fmt::Write as _;

use portcullis_analysis::{Coverage, TooLarge, Tried};
use portcullis_core::matcher::Place;
use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{Field, Rule};
use serde_json::{Value, json};

use super::Row;
use crate::captured::Counted;
use crate::report::stderr::printable;
use crate::rules::RuleFile;

pub(super) struct Report<'a> {
    pub(super) rules: &'a RuleFile,
    pub(super) coverage: &'a Coverage,
    pub(super) counted: &'a Counted,
    pub(super) rows: &'a [Row],
}

impl Report<'_> {
    fn rule(&self, place: Place) -> (&ChainName, &Rule) {
        let chain = &self.rules.script.ruleset.chains()[place.chain as usize];
        (chain.name(), &chain.rules()[place.rule as usize])
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for row in self.rows {
            let (chain, rule) = self.rule(row.place);
            let number = row.place.rule as usize;
            let tried = self.coverage.of(row.place);
            let _ = writeln!(
                text,
                "{} {} #{}  {}\n    {}\n    {}",
                self.rules.place(chain, number),
                printable(chain.as_str()),
                number + 1,
                self.rules.command(chain, number),
                said(tried, rule),
                probe(row),
            );
        }
        let touched = self.rows.iter().filter(|row| self.is_touched(row)).count();
        let Counted { seen, left_out, .. } = self.counted;
        let (all, file) = (self.rows.len(), &self.rules.name);
        let _ = writeln!(
            text,
            "{file}: {touched} of {all} rules were touched by {seen} packets"
        );
        if *left_out > 0 {
            let _ = writeln!(
                text,
                "{left_out} records were left out: no IPv4, damaged or cut"
            );
        }
        text
    }

    fn is_touched(&self, row: &Row) -> bool {
        self.coverage.of(row.place).matched > 0
    }

    pub(super) fn json(&self) -> Value {
        let rules: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let (chain, rule) = self.rule(row.place);
                let number = row.place.rule as usize;
                let tried = self.coverage.of(row.place);
                let idle = tried.idle(&rule.conditions);
                let probe = row.probe.as_ref().ok().and_then(Option::as_ref);
                let origin = self.rules.script.origins.rule(chain, number);
                json!({
                    "chain": chain.as_str(),
                    "rule": number + 1,
                    "line": self.rules.line_of(origin),
                    "text": self.rules.command(chain, number),
                    "compared": tried.compared,
                    "matched": tried.matched,
                    "never_decisive": idle.into_iter().map(name).collect::<Vec<_>>(),
                    "packet": probe.map(|it| format!("{} {}", it.chain, it.packet)),
                    "packet_alone": probe.map(|it| it.alone),
                    "undecided": row.probe.is_err(),
                })
            })
            .collect();
        json!({
            "file": self.rules.name,
            "packets": self.counted.seen,
            "left_out_records": self.counted.left_out,
            "rules": rules,
        })
    }
}

/// What traffic has tried of a rule.
fn said(tried: &Tried, rule: &Rule) -> String {
    let Tried {
        compared, matched, ..
    } = tried;
    if *matched == 0 {
        return match compared {
            0 => "never touched: no packet came to it".to_owned(),
            1 => "never touched: 1 packet came to it".to_owned(),
            _ => format!("never touched: {compared} packets came to it"),
        };
    }
    let idle = tried.idle(&rule.conditions);
    let names: Vec<&str> = idle.into_iter().map(name).collect();
    match names.is_empty() {
        true => format!("matched {matched} of {compared}"),
        false => format!(
            "matched {matched} of {compared}; never decisive: {}",
            names.join(", ")
        ),
    }
}

fn probe(row: &Row) -> String {
    match &row.probe {
        Ok(Some(probe)) => {
            let rest = if probe.alone { "" } else { ", and others" };
            format!("hit by {} {}{rest}", probe.chain, probe.packet)
        }
        Ok(None) => "no packet hits it".to_owned(),
        Err(TooLarge) => "too large to decide which packet hits it".to_owned(),
    }
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Source => "source",
        Field::Destination => "destination",
        Field::Interface => "interface",
        Field::Fragment => "fragment",
        Field::Syn => "syn",
        Field::Protocol => "protocol",
        Field::SourcePort => "source port",
        Field::DestinationPort => "destination port",
    }
}
