//! Verdicts over time as bars: what the page draws.

use std::collections::BTreeMap;

use portcullis_core::ruleset::{BuiltIn, Verdict};
use serde::Serialize;

use super::OverTime;
use super::stats::date_and_time;

/// Height of the drawing; the browser stretches it.
const HEIGHT: f64 = 100.0;

/// The charts of all chains, over the same span of time.
#[derive(Serialize)]
pub(super) struct Charts {
    /// Width of a bar in words.
    every: String,
    /// First second.
    from: String,
    /// The second after the last bar.
    until: String,
    bars: i64,
    /// The verdicts that came, in their order.
    verdicts: Vec<&'static str>,
    chains: Vec<Chart>,
    /// Rulings on packets without a time.
    without_time: u64,
}

/// What one chain decided over time.
#[derive(Serialize)]
struct Chart {
    chain: &'static str,
    /// Packets of the highest bar.
    highest: u64,
    sums: Vec<Part>,
    bars: Vec<Bar>,
}

/// Packets with one verdict.
#[derive(Serialize)]
struct Part {
    verdict: &'static str,
    packets: u64,
    /// From the top of the drawing, and height.
    y: f64,
    height: f64,
}

/// A span of time, where anything was decided.
#[derive(Serialize)]
struct Bar {
    /// From the left, in bars.
    x: i64,
    start: String,
    parts: Vec<Part>,
}

type Packets = BTreeMap<Verdict, u64>;

impl Charts {
    /// `None` if no packet with a time was judged.
    pub(super) fn new(over_time: &OverTime) -> Option<Self> {
        let over_time = over_time.fitted();
        let (first, last) = over_time.span()?;
        let width = over_time.width();
        let mut chains: BTreeMap<BuiltIn, BTreeMap<i64, Packets>> = BTreeMap::new();
        let mut verdicts = Packets::new();
        let mut without_time = 0;
        for (slot, counter) in over_time.rows() {
            let Some(start) = slot.start else {
                without_time += counter.packets;
                continue;
            };
            let bars = chains.entry(slot.chain).or_default();
            let bar = bars.entry((start - first) / width).or_default();
            bar.insert(slot.verdict, counter.packets);
            verdicts.insert(slot.verdict, 0);
        }
        let start = |bar: i64| date_and_time(first + bar * width);
        Some(Self {
            every: in_words(width),
            from: date_and_time(first),
            until: date_and_time(last + width),
            bars: (last - first) / width + 1,
            verdicts: verdicts.keys().map(|verdict| verdict.as_str()).collect(),
            chains: chains
                .iter()
                .map(|(chain, bars)| Chart::new(*chain, bars, start))
                .collect(),
            without_time,
        })
    }
}

impl Chart {
    fn new(chain: BuiltIn, bars: &BTreeMap<i64, Packets>, start: impl Fn(i64) -> String) -> Self {
        let heights = bars.values().map(|packets| packets.values().sum());
        let highest: u64 = heights.max().unwrap_or_default();
        let mut sums = Packets::new();
        for (verdict, packets) in bars.values().flatten() {
            *sums.entry(*verdict).or_default() += packets;
        }
        Self {
            chain: chain.as_str(),
            highest,
            sums: stacked(&sums, highest),
            bars: bars
                .iter()
                .map(|(x, packets)| Bar {
                    x: *x,
                    start: start(*x),
                    parts: stacked(packets, highest),
                })
                .collect(),
        }
    }
}

/// One part on top of the other, from the bottom.
fn stacked(packets: &Packets, highest: u64) -> Vec<Part> {
    let mut y = HEIGHT;
    let parts = packets.iter().map(|(verdict, packets)| {
        let height = HEIGHT * *packets as f64 / highest as f64;
        y -= height;
        Part {
            verdict: verdict.as_str(),
            packets: *packets,
            y: hundredths(y),
            height: hundredths(height),
        }
    });
    parts.collect()
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A width in the largest unit of which it is a whole number.
fn in_words(seconds: i64) -> String {
    let units = [
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let fitting = units.into_iter().find(|(unit, _)| seconds % unit == 0);
    let (unit, name) = fitting.unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        number => format!("{number} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_runtime::capture::Timestamp;

    use super::*;

    #[test]
    fn the_highest_bar_fills_the_drawing() {
        let mut over_time = OverTime::fitting();
        for (seconds, verdict) in [
            (0, Verdict::Accept),
            (2, Verdict::Accept),
            (2, Verdict::Deny),
            (2, Verdict::Deny),
            (2, Verdict::Deny),
        ] {
            let time = Timestamp::from_nanos(seconds * 1_000_000_000);
            over_time.count(Some(time), BuiltIn::Input, verdict, 40);
        }
        over_time.count(None, BuiltIn::Input, Verdict::Deny, 40);
        let charts = Charts::new(&over_time).unwrap();
        assert_eq!((charts.bars, charts.without_time), (3, 1));
        let bars = &charts.chains[0].bars;
        assert_eq!((bars[0].x, bars[0].parts[0].height), (0, 25.0));
        let tops: Vec<f64> = bars[1].parts.iter().map(|part| part.y).collect();
        assert_eq!((bars[1].x, tops), (2, vec![75.0, 0.0]));
    }

    #[test]
    fn widths_are_said_in_whole_units() {
        for (seconds, words) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (600, "10 minutes"),
            (172_800, "2 days"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }
}
