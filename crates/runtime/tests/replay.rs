//! Records to rulings: placement, accounting, and no panic whatever the bytes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::judge::Ruling;
use portcullis_core::message::Message;
use portcullis_core::names::InterfaceName;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Network as Addresses, Ruleset, Verdict};
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::{CaptureInterface, CaptureReader, Chunk, Record};
use portcullis_runtime::link::LinkType;
use portcullis_runtime::replay::{
    Chains, Checksums, InterfaceNames, NotJudged, Placement, Replay, ReplaySink,
};
use portcullis_simd::InstructionSet;
use portcullis_syntax::names::Names;
use portcullis_syntax::script;
use support::damage::{Random, mutate};
use support::{captures_in, shared, traffic};

/// Rules that look at everything a rule can look at.
const RULES: &str = "\
ipchains -P input DENY
ipchains -N lan
ipchains -N loops
ipchains -A input -p tcp -y -l -j lan
ipchains -A input -p tcp ! -y -s 0/0 1024: -t 0x01 0x10 -l
ipchains -A input -p udp -d 0/0 ! 53 -m +1 -o 100
ipchains -A input -p icmp --icmp-type destination-unreachable -l -j ACCEPT
ipchains -A input -f -l
ipchains -A input -i ! eth+ -j loops
ipchains -A lan -p tcp -d 0/0 80 -j REDIRECT 8080
ipchains -A lan -p tcp -d 0/0 25 -j REJECT -l
ipchains -A loops -j loops
ipchains -A forward -l -j ACCEPT
ipchains -A output -s 10.0.0.0/255.0.0.255 -j DENY
";

/// Rules that only count and decide, so that packets stay together on their way
/// from chain to chain.
const QUIET_RULES: &str = "\
ipchains -P forward DENY
ipchains -N lan
ipchains -A input -p icmp -j DENY
ipchains -A input -p udp -s 0/0 1:1023
ipchains -A forward -p tcp -j lan
ipchains -A forward -p udp -d 0/0 53 -j MASQ
ipchains -A forward -p udp -j ACCEPT
ipchains -A lan -p tcp -d 0/0 1:1023 -j ACCEPT
ipchains -A lan -p tcp -s 0/0 1:1023 -j ACCEPT
ipchains -A output -p udp -j REJECT
ipchains -A output -p tcp -s 0/0 80 -j RETURN
ipchains -A output -p tcp -d 0/0 1024:
";

#[test]
fn every_record_of_every_capture_is_accounted_for() {
    let Some(folder) = shared("captures") else {
        return;
    };
    for path in captures_in(&folder) {
        let mut reader = CaptureReader::open(&path).unwrap();
        for chains in [
            Chains::Direction,
            Chains::One(BuiltIn::Output),
            local("10.0.0.1"),
        ] {
            judge_all(&mut reader, chains, &path.display().to_string());
            reader = CaptureReader::open(&path).unwrap();
        }
    }
}

#[test]
fn chunks_are_judged_as_their_records_are() {
    for (name, bytes) in traffic::captures() {
        compare_all(&bytes, &name);
    }
}

#[test]
fn chunks_of_real_captures_are_judged_as_their_records_are() {
    let Some(folder) = shared("captures") else {
        return;
    };
    for path in captures_in(&folder) {
        let bytes = fs::read(&path).unwrap();
        for (number, mut damage) in [(0, None), (1, Some(Random::new(7)))] {
            let mut bytes = bytes[..bytes.len().min(512 * 1024)].to_vec();
            if let Some(random) = &mut damage {
                for _ in 0..8 {
                    mutate(&mut bytes, random);
                }
            }
            compare_all(&bytes, &format!("{} {number}", path.display()));
        }
    }
}

/// Judges a capture on all ways to the chains, with all rules.
fn compare_all(bytes: &[u8], name: &str) {
    for chains in [
        Chains::Direction,
        Chains::One(BuiltIn::Output),
        local("10.0.0.1"),
    ] {
        for (rules, wants_rulings) in [(RULES, false), (RULES, true), (QUIET_RULES, false)] {
            compare(bytes, rules, &chains, wants_rulings, name);
        }
    }
}

/// Judges a capture record by record, and chunk by chunk with each instruction set that this CPU has.
fn compare(bytes: &[u8], rules: &str, chains: &Chains, wants_rulings: bool, name: &str) {
    let open = || CaptureReader::new(Cursor::new(bytes.to_vec()), "test");
    let Ok(mut one) = open() else {
        return;
    };
    let sink = || Rulings {
        wants_rulings,
        ..Rulings::default()
    };
    let (mut slow, mut slow_sink) = (replay(rules, chains.clone()), sink());
    let slow_error = loop {
        match one.next_record() {
            Ok(Some(record)) => slow.record(record.number, &record, &mut slow_sink),
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    let sets = InstructionSet::ALL.into_iter();
    for set in sets.filter(|set| set.is_available()) {
        let mut many = open().unwrap();
        let fast = replay(rules, chains.clone());
        let (mut fast, mut fast_sink) = (fast.with_instruction_set(set), sink());
        let mut chunk = Chunk::new();
        let fast_error = loop {
            match many.next_chunk(&mut chunk) {
                Ok(true) => fast.chunk(&chunk, chunk.records_before(), &mut fast_sink),
                Ok(false) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        assert_eq!(slow_error, fast_error, "{name}, {set}");
        assert_eq!(slow.tally(), fast.tally(), "{name}, {set}");
        assert_eq!(slow.counters(), fast.counters(), "{name}, {set}");
        assert!(
            slow_sink.everything == fast_sink.everything,
            "{name}, {set}"
        );
    }
}

#[test]
fn damaged_captures_never_panic() {
    let Some(folder) = shared("captures") else {
        return;
    };
    let (started, budget) = (Instant::now(), Duration::from_secs(15));
    let originals: Vec<Vec<u8>> = captures_in(&folder)
        .iter()
        .map(|path| fs::read(path).unwrap())
        .map(|bytes| bytes[..bytes.len().min(64 * 1024)].to_vec())
        .collect();
    let mut random = Random::new(0x2001_1017);
    let mut rounds = 0;
    while started.elapsed() < budget && rounds < 20_000 {
        let mut bytes = originals[rounds % originals.len()].clone();
        for _ in 0..=random.below(16) {
            mutate(&mut bytes, &mut random);
        }
        if let Ok(mut reader) = CaptureReader::new(Cursor::new(bytes), "damaged") {
            judge_all(&mut reader, local("10.0.0.1"), "damaged");
        }
        rounds += 1;
    }
    assert!(rounds > originals.len(), "only {rounds} rounds in time");
}

/// Judges what can be read; every record must end in a bucket.
fn judge_all(reader: &mut CaptureReader, chains: Chains, name: &str) {
    let mut replay = replay(RULES, chains);
    let mut sink = Rulings::default();
    while let Ok(Some(record)) = reader.next_record() {
        replay.record(record.number, &record, &mut sink);
    }
    assert!(replay.tally().adds_up(), "{name}: {:?}", replay.tally());
}

#[test]
fn addresses_tell_the_chains() {
    let rules = "ipchains -A input -l\nipchains -A forward -l\nipchains -A output -l\n";
    for (source, destination, ttl, expected) in [
        ([1, 1, 1, 1], [10, 0, 0, 1], 64, "input T=64"),
        ([10, 0, 0, 1], [1, 1, 1, 1], 64, "output T=64"),
        ([10, 0, 0, 1], [10, 0, 0, 1], 64, "output T=64 input T=64"),
        (
            [1, 1, 1, 1],
            [2, 2, 2, 2],
            64,
            "input T=64 forward T=63 output T=63",
        ),
        ([1, 1, 1, 1], [2, 2, 2, 2], 1, "input T=1"),
        ([1, 1, 1, 1], [255, 255, 255, 255], 64, "input T=64"),
    ] {
        let packet = packet(source, destination, ttl);
        let mut replay = replay(rules, local("10.0.0.1"));
        let mut sink = Rulings::default();
        judge(&mut replay, LinkType::RAW, &packet, packet.len(), &mut sink);
        assert_eq!(
            sink.logged.join(" "),
            expected,
            "{source:?} {destination:?}"
        );
        assert_eq!(replay.tally().ttl_exceeded, u64::from(ttl == 1));
        assert_eq!(replay.tally().judged_records(), 1);
    }
}

#[test]
fn a_cut_packet_is_judged_if_its_missing_bytes_do_not_matter() {
    let packet = packet([1, 1, 1, 1], [10, 0, 0, 1], 64);
    for (rules, captured, judged) in [
        // Ports, but no flags, were captured.
        ("ipchains -A input -p tcp -d 0/0 80 -j DENY", 24, true),
        ("ipchains -A input -p tcp -y -j DENY", 24, false),
        ("ipchains -A input -l", 24, false),
        ("ipchains -A input -s 2.2.2.2 -p tcp -y -j DENY", 24, true),
        (
            "ipchains -A input -j DENY\nipchains -A input -p tcp -y",
            24,
            true,
        ),
        // Only the IP header was.
        ("ipchains -A input -p tcp -d 0/0 80 -j DENY", 20, false),
        ("ipchains -A input -p tcp -j DENY", 20, true),
        ("ipchains -A input -j DENY", 19, false),
    ] {
        let mut replay = replay(rules, local("10.0.0.1"));
        let mut sink = Rulings::default();
        let bytes = &packet[..captured];
        judge(&mut replay, LinkType::RAW, bytes, packet.len(), &mut sink);
        let tally = replay.tally();
        assert_eq!(tally.judged_records() == 1, judged, "{captured}: {rules}");
        if !judged {
            assert_eq!(tally.not_judged().next(), Some((NotJudged::CutShort, 1)));
        }
    }
}

#[test]
fn a_walk_without_end_is_cut_and_accounted_for() {
    // Each chain jumps twice to the next: 2²⁴ rules match.
    let mut rules = String::from("ipchains -N c0\nipchains -A input -j c0\n");
    for chain in 0..24 {
        let next = chain + 1;
        rules += &format!("ipchains -N c{next}\n");
        rules += &format!("ipchains -A c{chain} -j c{next}\n").repeat(2);
    }
    let packet = packet([1, 1, 1, 1], [10, 0, 0, 1], 64);
    let mut replay = replay(&rules, local("10.0.0.1"));
    let (link, length) = (LinkType::RAW, packet.len());
    judge(&mut replay, link, &packet, length, &mut Rulings::default());
    assert_eq!(
        replay.tally().not_judged().next(),
        Some((NotJudged::TooLong, 1))
    );
}

#[test]
fn the_padding_of_the_link_does_not_count() {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend(packet([1, 1, 1, 1], [10, 0, 0, 1], 64));
    frame.extend([0; 6]);
    let mut replay = replay("ipchains -P input REJECT", local("10.0.0.1"));
    let mut sink = Rulings::default();
    judge(
        &mut replay,
        LinkType::ETHERNET,
        &frame,
        frame.len(),
        &mut sink,
    );
    let counter = replay.tally().ruled(BuiltIn::Input, Verdict::Reject);
    assert_eq!((counter.packets, counter.bytes), (1, 40));
}

fn replay(rules: &str, chains: Chains) -> Replay<Reference> {
    let script = script::read(rules, &Names::new());
    assert_eq!(script.mistakes, []);
    let ruleset: Arc<Ruleset> = Arc::new(script.ruleset);
    let matcher = Reference::new(Arc::clone(&ruleset));
    let mut interfaces = InterfaceNames::default();
    interfaces.set_everywhere(InterfaceName::new("eth0").unwrap());
    let placement = Placement::new(chains, interfaces);
    Replay::new(matcher, ruleset, placement, Checksums::Verify)
}

fn local(address: &str) -> Chains {
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    let own = Addresses::with_prefix(address.to_bits(), 32);
    Chains::Local(LocalAddresses::new(vec![own]))
}

fn judge(
    replay: &mut Replay<Reference>,
    link_type: LinkType,
    data: &[u8],
    original_length: usize,
    sink: &mut Rulings,
) {
    let interface = CaptureInterface {
        capture: "test".into(),
        index: 0,
        name: None,
        link_type,
        snaplen: 0,
    };
    let record = Record {
        number: 1,
        offset: 0,
        time: None,
        interface: &interface,
        direction: None,
        original_length: original_length as u32,
        data,
    };
    replay.record(1, &record, sink);
}

/// A TCP SYN to port 80.
fn packet(source: [u8; 4], destination: [u8; 4], ttl: u8) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 40, 0, 1, 0, 0, ttl, 6, 0, 0];
    bytes.extend(source);
    bytes.extend(destination);
    let checksum = portcullis_core::packet::header_checksum(&bytes);
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes.extend([
        4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0,
    ]);
    bytes
}

/// What is printed about each record, and how its way ended.
#[derive(Default)]
struct Rulings {
    logged: Vec<String>,
    everything: BTreeMap<u64, String>,
    wants_rulings: bool,
}

impl ReplaySink for Rulings {
    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) {
        // Formatting is part of what must not panic.
        let text = message.to_string();
        *self.everything.entry(record.number).or_default() += &text;
        let words: Vec<&str> = text.split(' ').collect();
        if let ["Packet", "log:", chain, ..] = words[..] {
            let ttl = words.iter().find(|word| word.starts_with("T="));
            self.logged.push(format!("{chain} {}", ttl.unwrap()));
        }
    }

    fn judged(&mut self, record: &Record<'_>, step: &Step, ruling: &Ruling) {
        *self.everything.entry(record.number).or_default() += &format!("{step:?} {ruling:?}");
    }

    fn wants_rulings(&self) -> bool {
        self.wants_rulings
    }
}
