//! The report as one page for a browser, `page.html`, which asks for nothing
//! else.

use std::cmp::Reverse;
use std::net::Ipv4Addr;

use minijinja::{Environment, context};
use portcullis_core::packet::protocol::TCP;
use portcullis_core::ruleset::{Counter, Policy};
use portcullis_runtime::capture::Timestamp;
use portcullis_runtime::replay::Finished;
use portcullis_syntax::names::{Names, Transport, protocol_name};
use portcullis_syntax::save::{self, Form};
use serde::Serialize;

use super::chart::Charts;
use super::denials::{Conversation, Denials, Denied, Service};
use super::stats::date_and_time;
use super::{OverTime, ReplayReport};
use crate::report::decider::decider;

/// Rows of a table: more are for scripts, not for reading.
const MOST_LISTED: usize = 50;

/// The `.html` makes everything in it escaped.
const NAME: &str = "page.html";

#[derive(Serialize)]
struct CaptureRow<'a> {
    file: &'a str,
    format: String,
    records: String,
    problems: Vec<&'a str>,
}

#[derive(Serialize)]
struct CountedRow {
    what: String,
    packets: String,
    bytes: String,
}

#[derive(Serialize)]
struct DenialRow {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    service: String,
    packets: String,
    bytes: String,
    by: String,
    first: String,
    last: String,
}

#[derive(Serialize)]
struct HitRow<'a> {
    chain: &'a str,
    /// The rule's number, or `policy`.
    number: String,
    text: String,
    packets: String,
    bytes: String,
}

impl ReplayReport {
    /// The page. `over_time` and `denials` are what the replay collected for it.
    pub(crate) fn page(&self, over_time: &OverTime, denials: &Denials) -> anyhow::Result<String> {
        let mut templates = Environment::new();
        templates.add_template(NAME, include_str!("page.html"))?;
        let tally = &self.tally;
        let most = denials.most();
        let listed = &most[..most.len().min(MOST_LISTED)];
        let mut others = denials.all();
        for (_, denied) in listed {
            others.packets -= denied.counter.packets;
            others.bytes -= denied.counter.bytes;
        }
        let (hits, never_hit) = self.hits();
        Ok(templates.get_template(NAME)?.render(context! {
            partial => self.finished == Finished::Partial,
            captures => self.capture_rows(),
            read => grouped(tally.records),
            judged => grouped(tally.judged_records()),
            not_judged => grouped(tally.not_judged_records()),
            reasons => self.reasons(),
            ttl_exceeded => (tally.ttl_exceeded > 0).then(|| grouped(tally.ttl_exceeded)),
            all_accounted_for => tally.adds_up(),
            verdicts => self.verdict_rows(),
            charts => Charts::new(over_time),
            denials => self.denial_rows(listed),
            other_denials => (others.packets > 0).then(|| counted_row(String::new(), others)),
            forgot => denials.forgot(),
            listed_rules => hits.len().min(MOST_LISTED),
            rules_hit => hits.len(),
            hits => &hits[..hits.len().min(MOST_LISTED)],
            never_hit,
            listing => self.listing(),
            notes => self.remarks,
            version => env!("CARGO_PKG_VERSION"),
        })?)
    }

    fn capture_rows(&self) -> Vec<CaptureRow<'_>> {
        let captures = self.captures.iter();
        captures
            .map(|capture| CaptureRow {
                file: &capture.file,
                format: capture
                    .format
                    .map_or("unreadable".to_owned(), |it| it.to_string()),
                records: grouped(capture.records),
                problems: capture
                    .error
                    .iter()
                    .chain(&capture.warnings)
                    .map(String::as_str)
                    .collect(),
            })
            .collect()
    }

    /// Why records were not judged, and how many for it.
    fn reasons(&self) -> Vec<(String, String)> {
        let reasons = self.tally.not_judged();
        reasons
            .map(|(why, records)| (why.to_string(), grouped(records)))
            .collect()
    }

    fn verdict_rows(&self) -> Vec<CountedRow> {
        let verdicts = self.verdicts();
        verdicts
            .map(|(chain, verdict, counter)| counted_row(format!("{chain} {verdict}"), counter))
            .collect()
    }

    fn denial_rows(&self, listed: &[(Conversation, Denied)]) -> Vec<DenialRow> {
        let names = Names::new();
        let row = |(conversation, denied): &(Conversation, Denied)| {
            let Conversation {
                step,
                verdict,
                decided,
                ..
            } = *conversation;
            let shown = |time: Timestamp| date_and_time(time.seconds());
            let (first, last) = denied.times.unzip();
            DenialRow {
                source: Ipv4Addr::from_bits(conversation.source),
                destination: Ipv4Addr::from_bits(conversation.destination),
                service: service(conversation, &names),
                packets: grouped(denied.counter.packets),
                bytes: grouped(denied.counter.bytes),
                by: decider(&self.ruleset, step.chain, verdict, decided),
                first: first.map_or("no time".to_owned(), shown),
                last: last.map_or("no time".to_owned(), shown),
            }
        };
        listed.iter().map(row).collect()
    }

    /// Rules and policies that decided or counted anything, the most packets
    /// first; and how many rules did not.
    fn hits(&self) -> (Vec<HitRow<'_>>, usize) {
        let mut hits = Vec::new();
        let mut never_hit = 0;
        for chain in self.ruleset.chains() {
            let name = chain.name().as_str();
            let mut hit = |counter: Counter, number: String, text: String| {
                let row = HitRow {
                    chain: name,
                    number,
                    text,
                    packets: grouped(counter.packets),
                    bytes: grouped(counter.bytes),
                };
                hits.push((counter.packets, row));
            };
            for (number, rule) in (1..).zip(chain.rules()) {
                if rule.counter.packets == 0 {
                    never_hit += 1;
                    continue;
                }
                let text = save::rule_text(rule, Form::Lossless);
                hit(rule.counter, i32::to_string(&number), text);
            }
            let policy = chain.policy_counter();
            if policy.packets > 0 {
                let text = chain.policy().map_or("", Policy::as_str).to_owned();
                hit(policy, "policy".to_owned(), text);
            }
        }
        hits.sort_by_key(|(packets, _)| Reverse(*packets));
        (hits.into_iter().map(|(_, row)| row).collect(), never_hit)
    }
}

fn counted_row(what: String, counter: Counter) -> CountedRow {
    CountedRow {
        what,
        packets: grouped(counter.packets),
        bytes: grouped(counter.bytes),
    }
}

/// What was asked for, such as `smtp (tcp 25)`.
fn service(conversation: &Conversation, names: &Names) -> String {
    let number = conversation.protocol;
    let protocol = protocol_name(number.into()).map_or(number.to_string(), str::to_owned);
    match conversation.service {
        Some(Service::Port(port)) => {
            let transport = if number == TCP {
                Transport::Tcp
            } else {
                Transport::Udp
            };
            match names.service_name(port, transport) {
                Some(name) => format!("{name} ({protocol} {port})"),
                None => format!("{protocol} {port}"),
            }
        }
        Some(Service::Icmp(kind, code)) => format!("{protocol} type {kind} code {code}"),
        // Protocol 0 is called "all" in rules.
        None if number == 0 => "protocol 0".to_owned(),
        None => protocol,
    }
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
