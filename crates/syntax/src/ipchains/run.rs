//! Runs commands on a ruleset and prints what ipchains printed.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use portcullis_core::matcher::Trace;
use portcullis_core::names::ChainName;
use portcullis_core::reference::{Outcome, Reference};
use portcullis_core::ruleset::{BuiltIn, EditError, Rule, Ruleset, Verdict};

use super::command::{Action, Command, NamedTarget, NewRule, Probe, RuleSpec};
use super::error::UsageError;
use super::fidelity::Fidelity;
use super::help;
use super::parse::parse;
use crate::listing::{self, write_rule_line};
use crate::names::Names;

/// What a command printed, and its exit status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// 0 done, 1 refused by the kernel, 2 not understood.
    pub status: u8,
    /// Why the status is not 0.
    pub error: Option<RunError>,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// The command line is wrong.
    Usage(UsageError),
    /// The kernel refused.
    Kernel(KernelError),
}

/// A refusal with what ipchains says about it. `Display` gives its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelError {
    /// Why.
    pub error: EditError,
    operation: Operation,
    /// The chain that the command named.
    pub chain: ChainName,
    /// The target that the command named.
    pub target: Option<ChainName>,
    /// The rule number that the command named.
    pub number: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    AddRule,
    Other,
}

/// Runs one command line; word 0 is the program.
pub fn run(words: &[String], ruleset: &mut Ruleset, names: &Names, fidelity: Fidelity) -> Output {
    match parse(words, names, fidelity) {
        Ok(command) => command.run(ruleset, names),
        Err(error) => Output::refusal(words, error),
    }
}

impl Output {
    /// What comes of a command line that is not understood.
    pub(crate) fn refusal(words: &[String], error: UsageError) -> Self {
        Self {
            stderr: error.report(words.first().map_or("ipchains", String::as_str)),
            status: 2,
            error: Some(RunError::Usage(error)),
            ..Self::default()
        }
    }
}

impl Command {
    /// Carries the command out.
    pub fn run(&self, ruleset: &mut Ruleset, names: &Names) -> Output {
        let mut output = Output::default();
        for warning in &self.warnings {
            let (name, value) = (warning.name, warning.value);
            output.line(format_args!(
                "Warning: TOS manipulation may set multiple TOS bits for {name} TOS (0x{value:02x})"
            ));
        }
        match self.act(ruleset, names, &mut output) {
            Ok(()) => output,
            Err(error) => {
                output.stderr = format!("ipchains: {error}\n");
                output.status = 1;
                output.error = Some(RunError::Kernel(error));
                output
            }
        }
    }

    fn act(
        &self,
        ruleset: &mut Ruleset,
        names: &Names,
        output: &mut Output,
    ) -> Result<(), KernelError> {
        match &self.action {
            Action::Append(spec) => self.edit(spec, ruleset, output, |ruleset, chain, rule| {
                ruleset.append(chain, rule)
            }),
            Action::Insert(spec, number) => {
                self.edit(spec, ruleset, output, |ruleset, chain, rule| {
                    ruleset.insert(chain, *number, rule)
                })
            }
            Action::Replace(spec, number) => {
                self.edit(spec, ruleset, output, |ruleset, chain, rule| {
                    ruleset.replace(chain, *number, rule)
                })
            }
            Action::DeleteMatching(spec) => {
                self.edit(spec, ruleset, output, |ruleset, chain, rule| {
                    ruleset.delete_matching(chain, &rule).map(|_| ())
                })
            }
            Action::DeleteNumber(chain, number) => ruleset
                .delete(chain, *number)
                .map(|_| ())
                .map_err(|error| KernelError {
                    number: Some(*number),
                    ..KernelError::about(error, chain)
                }),
            Action::Check(chain, probes) => self.check(chain, probes, ruleset, output),
            Action::List(listed) => {
                listing::write(&mut output.stdout, ruleset, listed, names)
                    .map_err(|chain| KernelError::about(EditError::NoSuchChain, &chain))?;
                if listed.zero {
                    for name in all_names(ruleset) {
                        ruleset
                            .zero(&name)
                            .map_err(|error| KernelError::about(error, &name))?;
                    }
                }
                Ok(())
            }
            Action::Flush(chain) => {
                let chains = self.chains(*chain, ruleset, "Flushing", output);
                for_each(&chains, |name| ruleset.flush(name))
            }
            Action::Zero(chain) => {
                let chains = self.chains(*chain, ruleset, "Zeroing", output);
                for_each(&chains, |name| ruleset.zero(name))
            }
            Action::DeleteChain(chain) => {
                let chains = self.chains(*chain, ruleset, "Deleting", output);
                let user = chains
                    .iter()
                    .filter(|name| chain.is_some() || BuiltIn::from_name(name.as_str()).is_none());
                for_each(user, |name| ruleset.delete_chain(name))
            }
            Action::NewChain(name) => ruleset
                .new_chain(*name)
                .map_err(|error| KernelError::about(error, name)),
            Action::Policy(chain, policy) => {
                ruleset.set_policy(*chain, *policy);
                Ok(())
            }
            Action::ListMasquerading => {
                output.line(format_args!("IP masquerading entries"));
                Ok(())
            }
            Action::SetTimeouts(_) => Ok(()),
            Action::Help => {
                output.stdout.push_str(help::HELP);
                Ok(())
            }
            Action::HelpIcmp => {
                output.stdout.push_str(&help::icmp());
                Ok(())
            }
            Action::Version => {
                output.line(format_args!("{}", help::VERSION));
                Ok(())
            }
            Action::NotVersion => {
                output.line(format_args!("Not ipchains 2.0"));
                Ok(())
            }
        }
    }

    /// Gives each rule of `spec` to the kernel. Later rules are tried even if
    /// earlier ones are refused, and the last refusal is reported.
    fn edit(
        &self,
        spec: &RuleSpec,
        ruleset: &mut Ruleset,
        output: &mut Output,
        mut operation: impl FnMut(&mut Ruleset, &ChainName, Rule) -> Result<(), EditError>,
    ) -> Result<(), KernelError> {
        let mut result = Ok(());
        for (earlier, new) in spec.rules.iter().enumerate() {
            let mut new = new.clone();
            if self.verbose {
                self.print_rule(&mut new.rule, new.target.as_ref(), earlier, output);
            }
            let done = check_chain(ruleset, &spec.chain)
                .and_then(|()| new.resolve(ruleset))
                .and_then(|rule| operation(ruleset, &spec.chain, rule));
            if let Err(error) = done {
                result = Err(self.refused(error, spec, &new));
            }
        }
        result
    }

    /// Prints a rule before it is used. In the original this appends a `+` to
    /// the prefix of a wildcard interface, and the next rule of the same
    /// command starts from there (§9).
    fn print_rule(
        &self,
        rule: &mut Rule,
        target: Option<&NamedTarget>,
        earlier: usize,
        output: &mut Output,
    ) {
        let lengthen = |rule: &mut Rule, times| {
            if self.fidelity == Fidelity::Strict {
                listing::append_pluses(rule, times);
            }
        };
        lengthen(rule, earlier);
        write_rule_line(&mut output.stdout, rule, target);
        lengthen(rule, 1);
    }

    fn refused(&self, error: EditError, spec: &RuleSpec, new: &NewRule) -> KernelError {
        KernelError {
            error,
            operation: match self.action {
                Action::DeleteMatching(_) => Operation::Other,
                _ => Operation::AddRule,
            },
            chain: spec.chain,
            target: new.target.map(|target| target.name),
            number: match self.action {
                Action::Insert(_, number) | Action::Replace(_, number) => Some(number),
                _ => None,
            },
        }
    }

    fn check(
        &self,
        chain: &ChainName,
        probes: &[Probe],
        ruleset: &Ruleset,
        output: &mut Output,
    ) -> Result<(), KernelError> {
        let reference = Reference::new(Arc::new(ruleset.clone()));
        let mut trace = Trace::new();
        let start = ruleset.position(chain);
        for (earlier, probe) in probes.iter().enumerate() {
            let mut described = probe.described.clone();
            if self.verbose {
                self.print_rule(&mut described, None, earlier, output);
            }
            let Some(start) = start else { continue };
            // A `+` behind the name is not part of it.
            let interface = described.conditions.interface.value.name();
            let outcome = reference.walk_from(start, interface, &probe.key, &mut trace);
            output.line(format_args!(
                "{}",
                match outcome {
                    Outcome::Verdict(Verdict::Accept) => "accepted",
                    Outcome::Verdict(Verdict::Deny) => "denied",
                    Outcome::Verdict(Verdict::Reject) => "rejected",
                    Outcome::Verdict(Verdict::Masq) => "masqueraded",
                    Outcome::Verdict(Verdict::Redirect) => "redirected",
                    Outcome::Loop => "caught in loop",
                    Outcome::PassedThrough => "passed through chain",
                }
            ));
        }
        match start {
            Some(_) => Ok(()),
            None => Err(KernelError::about(EditError::NoSuchChain, chain)),
        }
    }

    /// The chain that was named, or all; `-v` says so of each.
    fn chains(
        &self,
        named: Option<ChainName>,
        ruleset: &Ruleset,
        doing: &str,
        output: &mut Output,
    ) -> Vec<ChainName> {
        let deleting = matches!(self.action, Action::DeleteChain(_));
        let chains = match named {
            Some(name) => vec![name],
            None => all_names(ruleset),
        };
        if self.verbose {
            for name in &chains {
                let spared =
                    deleting && named.is_none() && BuiltIn::from_name(name.as_str()).is_some();
                if !spared {
                    output.line(format_args!("{doing} chain `{name}'"));
                }
            }
        }
        chains
    }
}

fn all_names(ruleset: &Ruleset) -> Vec<ChainName> {
    ruleset.chains().iter().map(|chain| *chain.name()).collect()
}

fn check_chain(ruleset: &Ruleset, name: &ChainName) -> Result<(), EditError> {
    match ruleset.position(name) {
        Some(_) => Ok(()),
        None => Err(EditError::NoSuchChain),
    }
}

/// Goes on after failures and reports the last.
fn for_each<'a>(
    chains: impl IntoIterator<Item = &'a ChainName>,
    mut operation: impl FnMut(&ChainName) -> Result<(), EditError>,
) -> Result<(), KernelError> {
    let mut result = Ok(());
    for name in chains {
        if let Err(error) = operation(name) {
            result = Err(KernelError::about(error, name));
        }
    }
    result
}

impl KernelError {
    fn about(error: EditError, chain: &ChainName) -> Self {
        Self {
            error,
            operation: Operation::Other,
            chain: *chain,
            target: None,
            number: None,
        }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.error, self.operation) {
            // The library asks the kernel to add a rule and cannot tell which
            // of the two names was unknown.
            (EditError::NoSuchChain | EditError::NoSuchTarget, Operation::AddRule) => {
                f.write_str("No target by that name")?;
                match self.target.as_ref().map(ChainName::as_str) {
                    Some("MASQ") => " (Maybe this kernel doesn't support masquerading?)",
                    Some("REDIRECT") => {
                        " (Maybe this kernel doesn't support transparent proxying?)"
                    }
                    _ => "",
                }
            }
            (EditError::NoSuchChain | EditError::NoSuchTarget | EditError::NoSuchRule, _) => {
                "No chain by that name"
            }
            (EditError::BadPosition | EditError::NoMatchingRule, _) => {
                "bad rule (does a matching rule exist in that chain?)"
            }
            (EditError::ChainExists, _) => "Chain already exists",
            (EditError::ChainNotEmpty, _) => "Chain is not empty",
            (EditError::ChainInUse, _) => "Device or resource busy",
        };
        f.write_str(text)
    }
}

impl std::error::Error for KernelError {}

impl Output {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.stdout, "{text}");
    }
}
