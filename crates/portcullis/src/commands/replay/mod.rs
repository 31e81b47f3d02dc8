//! `portcullis replay`.

mod outputs;
mod sink;

use std::fs;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::Context;
use jiff::tz::TimeZone;
use portcullis_classifier::{Classifier, InstructionSet};
use portcullis_core::matcher::Matcher;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::Ruleset;
use portcullis_core::traversal::LocalAddresses;
use portcullis_runtime::replay::{
    self, Chains, Checksums, InterfaceNames, Placement, Replay, Worker,
};
use portcullis_syntax::steps;

use crate::args::{LogPrefix, MatcherKind, ReplayArgs};
use crate::report::log_lines::{Formatter, Prefix, Shape};
use crate::report::progress::ProgressBar;
use crate::report::replay::{OverTime, ReplayReport};
use crate::report::stdout::StdoutClosed;
use crate::rules::{self, Hosts, OnMistake};
use crate::{USAGE, interrupt};
use outputs::{Finish, Outputs, refuse_too_many_rows};
use sink::Sink;

/// Runs the command; the result is the exit status.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<u8> {
    let on_mistake = if args.keep_going {
        OnMistake::KeepGoing
    } else {
        OnMistake::Refuse
    };
    let hosts = if args.resolve {
        Hosts::LookedUp
    } else {
        Hosts::Refused
    };
    let Some(ruleset) = rules::load(&args.rules, on_mistake, hosts)? else {
        return Ok(USAGE);
    };
    let ruleset = Arc::new(ruleset);
    let mut workers = workers(args, &ruleset)?;
    let mut outputs = Outputs::new(args, log_shape(args))?;
    let stop = Arc::new(AtomicBool::new(false));
    interrupt::set_on_signal(&stop)?;
    let mut bar = ProgressBar::new(&args.captures, args.quiet);
    let (captures, finished) = replay::run(
        args.captures.clone(),
        &mut workers,
        &stop,
        |progress| bar.show(progress),
        |output| outputs.write(&output),
    )?;
    bar.finish();
    let Finish {
        after,
        left_out,
        denials,
        stats_file,
        html,
    } = outputs.finish()?;
    let Some((replay, over_time)) = sum(workers) else {
        return Ok(USAGE);
    };
    refuse_too_many_rows(over_time.as_ref().is_some_and(OverTime::is_full))?;
    let mut report = ReplayReport::new(&ruleset, &replay, &captures, finished, left_out);
    if let (Some(file), Some(over_time)) = (html, &over_time) {
        file.write(&report.page(over_time, &denials)?)?;
    }
    match (stats_file, over_time.filter(|_| args.stats_by.is_some())) {
        (Some(file), Some(stats)) => file.write(&stats.csv())?,
        (_, stats) => report.stats = stats,
    }
    report.complain(args.quiet);
    let Some(after) = after else {
        return Err(StdoutClosed.into());
    };
    if args.json {
        report.write_json(after)?;
    } else if !args.quiet {
        report.write_text(after)?;
    }
    Ok(report.status())
}

type SharedMatcher = Arc<dyn Matcher + Send + Sync>;
type ReplayWorker = Worker<SharedMatcher, Sink>;

/// One worker a thread, all with the same rules.
fn workers(args: &ReplayArgs, ruleset: &Arc<Ruleset>) -> anyhow::Result<Vec<ReplayWorker>> {
    let placement = Placement::new(chains(args)?, interface_names(args));
    let checksums = if args.ignore_checksums {
        Checksums::Ignore
    } else {
        Checksums::Verify
    };
    let matcher = matcher(args.matcher, ruleset)?;
    let instruction_set = InstructionSet::from_environment()?;
    let prefix = prefix(args)?;
    let shape = log_shape(args);
    let threads = args
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get);
    let worker = |_| Worker {
        replay: Replay::new(
            Arc::clone(&matcher),
            Arc::clone(ruleset),
            placement.clone(),
            checksums,
        )
        .with_instruction_set(instruction_set),
        sink: Sink {
            formatter: Formatter::new(prefix.clone(), shape),
            wanted: args.write.iter().map(|wanted| wanted.verdict).collect(),
            ruleset: Arc::clone(ruleset),
            over_time: over_time(args),
            wants_denials: args.html.is_some(),
            rulings: Vec::new(),
            denials: Vec::new(),
        },
    };
    Ok((0..threads).map(worker).collect())
}

fn matcher(kind: MatcherKind, ruleset: &Arc<Ruleset>) -> anyhow::Result<SharedMatcher> {
    let ruleset = Arc::clone(ruleset);
    Ok(match kind {
        MatcherKind::Classifier => Arc::new(Classifier::compile(ruleset)?),
        MatcherKind::Reference => Arc::new(Reference::new(ruleset)),
    })
}

/// Verdicts over time as far as they are asked for.
fn over_time(args: &ReplayArgs) -> Option<OverTime> {
    match args.stats_by {
        Some(seconds) => Some(OverTime::by(seconds.get())),
        None => args.html.is_some().then(OverTime::fitting),
    }
}

/// What the first worker counted with everything that the others did.
fn sum(workers: Vec<ReplayWorker>) -> Option<(Replay<SharedMatcher>, Option<OverTime>)> {
    let results = workers.into_iter();
    let mut results = results.map(|worker| (worker.replay, worker.sink.over_time));
    let (mut replay, mut over_time) = results.next()?;
    for (other_replay, other_over_time) in results {
        replay.add(&other_replay);
        if let (Some(sum), Some(other)) = (&mut over_time, other_over_time) {
            sum.add(&other);
        }
    }
    Some((replay, over_time))
}

fn chains(args: &ReplayArgs) -> anyhow::Result<Chains> {
    if let Some(path) = &args.steps {
        let file = path.display();
        let source =
            fs::read_to_string(path).with_context(|| format!("cannot read the steps {file}"))?;
        let packets = steps::read(&source).with_context(|| file.to_string())?;
        let packets = packets
            .into_iter()
            .map(|packet| (packet.record, packet.steps));
        return Ok(Chains::from_steps(packets.collect()));
    }
    Ok(match args.chain {
        Some(chain) => Chains::One(chain),
        None if args.local.is_empty() => Chains::Direction,
        None => Chains::Local(LocalAddresses::new(args.local.clone())),
    })
}

fn interface_names(args: &ReplayArgs) -> InterfaceNames {
    let mut names = InterfaceNames::default();
    for named in &args.interface {
        match named.chain {
            Some(chain) => names.set(chain, named.name),
            None => names.set_everywhere(named.name),
        }
    }
    names
}

fn prefix(args: &ReplayArgs) -> anyhow::Result<Prefix> {
    if args.log_prefix == LogPrefix::None {
        return Ok(Prefix::None);
    }
    let zone = match args.time_zone.as_str() {
        "local" => None,
        name => {
            let zone = TimeZone::get(name);
            Some(zone.with_context(|| format!("there is no time zone `{name}`"))?)
        }
    };
    Ok(Prefix::syslog(zone, &args.host))
}

fn log_shape(args: &ReplayArgs) -> Shape {
    match (&args.log, args.json) {
        (None, true) => Shape::Json,
        _ => Shape::Text,
    }
}
