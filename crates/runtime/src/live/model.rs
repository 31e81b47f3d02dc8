//! The swap of rules, the counters and the log channel, in thousands of orders of what threads do.
//!
//! `cargo test -p portcullis-runtime --features shuttle --lib model`

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use portcullis_core::names::{ChainName, InterfaceName};
use portcullis_core::packet::{Ipv4Packet, header_checksum};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Policy, Rule, Ruleset};
use portcullis_core::traversal::Step;
use shuttle::thread;

use super::{Carry, Fate, Figure, LiveRuleset, LogChannel, Stats, Worker};

/// Orders tried by chance, and as many that prefer few changes of thread.
const ORDERS: usize = 5000;
const BATCHES: u64 = 3;
const PACKETS_A_BATCH: u64 = 2;
const WORKERS: usize = 2;

fn in_many_orders(check: fn()) {
    shuttle::check_random(check, ORDERS);
    shuttle::check_pct(check, ORDERS, 3);
}

/// One rule that counts everything, and a policy that tells the generation.
fn rules(policy: Policy, log: bool) -> Ruleset {
    let mut ruleset = Ruleset::new();
    ruleset.set_policy(BuiltIn::Input, policy);
    let rule = Rule { log, ..Rule::ANY };
    ruleset.append(&input(), rule).unwrap();
    ruleset
}

fn input() -> ChainName {
    ChainName::new("input").unwrap()
}

fn matcher(ruleset: Ruleset) -> Reference {
    Reference::new(Arc::new(ruleset))
}

fn packet() -> [u8; 20] {
    let mut bytes = [
        0x45, 0, 0, 20, 0, 1, 0, 0, 64, 47, 0, 0, 10, 1, 2, 3, 10, 0, 0, 1,
    ];
    let sum = header_checksum(&bytes);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Judges some batches, each of which must be of one mind.
fn work(live: Arc<LiveRuleset<Reference>>, number: usize, log: LogChannel) {
    let mut worker = Worker::new(live, number, log, None);
    let step = Step {
        chain: BuiltIn::Input,
        interface: InterfaceName::new("eth0").unwrap(),
    };
    let bytes = packet();
    let packet = Ipv4Packet::received(&bytes, bytes.len()).unwrap();
    for _ in 0..BATCHES {
        worker.batch(|judging| {
            let mut fates = (0..PACKETS_A_BATCH).map(|_| {
                thread::yield_now();
                judging.judge(&[step], &packet)
            });
            let first = fates.next().unwrap();
            assert!(fates.all(|fate| fate == first), "two minds in one batch");
            assert!(matches!(first, Fate::Pass(_) | Fate::Deny));
        });
    }
}

fn start(live: &Arc<LiveRuleset<Reference>>, log: &LogChannel) -> Vec<thread::JoinHandle<()>> {
    let worker = |number| {
        let (live, log) = (Arc::clone(live), log.clone());
        thread::spawn(move || work(live, number, log))
    };
    (0..WORKERS).map(worker).collect()
}

/// What the rule and the policy have counted.
fn counted(ruleset: &Ruleset) -> [u64; 2] {
    let chain = &ruleset.chains()[BuiltIn::Input.position()];
    [
        chain.rules()[0].counter.packets,
        chain.policy_counter().packets,
    ]
}

fn channel(
    lines: usize,
) -> (
    LogChannel,
    crossbeam_channel::Receiver<super::LogEvent>,
    Arc<Stats>,
) {
    let (sender, receiver) = crossbeam_channel::bounded(lines);
    let stats = Arc::new(Stats::default());
    (LogChannel::new(sender, Arc::clone(&stats)), receiver, stats)
}

const ALL: u64 = WORKERS as u64 * BATCHES * PACKETS_A_BATCH;

#[test]
fn a_batch_has_one_generation_and_no_count_is_lost() {
    in_many_orders(|| {
        let live = Arc::new(LiveRuleset::new(
            matcher(rules(Policy::Accept, false)),
            WORKERS,
        ));
        let (log, _receiver, _) = channel(1);
        let workers = start(&live, &log);
        let reader = {
            let live = Arc::clone(&live);
            thread::spawn(move || {
                let mut last = [0, 0];
                for _ in 0..4 {
                    let now = counted(&live.current().ruleset());
                    assert!(
                        now[0] >= last[0] && now[1] >= last[1],
                        "{last:?} then {now:?}"
                    );
                    last = now;
                    thread::yield_now();
                }
            })
        };
        for policy in [Policy::Deny, Policy::Accept] {
            live.replace(matcher(rules(policy, false)), Carry::Unchanged);
        }
        for thread in workers {
            thread.join().unwrap();
        }
        reader.join().unwrap();
        assert_eq!(counted(&live.current().ruleset()), [ALL, ALL]);
    });
}

#[test]
fn an_edit_loses_and_doubles_no_count() {
    in_many_orders(|| {
        let live = Arc::new(LiveRuleset::new(
            matcher(rules(Policy::Accept, false)),
            WORKERS,
        ));
        let (log, _receiver, _) = channel(1);
        let workers = start(&live, &log);
        for policy in [Policy::Deny, Policy::Accept] {
            // As the old command does: read, edit, write back with the counters that were read.
            let read = live.current().ruleset();
            let mut edited = read.clone();
            edited.set_policy(BuiltIn::Input, policy);
            thread::yield_now();
            live.replace(matcher(edited), Carry::Since(&read));
        }
        for thread in workers {
            thread.join().unwrap();
        }
        assert_eq!(counted(&live.current().ruleset()), [ALL, ALL]);
    });
}

#[test]
fn every_log_line_is_written_or_counted_as_lost() {
    in_many_orders(|| {
        let live = Arc::new(LiveRuleset::new(
            matcher(rules(Policy::Accept, true)),
            WORKERS,
        ));
        let (log, receiver, stats) = channel(2);
        let workers = start(&live, &log);
        drop(log);
        let writer = thread::spawn(move || {
            let mut written = 0;
            loop {
                match receiver.try_recv() {
                    Ok(_) => written += 1,
                    Err(crossbeam_channel::TryRecvError::Empty) => {}
                    Err(crossbeam_channel::TryRecvError::Disconnected) => return written,
                }
                thread::yield_now();
            }
        });
        for thread in workers {
            thread.join().unwrap();
        }
        let written = writer.join().unwrap();
        assert_eq!(written + stats.get(Figure::LostLines), ALL);
    });
}
