//! `replay --steps` on the golden cases: the binary gives the same verdicts,
//! log lines and counters as the original kernel.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis_testkit::golden::{Case, RealCorpus, packet_cases, shared_folder};
use serde_json::Value;

#[test]
fn packet_cases_through_the_binary() {
    let cases = packet_cases().unwrap();
    assert!(!cases.is_empty());
    for case in &cases {
        for threads in ["1", "2", "3", "7"] {
            let packets = case.bytes("packets.pcap").unwrap();
            check(case, packets, &["--threads", threads]);
        }
    }
}

#[test]
fn real_rulesets_through_the_binary() {
    let folder = shared_folder().join("golden/real");
    if !folder.exists() && std::env::var_os("CI").is_none() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let corpus = RealCorpus::read(&folder).unwrap();
    assert!(!corpus.cases.is_empty());
    for case in &corpus.cases {
        check(case, &corpus.packets, &["--keep-going"]);
    }
}

fn check(case: &Case, packets: &[u8], options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, bytes: &[u8]| {
        let path = folder.path().join(file);
        fs::write(&path, bytes).unwrap();
        path
    };
    let capture = write("packets.pcap", packets);
    let rules = write("rules", case.bytes("rules.ipchains").unwrap());
    let steps = write("steps", case.bytes("packets.txt").unwrap());
    let result = replay(&capture, &rules, &steps, options);
    let expected = Expected::read(case.text("expected.txt").unwrap());
    let name = &case.name;
    assert_eq!(log_lines(&result), expected.log, "log of {name}");
    assert_eq!(verdicts(&result), expected.verdicts, "verdicts of {name}");
    assert_eq!(counters(&result), expected.counters, "counters of {name}");
    assert_eq!(result["records"]["all_accounted_for"], true, "{name}");
    assert_eq!(
        result["records"]["ttl_exceeded"], expected.ttl_exceeded,
        "{name}"
    );
}

fn replay(capture: &Path, rules: &Path, steps: &Path, options: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["replay", "--json", "--log-prefix", "none", "--rules"])
        .arg(rules)
        .arg("--steps")
        .arg(steps)
        .arg(capture)
        .args(options)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn log_lines(result: &Value) -> Vec<String> {
    let lines = result["log"].as_array().unwrap().iter();
    lines
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}

fn verdicts(result: &Value) -> BTreeMap<String, u64> {
    let all = result["verdicts"].as_array().unwrap().iter();
    all.map(|entry| {
        let (chain, verdict) = (entry["chain"].as_str(), entry["verdict"].as_str());
        let key = format!("{} {}", chain.unwrap(), verdict.unwrap());
        (key, entry["packets"].as_u64().unwrap())
    })
    .collect()
}

/// Chain and rule lines in the format of `expected.txt`.
fn counters(result: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for chain in result["chains"].as_array().unwrap() {
        let name = chain["name"].as_str().unwrap();
        let policy = chain["policy"].as_str().unwrap_or("-");
        lines.push(format!(
            "C {name} policy={policy} refs={} pkts={} bytes={}",
            chain["references"], chain["policy_packets"], chain["policy_bytes"]
        ));
        for rule in chain["rules"].as_array().unwrap() {
            let target = rule["target"].as_str().unwrap_or("-");
            lines.push(format!(
                "R {name} {} pkts={} bytes={} target={target}",
                rule["number"], rule["packets"], rule["bytes"]
            ));
        }
    }
    lines
}

#[derive(Default)]
struct Expected {
    log: Vec<String>,
    verdicts: BTreeMap<String, u64>,
    counters: Vec<String>,
    ttl_exceeded: u64,
}

impl Expected {
    fn read(text: &str) -> Self {
        let mut expected = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "L" => expected.log.push(line[2..].to_owned()),
                "C" | "R" => expected.counters.push(line.to_owned()),
                "P" if words[4] == "TTLEXCEEDED" => expected.ttl_exceeded += 1,
                "P" if words[4] != "BADIP" => {
                    let key = format!("{} {}", words[2], words[4]);
                    *expected.verdicts.entry(key).or_default() += 1;
                }
                _ => {}
            }
        }
        expected
    }
}
