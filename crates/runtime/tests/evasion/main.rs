//! Tricks that fooled stateless filters: every frame ends where `docs/evasion.md` says, and the
//! captures are left in `target/tmp/evasion` for whoever wants to try them elsewhere.

#![allow(clippy::unwrap_used, reason = "tests")]

mod frames;
mod tricks;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_classifier::Classifier;
use portcullis_core::judge::Ruling;
use portcullis_core::matcher::Matcher;
use portcullis_core::message::Message;
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{Network, Ruleset, Verdict};
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::{CaptureReader, Chunk, Record};
use portcullis_runtime::replay::{
    Chains, Checksums, InterfaceNames, Placement, Replay, ReplaySink,
};
use portcullis_syntax::names::Names;
use portcullis_syntax::script;

use frames::US;
use tricks::{Trick, tricks};

const POLICIES: &str = "-P input DENY\n-P forward DENY\n-P output DENY\n";

#[test]
fn every_frame_ends_where_it_should() {
    for trick in tricks() {
        let ends: Vec<&str> = trick.frames.iter().map(|frame| frame.end).collect();
        let reference = Reference::new(ruleset(&trick));
        assert_eq!(ends_of(&trick, reference), ends, "{}", trick.name);
        let classifier = Classifier::compile(ruleset(&trick)).unwrap();
        assert_eq!(ends_of(&trick, classifier), ends, "{}", trick.name);
    }
}

/// The same frames all at once, as a replay reads them.
#[test]
fn chunks_end_where_records_do() {
    for trick in tricks() {
        let mut all = replay(&trick, Reference::new(ruleset(&trick)));
        let mut reader = CaptureReader::open(&capture(&trick, "chunk")).unwrap();
        let mut chunk = Chunk::new();
        while reader.next_chunk(&mut chunk).unwrap() {
            all.chunk(&chunk, chunk.records_before(), &mut LastVerdict::default());
        }
        let tally = all.tally();
        assert!(tally.adds_up());
        let not_judged = |end: &str| end.contains(':') || end.contains("short");
        let left = trick.frames.iter().filter(|it| not_judged(it.end));
        assert_eq!(tally.not_judged_records(), left.count() as u64);
    }
}

#[test]
fn the_documentation_says_so() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evasion.md");
    let text = fs::read_to_string(path).unwrap();
    for trick in tricks() {
        let row = format!("| `{}` |", trick.name);
        assert!(text.contains(&row), "there is no row for {}", trick.name);
        let said = listing(&trick);
        assert!(text.contains(&said), "this is not there:\n{said}");
    }
}

/// The rules, and what became of each frame.
fn listing(trick: &Trick) -> String {
    let mut text = format!("{}\n", trick.name);
    for rule in trick.rules {
        writeln!(text, "  ipchains {rule}").unwrap();
    }
    for (frame, number) in trick.frames.iter().zip(1..) {
        writeln!(text, "  {number}. {} -> {}", frame.about, frame.end).unwrap();
    }
    text
}

fn ruleset(trick: &Trick) -> Arc<Ruleset> {
    let script = script::read(
        &(POLICIES.to_owned() + &trick.rules.join("\n")),
        &Names::new(),
    );
    assert_eq!(script.mistakes, [], "{}", trick.name);
    Arc::new(script.ruleset)
}

fn replay<M: Matcher>(trick: &Trick, matcher: M) -> Replay<M> {
    let local = LocalAddresses::new(vec![Network::with_prefix(u32::from_be_bytes(US), 32)]);
    let placement = Placement::new(Chains::Local(local), InterfaceNames::default());
    Replay::new(matcher, ruleset(trick), placement, Checksums::Verify)
}

fn ends_of(trick: &Trick, matcher: impl Matcher) -> Vec<String> {
    let mut replay = replay(trick, matcher);
    let mut reader = CaptureReader::open(&capture(trick, "record")).unwrap();
    let mut ends = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let (mut sink, before) = (LastVerdict::default(), replay.tally().clone());
        replay.record(record.number, &record, &mut sink);
        let after = replay.tally();
        let mut left = after.not_judged();
        let left = left.find(|it| !before.not_judged().any(|before| before == *it));
        ends.push(match (left, sink.0) {
            (Some((why, _)), _) => why.to_string(),
            (None, _) if after.ttl_exceeded > before.ttl_exceeded => "TTL exceeded".to_owned(),
            (None, verdict) => verdict.unwrap().as_str().to_owned(),
        });
    }
    ends
}

/// Writes a trick's capture, a pcap file of Ethernet frames.
fn capture(trick: &Trick, user: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("evasion")
        .join(user);
    fs::create_dir_all(&folder).unwrap();
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for (frame, second) in trick.frames.iter().zip(1_003_278_606..) {
        let length = frame.bytes.len() as u32;
        for word in [second, 0, length, length] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(&frame.bytes);
    }
    let path = folder.join(format!("{}.pcap", trick.name));
    fs::write(&path, bytes).unwrap();
    path
}

#[derive(Default)]
struct LastVerdict(Option<Verdict>);

impl ReplaySink for LastVerdict {
    fn message(&mut self, _: &Record<'_>, _: &Message<'_>) {}

    fn judged(&mut self, _: &Record<'_>, _: &Step, _: &Ruling) {}

    fn ruled(&mut self, _: &Record<'_>, _: &Ipv4Packet<'_>, _: &Step, ruling: &Ruling) {
        self.0 = Some(ruling.verdict);
    }

    fn wants_rulings(&self) -> bool {
        true
    }
}
