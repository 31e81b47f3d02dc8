//! Packet-log lines, written and read.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_core::packet_log::PacketLog;

const LINE: &str = "Packet log: input DENY eth0 PROTO=6 192.0.2.7:20 198.51.100.1:61394 L=44 \
                    S=0x00 I=61949 F=0x4000 T=250 SYN (#28)";

fn packet_log(criterion: &mut Criterion) {
    let Ok(log) = LINE.parse::<PacketLog>() else {
        panic!("the article's own line is a packet-log line")
    };
    let mut group = criterion.benchmark_group("packet_log");
    group.throughput(Throughput::Elements(1));
    group.bench_function("write", |bencher| {
        let mut text = String::with_capacity(256);
        bencher.iter(|| {
            text.clear();
            let _ = write!(text, "{}", black_box(&log));
            black_box(text.len())
        });
    });
    group.bench_function("read", |bencher| {
        bencher.iter(|| black_box(LINE).parse::<PacketLog>());
    });
    group.finish();
}

criterion_group!(benches, packet_log);
criterion_main!(benches);
