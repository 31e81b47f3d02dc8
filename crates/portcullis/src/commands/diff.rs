//! `portcullis diff`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use portcullis_analysis::{Change, ChangeKind, Packet, Space, compare, explain};
use portcullis_core::names::InterfaceName;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Chain, Network, Verdict};
use portcullis_core::traversal::LocalAddresses;
use serde_json::{Value, json};

use crate::args::{built_in, network};
use crate::captured::{self, Counted, Viewpoint};
use crate::commands::explain::interface;
use crate::report::decision::decision;
use crate::report::stderr::tell;
use crate::report::stdout;
use crate::rules::{self, Hosts, OnMistake, RuleFile};
use crate::{DONE, FINDINGS, USAGE};

/// Say which packets two rulesets treat differently; that none are is a proof.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 nothing changed; 1 something did; 2 the command line, a \
    file or a rule is wrong, or the rules are too large to decide."
)]
pub(crate) struct DiffArgs {
    /// The rules as they were.
    pub(crate) old: PathBuf,

    /// The rules as they are to be.
    pub(crate) new: PathBuf,

    /// Go on without commands that fail, as a shell does.
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Count the packets of a capture that each change touches. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Vec<PathBuf>,

    /// This machine's own addresses, which tell the chains of captured packets.
    #[arg(long, value_name = "ADDRESS[/LENGTH]", value_parser = network, value_delimiter = ',')]
    #[arg(conflicts_with = "chain")]
    pub(crate) local: Vec<Network>,

    /// The chain of captured packets.
    #[arg(long, value_name = "NAME", value_parser = built_in)]
    pub(crate) chain: Option<BuiltIn>,

    /// The interface of captured packets.
    #[arg(long, value_name = "NAME", value_parser = interface)]
    pub(crate) interface: Option<InterfaceName>,

    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Lines that describe one change, at most.
const MOST_RANGES: usize = 8;

/// Runs the command; the result is the exit status.
pub(crate) fn run(args: &DiffArgs) -> anyhow::Result<u8> {
    let on_mistake = match args.keep_going {
        true => OnMistake::KeepGoing,
        false => OnMistake::Refuse,
    };
    let load = |path| rules::load_file(path, on_mistake, Hosts::Refused, "nothing was compared");
    let (Some(old), Some(new)) = (load(&args.old)?, load(&args.new)?) else {
        return Ok(USAGE);
    };
    let rulesets = [&old.script.ruleset, &new.script.ruleset];
    let mut space = Space::new(&rulesets);
    let changes = compare(&mut space, rulesets[0], rulesets[1])
        .context("nothing can be said about these rules")?;
    let references = rulesets.map(|ruleset| Reference::new(Arc::new(ruleset.clone())));
    let touched = count(args, &space, &references[0], &changes)?;
    let left_out = rulesets.iter().any(|ruleset| marks(ruleset.chains()));
    let mut described = Vec::new();
    for (place, change) in changes.iter().enumerate() {
        let captured = touched.as_ref().map(|touched| touched.packets[place]);
        let description = Described::new(&mut space, change, [&old, &new], &references, captured)
            .context("the changes cannot be described")?;
        described.push(description);
    }
    let text = match args.json {
        true => format!(
            "{:#}\n",
            json_document(&described, touched.as_ref(), left_out)
        ),
        false => text(&described, touched.as_ref(), left_out),
    };
    stdout::write(text.as_bytes())?;
    Ok(if changes.is_empty() { DONE } else { FINDINGS })
}

fn marks(chains: &[Chain]) -> bool {
    let mut rules = chains.iter().flat_map(Chain::rules);
    rules.any(|rule| {
        let mut silent = rule.clone();
        silent.log = false;
        silent.has_effects()
    })
}

/// The packets of captures that changes touch.
struct Touched {
    counted: Counted,
    /// In the order of the changes.
    packets: Vec<u64>,
}

fn count(
    args: &DiffArgs,
    space: &Space,
    reference: &Reference,
    changes: &[Change],
) -> anyhow::Result<Option<Touched>> {
    if args.capture.is_empty() {
        return Ok(None);
    }
    let viewpoint = Viewpoint {
        chain: args.chain,
        interface: args.interface,
        local: (!args.local.is_empty()).then(|| LocalAddresses::new(args.local.clone())),
    };
    let mut touched = Touched {
        counted: Counted::default(),
        packets: vec![0; changes.len()],
    };
    let Touched { counted, packets } = &mut touched;
    for file in &args.capture {
        captured::each(file, &viewpoint, reference, counted, |step, key| {
            let packet = Packet {
                interface: step.interface,
                key: *key,
            };
            for (change, count) in changes.iter().zip(packets.iter_mut()) {
                let touches = change.chain == step.chain && space.contains(change.packets, &packet);
                *count += u64::from(touches);
            }
        })?;
    }
    for remark in &touched.counted.assumed {
        tell(format_args!("{remark}"));
    }
    Ok(Some(touched))
}

/// A change, ready to be shown.
struct Described {
    chain: BuiltIn,
    kind: ChangeKind,
    ranges: Vec<String>,
    /// Whether the ranges are all there is.
    complete: bool,
    packets: f64,
    example: String,
    /// Who decided about the example, and who does now.
    decided: [String; 2],
    captured: Option<u64>,
}

impl Described {
    fn new(
        space: &mut Space,
        change: &Change,
        rules: [&RuleFile; 2],
        references: &[Reference; 2],
        captured: Option<u64>,
    ) -> anyhow::Result<Self> {
        let summary = space.summary(change.packets, MOST_RANGES)?;
        let start = change.chain.position();
        let example = space.example(change.packets).context("an empty change")?;
        let decided = [0, 1].map(|side: usize| {
            let explanation = explain(&references[side], start, &example, 0);
            decision(rules[side], start, &explanation)
        });
        Ok(Self {
            chain: change.chain,
            kind: change.kind,
            ranges: summary.ranges.iter().map(ToString::to_string).collect(),
            complete: summary.rest.is_empty(),
            packets: space.count(change.packets),
            example: format!("{} {example}", change.chain),
            decided,
            captured,
        })
    }

    fn title(&self) -> String {
        match self.kind {
            ChangeKind::Verdict { old, new } => match new {
                Verdict::Accept => format!("newly accepted (was {old})"),
                Verdict::Deny => format!("newly denied (was {old})"),
                Verdict::Reject => format!("newly rejected (was {old})"),
                Verdict::Masq => format!("newly masqueraded (was {old})"),
                Verdict::Redirect => format!("newly redirected (was {old})"),
            },
            ChangeKind::RedirectPort { old, new } => {
                format!("redirected to port {new} instead of {old}")
            }
            ChangeKind::Logged => "now logged".to_owned(),
            ChangeKind::NotLogged => "no longer logged".to_owned(),
        }
    }
}

fn text(changes: &[Described], touched: Option<&Touched>, left_out: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for chain in BuiltIn::ALL {
        let mut own = changes.iter().filter(|it| it.chain == chain).peekable();
        if own.peek().is_none() {
            let _ = writeln!(text, "{chain}: nothing changed");
            continue;
        }
        let _ = writeln!(text, "{chain}:");
        for change in own {
            let _ = writeln!(text, "  {}", change.title());
            for range in &change.ranges {
                let _ = writeln!(text, "      {range}");
            }
            if !change.complete {
                let _ = writeln!(
                    text,
                    "      and more: {:.1e} packets in all",
                    change.packets
                );
            }
            let _ = writeln!(text, "    for example {}", change.example);
            let _ = writeln!(text, "      was {}", change.decided[0]);
            let _ = writeln!(text, "      is  {}", change.decided[1]);
            if let (Some(count), Some(touched)) = (change.captured, touched) {
                let seen = touched.counted.seen;
                let _ = writeln!(text, "    in the captures: {count} of {seen} packets");
            }
        }
    }
    if let Some(touched) = touched
        && touched.counted.left_out > 0
    {
        let records = touched.counted.left_out;
        let _ = writeln!(
            text,
            "{records} records were left out: no IPv4, damaged or cut"
        );
    }
    if left_out {
        text += "TOS changes, marks and copies (-t, -m, -o) were not compared\n";
    }
    text
}

fn json_document(changes: &[Described], touched: Option<&Touched>, left_out: bool) -> Value {
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let (old, new) = match change.kind {
                ChangeKind::Verdict { old, new } => (json!(old.as_str()), json!(new.as_str())),
                ChangeKind::RedirectPort { old, new } => (json!(old), json!(new)),
                ChangeKind::Logged => (json!(false), json!(true)),
                ChangeKind::NotLogged => (json!(true), json!(false)),
            };
            json!({
                "chain": change.chain.as_str(),
                "what": match change.kind {
                    ChangeKind::Verdict { .. } => "verdict",
                    ChangeKind::RedirectPort { .. } => "redirect port",
                    ChangeKind::Logged | ChangeKind::NotLogged => "logged",
                },
                "old": old,
                "new": new,
                "ranges": change.ranges,
                "complete": change.complete,
                "packets": change.packets,
                "example": change.example,
                "old_decision": change.decided[0],
                "new_decision": change.decided[1],
                "captured": change.captured,
            })
        })
        .collect();
    json!({
        "changed": !changes.is_empty(),
        // Only what some rule does.
        "not_compared": match left_out {
            true => vec!["tos", "mark", "copy"],
            false => Vec::new(),
        },
        "changes": changes,
        "captured_packets": touched.map(|touched| touched.counted.seen),
        "left_out_records": touched.map(|touched| touched.counted.left_out),
    })
}
