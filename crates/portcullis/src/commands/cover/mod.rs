//! `portcullis cover`.

mod frame;
mod report;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use portcullis_analysis::{Coverage, Packet, Probe, Probes, Space, TooLarge, explain};
use portcullis_core::matcher::Place;
use portcullis_core::names::InterfaceName;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Network, Ruleset};
use portcullis_core::traversal::LocalAddresses;

use crate::args::{built_in, network};
use crate::captured::{self, Counted, Viewpoint};
use crate::commands::explain::interface;
use crate::report::stderr::tell;
use crate::report::stdout;
use crate::rules::{self, Hosts, OnMistake};
use crate::{DONE, FINDINGS, USAGE};
use report::Report;

/// Say which rules and conditions traffic has tried, and make packets for all rules.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 every rule was touched; 1 some were not; 2 the command line, a \
    file or a rule is wrong."
)]
pub(crate) struct CoverArgs {
    /// Captures: pcap or pcapng, also gzip or zstd.
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,

    /// Rules: a script of ipchains commands, or what ipchains-save wrote.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) rules: PathBuf,

    /// Go on without commands that fail, as a shell does.
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// This machine's own addresses, which tell the chains of packets.
    #[arg(long, value_name = "ADDRESS[/LENGTH]", value_parser = network, value_delimiter = ',')]
    #[arg(conflicts_with = "chain")]
    pub(crate) local: Vec<Network>,

    /// The chain of packets.
    #[arg(long, value_name = "NAME", value_parser = built_in)]
    pub(crate) chain: Option<BuiltIn>,

    /// The interface of packets.
    #[arg(long, value_name = "NAME", value_parser = interface)]
    pub(crate) interface: Option<InterfaceName>,

    /// Write a packet for each rule (.pcap or .pcapng), and beside it FILE.steps for replay
    /// --steps.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,

    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A rule with what is known of it.
struct Row {
    place: Place,
    /// A packet for it, or `None` if there is none.
    probe: Result<Option<Probe>, TooLarge>,
}

/// Runs the command; the result is the exit status.
pub(crate) fn run(args: &CoverArgs) -> anyhow::Result<u8> {
    let on_mistake = match args.keep_going {
        true => OnMistake::KeepGoing,
        false => OnMistake::Refuse,
    };
    let outcome = "nothing was compared with the rules";
    let Some(rules) = rules::load_file(&args.rules, on_mistake, Hosts::Refused, outcome)? else {
        return Ok(USAGE);
    };
    let ruleset = &rules.script.ruleset;
    let reference = Reference::new(Arc::new(ruleset.clone()));
    let (coverage, counted) = traffic(args, ruleset, &reference)?;
    let rows = rows(ruleset, &reference)?;
    if let Some(file) = &args.write {
        write::write(file, ruleset, &rows)?;
    }
    let report = Report {
        rules: &rules,
        coverage: &coverage,
        counted: &counted,
        rows: &rows,
    };
    let text = match args.json {
        true => format!("{:#}\n", report.json()),
        false => report.text(),
    };
    stdout::write(text.as_bytes())?;
    let touched = rows.iter().all(|row| coverage.of(row.place).matched > 0);
    Ok(if touched { DONE } else { FINDINGS })
}

fn traffic(
    args: &CoverArgs,
    ruleset: &Ruleset,
    reference: &Reference,
) -> anyhow::Result<(Coverage, Counted)> {
    let viewpoint = Viewpoint {
        chain: args.chain,
        interface: args.interface,
        local: (!args.local.is_empty()).then(|| LocalAddresses::new(args.local.clone())),
    };
    let mut coverage = Coverage::new(ruleset);
    let mut counted = Counted::default();
    for file in &args.captures {
        captured::each(file, &viewpoint, reference, &mut counted, |step, key| {
            let packet = Packet {
                interface: step.interface,
                key: *key,
            };
            coverage.add(reference, step.chain, &packet);
        })?;
    }
    for remark in &counted.assumed {
        tell(format_args!("{remark}"));
    }
    Ok((coverage, counted))
}

/// A packet for each rule, as far as there is one, which the reference matcher
/// has confirmed.
fn rows(ruleset: &Ruleset, reference: &Reference) -> anyhow::Result<Vec<Row>> {
    let mut space = Space::new(&[ruleset]);
    let probes = Probes::new(&mut space, ruleset).context("no packets can be made")?;
    let mut rows = Vec::new();
    for (chain, own) in ruleset.chains().iter().enumerate() {
        for rule in 0..own.rules().len() {
            let place = Place {
                chain: chain as u32,
                rule: rule as u32,
            };
            let probe = probes.find(&mut space, place);
            if let Ok(Some(probe)) = &probe {
                let start = probe.chain.position();
                let walk = explain(reference, start, &probe.packet, 0);
                if !walk.matched.contains(&place) {
                    bail!(
                        "the packet made for rule {} of {} does not match it: please report this",
                        rule + 1,
                        own.name()
                    );
                }
            }
            rows.push(Row { place, probe });
        }
    }
    Ok(rows)
}
