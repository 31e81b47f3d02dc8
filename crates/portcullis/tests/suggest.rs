//! Rules are taken out of the example's ruleset, and found again from its traffic.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/gateway")
}

fn portcullis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .output()
        .unwrap()
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

const LOCAL: [&str; 2] = ["--local", "198.51.100.1,192.168.1.1"];

/// What is suggested for both captures, with everything that is offered.
fn suggest(rules: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let (day, lan) = (examples().join("day.pcapng"), examples().join("lan.pcapng"));
    let mut arguments = vec!["suggest", "--json", "--rules", path(rules), path(&day)];
    // The inside capture has its packets again as they left.
    if more.contains(&"forward=eth0") {
        arguments[4] = path(&lan);
    }
    arguments.extend(LOCAL);
    arguments.extend(more);
    let output = portcullis(&arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{error}"));
    (output.status.code(), document)
}

fn titles(document: &Value, stances: &[&str]) -> Vec<String> {
    let groups = document["groups"].as_array().unwrap().iter();
    groups
        .filter(|group| stances.contains(&group["stance"].as_str().unwrap()))
        .map(|group| group["title"].as_str().unwrap().to_owned())
        .collect()
}

/// The verdicts of changes from one file of rules to another.
fn newly_accepted(old: &Path, new: &Path) -> Vec<Value> {
    let output = portcullis(&["diff", "--json", path(old), path(new)]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let changes = document["changes"].as_array().unwrap().iter();
    changes
        .filter(|it| it["what"] == "verdict" && it["old"] != "ACCEPT" && it["old"] != "MASQ")
        .cloned()
        .collect()
}

#[test]
fn the_article_is_done_in_an_afternoon() {
    let folder = tempfile::tempdir().unwrap();
    let rules = examples().join("gateway.rules");
    let fixed = examples().join("fixed.rules");
    let new = folder.path().join("new.rules");
    let (status, document) = suggest(&rules, &["--wanted", "ftp-active", "--write", path(&new)]);
    assert_eq!(status, Some(0));
    assert_eq!(
        titles(&document, &["offered"]),
        ["active FTP data from 192.0.2.7"]
    );
    let added: Vec<&str> = document["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["command"].as_str().unwrap())
        .collect();
    assert_eq!(
        added,
        [
            "ipchains -I input 28 -i eth0 -p tcp -s 192.0.2.7 20 -d 198.51.100.1 61000:65095 \
             -j ACCEPT",
            "ipchains -I output 21 -i eth0 -p tcp -s 198.51.100.1 61000:65095 -d 192.0.2.7 20 \
             ! -y -j ACCEPT",
        ]
    );
    assert_eq!(document["nothing_else_changed"], true);
    assert_eq!(newly_accepted(&fixed, &new), [] as [Value; 0]);
    assert!(!newly_accepted(&rules, &new).is_empty());

    // Applied, nothing is left that was wanted, and what scans is still kept out.
    let (status, again) = suggest(&new, &[]);
    assert_eq!(status, Some(0));
    assert_eq!(titles(&again, &["offered"]), [] as [&str; 0]);
    assert_eq!(
        titles(&again, &["scan", "unwanted"]),
        titles(&document, &["scan", "unwanted"])
    );
    assert_eq!(
        titles(&again, &["scan"]),
        ["a scan by 203.0.113.66: 51 ports of 1 address"]
    );
    // The file's comments are as they were.
    let (before, after) = (
        fs::read_to_string(&rules).unwrap(),
        fs::read_to_string(&new).unwrap(),
    );
    assert!(before.lines().all(|line| after.contains(line)));
    assert_eq!(after.lines().count(), before.lines().count() + 4);
}

/// Where denials are read from.
#[derive(Clone, Copy, Debug)]
enum Evidence {
    Captures,
    /// What replaying them logs.
    Logs,
}

/// A capture, and how it is placed.
type Recording<'a> = (&'a str, &'a [&'a str]);

const DAY: Recording<'_> = ("day.pcapng", &[]);
/// The inside capture has its packets again as they left.
const LAN: Recording<'_> = (
    "lan.pcapng",
    &["--interface", "forward=eth0", "--interface", "output=eth0"],
);
const NIGHT: Recording<'_> = ("night.pcapng", &[]);

/// What is suggested for a recording under some rules.
fn suggested(
    rules: &Path,
    recording: Recording<'_>,
    evidence: Evidence,
    more: &[&str],
) -> (Option<i32>, Value) {
    let capture = examples().join(recording.0);
    let log = rules.with_extension("messages");
    let mut arguments = vec!["suggest", "--json", "--rules", path(rules)];
    match evidence {
        Evidence::Captures => {
            arguments.push(path(&capture));
            arguments.extend(recording.1);
        }
        Evidence::Logs => {
            let mut replay = vec!["replay", path(&capture), "--rules", path(rules), "--quiet"];
            replay.extend(["--log", path(&log)]);
            replay.extend(LOCAL);
            replay.extend(recording.1);
            assert_eq!(portcullis(&replay).status.code(), Some(0));
            arguments.push(path(&log));
        }
    }
    arguments.extend(LOCAL);
    arguments.extend(more);
    let output = portcullis(&arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{error}"));
    (output.status.code(), document)
}

/// Takes each rule out of `whole`, lets what is missed then be suggested, and
/// holds the result against `whole`: service is back, and nothing more is
/// accepted. The number of rules that the recording needs.
fn rules_found_again(whole: &Path, recording: Recording<'_>, evidence: Evidence) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(whole).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let less = folder.path().join("less.rules");
    let new = folder.path().join("new.rules");
    fs::write(folder.path().join("whole.rules"), &text).unwrap();
    let whole = folder.path().join("whole.rules");
    // What the whole ruleset denies too is none of the rule's.
    let (_, usual) = suggested(&whole, recording, evidence, &[]);
    let usual = titles(&usual, &["offered", "asked"]);
    let mut needed = 0;
    for (number, line) in lines.iter().enumerate() {
        if !line.ends_with("ACCEPT") && !line.ends_with("MASQ") {
            continue;
        }
        let mut rest = lines.clone();
        rest.remove(number);
        fs::write(&less, rest.join("\n") + "\n").unwrap();
        let (_, before) = suggested(&less, recording, evidence, &[]);
        let missed: Vec<String> = titles(&before, &["offered", "asked"])
            .into_iter()
            .filter(|title| !usual.contains(title))
            .collect();
        if missed.is_empty() {
            continue;
        }
        needed += 1;
        let wanted = missed.iter().flat_map(|title| ["--wanted", title.as_str()]);
        let mut arguments: Vec<&str> = wanted.collect();
        arguments.extend(["--write", path(&new)]);
        let (status, document) = suggested(&less, recording, evidence, &arguments);
        assert_eq!(status, Some(0), "{line}\n{document:#}");
        assert_eq!(
            newly_accepted(&whole, &new),
            [] as [Value; 0],
            "{line}\n{document:#}"
        );
        let written = fs::read_to_string(&new).unwrap();
        assert!(!written.contains("# Written anew"), "{line}\n{written}");
        let (_, after) = suggested(&new, recording, evidence, &[]);
        let left = titles(&after, &["offered", "asked"]);
        assert_eq!(left, usual, "{line}\n{after:#}");
    }
    needed
}

#[test]
fn each_rule_that_is_taken_out_is_found_again() {
    let fixed = examples().join("fixed.rules");
    for evidence in [Evidence::Captures, Evidence::Logs] {
        // Most of the rules were used that day.
        let needed = rules_found_again(&fixed, DAY, evidence);
        assert!(needed >= 20, "{evidence:?}: {needed}");
        let inside = rules_found_again(&fixed, LAN, evidence);
        assert!(inside >= 2, "{evidence:?}: {inside}");
    }
}

/// A ruleset with which the gateway is a name server, too, and root's ssh gets
/// its answers.
fn night_rules(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(examples().join("fixed.rules")).unwrap();
    let input = "\
/sbin/ipchains -A input -p udp -s 198.51.100.53 53 -d 198.51.100.1 53 -j ACCEPT
/sbin/ipchains -A input -p udp -s 0/0 1024:65535 -d 198.51.100.1 53 -j ACCEPT
/sbin/ipchains -A input -p tcp -s 0/0 1024:65535 -d 198.51.100.1 53 -j ACCEPT
/sbin/ipchains -A input -p tcp -s 203.0.113.22 22 -d 198.51.100.1 512:1023 ! -y -j ACCEPT
";
    let output = "\
/sbin/ipchains -A output -p udp -s 198.51.100.1 53 -d 0/0 1024:65535 -j ACCEPT
/sbin/ipchains -A output -p tcp -s 198.51.100.1 53 -d 0/0 1024:65535 ! -y -j ACCEPT
";
    let mut text = text;
    for (chain, rules) in [("input", input), ("output", output)] {
        let last = format!("/sbin/ipchains -A {chain} -j DENY -l\n");
        assert_eq!(text.matches(&last).count(), 1);
        text = text.replace(&last, &format!("{rules}{last}"));
    }
    let rules = folder.join("night.rules");
    fs::write(&rules, text).unwrap();
    rules
}

#[test]
fn name_servers_mail_passive_ftp_and_roots_ssh_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let rules = night_rules(folder.path());
    for evidence in [Evidence::Captures, Evidence::Logs] {
        let needed = rules_found_again(&rules, NIGHT, evidence);
        assert!(needed >= 14, "{evidence:?}: {needed}");
    }
}

#[test]
fn what_must_stay_shut_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (never, new) = (folder.path().join("never"), folder.path().join("new"));
    fs::write(&never, "-A input -p tcp -d 0/0 61000:65095 -y -j DENY\n").unwrap();
    let wanted = ["--wanted", "ftp-active", "--write", path(&new)];
    let mut arguments = wanted.to_vec();
    arguments.extend(["--never", path(&never)]);
    let rules = examples().join("gateway.rules");
    let (status, document) = suggest(&rules, &arguments);
    assert_eq!(status, Some(1));
    assert_eq!(document["forbidden"].as_array().unwrap().len(), 1);
    assert!(!new.exists());
    // Something else may stay shut without harm.
    fs::write(&never, "-A input -p tcp -d 0/0 :1023 -y -j DENY\n").unwrap();
    let (status, document) = suggest(&rules, &arguments);
    assert_eq!(status, Some(0));
    assert_eq!(document["forbidden"].as_array().unwrap().len(), 0);
    assert!(new.exists());
}

#[test]
fn a_log_alone_is_enough_and_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (rules, log) = (
        examples().join("gateway.rules"),
        folder.path().join("messages"),
    );
    let day = examples().join("day.pcapng");
    let output = portcullis(&[
        "replay",
        path(&day),
        "--rules",
        path(&rules),
        "--quiet",
        "--log",
        path(&log),
        "--local",
        "198.51.100.1",
        "--local",
        "192.168.1.1",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let output = portcullis(&["suggest", "--json", "--rules", path(&rules), path(&log)]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        titles(&document, &["offered"]),
        ["active FTP data from 192.0.2.7"]
    );
    assert_eq!(
        titles(&document, &["scan"]),
        ["a scan by 203.0.113.66: 51 ports of 1 address"]
    );
    let reasons = document["groups"][0]["reasons"].to_string();
    assert!(
        reasons.contains("no control connection was seen"),
        "{reasons}"
    );
    assert_eq!(document["rules"].as_array().unwrap().len(), 2);
}
