//! Growth curves: time per header against the number of rules, for each kind of trace.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::measure::Measurement;
use super::report::name;

/// Size of one drawing, and the space around its plot.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 112.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 52.0;
/// Least distance of two labels.
const LINE: f64 = 15.0;
/// Colours that are told apart by nearly everybody, on white and on black.
const COLOURS: [&str; 6] = [
    "#7f7f7f", "#d55e00", "#0072b2", "#009e73", "#a8467c", "#b58900",
];

/// A matcher's points, by number of rules.
type Points<'a> = Vec<&'a Measurement>;

/// The axes of a drawing, both logarithmic.
struct Axes {
    /// Decades of rules and of ns.
    x: (f64, f64),
    y: (f64, f64),
}

/// One SVG with a drawing for each kind of trace, one below the other.
pub(super) fn svg(measurements: &[Measurement]) -> String {
    let mut traces: BTreeMap<&str, Vec<&Measurement>> = BTreeMap::new();
    for measurement in measurements {
        traces
            .entry(&measurement.trace)
            .or_default()
            .push(measurement);
    }
    let height = HEIGHT * traces.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"currentColor\">\n\
         <title>Time per header by number of rules</title>\n"
    );
    for (place, (trace, measurements)) in traces.iter().enumerate() {
        let down = HEIGHT * place as f64;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "<g transform=\"translate(0 {down})\">");
        draw(&mut out, trace, measurements);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, trace: &str, measurements: &[&Measurement]) {
    let axes = Axes::around(measurements);
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"20\" font-weight=\"600\">ns per header, trace {}</text>",
        escaped(trace)
    );
    for decade in decades(axes.y) {
        for part in [1.0, 2.0, 5.0] {
            let value = decade * part;
            let Some(y) = axes.inside_y(value) else {
                continue;
            };
            let _ = writeln!(
                out,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"currentColor\" \
                 stroke-opacity=\"0.15\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                LEFT - 8.0,
                y + 4.0,
            );
        }
    }
    for value in decades(axes.x) {
        let x = axes.x(value);
        if !(LEFT - 0.5..=right + 0.5).contains(&x) {
            continue;
        }
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"currentColor\" \
             stroke-opacity=\"0.15\"/>\n<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>",
            bottom + 18.0,
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">rules</text>",
        (LEFT + right) / 2.0,
        bottom + 38.0,
    );
    let lines = by_matcher(measurements);
    let ends = lines.iter().filter_map(|(_, points)| points.last());
    let mut labels: Vec<f64> = ends.map(|last| axes.y(last.median())).collect();
    spread(&mut labels, TOP, bottom);
    for (((matcher, points), label), colour) in lines.iter().zip(labels).zip(COLOURS.iter().cycle())
    {
        let path: Vec<String> = points
            .iter()
            .map(|it| format!("{:.1},{:.1}", axes.x(it.rules as f64), axes.y(it.median())))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for point in points {
            let (x, min, max) = (axes.x(point.rules as f64), point.min(), point.max());
            let _ = writeln!(
                out,
                "<g stroke=\"{colour}\" fill=\"{colour}\"><title>{matcher}, {} rules: {:.1} ns ({min:.1} to \
                 {max:.1})</title><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/><circle \
                 cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\"/></g>",
                point.rules,
                point.median(),
                axes.y(min),
                axes.y(max),
                axes.y(point.median()),
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{matcher}</text>",
            right + 10.0,
            label + 4.0,
        );
    }
}

fn by_matcher<'a>(measurements: &[&'a Measurement]) -> Vec<(String, Points<'a>)> {
    let mut lines: Vec<(String, Points<'a>)> = Vec::new();
    for measurement in measurements {
        let name = name(measurement.matcher);
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push(measurement),
            None => lines.push((name, vec![measurement])),
        }
    }
    for (_, points) in &mut lines {
        points.sort_by_key(|point| point.rules);
    }
    lines
}

/// Moves labels apart that would stand on each other, in order of their height.
fn spread(labels: &mut [f64], top: f64, bottom: f64) {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|a, b| labels[*a].total_cmp(&labels[*b]));
    let mut free = top;
    for place in &order {
        labels[*place] = labels[*place].max(free);
        free = labels[*place] + LINE;
    }
    let mut free = bottom;
    for place in order.iter().rev() {
        labels[*place] = labels[*place].min(free);
        free = labels[*place] - LINE;
    }
}

/// Powers of ten from below the range to above it.
fn decades((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    (low.floor() as i32..=high.ceil() as i32).map(|power| 10f64.powi(power))
}

impl Axes {
    fn around(measurements: &[&Measurement]) -> Self {
        let span = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((f64::INFINITY, 0f64), |(low, high), value| {
                let value = value.max(0.1);
                (low.min(value), high.max(value))
            });
            // Even a single point has some room around it.
            ((low * 0.8).log10(), (high * 1.25).log10())
        };
        let min = measurements.iter().map(|it| it.min());
        let max = measurements.iter().map(|it| it.max());
        Self {
            x: span(&mut measurements.iter().map(|it| it.rules as f64)),
            y: span(&mut min.chain(max)),
        }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.max(0.1).log10() - self.x.0) / (self.x.1 - self.x.0);
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value.max(0.1).log10() - self.y.0) / (self.y.1 - self.y.0);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }

    fn inside_y(&self, value: f64) -> Option<f64> {
        Some(self.y(value)).filter(|y| (TOP..=HEIGHT - BOTTOM).contains(y))
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::MatcherKind;
    use super::*;

    fn measured(rules: usize, matcher: MatcherKind, passes: &[f64]) -> Measurement {
        Measurement {
            rule_source: "x".to_owned(),
            rules,
            trace: "a<b".to_owned(),
            headers: 1,
            matcher,
            simd: None,
            passes: passes.to_vec(),
            memory_bytes: None,
            compile_time: Duration::ZERO,
            mismatches: None,
            forms: Vec::new(),
        }
    }

    #[test]
    fn each_matcher_has_a_line_through_its_medians() {
        let drawn = svg(&[
            measured(100, MatcherKind::Auto, &[4.0, 5.0, 9.0]),
            measured(10, MatcherKind::Auto, &[5.0]),
            measured(10, MatcherKind::Tree, &[50.0]),
        ]);
        assert_eq!(drawn.matches("<polyline").count(), 2);
        assert!(drawn.contains("auto, 100 rules: 5.0 ns (4.0 to 9.0)"));
        assert!(drawn.contains("trace a&lt;b"));
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn labels_do_not_stand_on_each_other() {
        let mut labels = [100.0, 98.0, 99.0];
        spread(&mut labels, 40.0, 348.0);
        assert_eq!(labels, [128.0, 98.0, 113.0]);
        let mut low = [347.0, 348.0];
        spread(&mut low, 40.0, 348.0);
        assert_eq!(low, [333.0, 348.0]);
    }
}
