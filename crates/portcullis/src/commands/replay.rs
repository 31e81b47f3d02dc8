//! `portcullis replay`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::tz::TimeZone;
use portcullis_core::judge::{Decided, Ruling};
use portcullis_core::message::Message;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::Ruleset;
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::{CaptureReader, CaptureWriter, Record};
use portcullis_runtime::replay::{
    Chains, Checksums, InterfaceNames, Placement, Replay, ReplaySink,
};
use portcullis_syntax::steps;

use crate::args::{LogPrefix, ReplayArgs, VerdictFile};
use crate::report::log_lines::{LogLines, Prefix};
use crate::report::progress::Progress;
use crate::report::replay::{After, CaptureReport, ReplayReport};
use crate::rules::{self, Hosts, OnMistake};
use crate::{FINDINGS, USAGE};

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
    let placement = Placement::new(chains(args)?, interface_names(args));
    let checksums = if args.ignore_checksums {
        Checksums::Ignore
    } else {
        Checksums::Verify
    };
    let matcher = Reference::new(Arc::clone(&ruleset));
    let mut replay = Replay::new(matcher, Arc::clone(&ruleset), placement, checksums);
    let mut sink = Sink::new(args, Arc::clone(&ruleset))?;
    let mut progress = Progress::new(&args.captures, args.quiet);
    let mut captures = Vec::new();
    for path in &args.captures {
        captures.push(replay_capture(path, &mut replay, &mut sink, &mut progress)?);
    }
    progress.finish();
    sink.finish_writers()?;
    let report = ReplayReport::new(&ruleset, &replay, captures);
    report.complain(args.quiet);
    sink.log.finish()?;
    // Log lines went before, unless they have a file of their own.
    let after = match args.log {
        Some(_) => After::Nothing,
        None => After::Log,
    };
    if args.json {
        report.write_json(after)?;
    } else if !args.quiet {
        report.write_text(after)?;
    }
    Ok(report.status())
}

/// Judges one capture. What is wrong with it ends up in the report; an error
/// is returned only if output cannot be written.
fn replay_capture(
    path: &Path,
    replay: &mut Replay<Reference>,
    sink: &mut Sink,
    progress: &mut Progress,
) -> anyhow::Result<CaptureReport> {
    let mut report = CaptureReport::new(path);
    replay.next_capture();
    let mut reader = match CaptureReader::open(path) {
        Ok(reader) => reader,
        Err(error) => {
            report.fail(&error, USAGE);
            return Ok(report);
        }
    };
    report.format = Some(reader.format());
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                replay.record(&record, sink);
                sink.check()?;
                report.records = record.number;
            }
            Ok(None) => break,
            Err(error) => {
                report.fail(&error, FINDINGS);
                break;
            }
        }
        if report.records.is_multiple_of(Progress::EVERY) {
            progress.show(replay.tally().records, reader.bytes_read());
        }
    }
    progress.capture_done(reader.bytes_read());
    report.warnings = reader.warnings().iter().map(ToString::to_string).collect();
    Ok(report)
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

/// Where log lines and judged packets go.
struct Sink {
    log: LogLines,
    writers: Vec<(VerdictFile, CaptureWriter)>,
    ruleset: Arc<Ruleset>,
    /// The first failure to write; the replay stops at the next record.
    failure: Option<anyhow::Error>,
}

impl Sink {
    fn new(args: &ReplayArgs, ruleset: Arc<Ruleset>) -> anyhow::Result<Self> {
        let prefix = match args.log_prefix {
            LogPrefix::None => Prefix::None,
            LogPrefix::Syslog => {
                let zone = match args.time_zone.as_str() {
                    "local" => TimeZone::system(),
                    name => TimeZone::get(name)
                        .with_context(|| format!("there is no time zone `{name}`"))?,
                };
                Prefix::syslog(zone, &args.host)
            }
        };
        let log = match (&args.log, args.json) {
            (Some(file), _) => LogLines::to_file(file, prefix)?,
            (None, true) => LogLines::to_json(prefix)?,
            (None, false) => LogLines::to_stdout(prefix),
        };
        let mut writers = Vec::new();
        for wanted in &args.write {
            writers.push((wanted.clone(), CaptureWriter::create(&wanted.file)?));
        }
        Ok(Self {
            log,
            writers,
            ruleset,
            failure: None,
        })
    }

    /// Passes on what failed while a record was judged.
    fn check(&mut self) -> anyhow::Result<()> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn finish_writers(&mut self) -> anyhow::Result<()> {
        for (_, writer) in self.writers.drain(..) {
            writer.finish()?;
        }
        Ok(())
    }
}

impl ReplaySink for Sink {
    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) {
        if let Err(error) = self.log.write(record.time, message) {
            self.failure.get_or_insert(error);
        }
    }

    fn judged(&mut self, record: &Record<'_>, step: &Step, ruling: &Ruling) {
        for (wanted, writer) in &mut self.writers {
            if wanted.verdict != ruling.verdict {
                continue;
            }
            let comment = comment(&self.ruleset, step, ruling);
            if let Err(error) = writer.write(record, Some(&comment)) {
                self.failure.get_or_insert(error.into());
            }
        }
    }
}

/// Who decided, for the packet's comment in a pcapng file.
fn comment(ruleset: &Ruleset, step: &Step, ruling: &Ruling) -> String {
    let Step { chain, .. } = step;
    let verdict = ruling.verdict;
    match ruling.decided {
        Decided::ByRule(place) | Decided::ByLoop(place) => {
            let holder = ruleset.chains()[place.chain as usize].name();
            let number = place.rule + 1;
            let way = match ruling.decided {
                Decided::ByLoop(_) => " (loop)",
                _ if holder.as_str() != chain.as_str() => " (user chain)",
                _ => "",
            };
            format!("{chain}: {holder} rule {number}{way} {verdict}")
        }
        Decided::ByPolicy => format!("{chain}: policy {verdict}"),
        Decided::ByCheck(_) => format!("{chain}: fragment check {verdict}"),
    }
}
