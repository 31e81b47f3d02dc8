//! Several workers on one capture after the other: on real threads, and in thousands of orders of
//! what they do by
//!
//! `cargo test -p portcullis-runtime --features shuttle --lib model`

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use portcullis_core::judge::Ruling;
use portcullis_core::message::Message;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Ruleset};
use portcullis_core::traversal::Step;

use super::{
    Chains, Checksums, ChunkSink, InterfaceNames, Placement, Replay, ReplaySink, Worker, run,
};
use crate::capture::{Chunk, Record};

/// Orders tried by chance, and as many that prefer few changes of thread.
#[cfg(feature = "shuttle")]
const ORDERS: usize = 1000;

/// Times that it is done on real threads.
#[cfg(not(feature = "shuttle"))]
const TIMES: usize = 20;

/// Bytes of a frame: a few of them fill a piece of a file.
const FRAME: usize = 200_000;

/// Hands in the numbers of the records.
struct Numbers;

impl ReplaySink for Numbers {
    fn message(&mut self, _: &Record<'_>, _: &Message<'_>) {}

    fn judged(&mut self, _: &Record<'_>, _: &Step, _: &Ruling) {}

    fn wants_rulings(&self) -> bool {
        false
    }
}

impl ChunkSink for Numbers {
    type Output = Vec<u64>;

    fn take(&mut self, chunk: &mut Chunk) -> Vec<u64> {
        (0..chunk.len())
            .map(|index| chunk.record(index).number)
            .collect()
    }
}

/// A capture of so many frames that are no packets.
fn capture(frames: usize) -> Vec<u8> {
    let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 300_000, 1];
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    for _ in 0..frames {
        let header = [0, 0, FRAME as u32, FRAME as u32];
        bytes.extend(header.into_iter().flat_map(u32::to_le_bytes));
        bytes.resize(bytes.len() + FRAME, 0);
    }
    bytes
}

/// Whole, cut and missing ones: three workers meet each end at any time.
fn captures(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let files = [
        ("long.pcap", capture(12)),
        ("cut.pcap", capture(7)[..6 * FRAME].to_vec()),
        ("empty.pcap", capture(0)),
        ("short.pcap", capture(2)),
    ];
    for (name, bytes) in &files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let names = files.iter().map(|(name, _)| *name).chain(["missing.pcap"]);
    names.map(|name| folder.path().join(name)).collect()
}

fn worker() -> Worker<Reference, Numbers> {
    let ruleset = Arc::new(Ruleset::new());
    let placement = Placement::new(Chains::One(BuiltIn::Input), InterfaceNames::default());
    Worker {
        replay: Replay::new(
            Reference::new(Arc::clone(&ruleset)),
            ruleset,
            placement,
            Checksums::Verify,
        ),
        sink: Numbers,
    }
}

/// Does it with three workers and the captures.
fn in_many_orders(
    check: impl Fn(Vec<PathBuf>, [Worker<Reference, Numbers>; 3]) + Clone + Send + Sync + 'static,
) {
    let folder = tempfile::tempdir().unwrap();
    let paths = captures(&folder);
    let check = move || check(paths.clone(), [worker(), worker(), worker()]);
    #[cfg(feature = "shuttle")]
    {
        shuttle::check_random(check.clone(), ORDERS);
        shuttle::check_pct(check, ORDERS, 3);
    }
    #[cfg(not(feature = "shuttle"))]
    (0..TIMES).for_each(|_| check());
}

#[test]
fn every_record_is_judged_once_and_in_order() {
    in_many_orders(|paths, mut workers| {
        let mut numbers = Vec::new();
        let emit = |output: Vec<u64>| {
            numbers.extend(output);
            Ok::<(), ()>(())
        };
        let sizes = paths.iter().filter_map(|path| fs::metadata(path).ok());
        let sizes: u64 = sizes.map(|it| it.len()).sum();
        let stop = AtomicBool::new(false);
        let mut last = None;
        let progress = |progress| last = Some(progress);
        let (outcomes, _) = run(paths, &mut workers, &stop, progress, emit).unwrap();
        let last = last.unwrap();
        assert_eq!((last.records, last.bytes), (19, sizes));
        let records: Vec<_> = outcomes.iter().map(|it| it.records).collect();
        assert_eq!(records, [12, 5, 0, 2, 0]);
        let errors: Vec<_> = outcomes.iter().map(|it| it.error.is_some()).collect();
        assert_eq!(errors, [false, true, false, false, true]);
        let expected = records.iter().flat_map(|records| 1..=*records);
        assert!(numbers.iter().copied().eq(expected), "{numbers:?}");
        let judged: u64 = workers.iter().map(|it| it.replay.tally().records).sum();
        assert_eq!(judged, 19);
    });
}

/// The others end too, and nothing goes out after what could not.
#[test]
fn a_failing_output_ends_all() {
    in_many_orders(|paths, mut workers| {
        let mut outputs = 0;
        let emit = |_| {
            outputs += 1;
            if outputs == 2 { Err("full") } else { Ok(()) }
        };
        let stop = AtomicBool::new(false);
        let result = run(paths, &mut workers, &stop, |_| {}, emit);
        assert_eq!(result.err(), Some("full"));
        assert_eq!(outputs, 2);
    });
}
