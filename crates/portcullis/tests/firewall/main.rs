//! The firewall between real machines: network namespaces with real traffic.
//!
//! Needs root, iproute2, nftables and ping; without them every test is shown as ignored. Under CI
//! that is a failure.

#![allow(clippy::unwrap_used, reason = "tests")]

mod attack;
mod bridge;
mod confine;
mod faults;
mod frames;
mod golden;
mod host;
mod load;
mod net;
mod observe;
mod peers;
mod queue;
mod wire;
mod wrong;

use std::env;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

use net::{Net, run};

/// Where the firewall stands.
type Place = fn(usize) -> Net;
type Test = fn(&Net) -> Result<(), Failed>;

const BETWEEN: Place = Net::between;
const AT_HOME: Place = Net::at_home;
const ROUTED: Place = Net::routed;

const TESTS: &[(&str, Place, Test)] = &[
    (
        "accepted traffic crosses, with offloads on",
        BETWEEN,
        bridge::crosses,
    ),
    ("deny all lets nothing cross", BETWEEN, bridge::deny_all),
    (
        "a rejected packet is answered, a denied one is not",
        BETWEEN,
        bridge::rejects,
    ),
    (
        "after kill -9 nothing crosses until it is started again",
        BETWEEN,
        bridge::killed,
    ),
    (
        "the old commands change the running firewall",
        BETWEEN,
        bridge::ipchains,
    ),
    (
        "reloading is all or nothing, and loses no packet",
        BETWEEN,
        bridge::reloads,
    ),
    (
        "rules that are not confirmed go away again",
        BETWEEN,
        bridge::unconfirmed,
    ),
    (
        "a tap says what it would have done",
        BETWEEN,
        observe::observes,
    ),
    (
        "a tap counts what it was too slow for",
        BETWEEN,
        observe::observes_a_flood,
    ),
    (
        "a tap on a router places what is forwarded",
        ROUTED,
        observe::observes_a_router,
    ),
    (
        "a host's traffic passes both ways, with offloads on",
        AT_HOME,
        host::passes,
    ),
    ("a host that denies all is cut off", AT_HOME, host::stops),
    (
        "a host whose firewall was killed is cut off until it is restored",
        AT_HOME,
        host::killed,
    ),
    ("a host gets back what it had", AT_HOME, host::gives_back),
    (
        "an address that a host's interface is given leads around nothing",
        AT_HOME,
        host::another_address,
    ),
    (
        "a start that is not confirmed is undone",
        AT_HOME,
        host::unconfirmed,
    ),
    (
        "a host's day: deny, read the log, add rules, and FTP works",
        AT_HOME,
        host::the_articles_day,
    ),
    (
        "a running firewall has given up its powers",
        BETWEEN,
        confine::least_power,
    ),
    (
        "100 reloads a second mix no rules and lose no packet",
        BETWEEN,
        load::bridge_reloads,
    ),
    (
        "100 reloads a second on a host mix no rules and lose no packet",
        AT_HOME,
        load::host_reloads,
    ),
    (
        "100 reloads a second of a queue mix no rules and lose no packet",
        ROUTED,
        load::queue_reloads,
    ),
    (
        "a flood of log lines does not hold packets up",
        BETWEEN,
        load::bridge_flood,
    ),
    (
        "a flood of log lines does not hold a host's packets up",
        AT_HOME,
        load::host_flood,
    ),
    (
        "a flood of log lines does not hold a queue's packets up",
        ROUTED,
        load::queue_flood,
    ),
    ("a wrong file changes nothing", BETWEEN, wrong::bridge),
    (
        "a wrong file changes nothing on a host",
        AT_HOME,
        wrong::host,
    ),
    (
        "a wrong file changes nothing of a queue",
        ROUTED,
        wrong::queue,
    ),
    ("tagged frames keep their tag", BETWEEN, wire::tagged),
    (
        "jumbo frames cross where both sides take them",
        BETWEEN,
        wire::jumbo,
    ),
    (
        "short and foreign frames stay out, options cross",
        BETWEEN,
        wire::odd,
    ),
    (
        "datagrams that were sent as one cross",
        BETWEEN,
        wire::segments,
    ),
    (
        "datagrams that a host sends as one leave it",
        AT_HOME,
        wire::segments_of_a_host,
    ),
    (
        "a long run keeps its memory and counts every packet",
        BETWEEN,
        load::long_run,
    ),
    (
        "golden packets cross as real frames",
        BETWEEN,
        golden::cases,
    ),
    (
        "a changed type of service has a right checksum",
        BETWEEN,
        golden::checksums,
    ),
    (
        "a router's queue passes traffic, and leaves nothing behind",
        ROUTED,
        queue::passes,
    ),
    (
        "a router's queue stops traffic in each chain",
        ROUTED,
        queue::stops,
    ),
    (
        "a router's queue fails closed, or open when told to",
        ROUTED,
        queue::killed,
    ),
    (
        "a router's queue answers REJECT and changes TOS and marks",
        ROUTED,
        queue::answers_and_changes,
    ),
    (
        "a router's queue masquerades: the article's day",
        ROUTED,
        queue::the_articles_day,
    ),
    ("a router's queue redirects", ROUTED, queue::redirects),
    (
        "a second firewall leaves a queue alone",
        ROUTED,
        attack::second_queue,
    ),
    (
        "a second firewall leaves a bridge alone",
        BETWEEN,
        attack::second_bridge,
    ),
    (
        "the end waits for nobody, and log lines go where they are sent",
        BETWEEN,
        confine::ends,
    ),
    (
        "a start that fails opens nothing",
        ROUTED,
        attack::failed_start,
    ),
    ("large packets are changed whole", ROUTED, attack::large),
    (
        "killed in a reload it leaves all closed",
        BETWEEN,
        attack::killed_in_a_reload,
    ),
    ("a storm of signals loses no packet", BETWEEN, load::signals),
    (
        "a port that goes away and comes again is followed",
        BETWEEN,
        attack::ports,
    ),
    (
        "a queue closes again when its tables are flushed",
        ROUTED,
        attack::flushed,
    ),
    (
        "a host's interface that goes away and comes again is followed",
        AT_HOME,
        faults::host_interface,
    ),
    (
        "a router's interface that goes away and comes again is followed",
        ROUTED,
        faults::queue_interface,
    ),
    (
        "without its control socket a firewall judges and ends as before",
        BETWEEN,
        faults::control_socket,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(played) = peers::play(&arguments) {
        return played;
    }
    let missing = missing();
    let trials = TESTS.iter().copied().enumerate();
    let trials = trials.map(|(number, (name, place, test))| {
        let trial = Trial::test(name, move || test(&place(number)));
        trial.with_ignored_flag(missing.is_some())
    });
    if let Some(missing) = &missing {
        eprintln!("firewall tests are ignored: {missing}");
        if env::var_os("CI").is_some() {
            eprintln!("under CI they must not be");
            return ExitCode::FAILURE;
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// What these tests need and is not here.
fn missing() -> Option<String> {
    for (program, argument) in [("ip", "-V"), ("nft", "-v"), ("ping", "-V")] {
        let found = Command::new(program).arg(argument).output();
        if found.is_err() {
            return Some(format!("there is no program {program}"));
        }
    }
    let name = format!("pct{}", std::process::id());
    if !run(Command::new("ip").args(["netns", "add", &name]))
        .status
        .success()
    {
        return Some("network namespaces cannot be made, which takes root".to_owned());
    }
    run(Command::new("ip").args(["netns", "del", &name]));
    None
}
