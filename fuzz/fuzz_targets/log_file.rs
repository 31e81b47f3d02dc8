//! A syslog file: every packet that is told of can be told again, places are in the file, and
//! nothing is counted that is not there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::packet_log::PacketLog;
use portcullis_syntax::syslog::{Event, Reader, Tail};

fuzz_target!(|text: &str| {
    let (mut reader, mut events) = (Reader::new(), Vec::new());
    for line in text.lines() {
        reader.push(line, &mut events);
    }
    reader.finish(&mut events);
    let lines = text.lines().count() as u64;
    for event in &events {
        match event {
            Event::Entry(entry) => {
                assert!((1..=lines).contains(&entry.line));
                assert!(entry.lines >= 1 && entry.line + entry.lines - 1 <= lines);
                assert_eq!(entry.log.to_string().parse::<PacketLog>(), Ok(entry.log));
                assert!(entry.tail == Tail::Written || entry.log.rule == 0);
                let _ = entry.log.key();
            }
            Event::Damaged(damaged) => {
                assert!((1..=lines).contains(&damaged.line));
                assert!(!damaged.to_string().is_empty());
            }
            Event::RepeatedUnknown { line, .. } => assert!((1..=lines).contains(line)),
            Event::Suspect | Event::Prose | Event::Suppressed(_) => {}
        }
    }
});
