//! Real rule sets as they were found: each is accepted, or refused exactly at
//! the commands that the original refused.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{env, fs};

use portcullis_syntax::names::Names;
use portcullis_syntax::script;
use portcullis_testkit::golden::shared_folder;

#[test]
fn refusals_are_those_of_the_original() {
    let rulesets = shared_folder().join("rulesets");
    if !rulesets.exists() && env::var_os("CI").is_none() {
        eprintln!("skipped: {} is not there", rulesets.display());
        return;
    }
    let mut checked = 0;
    for entry in fs::read_dir(&rulesets).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "rules") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let source = fs::read_to_string(&path).unwrap();
        let script = script::read(&source, &Names::new());
        let refused: Vec<&str> = script
            .mistakes
            .iter()
            .map(|it| it.command.as_str())
            .collect();
        let recorded = shared_folder().join("golden/real").join(name);
        let recorded = fs::read_to_string(recorded.join("commands.session")).unwrap();
        assert_eq!(refused, refused_commands(&recorded), "{name}");
        checked += 1;
    }
    assert!(checked >= 36, "only {checked} rule sets were found");
}

/// The commands of a transcript whose exit status is not 0.
fn refused_commands(session: &str) -> Vec<&str> {
    let mut command = "";
    let mut refused = Vec::new();
    for line in session.lines() {
        if let Some(text) = line.strip_prefix("$ ") {
            command = text;
        } else if line.strip_prefix("= ").is_some_and(|status| status != "0") {
            refused.push(command);
        }
    }
    refused
}
