//! Frames to keys, and text to rules.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_benches::{GATEWAY, frames};
use portcullis_core::packet::Ipv4Packet;
use portcullis_runtime::link::{Network, network_layer};
use portcullis_syntax::names::Names;
use portcullis_syntax::script;

fn parse(criterion: &mut Criterion) {
    let frames = frames();
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(frames.len() as u64));
    group.bench_function("frame to key", |bencher| {
        bencher.iter(|| {
            for (link, frame) in &frames {
                if let Network::Ipv4 { packet, .. } = network_layer(*link, black_box(frame))
                    && let Ok(packet) = Ipv4Packet::received(packet, packet.len())
                {
                    let _ = black_box(packet.key());
                }
            }
        });
    });
    let names = Names::new();
    group.throughput(Throughput::Elements(GATEWAY.lines().count() as u64));
    group.bench_function("gateway script", |bencher| {
        bencher.iter(|| script::read(black_box(GATEWAY), &names));
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
