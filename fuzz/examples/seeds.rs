//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds FOLDER [CAPTURE ...]` fills `FOLDER`
//! with a corpus for each fuzz target, made from the golden cases and from captures.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_runtime::capture::{CaptureReader, CaptureWriter};
use portcullis_testkit::generate::Random;
use portcullis_testkit::golden::{Case, packet_cases};

/// Of each case: more of them teach nothing new, and fuzzing begins with reading all.
const MOST: usize = 12;
/// Bytes of a capture at most.
const LONGEST: usize = 1 << 14;
/// Bytes of a text at most.
const LONG_TEXT: usize = 2000;
/// Targets whose bytes are choices.
const CHOICES: [&str; 5] = ["verdict", "round_trip", "check", "diff", "suggest"];
/// Where the target `frame` has raw IP among its link types.
const RAW: u8 = 6;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("name the folder to fill")?;
    let mut seeds = Seeds { folder, count: 0 };
    for case in packet_cases()? {
        seeds.golden(&case)?;
    }
    seeds.choices()?;
    for capture in arguments {
        seeds.capture(&capture)?;
    }
    println!("{} seeds in {}", seeds.count, seeds.folder.display());
    Ok(())
}

struct Seeds {
    folder: PathBuf,
    count: usize,
}

impl Seeds {
    fn add(&mut self, target: &str, bytes: &[u8]) -> Done {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("seed-{}", self.count)), bytes)?;
        self.count += 1;
        Ok(())
    }

    fn golden(&mut self, case: &Case) -> Done {
        let text = |name| case.text(name).map_err(|error| error.to_string());
        let (rules, saved, expected) = (
            start(text("rules.ipchains")?),
            start(text("save.txt")?),
            text("expected.txt")?,
        );
        self.add("rule_script", rules.as_bytes())?;
        self.add("arguments", rules.replace("ipchains ", "").as_bytes())?;
        self.add("save_text", &[&[0], saved.as_bytes()].concat())?;
        let lines = expected.lines().filter_map(|line| line.strip_prefix("L "));
        let lines: Vec<&str> = lines.filter(|line| line.contains("PROTO")).collect();
        for line in lines.iter().take(MOST) {
            self.add("log_line", line.as_bytes())?;
        }
        let syslog: String = lines
            .iter()
            .take(MOST)
            .map(|line| format!("Oct 17 00:30:06 host kernel: {line}\n"))
            .collect();
        self.add(
            "log_file",
            (syslog + "last message repeated 3 times\n").as_bytes(),
        )?;
        let saved = serde_json::to_string(saved)?;
        for request in [
            format!(r#"{{"reload":{{"ruleset":{saved},"zero":false,"confirm_seconds":9}}}}"#),
            format!(r#"{{"keep":{{"ruleset":{saved},"counters":[[1,40]]}}}}"#),
            r#""status""#.to_owned(),
        ] {
            let length = (request.len() as u32).to_be_bytes();
            self.add("control", &[&length, request.as_bytes()].concat())?;
        }
        let capture = case
            .bytes("packets.pcap")
            .map_err(|error| error.to_string())?;
        let temporary = env::temp_dir().join(format!("seed-{}.pcap", std::process::id()));
        fs::write(&temporary, capture)?;
        let done = self.capture(&temporary);
        fs::remove_file(temporary)?;
        done
    }

    /// A capture as it is and as pcapng, and its first records as frames, packets and messages of
    /// the kernel's queue.
    fn capture(&mut self, path: &Path) -> Done {
        let bytes = fs::read(path)?;
        let kind = match bytes.starts_with(&[0x0a, 0x0d]) {
            true => "pcapng",
            false => "pcap",
        };
        self.add(kind, &bytes[..bytes.len().min(LONGEST)])?;
        let mut reader = CaptureReader::open(path)?;
        let other = path.with_extension("same.pcapng");
        let other = env::temp_dir().join(other.file_name().unwrap_or_default());
        let mut same = CaptureWriter::create(&other)?;
        let mut records = 0;
        // Some captures are damaged: what comes before that is of use.
        while let Ok(Some(record)) = reader.next_record() {
            if records == MOST {
                break;
            }
            records += 1;
            same.write(&record, None)?;
            self.add("frame", &[&[0], record.data].concat())?;
            self.add("frame", &[&[RAW], record.data].concat())?;
            if record.data.first().is_some_and(|first| first >> 4 == 4) {
                self.add("key", &[&[0, 0], record.data].concat())?;
                self.add("netlink", &queued(record.data))?;
            }
        }
        same.finish()?;
        self.add("pcapng", &fs::read(&other)?)?;
        Ok(fs::remove_file(other)?)
    }

    /// Choices are any bytes.
    fn choices(&mut self) -> Done {
        let mut random = Random::new(8);
        for target in CHOICES {
            for length in (8..800).step_by(16) {
                let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
                self.add(target, &bytes)?;
            }
        }
        Ok(())
    }
}

/// The first lines.
fn start(text: &str) -> &str {
    let end = text
        .match_indices('\n')
        .take_while(|(at, _)| *at < LONG_TEXT);
    &text[..end.last().map_or(0, |(at, _)| at + 1)]
}

/// A packet as the kernel's queue hands it over (linux/netfilter/nfnetlink_queue.h).
fn queued(packet: &[u8]) -> Vec<u8> {
    let mut body = vec![2, 0, 0, 1];
    let mut attribute = |kind: u16, value: &[u8]| {
        body.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        body.extend_from_slice(&kind.to_ne_bytes());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    };
    attribute(1, &[0, 0, 0, 7, 8, 0, 0]);
    attribute(3, &[0, 0, 0, 9]);
    attribute(5, &[0, 0, 0, 2]);
    attribute(10, packet);
    let length = body.len() as u32 + 16;
    let header = [
        &length.to_ne_bytes()[..],
        &(3u16 << 8).to_ne_bytes(),
        &[0; 10],
    ]
    .concat();
    [header, body].concat()
}
