//! How findings are shown: each on its line of the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::ops::Range;

use annotate_snippets::{Level, Renderer};
use portcullis_analysis::{Checked, Finding, Kind, Question, Severity, Subject, places_in_words};
use portcullis_classifier::Description;
use portcullis_core::matcher::Place;
use portcullis_core::ruleset::{BuiltIn, Ruleset};
use serde_json::{Value, json};

use super::host_bits::HostBits;
use crate::report::stderr::printable;
use crate::rules::RuleFile;

/// All that is to be said about a file.
pub(super) struct Report<'a> {
    pub(super) rules: &'a RuleFile,
    pub(super) checked: &'a Checked,
    pub(super) host_bits: Vec<HostBits>,
    pub(super) compiled: Option<Description>,
    /// Whether findings of a kind are all shown, however many.
    pub(super) all: bool,
}

/// Findings of one kind that are shown, unless all are wanted.
const SHOWN_ALIKE: usize = 20;

/// A finding, ready to be shown.
struct Entry {
    severity: Severity,
    code: &'static str,
    message: String,
    advice: Option<String>,
    example: Option<String>,
    /// Where the same is wrong as well.
    also: Option<String>,
    subject: Subject,
    others: Vec<Place>,
    span: Option<Range<usize>>,
}

/// Ascending numbers as `3-5, 9`.
fn in_ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if (range.start..=range.end).contains(number) => {
                range.end = range.end.max(number + 1);
            }
            _ => ranges.push(*number..number + 1),
        }
    }
    let words = ranges.iter().map(|range| match range.len() {
        1 => range.start.to_string(),
        _ => format!("{}-{}", range.start, range.end - 1),
    });
    words.collect::<Vec<_>>().join(", ")
}

impl Report<'_> {
    fn ruleset(&self) -> &Ruleset {
        &self.rules.script.ruleset
    }

    /// The severity that matters most.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.entries().iter().map(|entry| entry.severity).max()
    }

    fn entries(&self) -> Vec<Entry> {
        let findings = self.checked.findings.iter();
        let mut entries: Vec<Entry> = findings.map(|it| self.finding(it)).collect();
        entries.extend(self.host_bits.iter().map(|it| self.host_bits(it)));
        entries.sort_by_key(|it| it.span.as_ref().map_or(usize::MAX, |span| span.start));
        entries
    }

    fn finding(&self, finding: &Finding) -> Entry {
        let example = finding.example.as_ref();
        let advice = match self.failed_policy(finding) {
            Some(failed) => Some(failed),
            None => finding.advice(self.ruleset()),
        };
        Entry {
            severity: finding.severity(),
            code: finding.code(),
            message: printable(&finding.message(self.ruleset())),
            advice: advice.map(|it| printable(&it)),
            example: example.map(|(chain, packet)| printable(&format!("{chain} {packet}"))),
            also: finding.with_it(self.ruleset()).map(|it| printable(&it)),
            subject: finding.subject,
            others: finding.others.clone(),
            span: self.span(finding.subject),
        }
    }

    /// The command that was to close a chain and failed.
    fn failed_policy(&self, finding: &Finding) -> Option<String> {
        let (Kind::OpenPolicy(_), Subject::Chain(chain)) = (&finding.kind, finding.subject) else {
            return None;
        };
        let chain = self.ruleset().chains()[chain].name().as_str();
        let mistakes = &self.rules.script.mistakes;
        let failed = mistakes.iter().rfind(|it| {
            let words: Vec<&str> = it.command.split_whitespace().collect();
            let sets = |pair: &[&str]| ["-P", "--policy"].contains(&pair[0]) && pair[1] == chain;
            words.windows(2).any(sets)
        })?;
        let line = self.rules.line_of(Some(&failed.span)).unwrap_or_default();
        Some(format!(
            "line {line} was to set the policy and failed: {}",
            failed.command.trim()
        ))
    }

    fn host_bits(&self, found: &HostBits) -> Entry {
        let (written, meant) = (printable(&found.written), &found.meant);
        let alone = written.split('/').next().unwrap_or_default();
        Entry {
            severity: Severity::Warning,
            code: "host-bits",
            message: format!("{written} has bits outside its mask: it means {meant}"),
            advice: Some(format!("write {meant}, or {alone} for the one address")),
            example: found.example.as_deref().map(printable),
            also: (!found.others.is_empty()).then(|| {
                let names = places_in_words(self.ruleset(), &found.others);
                format!("also {}", printable(&names))
            }),
            subject: Subject::Rule(found.place),
            others: found.others.clone(),
            span: Some(found.span.clone()),
        }
    }

    /// The bytes of the file that a finding is about.
    fn span(&self, subject: Subject) -> Option<Range<usize>> {
        let origins = &self.rules.script.origins;
        let chains = self.ruleset().chains();
        match subject {
            Subject::Rule(place) => {
                let name = chains[place.chain as usize].name();
                origins.rule(name, place.rule as usize).cloned()
            }
            Subject::Chain(chain) => {
                let name = chains[chain].name();
                match BuiltIn::from_name(name.as_str()) {
                    Some(built_in) => origins.policy(built_in).cloned(),
                    None => origins.chain(name).cloned(),
                }
            }
            Subject::Ruleset => None,
        }
    }

    pub(super) fn text(&self) -> String {
        let renderer = match io::stdout().is_terminal() {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        let mut text = String::new();
        let entries = self.entries();
        let most = if self.all { usize::MAX } else { SHOWN_ALIKE };
        let mut alike: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &entries {
            let alike = alike.entry(entry.code).or_default();
            alike.push(entry);
            if alike.len() <= most {
                text += &self.snippet(&renderer, entry);
                text += "\n\n";
            }
        }
        // Writing to a string cannot fail.
        for (code, alike) in &alike {
            let more = alike.iter().skip(most);
            let lines: Vec<usize> = more
                .filter_map(|entry| self.rules.line_of(entry.span.as_ref()))
                .collect();
            if let Some(more) = alike.len().checked_sub(most).filter(|more| *more > 0) {
                let lines = in_ranges(&lines);
                let _ = writeln!(
                    text,
                    "{more} more of {code}, on lines {lines}; --all shows them"
                );
            }
        }
        for line in self.undecided() {
            let _ = writeln!(text, "too large to decide: {line}");
        }
        if let Some(compiled) = &self.compiled {
            for chain in &compiled.chains {
                let _ = writeln!(text, "{}", printable(&chain.to_string()));
            }
            let kilobytes = compiled.memory_bytes.div_ceil(1024);
            let (time, set) = (compiled.compile_time, compiled.instruction_set);
            let _ = writeln!(
                text,
                "in all {kilobytes} KiB, compiled in {time:.1?} for {set}"
            );
        }
        let _ = writeln!(text, "{}: {}", self.rules.name, self.sum(&entries));
        text
    }

    fn snippet(&self, renderer: &Renderer, entry: &Entry) -> String {
        let level = match entry.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let example = entry.example.as_ref().map(|it| format!("for example {it}"));
        let mut notes = Vec::new();
        notes.extend(example.as_deref().map(|it| (Level::NOTE, it)));
        notes.extend(entry.also.as_deref().map(|it| (Level::NOTE, it)));
        notes.extend(entry.advice.as_deref().map(|it| (Level::HELP, it)));
        let span = entry.span.as_ref();
        self.rules
            .quote(renderer, level, &entry.message, span, notes)
    }

    /// `1 error, 2 warnings and 3 notes on 10 rules`.
    fn sum(&self, entries: &[Entry]) -> String {
        let count = self.ruleset().rule_count();
        let on = format!("{count} rule{}", if count == 1 { "" } else { "s" });
        let parts: Vec<String> = [
            (Severity::Error, "error"),
            (Severity::Warning, "warning"),
            (Severity::Note, "note"),
        ]
        .into_iter()
        .filter_map(|(severity, word)| {
            let count = entries.iter().filter(|it| it.severity == severity).count();
            let plural = if count == 1 { "" } else { "s" };
            (count > 0).then(|| format!("{count} {word}{plural}"))
        })
        .collect();
        let failed = match self.rules.script.mistakes.len() {
            0 => String::new(),
            failed => format!(
                "; {failed} of {} commands failed",
                self.rules.script.commands
            ),
        };
        match parts.is_empty() {
            true => format!("nothing found in {on}{failed}"),
            false => format!("{} in {on}{failed}", parts.join(", ")),
        }
    }

    fn undecided(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut redundant = 0;
        for question in &self.checked.undecided {
            lines.push(match question {
                Question::Packets(chain) => format!("which packets meet which rules of {chain}"),
                Question::Reach => "which rules never match".to_owned(),
                Question::Habits => "policies, logs, answers and fragments".to_owned(),
                Question::Names => "names of interfaces and networks".to_owned(),
                Question::Trust => "which senders are believed".to_owned(),
                Question::Machine => "whether this machine contradicts the rules".to_owned(),
                Question::Redundant(_) => {
                    redundant += 1;
                    continue;
                }
            });
        }
        if redundant > 0 {
            lines.push(format!("whether {redundant} of the rules change anything"));
        }
        lines
    }

    pub(super) fn json(&self) -> Value {
        let entries = self.entries();
        let findings: Vec<Value> = entries
            .iter()
            .map(|entry| {
                let mut object = self.subject(entry.subject);
                object["severity"] = json!(match entry.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Note => "note",
                });
                object["code"] = json!(entry.code);
                object["message"] = json!(entry.message);
                object["advice"] = json!(entry.advice);
                object["example"] = json!(entry.example);
                let others = entry
                    .others
                    .iter()
                    .map(|it| self.subject(Subject::Rule(*it)));
                object["others"] = others.collect();
                object
            })
            .collect();
        let mut document = json!({
            "file": self.rules.name,
            "rules": self.ruleset().rule_count(),
            "findings": findings,
            "failed_commands": self.failed_commands(),
            "undecided": self.undecided(),
        });
        if let Some(compiled) = &self.compiled {
            document["compiled"] = json!({
                "instruction_set": compiled.instruction_set.to_string(),
                "memory_bytes": compiled.memory_bytes,
                "compile_seconds": compiled.compile_time.as_secs_f64(),
                "chains": compiled.chains.iter().map(|chain| json!({
                    "chain": chain.chain.as_str(),
                    "forms": chain.forms.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "memory_bytes": chain.memory_bytes,
                })).collect::<Vec<_>>(),
            });
        }
        document
    }

    /// What a shell would have gone on without.
    fn failed_commands(&self) -> Value {
        let mistakes = self.rules.script.mistakes.iter();
        let failed = mistakes.map(|it| {
            json!({
                "line": self.rules.line_of(Some(&it.span)),
                "text": it.command.trim(),
                "message": it.message,
                "advice": it.hint,
            })
        });
        failed.collect()
    }

    fn subject(&self, subject: Subject) -> Value {
        let chains = self.ruleset().chains();
        let line = self.rules.line_of(self.span(subject).as_ref());
        match subject {
            Subject::Rule(place) => {
                let name = chains[place.chain as usize].name();
                let number = place.rule as usize;
                json!({
                    "chain": name.as_str(),
                    "rule": number + 1,
                    "line": line,
                    "text": self.rules.command(name, number),
                })
            }
            Subject::Chain(chain) => json!({
                "chain": chains[chain].name().as_str(), "rule": null, "line": line,
            }),
            Subject::Ruleset => json!({ "chain": null, "rule": null, "line": null }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::in_ranges;

    #[test]
    fn lines_are_listed_in_ranges() {
        assert_eq!(in_ranges(&[]), "");
        assert_eq!(in_ranges(&[3, 4, 4, 5, 9]), "3-5, 9");
        assert_eq!(in_ranges(&[1, 3]), "1, 3");
    }
}
