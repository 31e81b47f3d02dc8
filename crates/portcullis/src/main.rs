//! A stateless packet filter engine in user space that speaks `ipchains`.
//!
//! This crate is the edge: arguments in, text out. What a command does lives
//! in the crates below it.

mod args;
mod captured;
mod commands;
mod interrupt;
mod log_text;
mod report;
mod resolve;
mod rules;
mod ruleset_file;
mod running;

use std::env;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use commands::ipchains::Invocation;
use report::stderr::tell;
use report::stdout::StdoutClosed;

/// Exit status: done.
const DONE: u8 = 0;
/// Exit status: findings, or something was refused or damaged.
const FINDINGS: u8 = 1;
/// Exit status: the command line or an input is wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    let result = match Invocation::recognize(&arguments) {
        Some(ipchains) => ipchains.run(),
        None => match Cli::parse_from(arguments).command {
            Command::Bench(args) => commands::bench::run(&args),
            Command::Check(args) => commands::check::run(&args),
            Command::Cover(args) => commands::cover::run(&args),
            Command::Diff(args) => commands::diff::run(&args),
            Command::Explain(args) => commands::explain::run(&args),
            Command::Log(args) => commands::log::run(&args),
            Command::Replay(args) => commands::replay::run(&args),
            Command::Run(args) => commands::run::run(&args),
            Command::Keep(args) => commands::run::keep(&args),
            Command::Status(args) => commands::control::status(&args),
            Command::Reload(args) => commands::control::reload(&args),
            Command::Confirm(args) => commands::control::confirm(&args),
            Command::Stop(args) => commands::control::stop(&args),
            Command::Suggest(args) => commands::suggest::run(&args),
            Command::InstallLinks(args) => commands::install_links::run(&args),
        },
    };
    match result {
        Ok(status) => ExitCode::from(status),
        // Who reads our output may stop at any time.
        Err(error) if error.is::<StdoutClosed>() => ExitCode::from(DONE),
        Err(error) => {
            tell(format_args!("portcullis: {error:#}"));
            ExitCode::from(USAGE)
        }
    }
}
