//! Verdicts over time.

use std::collections::BTreeMap;

use portcullis_core::ruleset::{BuiltIn, Counter, Verdict};
use portcullis_runtime::capture::Timestamp;

/// Rows that may be held; by seconds, more than three days of every verdict
/// that three chains usually give.
pub(crate) const MOST_ROWS: usize = 1_000_000;
/// Bars of a chart: what a phone can show.
const MOST_BARS: i64 = 120;

/// Widths that people like to read, in seconds; each is a multiple of the one
/// before, so that buckets can be thrown together.
const WIDTHS: [i64; 13] = [
    1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400,
];

/// What each chain decided in each span of time. Sums do not depend on the
/// order of packets, so workers' sums can be added.
#[derive(Clone, Debug)]
pub(crate) struct OverTime {
    /// Of a bucket, in seconds.
    width: i64,
    /// Whether buckets widen so that they fit into a chart.
    fitting: bool,
    rows: BTreeMap<Slot, Counter>,
}

/// What is counted together. Packets without a time come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    /// Start of the bucket, in seconds since the epoch.
    pub(crate) start: Option<i64>,
    pub(crate) chain: BuiltIn,
    pub(crate) verdict: Verdict,
}

impl OverTime {
    /// Buckets of this many seconds, from multiples of them.
    pub(crate) fn by(seconds: u32) -> Self {
        Self {
            width: i64::from(seconds),
            fitting: false,
            rows: BTreeMap::new(),
        }
    }

    /// As few seconds a bucket as a chart has room for.
    pub(crate) fn fitting() -> Self {
        Self {
            fitting: true,
            ..Self::by(1)
        }
    }

    /// The same sums in buckets wide enough for a chart.
    pub(crate) fn fitted(&self) -> Self {
        let mut fitted = self.clone();
        fitted.fitting = true;
        fitted.fit();
        fitted
    }

    /// Counts a ruling on a packet of this total length.
    pub(crate) fn count(
        &mut self,
        time: Option<Timestamp>,
        chain: BuiltIn,
        verdict: Verdict,
        bytes: u16,
    ) {
        let start = time.map(|time| floor(time.seconds(), self.width));
        let slot = Slot {
            start,
            chain,
            verdict,
        };
        self.add_row(slot, Counter::of(bytes));
    }

    /// Adds what another worker counted with the same settings.
    pub(crate) fn add(&mut self, other: &Self) {
        self.widen(other.width);
        for (slot, counter) in &other.rows {
            let start = slot.start.map(|start| floor(start, self.width));
            self.add_row(Slot { start, ..*slot }, *counter);
        }
    }

    /// Whether there are more rows than may be held. What came after them is
    /// not counted.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() > MOST_ROWS
    }

    /// Width of a bucket, in seconds.
    pub(crate) fn width(&self) -> i64 {
        self.width
    }

    /// The sums by time, chain and verdict.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Slot, Counter)> {
        self.rows.iter().map(|(slot, counter)| (*slot, *counter))
    }

    /// First and last bucket, by their starts.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let first = self.rows.keys().find_map(|slot| slot.start)?;
        let last = self.rows.last_key_value()?.0.start?;
        Some((first, last))
    }

    fn add_row(&mut self, slot: Slot, counter: Counter) {
        if self.is_full() {
            return;
        }
        let rows = self.rows.len();
        self.rows.entry(slot).or_default().add(counter);
        if self.rows.len() > rows {
            self.fit();
        }
    }

    /// Widens buckets until there are no more than a chart has room for. How
    /// wide they become depends on the first and last only: not on the order
    /// in which they came, nor on who counted them.
    fn fit(&mut self) {
        while self.fitting
            && let Some((first, last)) = self.span()
            && (last - first) / self.width >= MOST_BARS
        {
            self.widen(wider(self.width));
        }
    }

    fn widen(&mut self, width: i64) {
        if width <= self.width {
            return;
        }
        self.width = width;
        for (slot, counter) in std::mem::take(&mut self.rows) {
            let start = slot.start.map(|start| floor(start, width));
            let row = self.rows.entry(Slot { start, ..slot }).or_default();
            row.add(counter);
        }
    }
}

/// The multiple of `width` at or before `seconds`.
fn floor(seconds: i64, width: i64) -> i64 {
    seconds.div_euclid(width) * width
}

/// A multiple of a width: of those that people like, or else twice.
fn wider(width: i64) -> i64 {
    let liked = WIDTHS.into_iter();
    liked
        .filter(|liked| *liked > width)
        .find(|liked| liked % width == 0)
        .unwrap_or(2 * width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(over_time: &mut OverTime, seconds: i64) {
        let time = Timestamp::from_nanos(seconds * 1_000_000_000 + 7);
        over_time.count(Some(time), BuiltIn::Input, Verdict::Deny, 40);
    }

    fn starts(over_time: &OverTime) -> Vec<(Option<i64>, u64)> {
        let rows = over_time.rows();
        rows.map(|(slot, counter)| (slot.start, counter.packets))
            .collect()
    }

    #[test]
    fn buckets_begin_at_multiples_of_their_width() {
        let mut by = OverTime::by(60);
        for seconds in [-1, 0, 59, 60] {
            count(&mut by, seconds);
        }
        by.count(None, BuiltIn::Input, Verdict::Deny, 40);
        let expected = [(None, 1), (Some(-60), 1), (Some(0), 2), (Some(60), 1)];
        assert_eq!(starts(&by), expected);
    }

    #[test]
    fn sums_do_not_depend_on_who_counted() {
        let times = (0..4000).map(|number| (number * 7919) % 100_000 - 500);
        let times: Vec<i64> = times.collect();
        let mut alone = OverTime::fitting();
        let mut workers = [(); 3].map(|()| OverTime::fitting());
        for (index, time) in times.iter().enumerate() {
            count(&mut alone, *time);
            count(&mut workers[index * 3 / times.len()], *time);
        }
        let [mut sum, second, third] = workers;
        sum.add(&third);
        sum.add(&second);
        assert_eq!(sum.width(), 1800);
        assert_eq!((starts(&sum), sum.width()), (starts(&alone), alone.width()));
    }

    #[test]
    fn a_chart_has_room_for_any_times() {
        let mut over_time = OverTime::fitting();
        for seconds in [-9_000_000_000, 0, 9_000_000_000] {
            count(&mut over_time, seconds);
        }
        assert_eq!(starts(&over_time).len(), 3);
        let (first, last) = over_time.span().unwrap();
        assert!((last - first) / over_time.width() < MOST_BARS);
    }

    #[test]
    fn odd_widths_are_doubled() {
        let mut by = OverTime::by(7);
        count(&mut by, 0);
        count(&mut by, 1000);
        assert_eq!(by.fitted().width(), 14);
    }
}
