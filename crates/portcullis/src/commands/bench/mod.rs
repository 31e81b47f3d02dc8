//! `portcullis bench`: how fast rules are matched here.

mod curves;
mod html;
mod input;
mod matchers;
mod measure;
mod report;
mod turns;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::Step;

use input::{Subject, Workload};
use matchers::Engine;
use measure::Measurement;

use crate::report::output_file::OutputFile;
use crate::report::progress::CountedBar;

/// Measure how fast rules are matched, by every form of matcher.
///
/// Without arguments, rules and packets are made up, the same ones every time. What is timed is
/// the answer with the counters of the rules brought up to date; parsing packets is not.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 done; 1 an answer was wrong (--verify); 2 the command line or a \
    file is wrong. PORTCULLIS_SIMD=portable|avx2|avx512 forces an instruction set."
)]
pub(crate) struct BenchArgs {
    /// Rules: ipchains commands, what ipchains-save wrote, or ClassBench filters; also compressed
    /// with zstd or gzip.
    #[arg(short, long, value_name = "FILE")]
    rules: Option<PathBuf>,

    /// Make up rules: a kind (acl, fw, ipc) and a number. May be given several times.
    #[arg(long, value_name = "KIND:N", conflicts_with = "rules")]
    synthetic: Vec<input::Synthetic>,

    /// Packets: a capture, or packet headers in ClassBench's binary form.
    #[arg(short, long, value_name = "FILE", requires = "rules")]
    trace: Option<PathBuf>,

    /// Make up packets of these kinds; rand if nothing is said.
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        conflicts_with = "trace"
    )]
    trace_kind: Vec<TraceKind>,

    /// How many packets to make up.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    headers: usize,

    /// Which matchers to measure.
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    matcher: Vec<MatcherKind>,

    /// Compare every answer with a file of first matches, or with the reference.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    verify: Option<Option<PathBuf>>,

    /// Passes over the packets, of which the median counts.
    #[arg(long, value_name = "N", default_value_t = 9)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,

    /// The built-in chain that the packets meet.
    #[arg(long, value_name = "NAME", default_value = "input", value_parser = built_in)]
    chain: BuiltIn,

    /// The interface that the rules see.
    #[arg(long, value_name = "NAME", default_value = "eth0", value_parser = interface)]
    interface: InterfaceName,

    /// Measure pass by pass, each when a line is read from standard input, with a time in
    /// nanoseconds per packet as the answer.
    #[arg(long)]
    turns: bool,

    /// Draw growth curves: time against the number of rules.
    #[arg(long, value_name = "FILE", conflicts_with = "turns")]
    svg: Option<PathBuf>,

    /// Write a page with table, curves and what machine this is.
    #[arg(long, value_name = "FILE", conflicts_with = "turns")]
    html: Option<PathBuf>,

    /// Print one JSON object a line.
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Print comma-separated values.
    #[arg(long)]
    csv: bool,
}

/// The matchers that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum MatcherKind {
    /// The reference: rule after rule, as the kernel did.
    Reference,
    /// Rules compared eight at a time.
    Linear,
    /// Bit vectors.
    BitVector,
    /// Cut trees.
    Tree,
    /// The form that suits the rules: what all other commands use.
    Auto,
    /// The same, asked for one packet at a time.
    Single,
}

/// Kinds of packets that can be made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum TraceKind {
    /// Points in rules chosen at random.
    Rand,
    /// The same, with the locality of real traffic.
    Zipf,
    /// Anything at all.
    Void,
}

/// Runs the command.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<u8> {
    let step = Step {
        chain: args.chain,
        interface: args.interface,
    };
    let noise = measure::settle();
    if args.turns {
        let subject = input::subjects(args)?.remove(0);
        let kind = args.matcher.first().copied().unwrap_or(MatcherKind::Auto);
        return turns::serve(&subject, kind, &step, args);
    }
    // Before the work, which would be in vain.
    let svg = args.svg.as_deref().map(OutputFile::create).transpose()?;
    let html = args.html.as_deref().map(OutputFile::create).transpose()?;
    let subjects = input::subjects(args)?;
    let bar = CountedBar::new(subjects.iter().map(|it| works(it, args)).sum());
    let mut measurements = Vec::new();
    for subject in &subjects {
        for kind in matchers::chosen(&args.matcher, subject) {
            let engine = Engine::new(kind, subject)?;
            for workload in &subject.workloads {
                bar.next(format!("{} {}", subject.name, report::name(kind)));
                measurements.push(measure_one(&engine, subject, workload, &step, args)?);
            }
        }
    }
    bar.finish();
    if let Some(file) = svg {
        file.write(&curves::svg(&measurements))?;
    }
    if let Some(file) = html {
        file.write(&html::page(&measurements, &noise)?)?;
    }
    report::print(&measurements, &noise, args)?;
    let wrong = measurements
        .iter()
        .any(|it| it.mismatches.is_some_and(|count| count > 0));
    Ok(u8::from(wrong))
}

/// How many measurements a subject takes.
fn works(subject: &Subject, args: &BenchArgs) -> u64 {
    let matchers = matchers::chosen(&args.matcher, subject).len();
    (matchers * subject.workloads.len()) as u64
}

fn measure_one(
    engine: &Engine,
    subject: &Subject,
    workload: &Workload,
    step: &Step,
    args: &BenchArgs,
) -> anyhow::Result<Measurement> {
    let mismatches = match &args.verify {
        Some(file) => Some(engine.mismatches(subject, workload, step, file.as_deref())?),
        None => None,
    };
    let passes = measure::passes(engine, workload, step, args.passes);
    Ok(Measurement::new(
        engine, subject, workload, passes, mismatches,
    ))
}

fn built_in(text: &str) -> Result<BuiltIn, String> {
    BuiltIn::from_name(text).ok_or_else(|| "packets enter at input, forward or output".to_owned())
}

fn interface(text: &str) -> Result<InterfaceName, String> {
    let (name, changed) = InterfaceName::for_device(text);
    match changed || text.is_empty() {
        true => Err("an interface name has 1 to 15 characters and no blanks".to_owned()),
        false => Ok(name),
    }
}
