//! Capture files: reading ends, every record is found and ends in a bucket, and chunks are judged as
//! records.

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use portcullis_core::judge::Ruling;
use portcullis_core::message::Message;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{Network, Ruleset};
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::{CaptureReader, Chunk, Record};
use portcullis_runtime::replay::{
    Chains, Checksums, InterfaceNames, Placement, Replay, ReplaySink,
};
use portcullis_syntax::names::Names;
use portcullis_syntax::script;

/// Rules that look at everything a rule can look at.
const RULES: &str = "\
ipchains -P input DENY
ipchains -N user
ipchains -N loops
ipchains -A input -p tcp -y -l -j user
ipchains -A input -p udp -s 0/0 53 -t 0x01 0x10 -l
ipchains -A input -p icmp --icmp-type 3 -m +1 -o 100
ipchains -A input -i ! eth+ -j loops
ipchains -A user -f -j DENY
ipchains -A user -p tcp -d 0/0 80 -j REDIRECT 8080
ipchains -A loops -j loops
ipchains -A forward -l -j ACCEPT
ipchains -A output -s 10.0.0.0/255.0.0.255 -j DENY
";

static RULESET: LazyLock<Arc<Ruleset>> =
    LazyLock::new(|| Arc::new(script::read(RULES, &Names::new()).ruleset));

/// Reads a file to its end or its first mistake, in both ways.
pub fn judge(file: &[u8]) {
    let open = || CaptureReader::new(Cursor::new(file.to_vec()), "fuzz");
    let (Ok(mut one), Ok(mut many)) = (open(), open()) else {
        return;
    };
    let (mut slow, mut slow_lines) = (replay(), Lines::default());
    let slow_error = loop {
        match one.next_record() {
            Ok(Some(record)) => slow.record(record.number, &record, &mut slow_lines),
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    let (mut fast, mut fast_lines) = (replay(), Lines::default());
    let mut chunk = Chunk::new();
    let fast_error = loop {
        match many.next_chunk(&mut chunk) {
            Ok(true) => fast.chunk(&chunk, chunk.records_before(), &mut fast_lines),
            Ok(false) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    assert!(slow.tally().adds_up());
    assert_eq!(slow_error, fast_error);
    assert_eq!(slow.tally(), fast.tally());
    assert_eq!(slow.counters(), fast.counters());
    // Within a chunk, records come in any order.
    slow_lines.0.sort();
    fast_lines.0.sort();
    assert_eq!(slow_lines.0, fast_lines.0);
}

/// Counts the records of a pcap file that says over and over what this one says, and is so long that
/// it is walked from several places at once.
pub fn count(file: &[u8], number: fn([u8; 4]) -> u32) {
    let Some((header, records)) = file.split_first_chunk::<24>() else {
        return;
    };
    let mut long = header.to_vec();
    // Version 2.4: the captured length comes first.
    long[4..8].copy_from_slice(match number([1, 0, 0, 0]) {
        1 => &[2, 0, 4, 0],
        _ => &[0, 2, 0, 4],
    });
    // Less than the most of one record.
    long.extend(records.iter().cycle().take(200_000));

    let mut expected = 0;
    let mut rest = &long[24..];
    while let Some((header, data)) = rest.split_first_chunk::<16>()
        && let length = number([header[8], header[9], header[10], header[11]]) as usize
        && let Some(next) = data.get(length..)
    {
        expected += 1;
        rest = next;
    }
    let mut reader = CaptureReader::new(Cursor::new(long), "fuzz").expect("there is a header");
    let mut chunk = Chunk::new();
    while let Ok(true) = reader.next_chunk(&mut chunk) {}
    assert_eq!(reader.records(), expected);
}

fn replay() -> Replay<Reference> {
    let local = LocalAddresses::new(vec![Network::with_prefix(0x0a00_0001, 32)]);
    let placement = Placement::new(Chains::Local(local), InterfaceNames::default());
    let matcher = Reference::new(Arc::clone(&RULESET));
    Replay::new(matcher, Arc::clone(&RULESET), placement, Checksums::Ignore)
}

#[derive(Default)]
struct Lines(Vec<(u64, String)>);

impl ReplaySink for Lines {
    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) {
        self.0.push((record.number, message.to_string()));
    }

    fn judged(&mut self, _record: &Record<'_>, _step: &Step, _ruling: &Ruling) {}

    fn wants_rulings(&self) -> bool {
        false
    }
}
