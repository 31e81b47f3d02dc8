//! The packets that `cover` makes touch every rule that can be touched.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn portcullis(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = env!("CARGO_BIN_EXE_portcullis");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root).output().unwrap()
}

#[test]
fn replaying_the_packets_counts_each_rule() {
    let folder = tempfile::tempdir().unwrap();
    let lan = "examples/gateway/lan.pcapng";
    for (rules, ending) in [
        ("examples/gateway/gateway.rules", "pcap"),
        ("examples/check/mistakes.rules", "pcapng"),
    ] {
        let file = folder.path().join(format!("tests.{ending}"));
        let file = file.to_str().unwrap();
        let steps = format!("{file}.steps");
        let made = portcullis(&["cover", "--rules", rules, lan, "--write", file, "--json"]);
        assert!(made.status.code().unwrap() < 2, "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let replay = [
            "replay", file, "--rules", rules, "--steps", &steps, "--json",
        ];
        let replayed = portcullis(&replay);
        assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
        let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap();
        let mut counted = 0;
        for rule in made["rules"].as_array().unwrap() {
            let chains = replayed["chains"].as_array().unwrap();
            let chain = chains
                .iter()
                .find(|it| it["name"] == rule["chain"])
                .unwrap();
            let number = rule["rule"].as_u64().unwrap() as usize;
            let packets = chain["rules"][number - 1]["packets"].as_u64().unwrap();
            let makes = !rule["packet"].is_null();
            assert_eq!(packets > 0, makes, "{rule}");
            counted += usize::from(makes);
        }
        assert!(counted > 4);
    }
}
