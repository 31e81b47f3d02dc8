//! The old commands as scripts call them: through `sh`, through links, several
//! at a time, and killed.

#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg(unix)]

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tempfile::TempDir;

/// A folder with links to our binary, and a ruleset file.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let links = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("install-links")
            .arg(folder.path())
            .status();
        assert!(links.unwrap().success());
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ruleset")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let path = env::var("PATH").unwrap_or_default();
        let folder = self.folder.path();
        let mut command = Command::new(program.as_ref());
        command
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("PORTCULLIS_RULESET", self.file())
            .env_remove("PORTCULLIS_STRICT_1_3_9")
            .stdin(Stdio::null());
        command
    }

    /// Runs `ipchains` or another of the links.
    fn run(&self, line: &str) -> Output {
        let mut words = line.split(' ');
        let program = self.folder.path().join(words.next().unwrap());
        self.command(program).args(words).output().unwrap()
    }

    fn start(&self, line: &str) -> Child {
        let mut words = line.split(' ');
        let program = self.folder.path().join(words.next().unwrap());
        self.command(program).args(words).spawn().unwrap()
    }

    fn shell(&self, script: &str) -> Output {
        let mut command = self.command("sh");
        command.arg("-c").arg(script).output().unwrap()
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn gateway_scripts_survive_saving_and_restoring() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut scripts = vec![root.join("examples/gateway/gateway.rules")];
    let found = root.join("../shared/rulesets/solrhe-gateway.rules");
    if found.exists() || env::var_os("CI").is_some() {
        scripts.push(found);
    } else {
        skipped(&found);
    }
    for script in scripts {
        let machine = Machine::new();
        let script = fs::read_to_string(script).unwrap();
        // The article's commands name the place where ipchains was.
        let done = machine.shell(&script.replace("/sbin/ipchains", "ipchains"));
        assert_eq!(stderr(&done), "");
        let saved = machine.run("ipchains-save");
        let rules = stdout(&saved).matches("\n-A ").count();
        assert!(rules >= 40, "only {rules} rules");
        fs::remove_file(machine.file()).unwrap();
        fs::write(machine.folder.path().join("saved"), &saved.stdout).unwrap();
        let folder = machine.folder.path().display();
        let restored = machine.shell(&format!("ipchains-restore < {folder}/saved"));
        assert!(restored.status.success(), "{}", stderr(&restored));
        let again = machine.run("ipchains-save");
        assert_eq!(stdout(&again), stdout(&saved));
    }
}

#[test]
fn a_command_that_fails_or_does_nothing_leaves_the_file() {
    let machine = Machine::new();
    let by_hand = "# mine\n:input DENY\n:lan -\n:dmz -\n-A lan -j DENY\n";
    fs::write(machine.file(), by_hand).unwrap();
    let written = fs::metadata(machine.file()).unwrap().modified().unwrap();
    for (line, status) in [
        ("ipchains -A nosuch -j DENY", 1),
        ("ipchains -A input -p tpc", 2),
        // The kernel would have taken `dmz' away before it failed at `lan'.
        ("ipchains -X", 1),
        ("ipchains -P input DENY", 0),
        ("ipchains -Z", 0),
        ("ipchains -L -n", 0),
        ("ipchains -M -S 1 2 3", 0),
    ] {
        assert_eq!(machine.run(line).status.code(), Some(status), "{line}");
        assert_eq!(machine.text(), by_hand, "{line}");
    }
    let now = fs::metadata(machine.file()).unwrap().modified().unwrap();
    assert_eq!(now, written);
}

#[test]
fn the_status_is_about_the_command_whoever_reads() {
    let machine = Machine::new();
    for (redirection, line, status, message) in [
        (">&-", "-v -A input -j NOPE", 1, "No target by that name"),
        (
            ">/dev/full",
            "-v -A input -j NOPE",
            1,
            "No target by that name",
        ),
        (">/dev/full", "-v -A input -j DENY", 0, "cannot write"),
    ] {
        let output = machine.shell(&format!("ipchains {line} {redirection}"));
        assert_eq!(output.status.code(), Some(status), "{line} {redirection}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    assert!(machine.text().contains("-j DENY"));
    assert!(!machine.shell("ipchains-save > /dev/full").status.success());
    let mut command = machine.command(machine.folder.path().join("ipchains"));
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let words = ["-v", "-A", "input", "-j", "NOPE"];
    let output = command.args(words).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "ipchains: No target by that name\n");
}

#[test]
fn strict_mode_keeps_what_was_done_before_a_failure() {
    let machine = Machine::new();
    fs::write(machine.file(), ":lan -\n:dmz -\n-A lan -j DENY\n").unwrap();
    let mut strict = machine.command(env!("CARGO_BIN_EXE_portcullis"));
    let done = strict.args(["--strict-1.3.9", "ipchains", "-X"]).output();
    assert_eq!(stderr(&done.unwrap()), "ipchains: Chain is not empty\n");
    assert!(!machine.text().contains("dmz"));
    let mut strict = machine.command(env!("CARGO_BIN_EXE_portcullis"));
    let words = ["ipchains", "-v", "-A", "input", "-i", "eth+"];
    let done = strict
        .env("PORTCULLIS_STRICT_1_3_9", "1")
        .args(words)
        .output();
    assert!(stdout(&done.unwrap()).contains("via eth+ "));
    assert!(machine.text().contains("-i eth++"));
    assert!(machine.run("ipchains -v -A input -i ppp+").status.success());
    assert!(machine.text().contains("-i ppp+\n"));
}

#[test]
fn a_file_that_is_wrong_is_quoted() {
    let machine = Machine::new();
    fs::write(machine.file(), ":input DENY\n-A input -j acept\n").unwrap();
    let output = machine.run("ipchains -F");
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.starts_with("error: there is no target `acept'\n"),
        "{text}"
    );
    assert!(
        text.contains("ruleset:2:13") && text.contains("^^^^^"),
        "{text}"
    );
}

/// How many changes each of the two writers makes.
const CHANGES: Range<usize> = 0..1000;

#[test]
fn two_writers_lose_nothing() {
    let machine = Machine::new();
    let before = Instant::now();
    thread::scope(|scope| {
        for chain in ["input", "output"] {
            let machine = &machine;
            scope.spawn(move || {
                // One rule a change would be slow to read by the end.
                for change in CHANGES {
                    let line = match change % 10 {
                        0 => format!("ipchains -A {chain} -m {change}"),
                        _ => format!("ipchains -R {chain} {} -m {change}", change / 10 + 1),
                    };
                    let done = machine.run(&line);
                    assert!(done.status.success(), "{line}: {}", stderr(&done));
                }
            });
        }
    });
    let marks = |chain: &str| -> Vec<String> {
        let begin = format!("-A {chain} ");
        let text = machine.text();
        let rules = text.lines().filter(|line| line.starts_with(&begin));
        rules
            .map(|rule| rule.rsplit(' ').next().unwrap().to_owned())
            .collect()
    };
    let expected: Vec<String> = CHANGES
        .skip(9)
        .step_by(10)
        .map(|it| it.to_string())
        .collect();
    assert_eq!(marks("input"), expected);
    assert_eq!(marks("output"), expected);
    println!("2 x {} changes in {:?}", CHANGES.len(), before.elapsed());
}

#[test]
fn a_killed_writer_leaves_the_old_file_or_the_new() {
    let machine = Machine::new();
    let rules = "-A input -s 10.0.0.0/255.0.0.0 -d 0.0.0.0/0.0.0.0 -j DENY\n".repeat(2000);
    let version = "# portcullis ruleset 1\n";
    let states = ["ACCEPT", "DENY"].map(|policy| {
        format!("{version}:input {policy}\n:forward ACCEPT\n:output ACCEPT\n{rules}")
    });
    fs::write(machine.file(), &states[0]).unwrap();
    // How long a change takes when nobody disturbs it.
    let before = Instant::now();
    assert!(machine.run("ipchains -P input DENY").status.success());
    let usual = before.elapsed();
    let (mut old, mut new) = (0, 0);
    for round in 0..60_u32 {
        let now = machine.text();
        let to = if now == states[0] { "DENY" } else { "ACCEPT" };
        let mut writer = machine.start(&format!("ipchains -P input {to}"));
        thread::sleep(delay(usual, round));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let left = machine.text();
        assert!(states.contains(&left), "round {round} left something else");
        if left == now { old += 1 } else { new += 1 }
    }
    println!("killed at 60 moments: {old} times the old file, {new} times the new");
    assert!(
        machine.run("ipchains -F").status.success(),
        "no lock is left behind"
    );
}

/// Moments spread over the whole run and a little beyond, out of order.
fn delay(usual: Duration, round: u32) -> Duration {
    usual * (round * 37 % 60) / 50
}

#[test]
fn without_a_ruleset_one_sentence_helps() {
    let machine = Machine::new();
    let list = |control: &str| {
        let mut command = machine.command(machine.folder.path().join("ipchains"));
        command.env_remove("PORTCULLIS_RULESET");
        let output = command
            .env("PORTCULLIS_CONTROL", control)
            .arg("-L")
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        stderr(&output).to_string()
    };
    if !Path::new("/run/portcullis.sock").exists() {
        assert_eq!(
            list(""),
            "portcullis: ipchains needs to know what to act on: no firewall runs here; write \
             `portcullis --ruleset FILE ipchains', or set PORTCULLIS_RULESET to the name of a \
             ruleset file\n"
        );
    }
    assert_eq!(
        list("/nowhere/socket"),
        "portcullis: no firewall answers at /nowhere/socket: No such file or directory (os error \
         2)\n"
    );
}

/// Says so past the test harness, which keeps the output of tests that pass.
fn skipped(missing: &Path) {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "skipped: {} is not there", missing.display()).unwrap();
}
