//! Measurements as one page for a browser, which asks for nothing else.

use std::env;
use std::fs;

use jiff::Zoned;
use minijinja::{Environment, context};
use serde::Serialize;

use super::curves;
use super::measure::{Measurement, Noise};
use super::report::{name, size};

/// The `.html` makes everything in it escaped.
const NAME: &str = "page.html";

#[derive(Serialize)]
struct Row<'a> {
    rules: &'a str,
    number: usize,
    trace: &'a str,
    matcher: String,
    median: String,
    min: String,
    max: String,
    mpps: String,
    memory: String,
    compile: String,
    wrong: String,
}

/// The page.
pub(super) fn page(measurements: &[Measurement], noise: &Noise) -> anyhow::Result<String> {
    let mut templates = Environment::new();
    templates.add_template(NAME, include_str!("page.html"))?;
    let rows: Vec<Row<'_>> = measurements.iter().map(row).collect();
    Ok(templates.get_template(NAME)?.render(context! {
        curves => curves::svg(measurements),
        rows,
        noise => noise.warning(),
        machine => machine(measurements),
        version => env!("CARGO_PKG_VERSION"),
    })?)
}

fn row(measurement: &Measurement) -> Row<'_> {
    let ns = |value: f64| format!("{value:.1}");
    let dash = || "–".to_owned();
    Row {
        rules: &measurement.rule_source,
        number: measurement.rules,
        trace: &measurement.trace,
        matcher: name(measurement.matcher),
        median: ns(measurement.median()),
        min: ns(measurement.min()),
        max: ns(measurement.max()),
        mpps: format!("{:.2}", 1000.0 / measurement.median()),
        memory: measurement.memory_bytes.map_or_else(dash, size),
        compile: format!("{:.2} ms", measurement.compile_time.as_secs_f64() * 1e3),
        wrong: measurement
            .mismatches
            .map_or_else(dash, |it| it.to_string()),
    }
}

/// What the figures depend on, as far as the machine says.
#[expect(clippy::disallowed_methods, reason = "the date of a report")]
fn machine(measurements: &[Measurement]) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    facts.extend(value("model name").map(|model| ("processor", model)));
    let cores = std::thread::available_parallelism();
    facts.extend(cores.map(|cores| ("cores", cores.to_string())));
    let caches: Vec<String> = (0..8).filter_map(cache).collect();
    if !caches.is_empty() {
        facts.push(("caches", caches.join(", ")));
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
    facts.extend(kernel.map(|kernel| ("kernel", kernel.trim().to_owned())));
    let simd = measurements.iter().find_map(|it| it.simd);
    facts.extend(simd.map(|simd| ("instruction set in use", simd.to_owned())));
    facts.push((
        "measured",
        Zoned::now().strftime("%Y-%m-%d %H:%M").to_string(),
    ));
    let words: Vec<String> = env::args().skip(1).collect();
    facts.push(("command", format!("portcullis {}", words.join(" "))));
    facts
}

fn cache(index: usize) -> Option<String> {
    let read = |file: &str| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{file}");
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    };
    let (level, kind, size) = (read("level")?, read("type")?, read("size")?);
    let kind = match kind.as_str() {
        "Data" => " data",
        "Instruction" => " instructions",
        _ => "",
    };
    Some(format!("L{level}{kind} {size}"))
}
