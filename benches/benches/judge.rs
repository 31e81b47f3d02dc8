//! Packets through the example gateway's input chain.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_benches::{gateway, input, packets};
use portcullis_core::matcher::{Matcher, Trace};
use portcullis_core::packet::{Ipv4Packet, PacketKey};
use portcullis_core::reference::Reference;

fn judge(criterion: &mut Criterion) {
    let packets = packets();
    let keys: Vec<PacketKey> = packets
        .iter()
        .filter_map(|bytes| Ipv4Packet::received(bytes, bytes.len()).ok()?.key().ok())
        .collect();
    let reference = Reference::new(Arc::clone(&gateway()));
    let step = input();
    let mut group = criterion.benchmark_group("judge");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("reference, 28 rules", |bencher| {
        let mut trace = Trace::new();
        bencher.iter(|| {
            for key in &keys {
                black_box(reference.decide(&step, black_box(key), &mut trace));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
