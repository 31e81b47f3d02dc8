//! `portcullis log`.

mod group;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use portcullis_core::ruleset::Network;
use portcullis_core::traversal::LocalAddresses;
use portcullis_syntax::names::Names;
use portcullis_syntax::syslog::Entry;
use serde_json::{Value, json};

use crate::args::network;
use crate::log_text::{self, Condition, Followed};
use crate::report::packet_words;
use crate::report::stderr::{printable, tell};
use crate::report::stdout;
use crate::{DONE, FINDINGS};
use group::{By, Groups};

/// Read packet-log lines out of syslog files, and sum them up.
///
/// Dates without a year, lines broken by mail, `last message repeated' and packed files are
/// understood. A line that lacks something is reported with what it lacks and left out.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 done; 1 some packet-log lines are damaged; 2 the command line \
    is wrong or a file cannot be read."
)]
pub(crate) struct LogArgs {
    /// Syslog files, also compressed with gzip or zstd; - reads standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What makes two packets the same line of the table.
    #[arg(long, value_name = "WHAT,...", value_delimiter = ',')]
    #[arg(default_value = "service,peer,direction,rule")]
    by: Vec<By>,

    /// Show the groups with most packets only.
    #[arg(long, value_name = "NUMBER")]
    top: Option<usize>,

    /// This machine's own addresses, which tell the direction of packets that user chains logged.
    #[arg(long, value_name = "ADDRESS[/LENGTH]", value_parser = network, value_delimiter = ',')]
    local: Vec<Network>,

    /// Show the last lines of the file, then each one as it is written, over rotations of the
    /// file.
    #[arg(short, long, conflicts_with_all = ["by", "top", "csv"])]
    follow: bool,

    /// Print one JSON document; with --follow, one for each packet.
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Print comma-separated values.
    #[arg(long)]
    csv: bool,
}

/// Packets that --follow shows at first.
const SHOWN_BEFORE: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Runs the command; the result is the exit status.
pub(crate) fn run(args: &LogArgs) -> anyhow::Result<u8> {
    let local = (!args.local.is_empty()).then(|| LocalAddresses::new(args.local.clone()));
    if args.follow {
        return match args.files.as_slice() {
            [file] if file != Path::new("-") => follow(args, file),
            _ => bail!("-f follows exactly one file, which is not standard input"),
        };
    }
    let mut groups = Groups::new(&args.by, local.as_ref());
    let mut condition = Condition::default();
    for file in &args.files {
        log_text::read(file, &mut condition, |entry| groups.add(&entry))?;
    }
    let sums = groups.sums(args.top);
    let text = if args.json {
        format!("{:#}\n", document(&sums, &condition))
    } else if args.csv {
        sums.csv()
    } else {
        sums.table()
    };
    condition.tell();
    if condition.packets == 0 && condition.damaged.is_empty() {
        tell(format_args!("there is no packet-log line in it"));
    }
    stdout::write(text.as_bytes())?;
    Ok(match condition.damaged.is_empty() {
        true => DONE,
        false => FINDINGS,
    })
}

fn document(sums: &group::Sums, condition: &Condition) -> Value {
    let damaged = condition.damaged.iter().map(|(file, damaged)| {
        json!({
            "file": file,
            "line": damaged.line,
            "column": damaged.column,
            "missing": damaged.missing,
            "text": damaged.text,
            "times": damaged.times,
        })
    });
    json!({
        "groups": sums.json(),
        "packets": condition.packets,
        "groups_left_out": sums.left_out,
        "damaged": damaged.collect::<Value>(),
        "joined": condition.joined,
        "repeated": condition.repeated,
        "without_tail": condition.without_tail,
        "suspect_fragments": condition.suspect,
        "suppressed_messages": condition.suppressed,
        "unknown_repetitions": condition.unknown_repetitions,
        "dates_have_years": !condition.yearless,
    })
}

/// Until somebody stops it.
fn follow(args: &LogArgs, file: &Path) -> anyhow::Result<u8> {
    let name = printable(&file.display().to_string());
    let read = || format!("cannot read {name}");
    let mut followed = Followed::open(file).with_context(read)?;
    let mut first = true;
    loop {
        let mut events = Vec::new();
        followed.poll(&mut events).with_context(read)?;
        let mut condition = Condition::default();
        let mut lines = Vec::new();
        condition.note_all(&name, &mut events, |entry| lines.push(line(args, &entry)));
        if first {
            lines.drain(..lines.len().saturating_sub(SHOWN_BEFORE));
            first = false;
        } else {
            condition.tell();
        }
        if !lines.is_empty() {
            stdout::write(lines.concat().as_bytes())?;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// A packet on a line of its own.
fn line(args: &LogArgs, entry: &Entry) -> String {
    let names = Names::new();
    let log = &entry.log;
    let packet = packet_words::packet(&log.key(), &names);
    let stamp = entry.stamp.map_or(String::new(), |it| it.to_string());
    let host = entry.host.as_deref().unwrap_or_default();
    let (chain, target, interface) = (log.chain, log.target, log.interface);
    if args.json {
        let line = json!({
            "time": stamp,
            "host": host,
            "chain": chain.as_str(),
            "target": target.as_str(),
            "rule": (log.rule > 0).then_some(log.rule),
            "interface": interface.as_str(),
            "packet": packet,
            "times": entry.times,
        });
        return format!("{line}\n");
    }
    let times = match entry.times {
        1 => String::new(),
        times => format!(", {times} times"),
    };
    let rule = match log.rule {
        0 => String::new(),
        rule => format!(" #{rule}"),
    };
    let line = format!("{stamp} {host}  {chain}{rule} {target}  {interface} {packet}{times}");
    printable(line.trim()) + "\n"
}
