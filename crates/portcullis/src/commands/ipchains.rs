//! The ipchains command and its scripts, on a ruleset file.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, bail};
use portcullis_core::ruleset::Ruleset;
use portcullis_runtime::store::{Change, RulesetStore};
use portcullis_syntax::ipchains::{self, Access, Fidelity, Output, RunError};
use portcullis_syntax::names::Names;
use portcullis_syntax::scripts;

use super::run::CONTROL;
use crate::USAGE;
use crate::report::stderr::tell;
use crate::report::stdout::{self, StdoutClosed};
use crate::resolve::SystemNames;
use crate::rules;
use crate::ruleset_file::{RulesetFile, RulesetFileError};
use crate::running::RunningFirewall;

/// The names under which this program is one of the old commands.
pub(crate) const PROGRAMS: [&str; 3] = ["ipchains", "ipchains-save", "ipchains-restore"];

/// The variable that names the ruleset file.
const RULESET: &str = "PORTCULLIS_RULESET";
/// The variable that names the control socket of a running firewall.
const SOCKET: &str = "PORTCULLIS_CONTROL";
/// The variable that asks for the original's bugs.
const STRICT: &str = "PORTCULLIS_STRICT_1_3_9";

/// One of the old commands with its arguments, as they were typed.
#[derive(Debug)]
pub(crate) struct Invocation {
    program: &'static str,
    /// Word 0 is the program as it was called.
    words: Vec<String>,
    ruleset: Option<PathBuf>,
    fidelity: Fidelity,
}

impl Invocation {
    /// Recognizes `ipchains ARGS`, and `portcullis [--ruleset FILE]
    /// [--strict-1.3.9] ipchains ARGS`. Everything else is left to the parser
    /// of portcullis' own command line, which must not look at `ARGS`.
    pub(crate) fn recognize(arguments: &[OsString]) -> Option<Self> {
        let mut ruleset = env::var_os(RULESET)
            .filter(|file| !file.is_empty())
            .map(PathBuf::from);
        let strict = env::var_os(STRICT).is_some_and(|value| !value.is_empty() && value != "0");
        let mut fidelity = if strict {
            Fidelity::Strict
        } else {
            Fidelity::Repaired
        };
        let name = Path::new(arguments.first()?).file_name()?;
        let mut at = 0;
        let mut program = program(name);
        while program.is_none() {
            at += 1;
            let word = arguments.get(at)?;
            match word.to_str() {
                Some("--strict-1.3.9") => fidelity = Fidelity::Strict,
                Some("--ruleset") => {
                    at += 1;
                    ruleset = Some(PathBuf::from(arguments.get(at)?));
                }
                Some(word) if word.starts_with("--ruleset=") => {
                    ruleset = Some(PathBuf::from(&word["--ruleset=".len()..]));
                }
                _ => program = Some(self::program(word)?),
            }
        }
        let words = arguments[at..].iter();
        Some(Self {
            program: program?,
            words: words.map(|it| it.to_string_lossy().into_owned()).collect(),
            ruleset,
            fidelity,
        })
    }

    /// Runs it; the result is the exit status.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let output = match self.program {
            "ipchains-save" => self.save(),
            "ipchains-restore" => self.restore(),
            _ => self.ipchains(),
        };
        let output = match output {
            Ok(output) => output,
            Err(error) => match error.downcast()? {
                // Quotes the file; it says itself what it is about.
                RulesetFileError::Mistakes(mistakes) => {
                    tell(format_args!("{mistakes}"));
                    return Ok(USAGE);
                }
                error => return Err(error.into()),
            },
        };
        let written = stdout::write(output.stdout.as_bytes());
        // Where nobody listens, nobody is to be told.
        let _ = io::stderr().write_all(output.stderr.as_bytes());
        match written {
            Err(error) if !error.is::<StdoutClosed>() => {
                // A save that is not written is none.
                if self.program == "ipchains-save" {
                    return Err(error);
                }
                // What a command did stands, whether or not it can be told.
                tell(format_args!("portcullis: {error:#}"));
            }
            _ => {}
        }
        Ok(output.status)
    }

    fn ipchains(&self) -> anyhow::Result<Output> {
        let names = names();
        let command = match ipchains::parse(&self.words, &names, self.fidelity) {
            Ok(command) => command,
            Err(error) => {
                return Ok(Output {
                    stderr: error.report(&self.words[0]),
                    status: USAGE,
                    error: Some(RunError::Usage(error)),
                    ..Output::default()
                });
            }
        };
        match command.access() {
            Access::None => Ok(command.run(&mut Ruleset::new(), &names)),
            Access::Read => Ok(command.run(&mut self.read()?, &names)),
            Access::Change => match (self.store()?, command.plain_words()) {
                (Store::Running(firewall), Some(words)) => {
                    firewall.edit(words, self.fidelity == Fidelity::Strict)
                }
                (store, _) => self.change(store, |ruleset| command.run(ruleset, &names)),
            },
        }
    }

    fn save(&self) -> anyhow::Result<Output> {
        Ok(scripts::save(&self.words, &self.read()?))
    }

    fn restore(&self) -> anyhow::Result<Output> {
        // Before the lock: whoever writes the text may want the file, too.
        let input = io::read_to_string(io::stdin()).context("cannot read standard input")?;
        let (names, fidelity) = (names(), self.fidelity);
        self.change(self.store()?, |ruleset| {
            scripts::restore(&self.words, &input, ruleset, &names, fidelity, &mut ask)
        })
    }

    fn read(&self) -> anyhow::Result<Ruleset> {
        match self.store()? {
            Store::File(file) => Ok(file.read()?),
            Store::Running(firewall) => firewall.read(),
        }
    }

    /// A command that fails leaves everything as it was; in strict mode what
    /// it did before it failed stands, as it did in the kernel.
    fn change(
        &self,
        store: Store,
        run: impl FnOnce(&mut Ruleset) -> Output,
    ) -> anyhow::Result<Output> {
        let edit = |ruleset: &mut Ruleset| {
            let output = run(ruleset);
            let change = match (output.status, self.fidelity) {
                (0, _) | (_, Fidelity::Strict) => Change::Keep,
                _ => Change::Discard,
            };
            (change, output)
        };
        match store {
            Store::File(file) => Ok(file.change(edit)?),
            Store::Running(firewall) => firewall.change(edit),
        }
    }

    fn store(&self) -> anyhow::Result<Store> {
        if let Some(file) = &self.ruleset {
            if file.as_os_str().is_empty() {
                bail!("--ruleset needs the name of a file");
            }
            return Ok(Store::File(RulesetFile::new(file)));
        }
        let socket = env::var_os(SOCKET).filter(|socket| !socket.is_empty());
        let named = socket.is_some();
        let socket = socket.map_or_else(|| PathBuf::from(CONTROL), PathBuf::from);
        if !named && !socket.exists() {
            bail!(
                "{} needs to know what to act on: no firewall runs here; write `portcullis \
                 --ruleset FILE {}', or set {RULESET} to the name of a ruleset file",
                self.program,
                self.program
            );
        }
        Ok(Store::Running(RunningFirewall::new(&socket)))
    }
}

/// What the old commands act on.
enum Store {
    File(RulesetFile),
    Running(RunningFirewall),
}

fn program(name: &OsStr) -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| name == *program)
}

/// The names of this machine, looked up as ipchains did.
fn names() -> Names {
    let mut names = Names::new();
    rules::add_services(&mut names);
    names.resolve_with(Box::new(SystemNames));
    names
}

/// Asks at the terminal, since standard input holds the rules.
fn ask(question: &str) -> Option<String> {
    let terminal = fs::File::open("/dev/tty").ok()?;
    eprint!("{question}");
    let mut answer = String::new();
    io::BufReader::new(terminal).read_line(&mut answer).ok()?;
    Some(answer)
}
