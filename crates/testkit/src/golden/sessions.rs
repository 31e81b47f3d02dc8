//! Transcripts of one firewall each: commands with what they printed, and
//! packets fed between them.

use std::path::Path;
use std::{env, io};

use portcullis_core::ruleset::{Counter, Rule, Ruleset};
use portcullis_syntax::ipchains::{Fidelity, Output};
use portcullis_syntax::names::Names;
use portcullis_syntax::save::{Form, save_as};
use portcullis_syntax::script;
use portcullis_syntax::steps::{self, PacketSteps};

use super::judge::{Copies, packet_text};
use super::report::{Difference, same_lines};
use super::shell::Shell;
use super::{cases_in_archive, read_case};

const SESSIONS: &[u8] = include_bytes!("../../golden/sessions.tar.zst");

/// A transcript.
#[derive(Clone, Debug)]
pub struct Session {
    /// Name of the file without its ending.
    pub name: String,
    text: String,
}

/// What a session compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCompared {
    /// Commands run.
    pub commands: usize,
    /// Packets judged.
    pub packets: usize,
    /// Lines that had to be equal.
    pub lines: usize,
}

/// The transcripts of `PORTCULLIS_GOLDEN_SESSIONS`, or the shipped ones.
pub fn sessions() -> io::Result<Vec<Session>> {
    let files = match env::var_os("PORTCULLIS_GOLDEN_SESSIONS") {
        Some(folder) => sessions_in(Path::new(&folder))?,
        None => archived()?,
    };
    let mut sessions = Vec::new();
    for (file, bytes) in files {
        if let Some(name) = file.strip_suffix(".session") {
            let text = String::from_utf8(bytes).map_err(io::Error::other)?;
            let name = name.to_owned();
            sessions.push(Session { name, text });
        }
    }
    Ok(sessions)
}

fn sessions_in(folder: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    Ok(read_case(folder)?.files.into_iter().collect())
}

fn archived() -> io::Result<Vec<(String, Vec<u8>)>> {
    let folders = cases_in_archive(SESSIONS)?;
    let files = folders.into_iter().flat_map(|folder| folder.files);
    Ok(files.collect())
}

/// Runs a transcript and compares every line. After each command the ruleset
/// must also survive being kept in a file.
pub fn check_session(session: &Session) -> Result<SessionCompared, Difference> {
    let (mut shell, names) = (Shell::new(), Names::new());
    let mut compared = SessionCompared::default();
    let mut lines = (1..).zip(session.text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        // What was recorded of this command or packet.
        let mut recorded = String::new();
        let ending: &[&str] = match line.split_at_checked(2) {
            Some(("$ ", _)) => &["> ", "! ", "= "],
            Some(("p ", _)) => &["P ", "L ", "N "],
            _ if line.is_empty() || line.starts_with('#') => continue,
            _ => return Err(Difference::new(format!("line {number} is not expected"))),
        };
        while let Some((_, line)) =
            lines.next_if(|(_, line)| ending.iter().any(|kind| line.starts_with(kind)))
        {
            recorded += line;
            recorded.push('\n');
        }
        let got = match line.strip_prefix("$ ") {
            Some(command) => {
                compared.commands += 1;
                let printed = transcript(&shell.line(command));
                check_kept(&shell.ruleset, &names)?;
                printed
            }
            None => {
                compared.packets += 1;
                let record = compared.packets as u64;
                let (steps, bytes) = packet(record, line)
                    .ok_or_else(|| Difference::new(format!("line {number} is no packet")))?;
                packet_text(&mut shell.ruleset, &steps, &bytes, Copies::Listed)
            }
        };
        let place = format!("line {number}, {line}\n");
        compared.lines += same_lines(&place, &recorded, &got)?;
    }
    Ok(compared)
}

/// Whether the text of a ruleset file says all of a ruleset but its counters.
fn check_kept(ruleset: &Ruleset, names: &Names) -> Result<(), Difference> {
    let text = save_as(ruleset, Form::Lossless);
    let again = script::read_as(&text, names, Fidelity::Strict);
    if let Some(mistake) = again.mistakes.first() {
        return Err(Difference::new(format!("kept as {}", mistake.command)));
    }
    let uncounted = |ruleset: &Ruleset| -> Vec<_> {
        let chains = ruleset.chains().iter();
        let uncounted = chains.map(|chain| {
            let rules = chain.rules().iter().map(|rule| Rule {
                counter: Counter::default(),
                ..rule.clone()
            });
            (*chain.name(), chain.policy(), rules.collect::<Vec<_>>())
        });
        uncounted.collect()
    };
    if uncounted(&again.ruleset) == uncounted(ruleset) {
        return Ok(());
    }
    Err(Difference::new(format!("not the same when kept:\n{text}")))
}

/// What a command printed, as the recorder wrote it.
fn transcript(output: &Output) -> String {
    let mut text = String::new();
    for line in output.stdout.lines() {
        text += &format!("> {line}\n");
    }
    for line in output.stderr.lines() {
        text += &format!("! {line}\n");
    }
    text + &format!("= {}\n", output.status)
}

/// A line `p CHAIN:INTERFACE ... HEX`.
fn packet(record: u64, line: &str) -> Option<(PacketSteps, Vec<u8>)> {
    let (steps, bytes) = line.strip_prefix("p ")?.rsplit_once(' ')?;
    let steps = steps.split(' ').map(steps::step).collect::<Option<_>>()?;
    let bytes = (0..bytes.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(bytes.get(at..at + 2)?, 16).ok());
    Some((PacketSteps { record, steps }, bytes.collect::<Option<_>>()?))
}
