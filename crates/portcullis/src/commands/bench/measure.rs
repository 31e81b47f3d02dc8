//! Timing: thread CPU time, medians of several passes, one core.

use std::time::{Duration, Instant};

use portcullis_classifier::Classifier;
use portcullis_core::traversal::Step;
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::MatcherKind;
use super::input::{Subject, Workload};
use super::matchers::Engine;

/// A core whose speed varies by more than this between equal pieces of work
/// is noisy.
const NOISY: f64 = 1.15;

/// One matcher on one trace.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    pub(super) rule_source: String,
    pub(super) rules: usize,
    pub(super) trace: String,
    pub(super) headers: usize,
    pub(super) matcher: MatcherKind,
    pub(super) simd: Option<&'static str>,
    /// ns per header of each pass, rising.
    pub(super) passes: Vec<f64>,
    pub(super) memory_bytes: Option<usize>,
    pub(super) compile_time: Duration,
    pub(super) mismatches: Option<usize>,
    pub(super) forms: Vec<String>,
}

/// What the machine was like.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    /// The slowest of equal pieces of work over the fastest.
    pub(super) spread: f64,
    /// Whether the process could stay on one core.
    pub(super) pinned: bool,
}

impl Measurement {
    pub(super) fn new(
        engine: &Engine,
        subject: &Subject,
        workload: &Workload,
        passes: Vec<f64>,
        mismatches: Option<usize>,
    ) -> Self {
        let description = engine.classifier().map(Classifier::describe);
        let chains = description.iter().flat_map(|it| &it.chains);
        Self {
            rule_source: subject.name.clone(),
            rules: subject.ruleset.rule_count(),
            trace: workload.name.clone(),
            headers: workload.keys.len(),
            matcher: engine.kind,
            simd: description.as_ref().map(|it| it.instruction_set.as_str()),
            passes,
            memory_bytes: description.as_ref().map(|it| it.memory_bytes),
            compile_time: engine.compile_time,
            mismatches,
            forms: chains
                .filter(|chain| !chain.forms.is_empty())
                .map(ToString::to_string)
                .collect(),
        }
    }

    pub(super) fn median(&self) -> f64 {
        let middle = self.passes.len() / 2;
        match self.passes.len() % 2 {
            1 => self.passes[middle],
            _ => (self.passes[middle - 1] + self.passes[middle]) / 2.0,
        }
    }

    pub(super) fn min(&self) -> f64 {
        self.passes.first().copied().unwrap_or_default()
    }

    pub(super) fn max(&self) -> f64 {
        self.passes.last().copied().unwrap_or_default()
    }
}

impl Noise {
    /// What to keep in mind when reading the figures.
    pub(super) fn warning(&self) -> Option<String> {
        let percent = (self.spread - 1.0) * 100.0;
        (self.spread > NOISY).then(|| {
            format!(
                "this machine is noisy, equal work varied by {percent:.0} %: trust ratios and \
                 minima, not single figures"
            )
        })
    }
}

/// Stays on one core where that is allowed, and looks how steady it runs.
pub(super) fn settle() -> Noise {
    let mut core = CpuSet::new();
    core.set(sched_getcpu());
    let pinned = sched_setaffinity(None, &core).is_ok();
    let times: Vec<f64> = (0..20)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box((0..200_000u64).fold(1, |a: u64, b| a.rotate_left(5) ^ b));
            start.elapsed().as_secs_f64()
        })
        .collect();
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = times.iter().copied().fold(0.0, f64::max);
    Noise {
        spread: slowest / fastest,
        pinned,
    }
}

/// ns per header of each pass, rising, after one pass to warm up.
pub(super) fn passes(engine: &Engine, workload: &Workload, step: &Step, passes: u32) -> Vec<f64> {
    let mut counters = engine.counters();
    engine.pass(&workload.keys, step, &mut counters);
    let mut times: Vec<f64> = (0..passes)
        .map(|_| {
            let start = cpu_time();
            engine.pass(&workload.keys, step, &mut counters);
            let nanoseconds = (cpu_time() - start).as_nanos() as f64;
            nanoseconds / workload.keys.len() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    std::hint::black_box(&counters);
    times
}

/// CPU time of this thread: moments in which another had the core do not count.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
