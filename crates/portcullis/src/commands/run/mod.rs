//! `portcullis run`: a firewall.

mod firewall;
mod log_writer;
mod server;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use portcullis_classifier::Classifier;
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Chain, Network, Policy, Ruleset, Target};
use portcullis_core::traversal::LocalAddresses;
use portcullis_runtime::backend::RawSocket;
use portcullis_runtime::backend::bridge::{self, Lane, NotIpv4};
use portcullis_runtime::backend::guard::Guard;
use portcullis_runtime::backend::observe::{self, Tap};
use portcullis_runtime::live::{LogChannel, LogLimit, Stats, Worker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::report::stderr::tell;
use crate::rules::{self, Hosts, OnMistake, RuleFile};
use crate::{DONE, FINDINGS, USAGE};

use firewall::{Firewall, Plane};
use log_writer::{LogTarget, LogWriter};

pub(crate) use server::{Request, Response, Status, to_text, with_counters};

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
/// through the rules. --observe stops nothing: it judges copies and says what it would have done.
/// SIGHUP reads the rules again, SIGUSR1 opens the log file again, SIGTERM ends.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 ended when asked to; 1 the network failed; 2 the command line or \
    the rules are wrong. After kill -9 nothing crosses a bridge; the next start cleans up."
)]
#[command(group(clap::ArgGroup::new("plane").required(true).args(["observe", "bridge"])))]
pub(crate) struct RunArgs {
    /// Rules: a script of ipchains commands, or what ipchains-save wrote.
    #[arg(short, long, value_name = "FILE")]
    rules: PathBuf,

    /// Judge copies of what passes these interfaces. Stops nothing.
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    observe: Vec<String>,

    /// Let frames cross between these two interfaces as the forward chain says.
    #[arg(long, value_name = "IF:IF")]
    bridge: Option<Ports>,

    /// Give frames to input, forward and output, as a router does.
    #[arg(long, requires = "bridge")]
    routed: bool,

    /// What happens to frames that are neither IPv4 nor ARP (which crosses).
    #[arg(long, value_name = "WHAT", default_value = "drop", requires = "bridge")]
    non_ipv4: NonIpv4,

    /// This machine's own addresses; without it, those of the interfaces.
    #[arg(long, value_name = "ADDRESS", requires = "observe")]
    local: Vec<Ipv4Addr>,

    /// Where packet-log lines go: a file, - for standard output, or syslog.
    #[arg(long, value_name = "FILE|-|syslog", default_value = "-")]
    log: LogTarget,

    /// Lines a second that each rule may write, or off.
    #[arg(long, value_name = "N|off", default_value = "20")]
    log_limit: LineLimit,

    /// The socket to be spoken to.
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    control: PathBuf,

    /// Look up host names that stand in the rules.
    #[arg(long)]
    resolve: bool,
}

/// The two interfaces of a bridge.
#[derive(Clone, Debug)]
struct Ports([String; 2]);

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
    let plane = match &args.bridge {
        Some(_) => Plane::Bridge,
        None => Plane::Observe,
    };
    let Some(file) = load(args, plane)? else {
        return Ok(USAGE);
    };
    let workers = match &args.bridge {
        Some(_) => 2,
        None => args.observe.len(),
    };
    let signals = Signals::listen()?;
    let classifier = Classifier::compile(Arc::new(file.script.ruleset))?;
    let (sender, receiver) = crossbeam_channel::bounded(WAITING_LINES);
    let stop = Arc::clone(&signals.stop);
    let firewall = Firewall::new(plane, &args.rules, classifier, workers, stop);
    let firewall = Arc::new(firewall);
    let writer = LogWriter::start(&args.log, receiver, plane, Arc::clone(&signals.reopen))?;
    let channel = |number: usize| {
        let stats = Arc::clone(&firewall.stats[number]);
        LogChannel::new(sender.clone(), stats)
    };
    let worker = |number| {
        let live = Arc::clone(&firewall.live);
        Worker::new(live, number, channel(number), args.log_limit.0)
    };
    let works = match &args.bridge {
        Some(ports) => bridge_works(ports, args, worker)?,
        None => observe_works(args, worker)?,
    };
    let control = server::listen(&args.control, Arc::clone(&firewall))?;
    announce(args, &firewall);
    let failed = attend(args, &firewall, &signals, works.start(&firewall));
    control.close();
    drop(sender);
    writer.finish()?;
    tell(format_args!("{}", firewall.status()));
    match failed {
        None => Ok(DONE),
        Some(error) => {
            tell(format_args!("portcullis: {error:#}"));
            Ok(FINDINGS)
        }
    }
}

/// One piece of work for each worker, and what must outlive them.
struct Works {
    each: Vec<Work>,
    /// Lets the kernel have the interfaces again when it is dropped.
    guard: Option<Guard>,
}

type Work = Box<dyn FnOnce(&Stats, &AtomicBool) -> anyhow::Result<()> + Send>;

/// The threads that work.
struct Working {
    threads: Vec<thread::JoinHandle<anyhow::Result<()>>>,
    guard: Option<Guard>,
}

impl Works {
    fn start(self, firewall: &Arc<Firewall>) -> Working {
        let start = |(number, work): (usize, Work)| {
            let firewall = Arc::clone(firewall);
            thread::spawn(move || {
                let result = work(&firewall.stats[number], &firewall.stop);
                // One side of a bridge alone is of no use.
                firewall.stop.store(true, Ordering::Relaxed);
                result
            })
        };
        Working {
            threads: self.each.into_iter().enumerate().map(start).collect(),
            guard: self.guard,
        }
    }
}

impl Working {
    /// Waits for the end of all; the first failure.
    fn join(self) -> Option<anyhow::Error> {
        let results = self.threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err(anyhow!("a worker panicked")),
        });
        let failed = results.filter_map(Result::err).collect::<Vec<_>>();
        drop(self.guard);
        failed.into_iter().next()
    }
}

fn bridge_works(
    ports: &Ports,
    args: &RunArgs,
    mut worker: impl FnMut(usize) -> Worker<Classifier>,
) -> anyhow::Result<Works> {
    for port in &ports.0 {
        let addresses =
            observe::addresses(port).with_context(|| format!("there is no interface {port}"))?;
        if !addresses.is_empty() {
            bail!(
                "{port} has an address, so the kernel would pass packets around the rules: take it \
                 away with `ip address flush dev {port}'"
            );
        }
    }
    let [a, b] = ports.0.each_ref().map(String::as_str);
    // First, so that there is no moment without it.
    let guard = Guard::new(&[a, b])?;
    let open = |name: &str| {
        let socket = RawSocket::open(name).with_context(|| format!("cannot open {name}"))?;
        anyhow::Ok(Arc::new(socket))
    };
    let (socket_a, socket_b) = (open(a)?, open(b)?);
    let (name_a, name_b) = (
        InterfaceName::for_device(a).0,
        InterfaceName::for_device(b).0,
    );
    let not_ipv4 = match args.non_ipv4 {
        NonIpv4::Drop => NotIpv4::Drop,
        NonIpv4::Pass => NotIpv4::Pass,
    };
    let lane = |from: &Arc<RawSocket>, to: &Arc<RawSocket>, steps| Lane {
        from: Arc::clone(from),
        to: Arc::clone(to),
        steps,
        not_ipv4,
    };
    let lanes = [
        (
            a,
            lane(
                &socket_a,
                &socket_b,
                bridge::steps(name_a, name_b, args.routed),
            ),
        ),
        (
            b,
            lane(
                &socket_b,
                &socket_a,
                bridge::steps(name_b, name_a, args.routed),
            ),
        ),
    ];
    let each = lanes.into_iter().enumerate().map(|(number, (from, lane))| {
        let mut worker = worker(number);
        let from = from.to_owned();
        let work: Work = Box::new(move |stats, stop| {
            let result = lane.run(&mut worker, stats, stop);
            result.with_context(|| format!("{from} failed"))
        });
        work
    });
    Ok(Works {
        each: each.collect(),
        guard: Some(guard),
    })
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
    Ok(Works { each, guard: None })
}

/// Does what signals and time ask for until the end.
fn attend(
    args: &RunArgs,
    firewall: &Arc<Firewall>,
    signals: &Signals,
    working: Working,
) -> Option<anyhow::Error> {
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
    }
    working.join()
}

/// What SIGHUP does: the rules' file again, all of it or nothing.
fn reload(args: &RunArgs, firewall: &Firewall) {
    let loaded = load(args, firewall.plane);
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
fn load(args: &RunArgs, plane: Plane) -> anyhow::Result<Option<RuleFile>> {
    let hosts = match args.resolve {
        true => Hosts::LookedUp,
        false => Hosts::Refused,
    };
    let file = rules::load_file(&args.rules, OnMistake::Refuse, hosts, "nothing was started")?;
    let Some(file) = file else { return Ok(None) };
    if plane == Plane::Bridge
        && let Some((chain, number)) = beyond_a_bridge(&file.script.ruleset)
    {
        let place = match number {
            Some(number) => file.place(chain.name(), number),
            None => format!("{}: the policy of {}", file.name, chain.name()),
        };
        bail!("{place}: a bridge cannot masquerade or redirect: write ACCEPT or DENY");
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

fn announce(args: &RunArgs, firewall: &Firewall) {
    let what = match &args.bridge {
        Some(Ports([a, b])) => format!("bridge {a}:{b}: ENFORCES, frames cross only by the rules"),
        None => format!(
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
