//! `--turns`: pass by pass, in turn with another program.

use std::io::{BufRead, Write, stdin, stdout};

use anyhow::bail;
use portcullis_core::traversal::Step;

use super::input::Subject;
use super::matchers::Engine;
use super::measure::cpu_time;
use super::report;
use super::{BenchArgs, MatcherKind};

/// Measures nothing until asked: prints a line that begins with `ready`, and
/// from then on answers every line of standard input with the time of one
/// pass, in ns per packet.
pub(super) fn serve(
    subject: &Subject,
    kind: MatcherKind,
    step: &Step,
    args: &BenchArgs,
) -> anyhow::Result<u8> {
    let engine = Engine::new(kind, subject)?;
    let Some(workload) = subject.workloads.first() else {
        bail!("there are no packets");
    };
    let mut wrong = 0;
    if let Some(file) = &args.verify {
        wrong = engine.mismatches(subject, workload, step, file.as_deref())?;
    }
    let mut out = stdout().lock();
    let description = report::engine_json(&engine, wrong)?;
    writeln!(out, "{description}")?;
    writeln!(out, "ready portcullis")?;
    out.flush()?;
    let mut counters = engine.counters();
    for line in stdin().lock().lines() {
        line?;
        let start = cpu_time();
        engine.pass(&workload.keys, step, &mut counters);
        let nanoseconds = (cpu_time() - start).as_nanos() as f64;
        writeln!(out, "{:.3}", nanoseconds / workload.keys.len() as f64)?;
        out.flush()?;
    }
    Ok(u8::from(wrong > 0))
}
