//! The command line.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{BuiltIn, Network, Verdict};

use crate::commands::bench::BenchArgs;
use crate::commands::check::CheckArgs;
use crate::commands::control::{ConfirmArgs, ReloadArgs, StatusArgs, StopArgs};
use crate::commands::cover::CoverArgs;
use crate::commands::diff::DiffArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::log::LogArgs;
use crate::commands::run::{KeepArgs, RunArgs};
use crate::commands::suggest::SuggestArgs;

/// A stateless packet filter engine in user space that speaks ipchains.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = IPCHAINS)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The old commands are not for clap: their arguments go through as they are.
const IPCHAINS: &str = "\
As ipchains 1.3.9:
  portcullis [--ruleset FILE] [--strict-1.3.9] ipchains ARGS...
  portcullis [--ruleset FILE] ipchains-save [-v] [CHAIN]
  portcullis [--ruleset FILE] ipchains-restore [-v] [-f] [-p]

The rules are in FILE, or in the file that PORTCULLIS_RULESET names; otherwise they are those of the
running firewall, at the socket that PORTCULLIS_CONTROL names or at /run/portcullis.sock. --strict-1.3.9, or
PORTCULLIS_STRICT_1_3_9=1, repeats the original's bugs.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Bench(BenchArgs),
    Check(CheckArgs),
    Cover(CoverArgs),
    Diff(DiffArgs),
    Explain(ExplainArgs),
    Log(LogArgs),
    Replay(Box<ReplayArgs>),
    Run(Box<RunArgs>),
    #[command(hide = true)]
    Keep(KeepArgs),
    Status(StatusArgs),
    Reload(ReloadArgs),
    Confirm(ConfirmArgs),
    Stop(StopArgs),
    Suggest(Box<SuggestArgs>),
    InstallLinks(InstallLinksArgs),
}

/// Make links named ipchains, ipchains-save and ipchains-restore to this program.
#[derive(Debug, Args)]
pub(crate) struct InstallLinksArgs {
    /// Where to put them.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// Judge the packets of captures: what would this ruleset do to this traffic?
///
/// Prints the packet-log lines that the kernel would have written, then a summary: verdicts,
/// every chain with its counters, and what was not judged and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 done; 1 a capture is damaged or of a link type that is not \
    supported; 2 the command line, a file or a rule is wrong; 130 interrupted."
)]
pub(crate) struct ReplayArgs {
    /// Captures: pcap or pcapng, also compressed with gzip or zstd; - reads standard input.
    #[arg(required = true, value_name = "CAPTURE")]
    pub(crate) captures: Vec<PathBuf>,

    /// Rules: a script of ipchains commands, or what ipchains-save wrote.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) rules: PathBuf,

    /// Do what a shell does with a script: report commands that fail, and go on without them.
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Look up host names that stand in the rules.
    #[arg(long)]
    pub(crate) resolve: bool,

    /// This machine's own address, or a network of them: to it is input, from it output, all
    /// else input, forward and output. May be given several times.
    #[arg(long, value_name = "ADDRESS[/LENGTH]", value_parser = network, value_delimiter = ',')]
    #[arg(conflicts_with_all = ["chain", "steps"], help_heading = "Which chains a packet meets")]
    pub(crate) local: Vec<Network>,

    /// Give every packet to this built-in chain.
    #[arg(long, value_name = "NAME", value_parser = built_in)]
    #[arg(conflicts_with = "steps", help_heading = "Which chains a packet meets")]
    pub(crate) chain: Option<BuiltIn>,

    /// The interface that rules see, in all chains or in one; otherwise the capture's. May be
    /// given several times.
    #[arg(long, value_name = "[CHAIN=]NAME", value_parser = named_interface)]
    #[arg(help_heading = "Which chains a packet meets")]
    pub(crate) interface: Vec<NamedInterface>,

    /// A file with a line NUMBER CHAIN:INTERFACE... for each packet to be judged.
    #[arg(long, value_name = "FILE", conflicts_with = "interface")]
    #[arg(help_heading = "Which chains a packet meets")]
    pub(crate) steps: Option<PathBuf>,

    /// Judge packets whose IP header checksum is wrong, too.
    #[arg(long)]
    pub(crate) ignore_checksums: bool,

    /// What decides: the compiled classifier, or the reference that it is held to.
    #[arg(long, value_name = "NAME", default_value = "classifier")]
    pub(crate) matcher: MatcherKind,

    /// Threads to judge with; without it, one for each core. The output is the same.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) threads: Option<NonZero<usize>>,

    /// Write packet-log lines to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) log: Option<PathBuf>,

    /// What stands before each packet-log line.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "syslog",
        help_heading = "Output"
    )]
    pub(crate) log_prefix: LogPrefix,

    /// The host that the syslog prefix names.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "localhost",
        help_heading = "Output"
    )]
    pub(crate) host: String,

    /// The time zone of the syslog prefix, such as Europe/Berlin, or `local`.
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "UTC",
        help_heading = "Output"
    )]
    pub(crate) time_zone: String,

    /// Write the packets that end with a verdict to a capture of their own (.pcap or .pcapng).
    /// May be given several times.
    #[arg(long, value_name = "VERDICT=FILE", value_parser = verdict_file, help_heading = "Output")]
    pub(crate) write: Vec<VerdictFile>,

    /// Sum verdicts up by time, so many seconds at a time.
    #[arg(long, value_name = "SECONDS", help_heading = "Output")]
    pub(crate) stats_by: Option<NonZero<u32>>,

    /// Write these sums to a CSV file instead of the summary.
    #[arg(
        long,
        value_name = "FILE",
        requires = "stats_by",
        help_heading = "Output"
    )]
    pub(crate) stats_file: Option<PathBuf>,

    /// Write a page for a browser: verdicts over time, what was denied most, rules and chains.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,

    /// Print everything as one JSON document.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Print no summary, no progress and no remarks: packet-log lines and errors only.
    #[arg(short, long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MatcherKind {
    /// Compiled: fast.
    Classifier,
    /// The kernel's walk, written to be read: slow.
    Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogPrefix {
    /// Time, host and `kernel:`, as syslogd wrote them.
    Syslog,
    /// Nothing.
    None,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedInterface {
    pub(crate) chain: Option<BuiltIn>,
    pub(crate) name: InterfaceName,
}

#[derive(Clone, Debug)]
pub(crate) struct VerdictFile {
    pub(crate) verdict: Verdict,
    pub(crate) file: PathBuf,
}

pub(crate) fn network(text: &str) -> Result<Network, String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, length.parse().ok()),
        None => (text, Some(32)),
    };
    let address: std::net::Ipv4Addr = address
        .parse()
        .map_err(|_| "write an address such as 192.0.2.7 or 192.0.2.0/24".to_owned())?;
    let length = length
        .filter(|length| *length <= 32)
        .ok_or("the length of a network is 0 to 32")?;
    let network = Network::with_prefix(address.to_bits(), length);
    if network.address() != address.to_bits() {
        let first = std::net::Ipv4Addr::from_bits(network.address());
        return Err(format!(
            "write {address} for this one address, or {first}/{length} for the whole network"
        ));
    }
    Ok(network)
}

pub(crate) fn built_in(text: &str) -> Result<BuiltIn, String> {
    BuiltIn::from_name(text).ok_or_else(|| "packets enter at input, forward or output".to_owned())
}

pub(crate) fn named_interface(text: &str) -> Result<NamedInterface, String> {
    let (chain, name) = match text.split_once('=') {
        Some((chain, name)) => (Some(built_in(chain)?), name),
        None => (None, text),
    };
    let (fitted, changed) = InterfaceName::for_device(name);
    if changed || name.is_empty() {
        return Err("an interface name has 1 to 15 characters and no blanks".to_owned());
    }
    let name = fitted;
    Ok(NamedInterface { chain, name })
}

fn verdict_file(text: &str) -> Result<VerdictFile, String> {
    let (verdict, file) = text
        .split_once('=')
        .ok_or("write VERDICT=FILE, such as DENY=denied.pcapng")?;
    let verdict = Verdict::from_name(&verdict.to_ascii_uppercase())
        .ok_or("a verdict is ACCEPT, DENY, REJECT, MASQ or REDIRECT")?;
    let file = PathBuf::from(file);
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("pcap" | "pcapng") => Ok(VerdictFile { verdict, file }),
        _ => Err("the file must end in .pcap or .pcapng".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
