//! A capture file of any kind: reading ends, and every record that was read
//! ends in a bucket.

#![no_main]

use std::io::Cursor;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portcullis_core::judge::Ruling;
use portcullis_core::message::Message;
use portcullis_core::reference::Reference;
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::{CaptureReader, Record};
use portcullis_runtime::replay::{
    Chains, Checksums, InterfaceNames, Placement, Replay, ReplaySink,
};
use portcullis_syntax::names::Names;
use portcullis_syntax::script;

const RULES: &str = "\
ipchains -N user
ipchains -A input -p tcp -y -l -j user
ipchains -A input -p udp -s 0/0 53 -t 0x01 0x10 -l
ipchains -A user -f -j DENY
ipchains -A forward -l -j ACCEPT
";

fuzz_target!(|file: &[u8]| {
    let Ok(mut reader) = CaptureReader::new(Cursor::new(file.to_vec()), "fuzz") else {
        return;
    };
    let ruleset = Arc::new(script::read(RULES, &Names::new()).ruleset);
    let placement = Placement::new(
        Chains::Local(LocalAddresses::default()),
        InterfaceNames::default(),
    );
    let matcher = Reference::new(Arc::clone(&ruleset));
    let mut replay = Replay::new(matcher, ruleset, placement, Checksums::Ignore);
    while let Ok(Some(record)) = reader.next_record() {
        replay.record(record.number, &record, &mut Format);
    }
    assert!(replay.tally().adds_up());
});

struct Format;

impl ReplaySink for Format {
    fn message(&mut self, _record: &Record<'_>, message: &Message<'_>) {
        assert!(!message.to_string().is_empty());
    }

    fn judged(&mut self, _record: &Record<'_>, _step: &Step, _ruling: &Ruling) {}

    fn wants_rulings(&self) -> bool {
        false
    }
}
