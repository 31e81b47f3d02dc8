//! A progress bar for work that takes longer than a second.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// How far a replay has come, on standard error if that is a terminal.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    /// Bytes of the captures that are done.
    done: u64,
}

const PATIENCE: Duration = Duration::from_secs(1);

impl Progress {
    /// Records between two looks at the clock.
    pub(crate) const EVERY: u64 = 1 << 14;

    pub(crate) fn new(captures: &[PathBuf], quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| bar(captures));
        Self {
            bar,
            started: Instant::now(),
            done: 0,
        }
    }

    /// Shows how many records were judged, and bytes read of this capture.
    pub(crate) fn show(&self, records: u64, bytes: u64) {
        let Some(bar) = &self.bar else { return };
        let elapsed = self.started.elapsed();
        if elapsed < PATIENCE {
            return;
        }
        bar.set_position(self.done + bytes);
        let rate = records as f64 / elapsed.as_secs_f64();
        let (records, rate) = (HumanCount(records), HumanCount(rate as u64));
        bar.set_message(format!("{records} packets, {rate}/s"));
    }

    pub(crate) fn capture_done(&mut self, bytes: u64) {
        self.done += bytes;
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(captures: &[PathBuf]) -> ProgressBar {
    let lengths = captures.iter().map(|path| fs::metadata(path).ok());
    let lengths = lengths.map(|found| found.filter(fs::Metadata::is_file).map(|it| it.len()));
    let total: Option<u64> = lengths.sum();
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:30} {percent}%  {msg}, {eta} left",
        ),
        // Nobody knows how long a pipe is.
        None => (ProgressBar::no_length(), "{spinner} {bytes}  {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
