//! A listing that somebody really posted, from the rules that it shows.
//!
//! Its counters are known as far as they are printed: `77M` stands for any
//! number that rounds to it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{self, Write};
use std::path::Path;
use std::{env, fs};

use portcullis_core::matcher::Place;
use portcullis_core::ruleset::{BuiltIn, Counter, CounterTable, Ruleset};
use portcullis_syntax::ipchains::{self, Fidelity};
use portcullis_syntax::names::Names;
use portcullis_testkit::golden::shared_folder;

#[test]
fn a_genuine_listing_comes_out_of_its_own_rules() {
    let file = shared_folder().join("listings/jorgensen-ipchains-L-n-v.txt");
    if !file.exists() && env::var_os("CI").is_none() {
        skipped(&file);
        return;
    }
    let listing = fs::read_to_string(&file).unwrap();
    let (mut ruleset, names) = (Ruleset::new(), Names::new());
    let mut run = |command: &str| {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let output = ipchains::run(&words, &mut ruleset, &names, Fidelity::Repaired);
        assert_eq!(output.status, 0, "{command}: {}", output.stderr);
        output.stdout
    };
    let mut counters = Vec::new();
    let mut chain = "";
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Chain", name, "(policy", policy, ..] => {
                chain = name;
                run(&format!(
                    "ipchains -P {name} {}",
                    policy.trim_end_matches(':')
                ));
                let number = |at: usize| words[at].parse().unwrap();
                counters.push((number(4), number(6), Vec::new()));
            }
            ["pkts", ..] => {}
            row => {
                run(&format!("ipchains -A {chain} {}", rule(row)));
                let counter = (counted(row[0]), counted(row[1]));
                counters.last_mut().unwrap().2.push(counter);
            }
        }
    }
    let rules: usize = counters.iter().map(|chain| chain.2.len()).sum();
    assert!(rules > 30, "only {rules} rules were found");
    add(&mut ruleset, &counters);
    let words = ["ipchains", "-L", "-n", "-v"].map(str::to_owned);
    let again = ipchains::run(&words, &mut ruleset, &names, Fidelity::Repaired);
    assert_eq!(again.stdout, listing);
}

/// The words that make the rule of a row: counters, target, protocol, six
/// flags, TOS, interface, addresses, ports.
fn rule(row: &[&str]) -> String {
    let [
        _,
        _,
        target,
        protocol,
        flags,
        and,
        xor,
        interface,
        source,
        destination,
        ports @ ..,
    ] = row
    else {
        panic!("a row of {} words", row.len());
    };
    let inverted = |word: &str| word.replace('!', "! ");
    let mut rule = format!(
        "-p {protocol} -s {} -d {} -t {and} {xor}",
        inverted(source),
        inverted(destination)
    );
    if *interface != "*" {
        rule += &format!(" -i {interface}");
    }
    match &flags[..2] {
        "-y" => rule += " -y",
        "!y" => rule += " ! -y",
        _ => {}
    }
    if flags.contains('l') {
        rule += " -l";
    }
    if let [from, "->", to, redirect @ ..] = ports {
        for (option, port) in [("--sport", from), ("--dport", to)] {
            if *port != "*" {
                rule += &format!(" {option} {port}");
            }
        }
        rule += &format!(" -j {target}");
        if let ["=>", port] = redirect {
            rule += &format!(" {port}");
        }
        return rule;
    }
    rule + &format!(" -j {target}")
}

/// A number that is printed so.
fn counted(text: &str) -> u64 {
    let unit = match text.chars().last() {
        Some('K') => 1_000,
        Some('M') => 1_000_000,
        Some('G') => 1_000_000_000,
        _ => 1,
    };
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    digits.parse::<u64>().unwrap() * unit
}

type ChainCounters = (u64, u64, Vec<(u64, u64)>);

fn add(ruleset: &mut Ruleset, counters: &[ChainCounters]) {
    let counter = |(packets, bytes)| Counter { packets, bytes };
    let mut table = CounterTable::new(ruleset);
    for (chain, (packets, bytes, rules)) in counters.iter().enumerate() {
        let policy = table.policy_mut(BuiltIn::ALL[chain]);
        policy.add(counter((*packets, *bytes)));
        for (rule, counted) in rules.iter().enumerate() {
            let (chain, rule) = (chain as u32, rule as u32);
            table.rule_mut(Place { chain, rule }).add(counter(*counted));
        }
    }
    ruleset.add_counters(&table);
}

/// Says so past the test harness, which keeps the output of tests that pass.
fn skipped(missing: &Path) {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "skipped: {} is not there", missing.display()).unwrap();
}
