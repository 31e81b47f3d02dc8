//! A long capture through a pipe: memory stays flat, and totals are exact.
//!
//! `PORTCULLIS_LONG_REPLAY=100000000 cargo test --release -p portcullis --test long_replay -- --nocapture`
//! takes minutes; without the number it is a short one.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Instant;
use std::{env, fs, thread};

use portcullis_core::packet::header_checksum;
use serde_json::Value;

const RULES: &str = "\
ipchains -P input DENY
ipchains -A input -s 10.0.0.0/8
ipchains -A input -p tcp -d 0/0 0:1023 -j ACCEPT
ipchains -A input -p tcp ! -y -j REJECT
ipchains -A input -p udp -d 0/0 53 -j ACCEPT
";
/// Packets of the block that is sent again and again: one for each destination port.
const BLOCK: u64 = 1 << 16;
const SHORT: u64 = 1_000_000;
/// Bytes of each packet.
const LENGTH: u64 = 40;
/// What may be added to memory after the first tenth, in KiB.
const GROWTH: u64 = 4096;

/// What the rules of the block's packets say, worked out without any rules.
#[derive(Default)]
struct Expected {
    from_ten: u64,
    low_ports: u64,
    later_segments: u64,
    name_server: u64,
}

#[test]
fn memory_is_flat_and_totals_are_exact() {
    let wanted = env::var("PORTCULLIS_LONG_REPLAY").map_or(SHORT, |it| it.parse().unwrap());
    let blocks = wanted.div_ceil(BLOCK);
    let (block, expected) = block();
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::write(&rules, RULES).unwrap();
    let mut replay = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["replay", "-", "--json", "--chain", "input", "--rules"])
        .arg(&rules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (start, pid) = (Instant::now(), replay.id());
    let stdin = replay.stdin.take().unwrap();
    let sender = thread::spawn(move || send(stdin, &block, blocks, pid));
    let mut text = String::new();
    replay
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let memory = sender.join().unwrap();
    assert!(replay.wait().unwrap().success());
    let packets = blocks * BLOCK;
    eprintln!(
        "{packets} packets in {:.1} s; at most {} KiB after a tenth, {} KiB at the end",
        start.elapsed().as_secs_f64(),
        memory[0],
        memory[1]
    );
    assert!(
        memory[1] < memory[0] + GROWTH,
        "memory grows: {memory:?} KiB"
    );

    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["records"]["read"], packets);
    assert_eq!(said["records"]["judged"], packets);
    let input = &said["chains"][0];
    let counts = [
        expected.from_ten,
        expected.low_ports,
        expected.later_segments,
        expected.name_server,
    ];
    for (rule, count) in input["rules"].as_array().unwrap().iter().zip(counts) {
        assert_eq!(rule["packets"], count * blocks, "{rule}");
        assert_eq!(rule["bytes"], count * blocks * LENGTH, "{rule}");
    }
    let decided: u64 = counts[1..].iter().sum();
    assert_eq!(input["policy_packets"], (BLOCK - decided) * blocks);
    assert_eq!(input["policy_bytes"], (BLOCK - decided) * blocks * LENGTH);
}

/// Sends the capture; gives back the most memory used after a tenth, and at the end, in KiB.
fn send(mut stdin: ChildStdin, block: &[u8], blocks: u64, pid: u32) -> [u64; 2] {
    let mut header = Vec::new();
    // Raw IPv4.
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 101] {
        header.extend(u32::to_le_bytes(word));
    }
    stdin.write_all(&header).unwrap();
    let mut memory = [0; 2];
    for number in 0..blocks {
        stdin.write_all(block).unwrap();
        if number == blocks / 10 {
            memory[0] = most_memory(pid);
        }
    }
    memory[1] = most_memory(pid);
    memory
}

fn most_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Records to every destination port, TCP and UDP, with and without SYN, from many networks.
fn block() -> (Vec<u8>, Expected) {
    let (mut bytes, mut expected) = (Vec::new(), Expected::default());
    for port in 0..=u16::MAX {
        let network = [10, 192, 172, 8][usize::from(port / 7 % 4)];
        let (tcp, syn) = (port % 3 != 2, port % 2 == 0);
        let mut packet = vec![0x45, 0, 0, LENGTH as u8];
        packet.extend(port.to_be_bytes());
        packet.extend([0, 0, 64, if tcp { 6 } else { 17 }, 0, 0]);
        packet.extend([network, 1, (port >> 8) as u8, port as u8, 10, 0, 0, 1]);
        let sum = header_checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend([0x9c, 0x40]);
        packet.extend(port.to_be_bytes());
        packet.extend([0; 8]);
        packet.extend([0x50, if syn { 2 } else { 16 }, 0, 0, 0, 0, 0, 0]);
        for word in [0, 0, LENGTH as u32, LENGTH as u32] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(packet);
        expected.from_ten += u64::from(network == 10);
        if tcp && port < 1024 {
            expected.low_ports += 1;
        } else if tcp && !syn {
            expected.later_segments += 1;
        } else if !tcp && port == 53 {
            expected.name_server += 1;
        }
    }
    (bytes, expected)
}
