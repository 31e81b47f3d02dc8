//! `portcullis explain`.

mod packet;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use portcullis_analysis::{Explanation, explain, reason};
use portcullis_core::matcher::{Ending, Place};
use portcullis_core::names::InterfaceName;
use portcullis_core::packet::Suspect;
use portcullis_core::reference::{Outcome, Reference};
use portcullis_core::ruleset::{BuiltIn, Chain, Network, Rule, Ruleset, Target, Verdict};
use serde_json::{Value, json};

use crate::args::{built_in, network};
use crate::report::decision::decision;
use crate::report::stdout;
use crate::rules::{self, Hosts, OnMistake, RuleFile};
use crate::{DONE, USAGE};
use packet::{Described, Question};

/// Say why a packet gets its verdict: every rule that it meets, and what it fails.
#[derive(Debug, Args)]
#[command(after_help = PACKETS)]
pub(crate) struct ExplainArgs {
    /// Rules: a script of ipchains commands, or what ipchains-save wrote.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) rules: PathBuf,

    /// Go on without commands that fail, as a shell does.
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// This machine's own addresses, which tell the chains of a packet of a capture.
    #[arg(long, value_name = "ADDRESS[/LENGTH]", value_parser = network, value_delimiter = ',')]
    pub(crate) local: Vec<Network>,

    /// The chain of a packet of a capture, where the capture does not say.
    #[arg(long, value_name = "NAME", value_parser = built_in)]
    pub(crate) chain: Option<BuiltIn>,

    /// The interface of a packet of a capture.
    #[arg(long, value_name = "NAME", value_parser = interface)]
    pub(crate) interface: Option<InterfaceName>,

    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,

    /// The packet.
    #[arg(required = true, value_name = "PACKET")]
    pub(crate) packet: Vec<String>,
}

const PACKETS: &str = "\
A packet is one of
  'input eth0 tcp 192.0.2.7:20 > 198.51.100.1:61394 syn'
  'forward ppp0 icmp 10.0.0.1 > 192.0.2.1 echo-request'
  'input eth0 udp 192.0.2.7 > 198.51.100.1 fragment'
  'Packet log: input DENY eth0 PROTO=6 ...', with whatever syslog put before it
  CAPTURE#N, packet N of a capture; one that is forwarded meets several chains

Exit status: 0 explained; 2 the command line, a file or a rule is wrong.";

/// Rules to show before the rest is only counted.
const MOST_SHOWN: usize = 10_000;

pub(crate) fn interface(text: &str) -> Result<InterfaceName, String> {
    let (name, changed) = InterfaceName::for_device(text);
    if changed || text.is_empty() {
        return Err("an interface name has 1 to 15 characters and no blanks".to_owned());
    }
    Ok(name)
}

/// Runs the command; the result is the exit status.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let on_mistake = match args.keep_going {
        true => OnMistake::KeepGoing,
        false => OnMistake::Refuse,
    };
    let loaded = rules::load_file(
        &args.rules,
        on_mistake,
        Hosts::Refused,
        "nothing was explained",
    )?;
    let Some(rules) = loaded else {
        return Ok(USAGE);
    };
    let reference = Reference::new(Arc::new(rules.script.ruleset.clone()));
    let questions = packet::read(args, &reference)?;
    let (mut text, mut documents) = (Vec::new(), Vec::new());
    for question in &questions {
        let answer = match question.packet {
            Described::Packet(packet) => {
                Ok(explain(&reference, question.chain, &packet, MOST_SHOWN))
            }
            Described::Suspect(suspect) => Err(suspect),
        };
        let report = Report {
            rules: &rules,
            question,
            answer: &answer,
        };
        match args.json {
            true => documents.push(report.json()),
            false => text.push(report.text()),
        }
        if answer.is_ok_and(|it| !lets_go_on(&it)) {
            break;
        }
    }
    let text = match (args.json, &documents[..]) {
        (true, [document]) => format!("{document:#}\n"),
        (true, _) => format!("{:#}\n", json!(documents)),
        (false, _) => text.join("\n"),
    };
    stdout::write(text.as_bytes())?;
    Ok(DONE)
}

/// Whether a packet goes on to its next chain.
fn lets_go_on(explanation: &Explanation) -> bool {
    matches!(
        explanation.outcome,
        Outcome::Verdict(Verdict::Accept | Verdict::Masq)
    )
}

struct Report<'a> {
    rules: &'a RuleFile,
    question: &'a Question,
    answer: &'a Result<Explanation, Suspect>,
}

impl Report<'_> {
    fn ruleset(&self) -> &Ruleset {
        &self.rules.script.ruleset
    }

    fn rule(&self, place: Place) -> (&Chain, &Rule) {
        let chain = &self.ruleset().chains()[place.chain as usize];
        (chain, &chain.rules()[place.rule as usize])
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let chain = self.ruleset().chains()[self.question.chain].name();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{chain} {}\n", self.question.packet);
        if let Ok(explanation) = self.answer {
            for considered in &explanation.considered {
                let (chain, _) = self.rule(considered.place);
                let number = considered.place.rule as usize;
                let what = self.outcome_of(considered.place, considered.failed);
                let _ = writeln!(
                    text,
                    "{} {} #{}  {}\n    {what}",
                    self.rules.place(chain.name(), number),
                    chain.name(),
                    number + 1,
                    self.rules.command(chain.name(), number),
                );
            }
            let left_out = explanation.count - explanation.considered.len();
            if left_out > 0 {
                let _ = writeln!(text, "... and {left_out} rules more");
            }
            if explanation.count > 0 {
                text.push('\n');
            }
        }
        text + &self.verdict() + "\n"
    }

    /// What a rule did, or why it did nothing.
    fn outcome_of(&self, place: Place, failed: Option<portcullis_core::ruleset::Field>) -> String {
        let (_, rule) = self.rule(place);
        if let (Some(field), Described::Packet(packet)) = (failed, &self.question.packet) {
            return format!("no: {}", reason(field, &rule.conditions, packet));
        }
        let log = if rule.log { ", logged" } else { "" };
        match rule.target {
            None => format!("matches{log}: it has no target, so the next rule is tried"),
            Some(Target::Return) => format!("matches{log}: RETURN"),
            Some(Target::Chain(name)) => format!("matches{log}: to chain {name}"),
            Some(target) => format!("matches{log}: {}", target.as_str()),
        }
    }

    /// The last line.
    fn verdict(&self) -> String {
        match self.answer {
            Ok(explanation) => decision(self.rules, self.question.chain, explanation),
            Err(Suspect::TcpFragment) => {
                "DENY before any rule: a TCP fragment that would overwrite the flags".to_owned()
            }
            Err(Suspect::ShortFirstFragment) => {
                "DENY before any rule: a first fragment too short for its ports".to_owned()
            }
        }
    }

    fn json(&self) -> Value {
        let chain = self.ruleset().chains()[self.question.chain].name();
        let mut document = json!({
            "chain": chain.as_str(),
            "packet": self.question.packet.to_string(),
            "summary": self.verdict(),
        });
        let Ok(explanation) = self.answer else {
            document["verdict"] = json!("DENY");
            document["decided_by"] = json!("check");
            return document;
        };
        document["verdict"] = match explanation.outcome {
            Outcome::Verdict(verdict) => json!(verdict.as_str()),
            Outcome::Loop => json!("DENY"),
            Outcome::PassedThrough => Value::Null,
        };
        document["decided_by"] = match explanation.ending {
            Ending::Rule => explanation
                .matched
                .last()
                .map_or(Value::Null, |it| self.place(*it)),
            Ending::Policy => json!("policy"),
            Ending::Loop | Ending::TooLong => json!("loop"),
        };
        let rules = explanation.considered.iter().map(|considered| {
            let mut object = self.place(considered.place);
            object["matches"] = json!(considered.failed.is_none());
            object["failed"] = json!(considered.failed.map(|field| format!("{field:?}")));
            object["reason"] = json!(self.outcome_of(considered.place, considered.failed));
            object
        });
        document["rules"] = rules.collect();
        document["rules_met"] = json!(explanation.count);
        document
    }

    fn place(&self, place: Place) -> Value {
        let (chain, rule) = self.rule(place);
        let number = place.rule as usize;
        let origins = &self.rules.script.origins;
        json!({
            "chain": chain.name().as_str(),
            "rule": number + 1,
            "file": self.rules.name,
            "line": self.rules.line_of(origins.rule(chain.name(), number)),
            "text": self.rules.command(chain.name(), number),
            "target": rule.target.map(|target| target.as_str().to_owned()),
        })
    }
}
