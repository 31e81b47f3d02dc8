//! The page of `replay --html`, in a real browser.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a browser may take to show a page.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_browser_shows_the_page() {
    if !browser_is_there() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let page = write_page(&scratch, &[]);
    let picture = scratch.path().join("page.png");
    let screenshot = format!("--screenshot={}", picture.display());
    browse(&scratch, &["--window-size=390,844", &screenshot], &page);
    let decoder = png::Decoder::new(BufReader::new(File::open(&picture).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (390, 844));
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let colours: HashSet<&[u8]> = pixels.chunks(4).collect();
    assert!(colours.len() > 20, "only {} colours", colours.len());
}

#[test]
fn the_page_says_everything_and_asks_for_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let page = write_page(&scratch, &[]);
    let mut text = fs::read_to_string(&page).unwrap();
    if browser_is_there() {
        text = browse(&scratch, &["--dump-dom"], &page);
    }
    for expected in [
        "Replay of ",
        "All accounted for",
        "not IPv4: ARP",
        "Verdicts over time",
        "<desc",
        "Denied most",
        "(tcp 25)",
        "Rules by hits",
        "Chain input (policy DENY",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
    for asks in ["http:", "https:", "src=", "<script", "@import", "url("] {
        assert!(!text.contains(asks), "{asks}");
    }
}

#[test]
fn names_of_files_cannot_write_into_the_page() {
    let scratch = tempfile::tempdir().unwrap();
    let odd = scratch.path().join("<b onclick=x>&.pcapng");
    fs::copy(root().join("examples/gateway/day.pcapng"), &odd).unwrap();
    let page = write_page(&scratch, &[odd.to_str().unwrap()]);
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains("&lt;b onclick=x&gt;&amp;.pcapng"));
    assert!(!text.contains("<b "));
}

#[test]
fn any_number_of_threads_writes_the_same_page() {
    let scratch = tempfile::tempdir().unwrap();
    // Many chunks, so that every thread gets some.
    let many = ["examples/gateway/day.pcapng"; 40];
    let results = ["1", "2", "3", "7"].map(|threads| {
        let csv = scratch.path().join("stats.csv");
        let stats = ["--stats-by", "60", "--stats-file", csv.to_str().unwrap()];
        let page = write_page(&scratch, &[&many[..], &["--threads", threads]].concat());
        let fitted = fs::read(page).unwrap();
        let options = [&many[..], &["--threads", threads], &stats].concat();
        let page = write_page(&scratch, &options);
        (fitted, fs::read(page).unwrap(), fs::read(csv).unwrap())
    });
    for result in &results[1..] {
        assert!(*result == results[0]);
    }
}

#[test]
fn sums_by_time_add_up_to_the_verdicts() {
    for threads in ["1", "2", "3", "7"] {
        let output = replay()
            .args(["--stats-by", "60", "--json", "--threads", threads])
            .output()
            .unwrap();
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["stats"]["seconds"], 60);
        let rows = result["stats"]["rows"].as_array().unwrap();
        for verdict in result["verdicts"].as_array().unwrap() {
            let same = |row: &&serde_json::Value| {
                row["chain"] == verdict["chain"] && row["verdict"] == verdict["verdict"]
            };
            for what in ["packets", "bytes"] {
                let sum = rows.iter().filter(same).map(|row| row[what].as_u64());
                assert_eq!(sum.sum::<Option<u64>>(), verdict[what].as_u64());
            }
        }
        let starts = rows.iter().filter_map(|row| row["start"].as_i64());
        assert!(starts.into_iter().all(|start| start % 60 == 0));
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A replay of the gateway's day.
fn replay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(root()).args([
        "replay",
        "examples/gateway/day.pcapng",
        "--rules",
        "examples/gateway/fixed.rules",
        "--local",
        "198.51.100.1",
        "--local",
        "192.168.1.1",
    ]);
    command
}

fn write_page(scratch: &TempDir, options: &[&str]) -> PathBuf {
    let page = scratch.path().join("page.html");
    let output = replay()
        .args(options)
        .args(["--quiet", "--html"])
        .arg(&page)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    page
}

/// Whether the browser is installed; where everything is checked, it must be.
fn browser_is_there() -> bool {
    let version = Command::new("chromium").arg("--version").output();
    let there = version.is_ok_and(|output| output.status.success());
    assert!(there || env::var_os("CI").is_none(), "chromium is missing");
    if !there {
        eprintln!("skipped: chromium is not installed");
    }
    there
}

/// Shows a page without a window; the result is what the browser prints.
fn browse(scratch: &TempDir, options: &[&str], page: &Path) -> String {
    let profile = tempfile::tempdir().unwrap();
    let printed = scratch.path().join("printed");
    let mut browser = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .stdout(File::create(&printed).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = browser.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            browser.kill().unwrap();
            browser.wait().unwrap();
            panic!("the browser took more than {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
    fs::read_to_string(printed).unwrap()
}
