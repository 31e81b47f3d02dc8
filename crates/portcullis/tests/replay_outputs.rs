//! What a replay writes, where, and what it refuses to write.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_testkit::golden::shared_folder;
use serde_json::Value;

const RULES: &str = "\
ipchains -P input DENY
ipchains -A input -p tcp ! -y -j ACCEPT
ipchains -A input -p udp -l
ipchains -A input -p tcp -y -l -j REJECT
ipchains -A output -l -t 0x01 0x10
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn day() -> PathBuf {
    root().join("examples/gateway/day.pcapng")
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        fs::write(scratch.path("rules"), RULES).unwrap();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `replay` of these captures with the rules above.
    fn replay(&self, captures: &[PathBuf]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.current_dir(self.0.path());
        command.args(["replay", "--rules", "rules"]).args(captures);
        command
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn any_number_of_threads_writes_the_same() {
    let scratch = Scratch::new();
    let mut captures = vec![day()];
    let shared = shared_folder().join("captures");
    assert!(shared.exists() || std::env::var_os("CI").is_none());
    if let Ok(folder) = fs::read_dir(shared) {
        let files = folder.map(|entry| entry.unwrap().path());
        captures.extend(files.filter(|path| {
            let ending = path.extension().and_then(OsStr::to_str);
            matches!(ending, Some("pcap" | "pcapng"))
        }));
    }
    let results = ["1", "2", "3", "7"].map(|threads| {
        let written = format!("DENY=deny-{threads}.pcapng");
        let local = [
            "--local",
            "198.51.100.1",
            "--threads",
            threads,
            "--write",
            &written,
        ];
        let output = run(scratch.replay(&captures).args(local));
        // Some of the captures are damaged.
        assert!(matches!(output.status.code(), Some(0 | 1)));
        let written = fs::read(scratch.path(&format!("deny-{threads}.pcapng"))).unwrap();
        (output.stdout, written)
    });
    for result in &results[1..] {
        assert!(*result == results[0]);
    }
}

/// Captures of several pieces each, of which some end early or are damaged: which
/// worker gets which piece must not show.
#[test]
fn any_number_of_threads_says_the_same_of_damage() {
    let scratch = Scratch::new();
    let whole = many_packets();
    // The length of a captured frame, two thirds on.
    let (most, damage) = (whole.len() - 7, 2 * whole.len() / 3 / RECORD * RECORD + 8);
    let mut damaged = whole.clone();
    damaged[24 + damage..][..4].fill(0xff);
    let empty: &[u8] = &whole[..24];
    let files = [
        ("whole.pcap", &whole[..]),
        ("cut.pcap", &whole[..most]),
        ("empty.pcap", empty),
        ("damaged.pcap", &damaged),
        ("header.pcap", &whole[..20]),
        ("again.pcap", &whole),
    ];
    for (name, bytes) in files {
        fs::write(scratch.path(name), bytes).unwrap();
    }
    let mut captures = files.map(|(name, _)| PathBuf::from(name)).to_vec();
    captures.insert(2, "missing.pcap".into());
    let results = ["1", "2", "3", "7"].map(|threads| {
        let output = run(scratch.replay(&captures).args(["--threads", threads]));
        assert_eq!(output.status.code(), Some(2));
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!(messages.lines().count(), 4, "{messages}");
        (output.stdout, messages)
    });
    for result in &results[1..] {
        assert!(*result == results[0]);
    }
}

/// Bytes of one record of [`many_packets`].
const RECORD: usize = 16 + 60;

/// A pcap file of 4 MB, each packet with another source.
fn many_packets() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for number in 0..4_000_000 / RECORD as u32 {
        for word in [number / 1000, number % 1000, 60, 60] {
            bytes.extend(word.to_le_bytes());
        }
        let mut frame = [0; 60];
        frame[12..14].copy_from_slice(&[8, 0]);
        let header: &[u8] = &[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0];
        frame[14..26].copy_from_slice(header);
        frame[26..30].copy_from_slice(&number.to_be_bytes());
        frame[30..34].copy_from_slice(&[198, 51, 100, 1]);
        let words = frame[14..34].chunks(2);
        let sum: u32 = words
            .map(|it| u32::from(it[0]) << 8 | u32::from(it[1]))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

#[test]
fn written_captures_hold_what_the_verdicts_count() {
    let scratch = Scratch::new();
    let write = [
        "--write",
        "ACCEPT=accept.pcap",
        "--write",
        "reject=reject.pcapng",
        "--json",
    ];
    let output = run(scratch.replay(&[day()]).args(write));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (verdict, file) in [("ACCEPT", "accept.pcap"), ("REJECT", "reject.pcapng")] {
        let verdicts = result["verdicts"].as_array().unwrap();
        let counted = verdicts.iter().find(|it| it["verdict"] == verdict).unwrap();
        let output = run(scratch.replay(&[scratch.path(file)]).arg("--json"));
        let again: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(again["records"]["read"], counted["packets"], "{file}");
    }
    let commented = fs::read(scratch.path("reject.pcapng")).unwrap();
    let comment = b"input: input rule 3 REJECT";
    assert!(
        commented
            .windows(comment.len())
            .any(|bytes| bytes == comment)
    );
}

#[test]
fn nothing_is_overwritten_that_is_read() {
    let scratch = Scratch::new();
    fs::copy(day(), scratch.path("day.pcapng")).unwrap();
    for outputs in [
        ["--log", "day.pcapng", "--quiet", "--quiet"],
        ["--log", "rules", "--quiet", "--quiet"],
        ["--write", "DENY=day.pcapng", "--log", "log"],
        ["--write", "DENY=x.pcap", "--write", "ACCEPT=./x.pcap"],
    ] {
        let mut outputs = outputs.to_vec();
        outputs.dedup();
        let output = run(scratch.replay(&[scratch.path("day.pcapng")]).args(&outputs));
        assert_eq!(output.status.code(), Some(2), "{outputs:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("would overwrite"), "{message}");
    }
    let original = fs::read(day()).unwrap();
    assert!(fs::read(scratch.path("day.pcapng")).unwrap() == original);
    assert_eq!(fs::read_to_string(scratch.path("rules")).unwrap(), RULES);
}

#[test]
fn a_reader_that_goes_away_costs_no_written_packet() {
    let scratch = Scratch::new();
    let captures = vec![day(); 40];
    let whole = run(scratch
        .replay(&captures)
        .args(["--write", "DENY=whole.pcap"]));
    assert!(whole.status.success());
    let mut child = scratch
        .replay(&captures)
        .args(["--write", "DENY=part.pcap"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert!(child.wait().unwrap().success());
    let [whole, part] = ["whole.pcap", "part.pcap"].map(|it| fs::read(scratch.path(it)).unwrap());
    assert!(whole == part);
}

#[test]
fn an_interrupted_replay_sums_up_what_it_did() {
    let scratch = Scratch::new();
    let mut child = scratch
        .replay(&["-".into()])
        .args(["--json", "--log", "log"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A capture that does not end: one section after the other.
    let mut capture = child.stdin.take().unwrap();
    let bytes = fs::read(day()).unwrap();
    let feeder = thread::spawn(move || {
        let give_up = Instant::now() + Duration::from_secs(60);
        while Instant::now() < give_up && capture.write_all(&bytes).is_ok() {}
    });
    while fs::metadata(scratch.path("log")).map_or(0, |log| log.len()) == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["partial"], true);
    assert_eq!(result["records"]["all_accounted_for"], true);
}

#[test]
fn a_full_disk_is_said_to_be_one() {
    let scratch = Scratch::new();
    for (stdout, arguments) in [
        ("/dev/full", ["--quiet", "--threads", "1"]),
        ("/dev/null", ["--log", "/dev/full", "--json"]),
    ] {
        let file = fs::OpenOptions::new().write(true).open(stdout).unwrap();
        let output = scratch
            .replay(&[day()])
            .args(arguments)
            .stdout(file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("cannot write"), "{message}");
    }
}

#[test]
fn nobody_has_to_listen_to_complaints() {
    let scratch = Scratch::new();
    fs::write(scratch.path("rules"), "ipchains -A nowhere\n").unwrap();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = scratch.replay(&[day()]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn scripts_that_steer_a_shell_are_not_guessed_at() {
    let scratch = Scratch::new();
    let script =
        "ipchains -P input DENY\nif [ \"$1\" = stop ]; then\nipchains -P input ACCEPT\nfi\n";
    fs::write(scratch.path("rules"), script).unwrap();
    let output = run(scratch.replay(&[day()]).arg("--keep-going"));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}

#[test]
fn old_text_is_read_as_it_was_meant() {
    let scratch = Scratch::new();
    for rules in [
        &b"# CR only\ripchains -P input REJECT\r"[..],
        b"# CR and LF\r\nipchains -P input \\\r\n REJECT\r\n",
        b"\xef\xbb\xbfipchains -P input REJECT",
        b"# gr\xfc\xdfe\nipchains -P input REJECT\n",
    ] {
        fs::write(scratch.path("rules"), rules).unwrap();
        let output = run(scratch.replay(&[day()]).arg("--json"));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["chains"][0]["policy"], "REJECT", "{rules:?}");
    }
}
