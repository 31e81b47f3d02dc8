//! The corpus of real rulesets and real packets: the same results, but
//! commands fail and say so, and all rulesets share one capture.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use portcullis_core::matcher::Matcher;
use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::ipchains::Fidelity;
use portcullis_syntax::names::Names;
use portcullis_syntax::{ipchains, script};

use super::judge::{Copies, check_ruleset, expected_text, read_steps};
use super::report::same_lines;
use super::{Case, Compared, Difference, cases_in};
use crate::pcap::raw_ipv4_packets;

/// Rulesets and the capture that they share.
#[derive(Clone, Debug)]
pub struct RealCorpus {
    /// One case a ruleset.
    pub cases: Vec<Case>,
    /// The shared capture.
    pub packets: Vec<u8>,
}

impl RealCorpus {
    /// Reads the corpus in `folder`.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            cases: cases_in(folder)?,
            packets: fs::read(folder.join("packets.pcap"))?,
        })
    }
}

/// Runs one ruleset: what each command printed, and then everything that
/// packet cases compare.
pub fn check_real<M: Matcher>(
    case: &Case,
    packets: &[u8],
    prepare: impl FnOnce(Arc<Ruleset>) -> M,
) -> Result<Compared, Difference> {
    let names = Names::new();
    let source = case.text("rules.ipchains")?;
    let session = session_text(source, &names);
    // The first line of the recording is a comment.
    let recorded = case.text("commands.session")?;
    let recorded = recorded.split_once('\n').map_or("", |(_, rest)| rest);
    let mut lines = same_lines("commands.session", recorded, &session)?;
    let packets = raw_ipv4_packets(packets);
    let steps = read_steps(case)?;
    let mut ruleset = script::read_as(source, &names, Fidelity::Strict).ruleset;
    let expected = expected_text(&mut ruleset, &packets, &steps, Copies::Left, prepare);
    lines += same_lines("expected.txt", case.text("expected.txt")?, &expected)?;
    lines += check_ruleset(case, &ruleset)?;
    let packets = steps.len();
    Ok(Compared { packets, lines })
}

/// Runs commands one by one and writes the transcript.
fn session_text(source: &str, names: &Names) -> String {
    let mut ruleset = Ruleset::new();
    let mut text = String::new();
    let mut variables = script::Variables::default();
    for line in script::Lines::new(source) {
        let commands = match variables.expand(line) {
            Ok(commands) => commands,
            Err(error) => return format!("{}\n", error.message),
        };
        // One command a line.
        let Some((words, (first, last))) = commands.into_iter().next().and_then(|words| {
            let span = (words.first()?.span.start, words.last()?.span.end);
            Some((words, span))
        }) else {
            continue;
        };
        text += &format!("$ {}\n", &source[first..last]);
        let words: Vec<String> = words.into_iter().map(|word| word.text).collect();
        let output = ipchains::run(&words, &mut ruleset, names, Fidelity::Strict);
        for line in output.stdout.lines() {
            text += &format!("> {line}\n");
        }
        for line in output.stderr.lines() {
            text += &format!("! {line}\n");
        }
        text += &format!("= {}\n", output.status);
    }
    text
}
