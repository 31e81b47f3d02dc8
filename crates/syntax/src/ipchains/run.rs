//! Runs commands on a ruleset and prints what ipchains printed.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use portcullis_core::matcher::Trace;
use portcullis_core::names::ChainName;
use portcullis_core::reference::{Outcome, Reference};
use portcullis_core::ruleset::{BuiltIn, EditError, Rule, Ruleset, Verdict};

use super::command::{Action, Command, NewRule, Probe, RuleSpec};
use super::error::UsageError;
use super::parse::parse;
use crate::listing::{self, write_rule_line};
use crate::names::{ICMP_NAMES, Names};

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
    DeleteRule,
    Other,
}

const VERSION: &str = "ipchains 1.3.9, 17-Mar-1999";

/// Runs one command line; word 0 is the program.
pub fn run(words: &[String], ruleset: &mut Ruleset, names: &Names) -> Output {
    match parse(words, names) {
        Ok(command) => command.run(ruleset, names),
        Err(error) => Output {
            stderr: error.report(),
            status: 2,
            error: Some(RunError::Usage(error)),
            ..Output::default()
        },
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
                output.stdout.push_str(HELP);
                Ok(())
            }
            Action::HelpIcmp => {
                write_icmp_help(output);
                Ok(())
            }
            Action::Version => {
                output.line(format_args!("{VERSION}"));
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
        for new in &spec.rules {
            let mut new = new.clone();
            if self.verbose {
                write_rule_line(&mut output.stdout, &new.rule, new.target.as_ref());
                listing::append_plus(&mut new.rule);
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

    fn refused(&self, error: EditError, spec: &RuleSpec, new: &NewRule) -> KernelError {
        KernelError {
            error,
            operation: match self.action {
                Action::DeleteMatching(_) => Operation::DeleteRule,
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
        for probe in probes {
            if self.verbose {
                write_rule_line(&mut output.stdout, &probe.described, None);
            }
            let start = ruleset
                .position(chain)
                .ok_or_else(|| KernelError::about(EditError::NoSuchChain, chain))?;
            let outcome = reference.walk_from(start, &probe.interface, &probe.key, &mut trace);
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
        Ok(())
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

fn write_icmp_help(output: &mut Output) {
    output.line(format_args!("{VERSION}\n\nValid ICMP Types:"));
    let mut entries = ICMP_NAMES.iter().peekable();
    while let Some(entry) = entries.next() {
        let whole_type = |codes| codes == portcullis_core::ruleset::PortRange::ALL;
        let indent = if whole_type(entry.codes) { "" } else { "   " };
        // A synonym stands in brackets behind the name that it stands for.
        let synonym = entries.next_if(|next| next.kind == entry.kind && next.codes == entry.codes);
        let synonym = synonym.map_or(String::new(), |next| format!(" ({})", next.name));
        output.line(format_args!("{indent}{}{synonym}", entry.name));
    }
}

const HELP: &str = "\
ipchains 1.3.9, 17-Mar-1999

Usage: ipchains -[AI] CHAIN [NUMBER] CONDITIONS [-j TARGET] [OPTIONS]
       ipchains -R CHAIN NUMBER CONDITIONS [-j TARGET] [OPTIONS]
       ipchains -D CHAIN NUMBER | CONDITIONS [-j TARGET] [OPTIONS]
       ipchains -C CHAIN -s ADDRESS [PORT] -d ADDRESS [PORT] -p PROTOCOL -i NAME
       ipchains -[LFZX] [CHAIN] [OPTIONS]
       ipchains -N CHAIN
       ipchains -P CHAIN POLICY
       ipchains -M -L | -M -S TCP TCPFIN UDP
       ipchains -h [icmp]

Commands (one of them):
  -A, --append CHAIN             add a rule at the end
  -I, --insert CHAIN [NUMBER]    put a rule before rule NUMBER (1)
  -R, --replace CHAIN NUMBER     put a rule in the place of another
  -D, --delete CHAIN [NUMBER]    take a rule out, by number or description
  -C, --check CHAIN              say what would become of a packet
  -L, --list [CHAIN]             show rules
  -F, --flush [CHAIN]            take out all rules
  -Z, --zero [CHAIN]             set counters to zero
  -N, --new-chain CHAIN          make a user chain
  -X, --delete-chain [CHAIN]     remove a user chain, or all
  -P, --policy CHAIN POLICY      set what happens at a built-in chain's end
  -M, --masquerading             with -L or -S: masqueraded connections
  -S, --set TCP TCPFIN UDP       set masquerading timeouts in seconds

Conditions, each after `!' for the opposite:
  -s, --source ADDRESS[/MASK] [PORT[:PORT]]
  -d, --destination ADDRESS[/MASK] [PORT[:PORT]]
      --source-port, --sport PORT[:PORT]
      --destination-port, --dport PORT[:PORT]
      --icmp-type NAME | NUMBER
  -p, --protocol PROTOCOL        number or name
  -i, --interface NAME[+]        a + at the end stands for any ending
  -f, --fragments                second and later fragments
  -y, --syn                      TCP packets that open a connection

Options:
  -j, --jump TARGET              verdict, chain, or REDIRECT [PORT]
  -l, --log                      log packets that match
  -b, --bidirectional            a second rule for the other direction
  -m, --mark [+-]VALUE           mark packets that match
  -t, --TOS AND XOR              change their type of service
  -o, --output [SIZE]            copy them to user space
  -n, --numeric                  no names in listings
  -v, --verbose                  more in listings, and say what is done
  -x, --exact                    counters in full
      --line-numbers             rule numbers in listings
      --no-warnings              no remarks about TOS
  -V, --version                  show the version
";
