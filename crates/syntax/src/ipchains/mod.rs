//! The `ipchains` command: arguments to a [`Command`], a command to an edit of
//! a ruleset and the text that ipchains 1.3.9 would have printed.

mod check;
mod combine;
mod command;
mod error;
mod fidelity;
mod getopt;
mod help;
mod numbers;
mod options;
mod parse;
mod run;
mod values;
mod words;

pub use command::{
    Access, Action, Command, ListOptions, Listed, MasqTimeouts, NamedTarget, NewRule, Probe,
    RuleSpec, TosWarning,
};
pub use error::{UsageError, UsageErrorKind};
pub use fidelity::Fidelity;
pub use options::{OPTIONS, Opt, OptionSpec, Takes};
pub use parse::parse;
pub use run::{KernelError, Output, RunError, run};
pub(crate) use values::cut_address;
