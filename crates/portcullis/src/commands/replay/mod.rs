//! `portcullis replay`.

mod outputs;

use std::fs;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::Context;
use jiff::tz::TimeZone;
use portcullis_classifier::Classifier;
use portcullis_core::judge::{Decided, Ruling};
use portcullis_core::matcher::Matcher;
use portcullis_core::message::Message;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{Ruleset, Verdict};
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::{Chunk, Record};
use portcullis_runtime::replay::{
    self, Chains, Checksums, ChunkSink, InterfaceNames, Placement, Replay, ReplaySink, Worker,
};
use portcullis_syntax::steps;

use crate::args::{LogPrefix, MatcherKind, ReplayArgs};
use crate::report::log_lines::{Formatter, Prefix, Shape};
use crate::report::progress::ProgressBar;
use crate::report::replay::ReplayReport;
use crate::rules::{self, Hosts, OnMistake};
use crate::{USAGE, interrupt};
use outputs::{Output, Outputs, Wanted};

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
    let (after, left_out) = outputs.finish()?;
    let Some(replay) = sum(workers) else {
        return Ok(USAGE);
    };
    let report = ReplayReport::new(&ruleset, &replay, &captures, finished, left_out);
    report.complain(args.quiet);
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
        ),
        sink: Sink {
            formatter: Formatter::new(prefix.clone(), shape),
            wanted: args.write.iter().map(|wanted| wanted.verdict).collect(),
            rulings: Vec::new(),
            ruleset: Arc::clone(ruleset),
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

/// The first worker's replay with everything that the others counted.
fn sum(workers: Vec<ReplayWorker>) -> Option<Replay<SharedMatcher>> {
    let mut replays = workers.into_iter().map(|worker| worker.replay);
    let mut first = replays.next()?;
    for other in replays {
        first.add(&other);
    }
    Some(first)
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
        "local" => TimeZone::system(),
        name => TimeZone::get(name).with_context(|| format!("there is no time zone `{name}`"))?,
    };
    Ok(Prefix::syslog(zone, &args.host))
}

fn log_shape(args: &ReplayArgs) -> Shape {
    match (&args.log, args.json) {
        (None, true) => Shape::Json,
        _ => Shape::Text,
    }
}

/// What a worker collects about a chunk.
struct Sink {
    formatter: Formatter,
    /// Verdicts whose packets are to be written.
    wanted: Vec<Verdict>,
    rulings: Vec<Wanted>,
    ruleset: Arc<Ruleset>,
}

impl ReplaySink for Sink {
    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) {
        self.formatter.add(record.number, record.time, message);
    }

    fn judged(&mut self, record: &Record<'_>, step: &Step, ruling: &Ruling) {
        if self.wanted.contains(&ruling.verdict) {
            self.rulings.push(Wanted {
                number: record.number,
                verdict: ruling.verdict,
                comment: comment(&self.ruleset, step, ruling),
            });
        }
    }

    fn wants_rulings(&self) -> bool {
        !self.wanted.is_empty()
    }
}

impl ChunkSink for Sink {
    type Output = Output;

    fn take(&mut self, chunk: &mut Chunk) -> Output {
        let mut rulings = std::mem::take(&mut self.rulings);
        rulings.sort_by_key(|wanted| wanted.number);
        Output {
            lines: self.formatter.take(),
            chunk: if rulings.is_empty() {
                Chunk::new()
            } else {
                std::mem::take(chunk)
            },
            rulings,
        }
    }
}

/// Who decided, for the packet's comment in a pcapng file.
fn comment(ruleset: &Ruleset, step: &Step, ruling: &Ruling) -> String {
    let Step { chain, .. } = step;
    let verdict = ruling.verdict;
    match ruling.decided {
        Decided::ByRule(place) | Decided::ByLoop(place) | Decided::ByLength(place) => {
            let holder = ruleset.chains()[place.chain as usize].name();
            let number = place.rule + 1;
            let way = match ruling.decided {
                Decided::ByLoop(_) => " (loop)",
                Decided::ByLength(_) => " (too long)",
                _ if holder.as_str() != chain.as_str() => " (user chain)",
                _ => "",
            };
            format!("{chain}: {holder} rule {number}{way} {verdict}")
        }
        Decided::ByPolicy => format!("{chain}: policy {verdict}"),
        Decided::ByCheck(_) => format!("{chain}: fragment check {verdict}"),
    }
}
