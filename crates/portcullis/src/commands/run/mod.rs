//! `portcullis run`: a firewall.

mod compiled;
mod firewall;
mod keeper;
mod lanes;
mod log_writer;
mod messages;
mod queue;
mod server;
mod ssh_session;
mod works;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use nix::unistd::Group;
use portcullis_core::ruleset::{Chain, Network, Policy, Ruleset, Target};
use portcullis_core::traversal::LocalAddresses;
use portcullis_runtime::backend::observe::{self, Tap};
use portcullis_runtime::confine::{Confinement, Needs};
use portcullis_runtime::live::{LogChannel, LogLimit, Worker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::report::stderr::tell;
use crate::rules::{self, Hosts, OnMistake, RuleFile};
use crate::{DONE, FINDINGS, USAGE};

use compiled::Classifier;
use firewall::{Firewall, Plane};
use keeper::ToRestore;
use log_writer::{LogTarget, LogWriter};
use queue::QueueArgs;
use works::{Work, Working, Works};

pub(crate) use keeper::{KeepArgs, keep};
pub(crate) use messages::{Request, Response, Status};
pub(crate) use server::{to_text, with_counters};

/// Where a running firewall listens, unless it is told otherwise.
pub(crate) const CONTROL: &str = "/run/portcullis.sock";
/// Log lines that may wait to be written.
const WAITING_LINES: usize = 1 << 14;
/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(50);
/// Lines that a rule may write at once after a quiet time, in seconds' worth.
const BURST: u32 = 5;

/// Judge live packets.
///
/// --bridge stops packets: frames cross between two interfaces, which must have no addresses, only
/// through the rules. --host puts this machine's own packets through them, --queue those of a host or
/// router. --observe stops nothing: it judges copies and says what it would have done.
/// SIGHUP reads the rules again, SIGUSR1 opens the log file again, SIGTERM ends.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 ended when asked to; 1 the network failed; 2 the command line or \
    the rules are wrong. After kill -9 nothing passes; the next start cleans up, or --restore."
)]
#[command(group(clap::ArgGroup::new("plane").required(true).args(["observe", "bridge", "host", "queue"])))]
pub(crate) struct RunArgs {
    /// Rules: a script of ipchains commands, or what ipchains-save wrote.
    #[arg(short, long, value_name = "FILE", required_unless_present = "restore")]
    rules: Option<PathBuf>,

    /// Judge copies of what passes these interfaces. Stops nothing.
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    observe: Vec<String>,

    /// Let frames cross between these two interfaces as the forward chain says.
    #[arg(long, value_name = "IF:IF")]
    bridge: Option<Ports>,

    /// Let this machine's own packets pass this interface as the input and output chains say.
    #[arg(long, value_name = "IF")]
    host: Option<String>,

    #[command(flatten)]
    queue: QueueArgs,

    /// Only give back what a killed run left: its interfaces, or the way through the kernel.
    #[arg(long, conflicts_with = "observe")]
    restore: bool,

    /// Let packets pass while nobody judges them: after a crash, and in a flood of the kernel's queue.
    #[arg(long, conflicts_with = "observe")]
    fail_open: bool,

    /// End after this time unless `portcullis confirm` comes before.
    #[arg(long, value_name = "SECONDS", value_parser = crate::commands::control::seconds)]
    confirm: Option<u64>,

    /// Give frames to input, forward and output, as a router does.
    #[arg(long, requires = "bridge")]
    routed: bool,

    /// What happens to frames that are neither IPv4 nor ARP (which crosses).
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "drop",
        conflicts_with = "observe"
    )]
    non_ipv4: NonIpv4,

    /// This machine's own addresses; without it, those of the interfaces.
    #[arg(long, value_name = "ADDRESS", requires = "observe")]
    local: Vec<Ipv4Addr>,

    /// Where packet-log lines go: a file, - for standard output, syslog or journald. More than one
    /// may be named.
    #[arg(long, value_name = "FILE|-|syslog|journald", default_value = "-")]
    log: Vec<LogTarget>,

    /// The word before each line.
    #[arg(long, value_name = "TAG", default_value = "kernel", value_parser = tag)]
    log_tag: String,

    /// Lines a second that each rule may write, or off.
    #[arg(long, value_name = "N|off", default_value = "20")]
    log_limit: LineLimit,

    /// The socket to be spoken to.
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    control: PathBuf,

    /// Let the members of this group speak to the socket too; otherwise only its owner may.
    #[arg(long, value_name = "NAME", value_parser = group)]
    control_group: Option<u32>,

    /// Look up host names that stand in the rules.
    #[arg(long)]
    resolve: bool,
}

/// The two interfaces of a bridge.
#[derive(Clone, Debug)]
pub(crate) struct Ports([String; 2]);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NonIpv4 {
    /// They are dropped and counted.
    Drop,
    /// They cross.
    Pass,
}

/// What signals ask for.
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() && a != b => {
                Ok(Self([a.to_owned(), b.to_owned()]))
            }
            _ => Err("write two interfaces as IF:IF, such as eth1:eth2".to_owned()),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<u8> {
    let Some(rules) = &args.rules else {
        return restore(args);
    };
    let plane = args.plane();
    let Some(file) = load(args, rules, plane)? else {
        return Ok(USAGE);
    };
    let workers = match plane {
        Plane::Bridge | Plane::Host => 2,
        Plane::Queue => 1,
        Plane::Observe => args.observe.len(),
    };
    let signals = Signals::listen()?;
    let classifier = Classifier::compile(Arc::new(file.script.ruleset))?;
    let (sender, receiver) = crossbeam_channel::bounded(WAITING_LINES);
    let stop = Arc::clone(&signals.stop);
    let firewall = Firewall::new(plane, rules, classifier, workers, stop);
    let firewall = Arc::new(firewall);
    let lost = Arc::clone(&firewall.stats[0]);
    let writer = LogWriter::open(&args.log, &args.log_tag, plane, lost)?;
    let channel = |number: usize| {
        let stats = Arc::clone(&firewall.stats[number]);
        LogChannel::new(sender.clone(), stats)
    };
    let worker = |number| {
        let live = Arc::clone(&firewall.live);
        Worker::new(live, number, channel(number), args.log_limit.0)
    };
    // Before anything is taken from the kernel: there may be a firewall that is spoken to there.
    let control = server::bind(&args.control, args.control_group)?;
    let works = match (&args.bridge, &args.host, args.queue.queue) {
        (Some(ports), _, _) => lanes::bridge(ports, args, worker)?,
        (_, Some(interface), _) => lanes::host(interface, args, worker)?,
        (_, _, Some(number)) => queue::queue(number, args, worker)?,
        (None, None, None) => observe_works(args, worker)?,
    };
    // Threads that are started from here on have given up as much.
    firewall.is_confined(Confinement::begin(&needs(args, rules))?);
    let writer = writer.start(receiver, Arc::clone(&signals.reopen));
    server::listen(Arc::clone(&control), Arc::clone(&firewall));
    announce(args, &firewall);
    if let Some(seconds) = args.confirm {
        firewall.must_be_confirmed(Duration::from_secs(seconds));
    }
    let failed = attend(args, &firewall, &signals, works.start(&firewall));
    control.close();
    drop(sender);
    if let Err(error) = writer.finish() {
        tell(format_args!("portcullis: {error:#}"));
    }
    tell(format_args!("{}", firewall.status()));
    match failed {
        None => Ok(DONE),
        Some(error) => {
            tell(format_args!("portcullis: {error:#}"));
            Ok(FINDINGS)
        }
    }
}

impl RunArgs {
    fn plane(&self) -> Plane {
        match (&self.bridge, &self.host, self.queue.queue) {
            (Some(_), _, _) => Plane::Bridge,
            (_, Some(_), _) => Plane::Host,
            (_, _, Some(_)) => Plane::Queue,
            (None, None, None) => Plane::Observe,
        }
    }
}

/// Gives back what a killed run left.
fn restore(args: &RunArgs) -> anyhow::Result<u8> {
    let (held, name) = match (&args.bridge, &args.host) {
        (Some(ports), _) => (ToRestore::Bridge(ports), ports.0.join(" and ")),
        (_, Some(interface)) => (ToRestore::Host(interface), interface.clone()),
        (None, None) => (ToRestore::Queue, "the kernel's queue".to_owned()),
    };
    let what = match keeper::restore(&held)? {
        true => "given back to the kernel",
        false => "not taken from the kernel: nothing to do",
    };
    tell(format_args!("portcullis: {name}: {what}"));
    Ok(DONE)
}

fn observe_works(
    args: &RunArgs,
    mut worker: impl FnMut(usize) -> Worker<Classifier>,
) -> anyhow::Result<Works> {
    let mut local: Vec<Network> = args
        .local
        .iter()
        .map(|address| Network::with_prefix(address.to_bits(), 32))
        .collect();
    if local.is_empty() {
        for name in &args.observe {
            let addresses = observe::addresses(name);
            local.extend(addresses.with_context(|| format!("there is no interface {name}"))?);
        }
    }
    let mut each = Vec::new();
    for (number, name) in args.observe.iter().enumerate() {
        let addresses = LocalAddresses::new(local.clone());
        let tap = Tap::open(name, addresses).with_context(|| format!("cannot open {name}"))?;
        let (mut tap, mut worker, name) = (tap, worker(number), name.clone());
        let work: Work = Box::new(move |stats, stop| {
            let result = tap.run(&mut worker, stats, stop);
            result.with_context(|| format!("{name} failed"))
        });
        each.push(work);
    }
    Ok(Works { each, keeper: None })
}

/// Does what signals and time ask for until the end.
fn attend(
    args: &RunArgs,
    firewall: &Arc<Firewall>,
    signals: &Signals,
    working: Working,
) -> Option<anyhow::Error> {
    let mut unconfirmed = None;
    while !signals.stop.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        if signals.reload.swap(false, Ordering::Relaxed) {
            reload(args, firewall);
        }
        if firewall.fall_back(Instant::now()) {
            tell(format_args!(
                "portcullis: not confirmed: the rules before are in force again"
            ));
        }
        if firewall.is_overdue(Instant::now()) {
            firewall.stop.store(true, Ordering::Relaxed);
            unconfirmed = Some(anyhow!("not confirmed: ended"));
        }
    }
    working.join().or(unconfirmed)
}

/// What SIGHUP does: the rules' file again, all of it or nothing.
fn reload(args: &RunArgs, firewall: &Firewall) {
    let Some(rules) = &args.rules else { return };
    let loaded = load(args, rules, firewall.plane);
    match loaded {
        Ok(Some(file)) => match firewall.reload(file.script.ruleset, false, None) {
            Ok(number) => tell(format_args!("portcullis: generation {number} is in force")),
            Err(error) => tell(format_args!("portcullis: nothing changed: {error:#}")),
        },
        Ok(None) => tell(format_args!("portcullis: nothing changed")),
        Err(error) => tell(format_args!("portcullis: nothing changed: {error:#}")),
    }
}

/// Loads the rules and looks whether the plane can carry them out.
fn load(args: &RunArgs, rules: &Path, plane: Plane) -> anyhow::Result<Option<RuleFile>> {
    let hosts = match args.resolve {
        true => Hosts::LookedUp,
        false => Hosts::Refused,
    };
    let file = rules::load_file(rules, OnMistake::Refuse, hosts, "nothing has changed")?;
    let Some(file) = file else { return Ok(None) };
    if !plane.translates()
        && let Some((chain, number)) = beyond_a_bridge(&file.script.ruleset)
    {
        let place = match number {
            Some(number) => file.place(chain.name(), number),
            None => format!("{}: the policy of {}", file.name, chain.name()),
        };
        bail!(
            "{place}: --{} cannot masquerade or redirect: write ACCEPT or DENY",
            plane.as_str()
        );
    }
    Ok(Some(file))
}

/// The first rule or policy that asks for more than a bridge can do.
pub(super) fn beyond_a_bridge(ruleset: &Ruleset) -> Option<(&Chain, Option<usize>)> {
    ruleset.chains().iter().find_map(|chain| {
        if chain.policy() == Some(Policy::Masq) {
            return Some((chain, None));
        }
        let beyond =
            |target: &Option<Target>| matches!(target, Some(Target::Masq | Target::Redirect(_)));
        let found = chain.rules().iter().position(|rule| beyond(&rule.target));
        found.map(|number| (chain, Some(number)))
    })
}

/// What the firewall needs after its start: to read the rules again, to open the log again, and to
/// take its socket away.
fn needs(args: &RunArgs, rules: &Path) -> Needs {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    // The rules may be a link, and may be replaced by another file of that name.
    let real = rules.canonicalize().unwrap_or(rules.to_owned());
    let write = args.log.iter().filter_map(|target| match target {
        LogTarget::File(path) if path.is_file() => Some(folder(path)),
        LogTarget::File(path) => Some(path.clone()),
        LogTarget::Stdout | LogTarget::Syslog | LogTarget::Journald => None,
    });
    Needs {
        // The kernel takes verdicts from nobody else.
        net_admin: args.plane() == Plane::Queue,
        lookups: args.resolve,
        read: vec![folder(rules), folder(&real)],
        write: write.collect(),
        remove: vec![folder(&args.control)],
    }
}

fn announce(args: &RunArgs, firewall: &Firewall) {
    let what = match (&args.bridge, &args.host, args.queue.queue) {
        (Some(Ports([a, b])), _, _) => {
            format!("bridge {a}:{b}: ENFORCES, frames cross only by the rules")
        }
        (_, _, Some(number)) => {
            format!("queue {number}: ENFORCES, packets pass the kernel only by the rules")
        }
        (_, Some(interface), _) => {
            format!("host {interface}: ENFORCES, this machine's packets pass only by the rules")
        }
        (None, None, None) => format!(
            "observe {}: enforces NOTHING, says what it would do",
            args.observe.join(",")
        ),
    };
    let rules = firewall.live.current().matcher_rules();
    let socket = args.control.display();
    tell(format_args!(
        "portcullis: {what}; {rules} rules; control socket {socket}"
    ));
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let signals = Self {
            stop: Arc::default(),
            reload: Arc::default(),
            reopen: Arc::default(),
        };
        for (signal, flag) in [
            (SIGTERM, &signals.stop),
            (SIGINT, &signals.stop),
            (SIGHUP, &signals.reload),
            (SIGUSR1, &signals.reopen),
        ] {
            flag::register(signal, Arc::clone(flag)).context("cannot listen for signals")?;
        }
        Ok(signals)
    }
}

/// What a rule may write; without a limit, all.
#[derive(Clone, Copy, Debug)]
struct LineLimit(Option<LogLimit>);

impl FromStr for LineLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(per_second @ 1..=1_000_000) => Ok(Self(Some(LogLimit {
                per_second,
                burst: per_second * BURST,
            }))),
            _ => Err("write lines a second, from 1 to 1000000, or off".to_owned()),
        }
    }
}

/// What stands before each line: one word, as syslog daemons take it.
fn tag(text: &str) -> Result<String, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.[]".contains(letter);
    match (1..=32).contains(&text.len()) && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("write one word of at most 32 letters, digits and -_.[]".to_owned()),
    }
}

/// The number of a group.
fn group(name: &str) -> Result<u32, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err("there is no such group".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
