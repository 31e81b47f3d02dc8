//! The scripts that came with ipchains: `ipchains-save` and
//! `ipchains-restore` 1.1.2 (§12), text in and text out.

use std::fmt::Write as _;

use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{BuiltIn, EditError, Ruleset};

use crate::ipchains::{self, Fidelity, Output};
use crate::names::Names;
use crate::save::{Form, rule_text, write_chain, write_rules};

/// Answers the question that `ipchains-restore` may have.
pub trait Answers {
    /// What was typed after this question; `None` if there is nobody to ask.
    fn answer(&mut self, question: &str) -> Option<String>;
}

impl<F: FnMut(&str) -> Option<String>> Answers for F {
    fn answer(&mut self, question: &str) -> Option<String> {
        self(question)
    }
}

const SAVE_USAGE: &str = "Usage: ipchains-save [-v] [chain]\n";
const RESTORE_USAGE: &str = "Usage: ipchains-restore [-v] [-f] [-p]\n";

/// `ipchains-save [-v] [chain]`; word 0 is the program. The text is on
/// standard output, progress on standard error.
pub fn save(words: &[String], ruleset: &Ruleset) -> Output {
    let Some((letters, names)) = split_options(words, "v") else {
        return usage(SAVE_USAGE);
    };
    let chain = match names.as_slice() {
        [] => None,
        [name] => Some(*name),
        _ => return usage(SAVE_USAGE),
    };
    let chains: Vec<_> = ruleset
        .chains()
        .iter()
        .filter(|it| chain.is_none_or(|name| it.name().as_str() == name))
        .collect();
    if chains.is_empty() {
        return failure("ipchains-save: No chain by that name\n");
    }
    let mut output = Output::default();
    for chain in &chains {
        write_chain(&mut output.stdout, chain, Form::Script);
    }
    for chain in chains.iter().filter(|chain| !chain.rules().is_empty()) {
        // Writing to a string cannot fail.
        let _ = writeln!(output.stderr, "Saving `{}'.", chain.name());
        write_rules(&mut output.stdout, chain, Form::Script);
        if letters.contains('v') {
            for rule in chain.rules() {
                let _ = writeln!(output.stderr, "{}", rule_text(rule, Form::Script));
            }
        }
    }
    output
}

/// `ipchains-restore [-v] [-f] [-p]` with save text as its input; word 0 is
/// the program. Stops at the first line that fails; `ruleset` then holds what
/// was done before, and it is the caller's choice to keep it.
pub fn restore(
    words: &[String],
    input: &str,
    ruleset: &mut Ruleset,
    names: &Names,
    fidelity: Fidelity,
    answers: &mut dyn Answers,
) -> Output {
    let Some((letters, operands)) = split_options(words, "vfp") else {
        return usage(RESTORE_USAGE);
    };
    if !operands.is_empty() {
        return usage(RESTORE_USAGE);
    }
    let mut restore = Restore {
        ruleset,
        names,
        fidelity,
        answers,
        letters,
        skipped: Vec::new(),
        output: Output::default(),
    };
    for line in input.lines() {
        restore.line(line);
        if restore.output.status != 0 {
            break;
        }
    }
    restore.output
}

/// The letters of all options, and the other words; `None` if a letter is
/// not among `known`.
fn split_options<'a>(words: &'a [String], known: &str) -> Option<(String, Vec<&'a str>)> {
    let (mut letters, mut others) = (String::new(), Vec::new());
    for word in words.iter().skip(1) {
        match word.strip_prefix('-') {
            Some(cluster) if !cluster.is_empty() => letters.push_str(cluster),
            _ => others.push(word.as_str()),
        }
    }
    let legal = letters.chars().all(|letter| known.contains(letter));
    legal.then_some((letters, others))
}

fn usage(text: &str) -> Output {
    Output {
        stderr: text.to_owned(),
        status: 2,
        ..Output::default()
    }
}

fn failure(text: &str) -> Output {
    Output {
        stderr: text.to_owned(),
        status: 1,
        ..Output::default()
    }
}

struct Restore<'a> {
    ruleset: &'a mut Ruleset,
    names: &'a Names,
    fidelity: Fidelity,
    answers: &'a mut dyn Answers,
    letters: String,
    /// Chains whose rules are left as they are.
    skipped: Vec<String>,
    output: Output,
}

impl Restore<'_> {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            [first, rest @ ..] if first.starts_with(':') => {
                self.chain(&first[1..], rest.first().copied().unwrap_or_default());
            }
            ["-A", chain, ..] if self.skipped.iter().any(|it| it == chain) => {}
            words => {
                if self.letters.contains('v') {
                    self.output.stdout.push_str(line);
                    self.output.stdout.push('\n');
                }
                self.create_target(words);
                self.run(words);
            }
        }
    }

    fn chain(&mut self, name: &str, policy: &str) {
        if BuiltIn::from_name(name).is_some() {
            self.run(&["-P", name, policy]);
        } else if !self.exists(name) {
            self.create(name);
        } else if self.letters.contains('f') || self.flush_after_asking(name) {
            self.run(&["-F", name]);
        } else {
            self.skipped.push(name.to_owned());
        }
    }

    fn exists(&self, name: &str) -> bool {
        ChainName::new(name).is_some_and(|name| self.ruleset.chain(&name).is_some())
    }

    fn create(&mut self, name: &str) {
        let _ = writeln!(self.output.stdout, "Creating chain `{name}'.");
        self.run(&["-N", name]);
    }

    fn flush_after_asking(&mut self, name: &str) -> bool {
        let question = format!("Chain `{name}' already exists. Skip or flush? [S/f]? ");
        match self.answers.answer(&question) {
            Some(answer) => answer.trim_start().starts_with(['f', 'F']),
            None => {
                // Nobody was there to ask: at boot, or in a pipe.
                let stderr = &mut self.output.stderr;
                let _ = writeln!(stderr, "Skipping chain `{name}': -f flushes it instead.");
                false
            }
        }
    }

    /// `-p`: makes the chain that a rule jumps to.
    fn create_target(&mut self, words: &[&str]) {
        if !self.letters.contains('p') {
            return;
        }
        let mut targets = words.iter().skip_while(|word| **word != "-j");
        let target = targets.nth(1).and_then(|word| ChainName::new(word));
        if let Some(target) = target
            && self.ruleset.target(&target, 0) == Err(EditError::NoSuchTarget)
        {
            self.create(target.as_str());
        }
    }

    fn run(&mut self, words: &[&str]) {
        let words: Vec<String> = std::iter::once(&"ipchains")
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect();
        let done = ipchains::run(&words, self.ruleset, self.names, self.fidelity);
        self.output.stdout.push_str(&done.stdout);
        self.output.stderr.push_str(&done.stderr);
        if done.status != 0 {
            self.output.status = done.status;
            self.output.error = done.error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(options: &str, input: &str, ruleset: &mut Ruleset, answer: &str) -> Output {
        let words: Vec<String> = options.split(' ').map(str::to_owned).collect();
        restore(
            &words,
            input,
            ruleset,
            &Names::new(),
            Fidelity::Repaired,
            &mut |_: &str| Some(answer.to_owned()),
        )
    }

    fn rules(ruleset: &Ruleset, chain: &str) -> usize {
        let name = ChainName::new(chain).unwrap();
        ruleset.chain(&name).unwrap().rules().len()
    }

    const LAN: &str = "# a comment\n:input DENY\n:lan -\n-A lan -j ACCEPT\n-A input -j lan\n";

    #[test]
    fn chains_are_made_and_existing_ones_asked_about() {
        let mut ruleset = Ruleset::new();
        let output = run("ipchains-restore", LAN, &mut ruleset, "");
        assert_eq!(output.stdout, "Creating chain `lan'.\n");
        assert_eq!((output.status, rules(&ruleset, "lan")), (0, 1));
        let _ = run("ipchains-restore", LAN, &mut ruleset, "");
        assert_eq!(rules(&ruleset, "lan"), 1, "skipped");
        let _ = run("ipchains-restore", LAN, &mut ruleset, "f");
        assert_eq!(rules(&ruleset, "lan"), 1, "flushed, then filled");
        assert_eq!(
            rules(&ruleset, "input"),
            3,
            "built-in chains are not flushed"
        );
    }

    #[test]
    fn missing_targets_are_made_on_request() {
        let mut ruleset = Ruleset::new();
        let input = "-A input -j lan\n-A input -j ACCEPT\n";
        let output = run("ipchains-restore", input, &mut ruleset, "");
        assert_eq!(output.stderr, "ipchains: No target by that name\n");
        assert_eq!(output.status, 1);
        let output = run("ipchains-restore -vp", input, &mut ruleset, "");
        assert_eq!((output.status, rules(&ruleset, "lan")), (0, 0));
        assert_eq!(rules(&ruleset, "input"), 2);
    }

    #[test]
    fn unknown_options_and_chains_are_refused() {
        let words = ["ipchains-save".to_owned(), "nosuch".to_owned()];
        assert_eq!(save(&words, &Ruleset::new()).status, 1);
        let words = ["ipchains-save".to_owned(), "-x".to_owned()];
        assert_eq!(save(&words, &Ruleset::new()).status, 2);
    }
}
