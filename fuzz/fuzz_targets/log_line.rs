//! A packet-log line: what can be read is written back to the letter.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::packet_log::PacketLog;

fuzz_target!(|line: &str| {
    match line.parse::<PacketLog>() {
        Ok(read) => assert_eq!(read.to_string(), line),
        Err(error) => assert!(error.at <= line.len()),
    }
});
