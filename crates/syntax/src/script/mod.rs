//! Files of rules: scripts of `ipchains` commands as people wrote them, and
//! `ipchains-save` text, also mixed.
//!
//! The commands run in order on a ruleset that starts as after boot. A command
//! that fails changes nothing and is noted as a [`Mistake`]; the rest runs, so
//! that one reading finds all mistakes. Whether a ruleset with mistakes may be
//! used is the caller's decision.

mod commands;
mod hints;
mod origins;
mod words;

use std::ops::Range;

use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{BuiltIn, EditError, Network, Policy, Ruleset};

use crate::ipchains::{self, Fidelity, Output, RunError};
use crate::names::Names;

pub use commands::Commands;
pub use origins::Origins;
pub use words::{Lines, ShellError, Variables, Word};

/// What a file of rules says.
#[derive(Clone, Debug)]
pub struct Script {
    /// The rules after all commands that succeeded.
    pub ruleset: Ruleset,
    /// What failed, in the order of the file.
    pub mistakes: Vec<Mistake>,
    /// What commands printed, among it remarks about TOS values.
    pub printed: Vec<Printed>,
    /// How many commands there were.
    pub commands: usize,
    /// Where in the file each part of the ruleset comes from.
    pub origins: Origins,
    /// Addresses in commands that succeeded, where the mask takes bits away.
    pub cut_addresses: Vec<CutAddress>,
}

/// An address that its mask takes bits away from: `10.1.2.3/8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutAddress {
    /// The bytes of the file that hold it.
    pub span: Range<usize>,
    /// As it was written.
    pub written: String,
    /// What it means.
    pub network: Network,
}

/// What a mistake means for the rest of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MistakeKind {
    /// The command failed, as it would have under a shell, which goes on.
    Failed,
    /// A shell would have done something here that decides which of the other
    /// commands run, or with which words: nobody can say what the file means.
    NeedsShell,
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Whether the rest still means something.
    pub kind: MistakeKind,
    /// What is wrong.
    pub message: String,
    /// The bytes of the file that are wrong, within one line.
    pub span: Range<usize>,
    /// What to write instead.
    pub hint: Option<String>,
    /// The command as it stands in the file.
    pub command: String,
    /// What ipchains would have said on standard error.
    pub report: String,
}

/// Something that a command wrote to standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// The bytes of the file that hold the command.
    pub span: Range<usize>,
    /// The text, with line ends.
    pub text: String,
}

/// Reads a file of rules.
pub fn read(source: &str, names: &Names) -> Script {
    read_as(source, names, Fidelity::default())
}

/// Reads a file of rules, with or without the mistakes of the original.
pub fn read_as(source: &str, names: &Names, fidelity: Fidelity) -> Script {
    let mut script = Script {
        ruleset: Ruleset::new(),
        mistakes: Vec::new(),
        printed: Vec::new(),
        commands: 0,
        origins: Origins::default(),
        cut_addresses: Vec::new(),
    };
    let mut commands = Commands::new(source);
    while let Some(command) = commands.next() {
        script.commands += 1;
        let known = script.mistakes.len();
        match command {
            Ok(words) => script.run(source, &words, names, fidelity),
            Err(error) => script.mistakes.push(Mistake {
                kind: MistakeKind::NeedsShell,
                report: format!("{}\n", error.message),
                command: source[line_of(source, error.span.start)].to_owned(),
                message: error.message,
                span: error.span,
                hint: Some(error.hint.to_owned()),
            }),
        }
        for mistake in &mut script.mistakes[known..] {
            mistake.message += &commands.turns();
        }
    }
    script
}

impl Script {
    fn run(&mut self, source: &str, words: &[Word], names: &Names, fidelity: Fidelity) {
        let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
        let program = texts[0].rsplit('/').next().unwrap_or_default();
        if let Some(chain) = texts[0].strip_prefix(':') {
            self.chain_line(source, words, chain);
        } else if texts[0].starts_with('-') {
            // Save text leaves the program's name out.
            let arguments: Vec<String> = std::iter::once("ipchains".to_owned())
                .chain(texts)
                .collect();
            let output = self.execute(&arguments, words, names, fidelity);
            self.note(source, words, 1, output, names);
        } else if program == "ipchains" {
            let output = self.execute(&texts, words, names, fidelity);
            self.note(source, words, 0, output, names);
        } else {
            self.mistakes.push(Mistake {
                kind: if steers_the_shell(&texts[0]) {
                    MistakeKind::NeedsShell
                } else {
                    MistakeKind::Failed
                },
                message: format!("`{}' is not an ipchains command", texts[0]),
                span: words[0].span.clone(),
                hint: Some(hints::other_program(program)),
                command: source[line_of(source, words[0].span.start)].to_owned(),
                report: format!("{}: not run\n", texts[0]),
            });
        }
    }

    /// Runs a command and follows what it does to which rule.
    fn execute(
        &mut self,
        arguments: &[String],
        words: &[Word],
        names: &Names,
        fidelity: Fidelity,
    ) -> Output {
        let command = match ipchains::parse(arguments, names, fidelity) {
            Ok(command) => command,
            Err(error) => return Output::refusal(arguments, error),
        };
        let before = Origins::before(&command, &self.ruleset);
        let output = command.run(&mut self.ruleset, names);
        let span = whole(words);
        let succeeded = output.status == 0;
        self.origins
            .follow(&command, &span, &before, &self.ruleset, succeeded);
        if succeeded {
            // A chain's name is too short to be taken for an address.
            self.cut_addresses.extend(words.iter().filter_map(|word| {
                Some(CutAddress {
                    span: word.span.clone(),
                    written: word.text.clone(),
                    network: ipchains::cut_address(&word.text)?,
                })
            }));
        }
        output
    }

    /// Files the outcome of a command whose word `i` is `words[i - shift]`.
    fn note(&mut self, source: &str, words: &[Word], shift: usize, output: Output, names: &Names) {
        let whole = words[0].span.start..words[0].span.end;
        let word = |at: usize| words.get(at.checked_sub(shift)?);
        if let Some(error) = &output.error {
            let (message, at) = match error {
                RunError::Usage(error) => (error.to_string(), word(error.word)),
                RunError::Kernel(error) => (
                    hints::plain_words(error),
                    hints::culprit(error, words).and_then(|at| words.get(at)),
                ),
            };
            self.mistakes.push(Mistake {
                kind: MistakeKind::Failed,
                message,
                span: at.map_or(whole.clone(), |word| word.span.clone()),
                hint: hints::hint(error, words, shift, &self.ruleset, names),
                command: source[line_of(source, words[0].span.start)].to_owned(),
                report: output.stderr,
            });
        }
        if !output.stdout.is_empty() {
            self.printed.push(Printed {
                span: whole,
                text: output.stdout,
            });
        }
    }

    /// A line `:NAME POLICY` of save text: sets a policy or makes a chain.
    fn chain_line(&mut self, source: &str, words: &[Word], chain: &str) {
        let policy = words.get(1).map_or("", |word| word.text.as_str());
        let result = match (BuiltIn::from_name(chain), Policy::from_name(policy)) {
            (Some(BuiltIn::Input | BuiltIn::Output), Some(Policy::Masq)) => {
                Err((1, "only `forward' can masquerade by policy".to_owned()))
            }
            (Some(chain), Some(policy)) => {
                self.ruleset.set_policy(chain, policy);
                self.origins.set_policy(chain, whole(words));
                Ok(())
            }
            (Some(_), None) => Err((1, format!("`{policy}' is not a policy"))),
            (None, _) if policy != "-" => Err((1, format!("user chain `{chain}' has no policy"))),
            (None, _) => match ChainName::new(chain) {
                None => Err((
                    0,
                    format!("chain name `{chain}' is longer than 8 characters"),
                )),
                Some(name) => match self.ruleset.new_chain(name) {
                    Ok(()) => {
                        self.origins.new_chain(name, whole(words));
                        Ok(())
                    }
                    Err(EditError::ChainExists) => {
                        Err((0, format!("chain `{chain}' exists already")))
                    }
                    Err(error) => Err((0, error.to_string())),
                },
            },
        };
        if let Err((at, message)) = result {
            let word = words.get(at).unwrap_or(&words[0]);
            self.mistakes.push(Mistake {
                kind: MistakeKind::Failed,
                report: format!("ipchains-restore: {message}\n"),
                message,
                span: word.span.clone(),
                hint: Some(
                    "write `:input ACCEPT' (or DENY, REJECT, for forward also MASQ) for a \
                     built-in chain, `:NAME -' for a chain of your own"
                        .to_owned(),
                ),
                command: source[line_of(source, words[0].span.start)].to_owned(),
            });
        }
    }
}

/// The bytes from the first word to the last.
fn whole(words: &[Word]) -> Range<usize> {
    let start = words.first().map_or(0, |word| word.span.start);
    start..words.last().map_or(start, |word| word.span.end)
}

/// Whether a command decides about the commands after it.
fn steers_the_shell(command: &str) -> bool {
    matches!(
        command,
        "if" | "then"
            | "else"
            | "elif"
            | "fi"
            | "for"
            | "while"
            | "until"
            | "do"
            | "done"
            | "case"
            | "esac"
            | "select"
            | "function"
            | "{"
            | "}"
            | "!"
            | "["
            | "[["
            | "test"
            | "exit"
            | "exec"
            | "return"
            | "break"
            | "continue"
            | "eval"
            | "source"
            | "."
            | "trap"
            | "unset"
            | "shift"
            | "read"
            | "alias"
    )
}

/// The bytes of the line around `at`, without its end.
fn line_of(source: &str, at: usize) -> Range<usize> {
    let start = source[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = source[at..].find('\n').map_or(source.len(), |end| at + end);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(source: &str) -> Script {
        read(source, &Names::new())
    }

    fn mistakes(source: &str) -> Vec<(String, String)> {
        load(source)
            .mistakes
            .into_iter()
            .map(|mistake| (mistake.message, source[mistake.span].to_owned()))
            .collect()
    }

    #[test]
    fn scripts_and_save_text_mix() {
        let script = load(
            "#!/bin/sh\n\n/sbin/ipchains -P input DENY # closed\n:lan -\n\
             -A lan -j ACCEPT\nipchains -A input \\\n  -i eth1 \\\n  -j lan\n",
        );
        assert_eq!(script.mistakes, []);
        assert_eq!(script.commands, 4);
        assert_eq!(script.ruleset.rule_count(), 2);
        assert_eq!(script.ruleset.chains()[0].policy(), Some(Policy::Deny));
    }

    #[test]
    fn every_mistake_names_its_word() {
        let found = mistakes(
            "ipchains -A input -p tcp -d 0/0 smpt -j ACCEPT\n\
             ipchains -A inptu -j ACCEPT\n\
             ipchains -A input -j deny\n\
             ipchains -D input 7\n\
             modprobe ip_masq_ftp\n",
        );
        let expected = [
            ("invalid port/service `smpt' specified", "smpt"),
            ("there is no chain `inptu'", "inptu"),
            ("there is no target `deny'", "deny"),
            ("chain `input' has no rule 7", "7"),
            ("`modprobe' is not an ipchains command", "modprobe"),
        ];
        let expected = expected.map(|(message, word)| (message.to_owned(), word.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_comment_never_swallows_the_next_line() {
        let script = load(
            "ipchains -F # all of it \\\nipchains -A input -j DENY\n# why \\\nipchains -N a\n",
        );
        assert_eq!(script.mistakes, []);
        assert_eq!(script.commands, 3);
    }

    #[test]
    fn variables_stand_for_their_words() {
        let script = load(
            "IPCHAINS=/sbin/ipchains\nLAN=\"-s 10.0.0.0/8\"\n$IPCHAINS -A input ${LAN} -j DENY\n",
        );
        assert_eq!(script.mistakes, []);
        let rule = &script.ruleset.chains()[0].rules()[0];
        assert_eq!(rule.conditions.source.value.address(), 0x0a00_0000);
    }

    #[test]
    fn the_habits_of_1999_are_understood() {
        let script = load(
            "IPCHAINS=/sbin/ipchains; export IPCHAINS\nexport EXTIF=eth0 LAN=10.0.0.0/8\n\
             $IPCHAINS -F; $IPCHAINS -X > /dev/null 2>&1\n\
             $IPCHAINS -A input -i $EXTIF -s $LAN -j DENY 2>/dev/null # spoof\n",
        );
        assert_eq!(script.mistakes, []);
        assert_eq!((script.commands, script.ruleset.rule_count()), (3, 1));
    }

    #[test]
    fn loops_over_words_run_for_each() {
        let script = load(
            "NETS=\"10.0.0.0/8 192.168.0.0/16\"\nfor net in $NETS 172.16.0.0/12; do\n\
             # all of them\n  for dir in input output\n  do ipchains -A $dir -s $net -j DENY\n\
             done; done\nfor i in 1; do ipchains -A forward -s $net; done\n",
        );
        assert_eq!(script.mistakes, []);
        let rules = |chain: usize| script.ruleset.chains()[chain].rules().len();
        assert_eq!([rules(0), rules(1), rules(2)], [3, 1, 3]);
        // The variable keeps its last value.
        let forward = &script.ruleset.chains()[1].rules()[0];
        assert_eq!(forward.conditions.source.value.address(), 0xac10_0000);
    }

    #[test]
    fn mistakes_in_loops_say_at_which_turn() {
        let found =
            mistakes("for port in 25 smpt; do\nipchains -A input -p tcp --dport $port; done");
        let message = "invalid port/service `smpt' specified (port is smpt)";
        assert_eq!(found, [(message.to_owned(), "$port".to_owned())]);
        for (script, message, at) in [
            (
                "for i in a b; do\nipchains -L\n",
                "this loop has no end",
                "for",
            ),
            (
                "for i in a b\nipchains -L\ndone\n",
                "`do' must stand here, not `ipchains'",
                "ipchains",
            ),
            (
                "for i; do\nipchains -L\ndone\n",
                "this loop names no words",
                "for",
            ),
            (
                "for i in eth*; do\nipchains -L\ndone\n",
                "a shell might make other words of this",
                "eth*",
            ),
            (
                "for i in `ls`; do\nipchains -L\ndone\n",
                "``' needs a shell",
                "`",
            ),
            (
                "for i in $(ls); do\nipchains -L\ndone\n",
                "`$' needs a shell",
                "$",
            ),
        ] {
            let found = mistakes(script);
            assert_eq!(found[0], (message.to_owned(), at.to_owned()), "{script}");
            assert_eq!(load(script).mistakes[0].kind, MistakeKind::NeedsShell);
        }
    }

    #[test]
    fn loops_cannot_fill_the_time() {
        let mut source = String::new();
        for depth in 0..12 {
            source += &format!("for v{depth} in 1 2 3 4 5 6 7 8 9 10; do\n");
        }
        source += &"done\n".repeat(12);
        for script in [source.clone(), source.replacen("done", ":x -\ndone", 1)] {
            let found = load(&script).mistakes;
            assert!(found.iter().any(|it| it.message.contains("more than")));
        }
    }

    #[test]
    fn variables_cannot_fill_the_memory() {
        let mut source = "A=xxxxxxxxxxxxxxxx\n".to_owned();
        for _ in 0..40 {
            source += "A=\"$A$A$A$A\"\n";
        }
        assert!(load(&source).mistakes[0].message.contains("longer than"));
    }

    #[test]
    fn what_only_a_shell_can_do_is_refused() {
        for (line, wrong) in [
            ("ipchains -A input -s $OUTSIDE", "$OUTSIDE"),
            ("ipchains -A input -s `hostname`", "`"),
            ("ipchains -N a || ipchains -F a", "|"),
            ("ipchains -A input < file", "<"),
            ("if [ -x /sbin/ipchains ]; then", "if"),
            ("stop() {", "("),
            ("ipchains -A input -s '10.0.0.1", "'"),
        ] {
            let found = mistakes(line);
            assert_eq!(found[0].1, wrong, "{line}");
            let kind = load(line).mistakes[0].kind;
            assert_eq!(kind, MistakeKind::NeedsShell, "{line}");
        }
    }
}
