//! Deciding and compiling, by size and shape of the rules.
//!
//! `cargo bench -p portcullis-benches --bench classify`; the instruction set
//! is forced with `PORTCULLIS_SIMD`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_classifier::Classifier;
use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::matcher::{Matcher, Trace};
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{BuiltIn, Rule};
use portcullis_core::traversal::Step;
use portcullis_syntax::classbench::input_ruleset;
use portcullis_workload::{Random, RuleKind, TraceKind, rules, trace};

const KINDS: [RuleKind; 3] = [RuleKind::Acl, RuleKind::Fw, RuleKind::Ipc];
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const HEADERS: usize = 16 * 1024;

fn step() -> Step {
    Step {
        chain: BuiltIn::Input,
        interface: InterfaceName::new("eth0").unwrap_or(InterfaceName::EMPTY),
    }
}

fn made_up(kind: RuleKind, size: usize) -> Vec<Rule> {
    rules(&mut Random::new(1), kind, size)
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(HEADERS as u64));
    for kind in KINDS {
        for size in SIZES {
            let rules = made_up(kind, size);
            let keys = trace(&mut Random::new(2), TraceKind::Rand, &rules, HEADERS);
            let classifier =
                Classifier::compile(Arc::new(input_ruleset(rules))).expect("made-up rules compile");
            let step = step();
            let name = format!("{kind:?}").to_lowercase();
            group.bench_function(BenchmarkId::new(format!("batch {name}"), size), |bencher| {
                let (mut batch, mut scratch) = (Batch::new(), Trace::new());
                bencher.iter(|| {
                    for keys in keys.chunks(BATCH) {
                        classifier.decide_batch(&step, keys, &mut batch, &mut scratch);
                        black_box(&batch);
                    }
                });
            });
            group.bench_function(
                BenchmarkId::new(format!("single {name}"), size),
                |bencher| {
                    let mut trace = Trace::new();
                    bencher.iter(|| {
                        for key in &keys {
                            black_box(classifier.decide(&step, key, &mut trace));
                        }
                    });
                },
            );
        }
    }
    group.finish();
}

fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for kind in KINDS {
        for size in SIZES {
            let ruleset = Arc::new(input_ruleset(made_up(kind, size)));
            let name = format!("{kind:?}").to_lowercase();
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    Classifier::compile(Arc::clone(&ruleset)).expect("made-up rules compile")
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decide, compile);
criterion_main!(benches);
