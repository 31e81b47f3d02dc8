//! As much of a shell as the transcripts use: words, quotes, `;`, `&&`, `|`
//! and redirections, with files in memory and `/proc/net` from the ruleset.

use std::collections::HashMap;

use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::ipchains::{self, Fidelity, Output};
use portcullis_syntax::names::Names;
use portcullis_syntax::{proc_files, scripts};

/// A shell and the firewall that its commands act on.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) ruleset: Ruleset,
    names: Names,
    files: HashMap<String, String>,
}

/// Where the recorder kept the files of `/proc/net`.
const PROC: &str = "$ORACLE_PROC/";

impl Shell {
    /// A machine after boot.
    pub(super) fn new() -> Self {
        Self {
            ruleset: Ruleset::new(),
            names: Names::new(),
            files: HashMap::new(),
        }
    }

    /// Runs a line; the status is that of its last command.
    pub(super) fn line(&mut self, line: &str) -> Output {
        let mut all = Output::default();
        for list in split(&words(line), ";") {
            for pipeline in split(&list, "&&") {
                let done = self.pipeline(&pipeline);
                all.stdout += &done.stdout;
                all.stderr += &done.stderr;
                all.status = done.status;
                if done.status != 0 {
                    break;
                }
            }
        }
        all
    }

    fn pipeline(&mut self, words: &[String]) -> Output {
        let mut all = Output::default();
        for command in split(words, "|") {
            let done = self.redirected(&command, &all.stdout);
            all.stdout = done.stdout;
            all.stderr += &done.stderr;
            all.status = done.status;
        }
        all
    }

    fn redirected(&mut self, words: &[String], input: &str) -> Output {
        let mut plain = Vec::new();
        let mut input = input.to_owned();
        let (mut stdout_to, mut stderr_to) = (None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                ">" => stdout_to = words.next(),
                "<" => input = self.file(words.next().map_or("", String::as_str)),
                word => match word.strip_prefix("2>") {
                    Some(file) => stderr_to = Some(file),
                    None => plain.push(word.to_owned()),
                },
            }
        }
        let mut output = self.command(&plain, &input);
        if let Some(file) = stdout_to {
            self.files.insert(file.clone(), output.stdout);
            output.stdout = String::new();
        }
        if stderr_to == Some("/dev/null") {
            output.stderr.clear();
        }
        output
    }

    fn command(&mut self, words: &[String], input: &str) -> Output {
        let printed = |stdout: String| Output {
            stdout,
            ..Output::default()
        };
        match words.first().map_or("", String::as_str) {
            "ipchains" => ipchains::run(words, &mut self.ruleset, &self.names, Fidelity::Strict),
            "ipchains-save" => scripts::save(words, &self.ruleset),
            "ipchains-restore" => scripts::restore(
                words,
                input,
                &mut self.ruleset,
                &self.names,
                Fidelity::Strict,
                &mut |_: &str| None,
            ),
            "cat" => printed(words[1..].iter().map(|name| self.file(name)).collect()),
            "echo" => printed(words[1..].join(" ") + "\n"),
            "diff" if words.get(1).is_some_and(|it| it == "-") => {
                let same = words.get(2).is_some_and(|name| self.file(name) == input);
                Output {
                    status: u8::from(!same),
                    ..Output::default()
                }
            }
            other => Output {
                stderr: format!("{other}: not in this shell\n"),
                status: 127,
                ..Output::default()
            },
        }
    }

    fn file(&self, name: &str) -> String {
        match name.strip_prefix(PROC) {
            Some("ip_fwchains") => proc_files::ip_fwchains(&self.ruleset),
            Some("ip_fwnames") => proc_files::ip_fwnames(&self.ruleset),
            _ => self.files.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// The words of a line; a quoted word may be empty.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, ';') => {
                words.extend(word.take());
                words.push(";".to_owned());
            }
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

fn split(words: &[String], operator: &str) -> Vec<Vec<String>> {
    words
        .split(|word| word == operator)
        .map(<[String]>::to_vec)
        .collect()
}
