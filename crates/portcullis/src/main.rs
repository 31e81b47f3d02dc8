//! A stateless packet filter engine in user space that speaks `ipchains`.
//!
//! This crate is the edge: arguments in, text out. What a command does lives
//! in the crates below it.

mod args;
mod commands;
mod interrupt;
mod report;
mod resolve;
mod rules;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// Exit status: done.
const DONE: u8 = 0;
/// Exit status: findings, or something was refused or damaged.
const FINDINGS: u8 = 1;
/// Exit status: the command line or an input is wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => commands::bench::run(&args),
        Command::Replay(args) => commands::replay::run(&args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        // Who reads our output may stop at any time.
        Err(error) if is_broken_pipe(&error) => ExitCode::from(DONE),
        Err(error) => {
            eprintln!("portcullis: {error:#}");
            ExitCode::from(USAGE)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
