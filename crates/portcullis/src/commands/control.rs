//! `portcullis status`, `reload`, `confirm` and `stop`: talking to a running firewall.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use portcullis_runtime::control::Connection;

use super::run::{CONTROL, Request, Response, Status};
use crate::report::stderr::tell;
use crate::report::stdout;
use crate::rules::{self, Hosts, OnMistake};
use crate::ruleset_file;
use crate::{DONE, FINDINGS, USAGE};

/// Say how the running firewall is.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    socket: Socket,

    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Give the running firewall other rules, all or nothing.
///
/// Every packet is judged by the old rules or by the new ones. Rules that stay keep their counters.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 done; 1 refused; 2 the rules are wrong, or there is no firewall."
)]
pub(crate) struct ReloadArgs {
    /// The rules; without it, the file that the firewall was started with.
    #[arg(value_name = "FILE")]
    rules: Option<PathBuf>,

    #[command(flatten)]
    socket: Socket,

    /// Come back to the old rules after this time, unless `portcullis confirm` comes before.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    confirm: Option<u64>,

    /// Set all counters to zero.
    #[arg(long)]
    zero: bool,

    /// Look up host names that stand in the rules.
    #[arg(long)]
    resolve: bool,
}

/// Keep what was started with `run --confirm` or loaded with `reload --confirm`.
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    #[command(flatten)]
    socket: Socket,
}

/// End the running firewall.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, Args)]
struct Socket {
    /// The socket of the firewall.
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    control: PathBuf,
}

pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<u8> {
    let status = ask_status(&args.socket.control)?;
    let text = match args.json {
        true => serde_json::to_string(&status)?,
        false => status.to_string(),
    };
    stdout::write(format!("{text}\n").as_bytes())?;
    Ok(DONE)
}

pub(crate) fn reload(args: &ReloadArgs) -> anyhow::Result<u8> {
    let socket = &args.socket.control;
    let file = match &args.rules {
        Some(file) => file.clone(),
        None => PathBuf::from(ask_status(socket)?.rules_file),
    };
    let hosts = match args.resolve {
        true => Hosts::LookedUp,
        false => Hosts::Refused,
    };
    let Some(file) = rules::load_file(&file, OnMistake::Refuse, hosts, "nothing was changed")?
    else {
        return Ok(USAGE);
    };
    tell_outcome(ask(
        socket,
        &Request::Reload {
            ruleset: ruleset_file::text(&file.script.ruleset)?,
            zero: args.zero,
            confirm_seconds: args.confirm,
        },
    )?)
}

pub(crate) fn confirm(args: &ConfirmArgs) -> anyhow::Result<u8> {
    tell_outcome(ask(&args.socket.control, &Request::Confirm)?)
}

pub(crate) fn stop(args: &StopArgs) -> anyhow::Result<u8> {
    tell_outcome(ask(&args.socket.control, &Request::Stop)?)
}

fn tell_outcome(response: Response) -> anyhow::Result<u8> {
    match response {
        Response::Done { generation } => {
            tell(format_args!("generation {generation} is in force"));
            Ok(DONE)
        }
        Response::Refused(why) => {
            tell(format_args!("portcullis: refused: {why}"));
            Ok(FINDINGS)
        }
        Response::Status(_) | Response::Rules { .. } | Response::Edited { .. } => {
            anyhow::bail!("an answer to something else")
        }
    }
}

fn ask_status(socket: &Path) -> anyhow::Result<Status> {
    match ask(socket, &Request::Status)? {
        Response::Status(status) => Ok(*status),
        _ => anyhow::bail!("an answer to something else"),
    }
}

fn ask(socket: &Path, request: &Request) -> anyhow::Result<Response> {
    Response::of(&mut connect(socket)?, request)
}

/// Connects to the firewall that listens there.
pub(crate) fn connect(socket: &Path) -> anyhow::Result<Connection> {
    let connected = Connection::open(socket);
    connected.with_context(|| format!("no firewall answers at {}", socket.display()))
}

pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    match number {
        Ok(seconds @ 1..=86_400) => Ok(seconds),
        _ => Err("write seconds, such as 30 or 30s".to_owned()),
    }
}
