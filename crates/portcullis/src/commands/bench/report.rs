//! Measurements as a table, JSON or CSV.

use std::io::{Write, stdout};

use clap::ValueEnum;
use portcullis_classifier::Classifier;
use serde::Serialize;

use super::matchers::Engine;
use super::measure::{Measurement, Noise};
use super::{BenchArgs, MatcherKind};

#[derive(Serialize)]
struct Line<'a> {
    engine: &'static str,
    matcher: String,
    rule_source: &'a str,
    rules: usize,
    trace: &'a str,
    headers: usize,
    median_ns: f64,
    min_ns: f64,
    max_ns: f64,
    mpps: f64,
    memory_bytes: Option<usize>,
    compile_seconds: f64,
    mismatches: Option<usize>,
    simd: Option<&'static str>,
    passes: usize,
    forms: &'a [String],
}

#[derive(Serialize)]
struct EngineLine {
    engine: &'static str,
    matcher: String,
    memory_bytes: Option<usize>,
    compile_seconds: f64,
    mismatches: usize,
    simd: Option<&'static str>,
}

/// Prints all measurements the way the arguments ask for.
pub(super) fn print(
    measurements: &[Measurement],
    noise: &Noise,
    args: &BenchArgs,
) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    if args.json {
        for measurement in measurements {
            writeln!(out, "{}", serde_json::to_string(&line(measurement))?)?;
        }
    } else if args.csv {
        print_csv(&mut out, measurements)?;
    } else {
        print_table(&mut out, measurements)?;
    }
    if let Some(warning) = noise.warning() {
        eprintln!("warning: {warning}");
    }
    if !noise.pinned {
        eprintln!("warning: could not stay on one core");
    }
    Ok(())
}

/// An engine's own line, printed before it takes turns with another.
pub(super) fn engine_json(engine: &Engine, mismatches: usize) -> anyhow::Result<String> {
    let description = engine.classifier().map(Classifier::describe);
    Ok(serde_json::to_string(&EngineLine {
        engine: "portcullis",
        matcher: name(engine.kind),
        memory_bytes: description.as_ref().map(|it| it.memory_bytes),
        compile_seconds: engine.compile_time.as_secs_f64(),
        mismatches,
        simd: description.as_ref().map(|it| it.instruction_set.as_str()),
    })?)
}

/// A matcher's name on the command line.
pub(super) fn name(kind: MatcherKind) -> String {
    let value = kind.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn line(measurement: &Measurement) -> Line<'_> {
    Line {
        engine: "portcullis",
        matcher: name(measurement.matcher),
        rule_source: &measurement.rule_source,
        rules: measurement.rules,
        trace: &measurement.trace,
        headers: measurement.headers,
        median_ns: measurement.median(),
        min_ns: measurement.min(),
        max_ns: measurement.max(),
        mpps: 1000.0 / measurement.median(),
        memory_bytes: measurement.memory_bytes,
        compile_seconds: measurement.compile_time.as_secs_f64(),
        mismatches: measurement.mismatches,
        simd: measurement.simd,
        passes: measurement.passes.len(),
        forms: &measurement.forms,
    }
}

fn print_csv(out: &mut impl Write, measurements: &[Measurement]) -> anyhow::Result<()> {
    writeln!(
        out,
        "rule_source,rules,trace,headers,matcher,simd,median_ns,min_ns,max_ns,mpps,\
         memory_bytes,compile_seconds,mismatches"
    )?;
    for measurement in measurements {
        let line = line(measurement);
        let number = |value: Option<usize>| value.map_or_else(String::new, |it| it.to_string());
        // Names of files may hold commas and quotes.
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        writeln!(
            out,
            "{},{},{},{},{},{},{:.3},{:.3},{:.3},{:.3},{},{:.6},{}",
            quoted(line.rule_source),
            line.rules,
            quoted(line.trace),
            line.headers,
            line.matcher,
            line.simd.unwrap_or_default(),
            line.median_ns,
            line.min_ns,
            line.max_ns,
            line.mpps,
            number(line.memory_bytes),
            line.compile_seconds,
            number(line.mismatches),
        )?;
    }
    Ok(())
}

fn print_table(out: &mut impl Write, measurements: &[Measurement]) -> anyhow::Result<()> {
    writeln!(
        out,
        "{:<14} {:>7}  {:<6} {:<10} {:>8} {:>15} {:>8} {:>9} {:>10}  wrong",
        "rules", "number", "trace", "matcher", "ns", "min-max", "Mpps", "memory", "compile"
    )?;
    for measurement in measurements {
        let line = line(measurement);
        let memory = line.memory_bytes.map_or_else(|| "-".to_owned(), size);
        let wrong = line
            .mismatches
            .map_or_else(|| "-".to_owned(), |it| it.to_string());
        writeln!(
            out,
            "{:<14} {:>7}  {:<6} {:<10} {:>8.1} {:>15} {:>8.2} {:>9} {:>10}  {wrong}",
            line.rule_source,
            line.rules,
            line.trace,
            line.matcher,
            line.median_ns,
            format!("{:.1}-{:.1}", line.min_ns, line.max_ns),
            line.mpps,
            memory,
            format!("{:.2} ms", line.compile_seconds * 1e3),
        )?;
    }
    Ok(())
}

/// A size in words.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}
