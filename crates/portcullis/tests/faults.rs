//! Disks that are full, files that shrink, reads that fail, sockets where nobody is.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A disk of 16 KiB, as long as `$1` runs in it; needs root.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size=16k none "$0" && cd "$0" && eval "$1""#;

#[test]
fn a_full_disk_leaves_the_old_rules() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let on_disk = |script: &str| {
        let words = ["-m", "sh", "-c", SMALL_DISK, root, script];
        let mut command = Command::new("unshare");
        command
            .args(words)
            .env("P", PROGRAM)
            .env("PORTCULLIS_RULESET", "rules");
        command.output().unwrap()
    };
    if !on_disk("true").status.success() {
        assert!(std::env::var_os("CI").is_none(), "mounting takes root");
        eprintln!("SKIPPED: mounting takes root");
        return;
    }
    let output = on_disk(
        "$P ipchains -A input -s 10.0.0.1 -j DENY || exit 10
         cp rules before
         head -c 100000 /dev/zero > filler 2> /dev/null
         $P ipchains -A input -s 10.0.0.2 -j DENY
         test $? = 2 || exit 11
         cmp rules before || exit 12
         rm filler
         $P ipchains -A input -s 10.0.0.3 -j DENY || exit 13
         test $($P ipchains -L input -n | grep -c DENY) = 2 || exit 14",
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("cannot write") && said.contains("No space left"),
        "{said}"
    );
}

#[test]
fn reads_that_fail_are_said_to() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::write(&rules, "ipchains -A input -j DENY\n").unwrap();
    let replay = |capture: &str| run(&["replay", capture, "--rules", rules.to_str().unwrap()]);
    // Address 0 of a process cannot be read.
    let output = replay("/proc/self/mem");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("cannot read on"),
        "{}",
        stderr(&output)
    );
    let output = run(&["replay", "/dev/null", "--rules", "/proc/self/mem"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("/proc/self/mem"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_firewall_that_is_not_there_is_said_to_be_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead");
    drop(UnixListener::bind(&dead).unwrap());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [&dead, &file, folder.path(), Path::new("/nowhere/at/all")] as [&Path; 4] {
        let path = path.to_str().unwrap();
        for command in ["status", "stop", "confirm"] {
            let output = run(&[command, "--control", path]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{command} {path}");
            assert!(said.contains(path) && said.lines().count() == 1, "{said}");
        }
    }
}
