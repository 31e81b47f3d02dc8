//! `portcullis check`.

mod host_bits;
mod live;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use portcullis_analysis::{Machine, Severity, Space, check};
use portcullis_classifier::Classifier;
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Network, PortRange};

use crate::args::network;
use crate::commands::explain::interface;
use crate::report::stdout;
use crate::rules::{self, Hosts, OnMistake};
use crate::{DONE, FINDINGS, USAGE};
use report::Report;

/// Find mistakes in rules, each proved and shown on a packet.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 nothing but notes; 1 warnings or errors, commands that \
    --keep-going left out, or something is too large to decide; 2 the command line, the file or a command in it is wrong."
)]
pub(crate) struct CheckArgs {
    /// Rules: a script of ipchains commands, or what ipchains-save wrote.
    pub(crate) file: PathBuf,

    /// Check what is left without commands that fail, as a shell does.
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Show all findings, also where there are many of one kind.
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,

    /// Say what each chain is compiled to.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Compare the rules with this machine: its local ports, interfaces and addresses.
    #[arg(long, help_heading = "The machine that the rules are for")]
    pub(crate) live: bool,

    /// The ports that its own connections are opened from.
    #[arg(long, value_name = "LO:HI", value_parser = port_range)]
    #[arg(help_heading = "The machine that the rules are for")]
    pub(crate) port_range: Option<PortRange>,

    /// All its interfaces.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = interface)]
    #[arg(help_heading = "The machine that the rules are for")]
    pub(crate) interfaces: Vec<InterfaceName>,

    /// All its addresses.
    #[arg(long, value_name = "ADDRESS[/LENGTH],...", value_delimiter = ',')]
    #[arg(value_parser = network, help_heading = "The machine that the rules are for")]
    pub(crate) local: Vec<Network>,

    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

fn port_range(text: &str) -> Result<PortRange, String> {
    let ends = text.split_once(':');
    let range = ends.and_then(|(first, last)| {
        Some(PortRange {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    });
    range
        .filter(|range| range.first <= range.last)
        .ok_or_else(|| "write the lowest and the highest port, such as 32768:60999".to_owned())
}

/// Runs the command; the result is the exit status.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let on_mistake = match args.keep_going {
        true => OnMistake::KeepGoing,
        false => OnMistake::Refuse,
    };
    let outcome = "the rules were not checked; --keep-going checks what a shell would make of them";
    let Some(rules) = rules::load_file(&args.file, on_mistake, Hosts::Refused, outcome)? else {
        return Ok(USAGE);
    };
    let ruleset = &rules.script.ruleset;
    let machine = machine(args)?;
    let mut space = Space::new(&[ruleset]);
    let checked = check(&mut space, ruleset, &machine);
    let compiled = match args.verbose {
        true => Some(Classifier::compile(Arc::new(ruleset.clone()))?.describe()),
        false => None,
    };
    let report = Report {
        rules: &rules,
        checked: &checked,
        host_bits: host_bits::find(&rules, &mut space),
        compiled,
        all: args.all,
    };
    let text = match args.json {
        true => format!("{:#}\n", report.json()),
        false => report.text(),
    };
    stdout::write(text.as_bytes())?;
    let fine = report.worst() <= Some(Severity::Note)
        && checked.undecided.is_empty()
        && rules.script.mistakes.is_empty();
    Ok(if fine { DONE } else { FINDINGS })
}

/// What is known of the machine: what the user says goes before what it says.
fn machine(args: &CheckArgs) -> anyhow::Result<Machine> {
    let mut machine = match args.live {
        true => live::machine().context("cannot look at this machine")?,
        false => Machine::default(),
    };
    machine.local_ports = args.port_range.or(machine.local_ports);
    if !args.interfaces.is_empty() {
        machine.interfaces = Some(args.interfaces.clone());
    }
    if !args.local.is_empty() {
        machine.addresses = Some(args.local.clone());
    }
    Ok(machine)
}
