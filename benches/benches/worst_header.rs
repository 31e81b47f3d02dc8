//! Looks for the header that costs most against a set: nobody shall be able
//! to aim at the matcher.
//!
//! `cargo bench -p portcullis-benches --bench worst_header [FILTERS...]`, with
//! ClassBench filters as plain text; without, made-up rules. Starts from random
//! headers near rules, keeps the slowest, and changes them field by field for
//! as long as that makes them slower. Each header is timed alone, as a whole
//! batch of itself, so that caches do not hide what it does.

use std::env;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use portcullis_classifier::Classifier;
use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::matcher::{Matcher, Trace};
use portcullis_core::names::InterfaceName;
use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{BuiltIn, Rule};
use portcullis_core::traversal::Step;
use portcullis_syntax::classbench;
use portcullis_workload::{Random, RuleKind, TraceKind, rules, trace};

/// Random headers to begin with.
const STARTS: usize = 4_000;
/// The slowest of them are improved upon.
const KEPT: usize = 20;
/// Changes tried on each.
const CHANGES: usize = 300;
/// Batches timed together, and how often: the fastest counts.
const REPEATS: usize = 20;
const TRIES: usize = 5;

fn main() {
    let files: Vec<String> = env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    for file in &files {
        let text = fs::read_to_string(file).expect("a file of filters");
        search(file, classbench::read_filters(&text).expect("filters"));
    }
    if files.is_empty() {
        for kind in [RuleKind::Acl, RuleKind::Fw, RuleKind::Ipc] {
            for size in [1_000, 10_000] {
                let name = format!("{kind:?} {size}");
                search(&name, rules(&mut Random::new(1), kind, size));
            }
        }
    }
}

fn search(name: &str, rules: Vec<Rule>) {
    let mut random = Random::new(1);
    let mut keys = trace(&mut random, TraceKind::Rand, &rules, STARTS / 2);
    keys.extend(trace(&mut random, TraceKind::Void, &rules, STARTS / 2));
    let ruleset = Arc::new(classbench::input_ruleset(rules));
    let classifier = Classifier::compile(ruleset).expect("rules that compile");
    let mut timed: Vec<(f64, PacketKey)> = keys
        .iter()
        .map(|key| (time(&classifier, key), *key))
        .collect();
    timed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let median = timed[timed.len() / 2].0;
    let mut worst = timed[0];
    for (_, start) in &timed[..KEPT] {
        let mut best = (time(&classifier, start), *start);
        for _ in 0..CHANGES {
            let changed = change(&mut random, best.1, &keys);
            let cost = time(&classifier, &changed);
            if cost > best.0 {
                // Once more, lest noise be taken for cost.
                best = (cost.min(time(&classifier, &changed)), changed);
            }
        }
        let cost = time(&classifier, &best.1);
        if cost > worst.0 {
            worst = (cost, best.1);
        }
    }
    let ratio = time(&classifier, &worst.1) / median;
    println!(
        "{name}: median {median:.1} ns, worst {ratio:.1} times that: {:?}",
        worst.1
    );
}

/// Another header with one field from elsewhere or a few bits flipped.
fn change(random: &mut Random, key: PacketKey, others: &[PacketKey]) -> PacketKey {
    let other = random.pick(others);
    let mut key = key;
    match random.below(7) {
        0 => key.source = other.source,
        1 => key.destination = other.destination,
        2 => key.source_port = other.source_port,
        3 => key.destination_port = other.destination_port,
        4 => key.protocol = other.protocol,
        5 => key.source ^= 1 << random.below(32),
        _ => key.destination ^= 1 << random.below(32),
    }
    key
}

/// ns per header.
fn time(classifier: &Classifier, key: &PacketKey) -> f64 {
    let step = Step {
        chain: BuiltIn::Input,
        interface: InterfaceName::new("eth0").unwrap_or(InterfaceName::EMPTY),
    };
    let keys = [*key; BATCH];
    let (mut batch, mut scratch) = (Batch::new(), Trace::new());
    let mut fastest = f64::INFINITY;
    for _ in 0..TRIES {
        let start = Instant::now();
        for _ in 0..REPEATS {
            classifier.decide_batch(&step, &keys, &mut batch, &mut scratch);
        }
        fastest = fastest.min(start.elapsed().as_nanos() as f64);
    }
    fastest / (REPEATS * BATCH) as f64
}
