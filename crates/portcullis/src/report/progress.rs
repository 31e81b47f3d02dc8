//! A progress bar for work that takes longer than a second.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressStyle};
use portcullis_runtime::replay::Progress;

/// How far a replay has come, on standard error if that is a terminal.
pub(crate) struct ProgressBar {
    bar: Option<indicatif::ProgressBar>,
    started: Instant,
    shown: Duration,
}

const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(100);

impl ProgressBar {
    pub(crate) fn new(captures: &[PathBuf], quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| bar(captures));
        Self {
            bar,
            started: Instant::now(),
            shown: Duration::ZERO,
        }
    }

    /// Shows records judged and bytes read.
    pub(crate) fn show(&mut self, progress: Progress) {
        let Some(bar) = &self.bar else { return };
        let elapsed = self.started.elapsed();
        if elapsed < PATIENCE || elapsed - self.shown < INTERVAL {
            return;
        }
        self.shown = elapsed;
        bar.set_position(progress.bytes);
        let rate = progress.records as f64 / elapsed.as_secs_f64();
        let (records, rate) = (HumanCount(progress.records), HumanCount(rate as u64));
        bar.set_message(format!("{records} packets, {rate}/s"));
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(captures: &[PathBuf]) -> indicatif::ProgressBar {
    let lengths = captures.iter().map(|path| fs::metadata(path).ok());
    let lengths = lengths.map(|found| found.filter(fs::Metadata::is_file).map(|it| it.len()));
    let total: Option<u64> = lengths.sum();
    let (bar, template) = match total {
        Some(total) => (
            indicatif::ProgressBar::new(total),
            "{bar:30} {percent}%  {msg}, {eta} left",
        ),
        // Nobody knows how long a pipe is.
        None => (
            indicatif::ProgressBar::no_length(),
            "{spinner} {bytes}  {msg}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// How many of some pieces of work are done, on standard error if that is a terminal.
pub(crate) struct CountedBar {
    bar: Option<indicatif::ProgressBar>,
}

impl CountedBar {
    pub(crate) fn new(pieces: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = indicatif::ProgressBar::new(pieces);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    /// The next piece begins.
    pub(crate) fn next(&self, what: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(what);
            bar.inc(1);
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
