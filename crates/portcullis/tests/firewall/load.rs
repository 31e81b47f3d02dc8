//! What much traffic must not suffer from: reloading, and logging.

use std::env;
use std::fs;
use std::io::Read as _;
use std::net::UdpSocket;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use portcullis_runtime::control::Connection;
use rustix::net::sockopt;
use serde_json::{Value, json};

use crate::frames::captured;
use crate::net::{AWAY, CLIENT, Net, SERVER, run, same, wait_for};

/// Where datagrams go.
const PORT: u16 = 5002;
/// Bytes that may wait for a receiver that is not asked: enough for every datagram of a test.
const BUFFER: usize = 256 << 20;
/// Datagrams of a test, and how many a second.
const DATAGRAMS: u64 = 60_000;
const EACH_SECOND: u64 = 20_000;
/// How long a flood lasts.
const FLOOD: Duration = Duration::from_millis(700);
/// Measurements of it, at most: other work may be going on.
const MOST_ROUNDS: u32 = 10;
/// How long a long run is unless somebody says so, in seconds.
const LONG_RUN: u64 = 5;
/// What may be added to memory in a long run, in KiB.
const MEMORY: u64 = 8192;

/// `--count-datagrams`: says how many came, when it is asked.
pub(crate) fn count_datagrams() -> ExitCode {
    let socket = UdpSocket::bind((AWAY, PORT)).unwrap();
    sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).unwrap();
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut count = 0u64;
    while socket.recv(&mut [0; 64]).is_ok() {
        count += 1;
    }
    print!("{count}");
    ExitCode::SUCCESS
}

/// `--send-datagrams COUNT EACH_SECOND`: evenly, or as fast as can be for 0.
pub(crate) fn send_datagrams(count: &str, each_second: &str) -> ExitCode {
    let (count, each_second): (u64, u64) = (count.parse().unwrap(), each_second.parse().unwrap());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect((AWAY, PORT)).unwrap();
    let start = Instant::now();
    for number in 0..count {
        if let Some(pause) = 1_000_000_000u64.checked_div(each_second) {
            let due = start + Duration::from_nanos(pause * number);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        // Nobody may listen in a flood.
        let _ = socket.send(&number.to_be_bytes());
    }
    ExitCode::SUCCESS
}

pub(crate) fn bridge_reloads(net: &Net) -> Result<(), Failed> {
    reloads(
        net,
        &["--bridge", "f0:f1", "--routed"],
        ["input", "forward"],
    )
}

pub(crate) fn host_reloads(net: &Net) -> Result<(), Failed> {
    reloads(net, &["--host", "eth0"], ["output", "output"])
}

/// Packets that are reloaded between two chains may meet two generations here, one in each.
pub(crate) fn queue_reloads(net: &Net) -> Result<(), Failed> {
    reloads(net, &["--queue"], ["input", "input"])
}

/// Two rulesets change the type of service twice, so that a packet that both have judged would show
/// it.
fn reloads(net: &Net, plane: &[&str], chains: [&str; 2]) -> Result<(), Failed> {
    // The kernel's queue is slower, and nothing may be lost.
    let share = if plane == ["--queue"] { 10 } else { 1 };
    let (datagrams, pace) = (DATAGRAMS / share, EACH_SECOND / share);
    let [one, two] = chains;
    let rules = |first, second| {
        format!("ipchains -A {one} -p udp -t ff {first}\nipchains -A {two} -p udp -t ff {second}\n")
    };
    let first = rules("10", "08");
    let firewall = net.start(&first, plane);
    let texts = [first, rules("04", "02")].map(|text| {
        fs::write(net.path("other"), text).unwrap();
        net.control(&["reload", net.path("other").to_str().unwrap()]);
        let read = ask(net, &json!("read"));
        read["rules"]["ruleset"].as_str().unwrap().to_owned()
    });
    let file = net.path("frames");
    let _capture = net.serve(SERVER, &["--capture", file.to_str().unwrap()]);
    let mut counting = net.serve(SERVER, &["--count-datagrams"]);
    let (count, pace) = (datagrams.to_string(), pace.to_string());
    let mut sender = net.peer(CLIENT, &["--send-datagrams", &count, &pace]);
    let sender = thread::spawn(move || run(&mut sender));
    let start = Instant::now();
    let mut reloads = 0;
    while !sender.is_finished() {
        let due = start + Duration::from_millis(10) * reloads;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let ruleset = &texts[reloads as usize % 2];
        let reload =
            json!({"reload": {"ruleset": ruleset, "zero": false, "confirm_seconds": null}});
        let answer = ask(net, &reload);
        same(answer["done"].is_object(), true).map_err(|_| Failed::from(answer.to_string()))?;
        reloads += 1;
    }
    let rate = f64::from(reloads) / start.elapsed().as_secs_f64();
    drop(counting.child.stdin.take());
    let mut count = String::new();
    counting
        .child
        .stdout
        .as_mut()
        .unwrap()
        .read_to_string(&mut count)
        .unwrap();
    let mut seen = [0u32; 256];
    for frame in captured(&file) {
        // UDP to the port.
        if frame[23] == 17 && frame[36..38] == PORT.to_be_bytes() {
            seen[usize::from(frame[15])] += 1;
        }
    }
    let (a, b) = (seen[0x18], seen[0x06]);
    eprintln!("{rate:.0} reloads a second; {count} of {datagrams} datagrams; {a} and {b} seen");
    same(rate > 80.0, true)?;
    same(a > 500 && b > 500, true)?;
    same(seen.iter().sum::<u32>(), a + b)?;
    for figure in ["overflow", "not_sent", "denied"] {
        same(net.figure(figure), 0)?;
    }
    drop(firewall);
    same(count, datagrams.to_string())
}

/// Signals that interrupt system calls, thousands of them, lose nothing.
pub(crate) fn signals(net: &Net) -> Result<(), Failed> {
    let log = net.path("signals.log");
    let options = ["--bridge", "f0:f1", "--log", log.to_str().unwrap()];
    let firewall = net.start("ipchains -A forward -p udp -l -j ACCEPT\n", &options);
    let mut counting = net.serve(SERVER, &["--count-datagrams"]);
    let (count, pace) = ((DATAGRAMS / 2).to_string(), EACH_SECOND.to_string());
    let mut sender = net.peer(CLIENT, &["--send-datagrams", &count, &pace]);
    let sender = thread::spawn(move || run(&mut sender));
    let storm = format!(
        "for i in $(seq 500); do kill -USR1 {}; done",
        firewall.child.id()
    );
    let mut storms = 0;
    while !sender.is_finished() {
        let done = run(Command::new("sh").args(["-c", &storm]));
        same(done.status.success(), true)?;
        storms += 1;
    }
    drop(counting.child.stdin.take());
    let mut arrived = String::new();
    let output = counting.child.stdout.as_mut().unwrap();
    output.read_to_string(&mut arrived).unwrap();
    eprintln!("{} signals; {arrived} of {count} datagrams", storms * 500);
    same(arrived, count)?;
    same(net.figure("overflow"), 0)
}

pub(crate) fn bridge_flood(net: &Net) -> Result<(), Failed> {
    log_flood(net, &["--bridge", "f0:f1"], "forward")
}

pub(crate) fn host_flood(net: &Net) -> Result<(), Failed> {
    log_flood(net, &["--host", "eth0"], "output")
}

pub(crate) fn queue_flood(net: &Net) -> Result<(), Failed> {
    log_flood(net, &["--queue"], "forward")
}

/// The same flood with and without a line for each packet, by turns, until it is clear that the
/// lines take less than a fifth.
fn log_flood(net: &Net, plane: &[&str], chain: &str) -> Result<(), Failed> {
    let log = net.path("flood.log");
    let logging = ["--log-limit", "off", "--log", log.to_str().unwrap()];
    let options = [plane, &logging].concat();
    let _firewall = net.start(&format!("ipchains -P {chain} DENY\n"), &options);
    // The client knows where to send before a measurement begins.
    net.ping(1);
    let (mut rates, mut denied) = ([Vec::new(), Vec::new()], [0; 2]);
    let mut share = 0.0;
    for round in 0..MOST_ROUNDS {
        for (logged, option) in ["", " -l"].into_iter().enumerate() {
            let rules = format!("ipchains -A {chain} -p udp -j DENY{option}\n");
            fs::write(net.path("other"), rules).unwrap();
            net.control(&["reload", net.path("other").to_str().unwrap()]);
            let start_of_round = net.figure("denied");
            let mut sender = net.peer(CLIENT, &["--send-datagrams", "100000000", "0"]);
            let mut sender = sender.spawn().unwrap();
            thread::sleep(Duration::from_millis(200));
            let (before, start) = (net.figure("denied"), Instant::now());
            thread::sleep(FLOOD);
            let (after, time) = (net.figure("denied"), start.elapsed());
            sender.kill().unwrap();
            sender.wait().unwrap();
            // What was sent last is judged before the rules change.
            wait_until_quiet(net);
            denied[logged] += net.figure("denied") - start_of_round;
            rates[logged].push((after - before) as f64 / time.as_secs_f64());
        }
        let [silent, logged] = rates.each_ref().map(|rates| median(rates));
        share = logged / silent;
        let (share, lost) = (share * 100.0, net.figure("lost_lines"));
        eprintln!(
            "{silent:.0} packets a second without log lines, {logged:.0} with: {share:.0} %; \
             {lost} lines lost"
        );
        if round >= 1 && share > 80.0 {
            break;
        }
    }
    // Every line is there or counted.
    let written = || {
        let output = run(Command::new("grep").args(["-c", "PROTO=17"]).arg(&log));
        let said = String::from_utf8(output.stdout).unwrap();
        said.trim().parse::<u64>().unwrap()
    };
    wait_for(|| written() + net.figure("lost_lines") == denied[1]);
    // The aim is 80 %, which ends the rounds; a machine with other work is given some room.
    same(share > 0.7, true).map_err(|_| Failed::from(format!("only {share:.2}")))
}

/// Until nothing is denied any more.
fn wait_until_quiet(net: &Net) {
    let mut before = net.figure("denied");
    wait_for(|| {
        thread::sleep(Duration::from_millis(200));
        let now = net.figure("denied");
        now == std::mem::replace(&mut before, now)
    });
}

fn median(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    f64::midpoint(rates[(rates.len() - 1) / 2], rates[rates.len() / 2])
}

/// Traffic, a reload every second and a line for every packet; `PORTCULLIS_LONG_RUN` says for how
/// many seconds. With the feature `shadow` the firewall ends at the first packet that it misjudges.
pub(crate) fn long_run(net: &Net) -> Result<(), Failed> {
    let seconds = env::var("PORTCULLIS_LONG_RUN").map_or(LONG_RUN, |it| it.parse().unwrap());
    // The first rule counts and stays; what follows takes other forms when it is compiled.
    let rules = |others: u32| {
        let mut text = format!("ipchains -A forward -p udp -d 0/0 {PORT}\n");
        for number in 0..others {
            let port = 6000 + number;
            text += &format!("ipchains -A forward -p udp -d 10.9.0.0/16 {port} -j DENY\n");
        }
        text + "ipchains -A forward -p udp -l -j ACCEPT\n"
    };
    let log = net.path("long.log");
    let log = log.to_str().unwrap();
    let options = ["--bridge", "f0:f1", "--log-limit", "off", "--log", log];
    let firewall = net.start(&rules(0), &options);
    let texts = [0, 3, 40, 400].map(|others| {
        fs::write(net.path("other"), rules(others)).unwrap();
        net.control(&["reload", net.path("other").to_str().unwrap()]);
        let read = ask(net, &json!("read"));
        read["rules"]["ruleset"].as_str().unwrap().to_owned()
    });
    // The client knows where to send before the first of them, and nobody tells it that no one
    // listens there.
    net.ping(1);
    let _listening = net.serve(SERVER, &["--count-datagrams"]);
    let count = seconds * EACH_SECOND;
    let (packets, pace) = (count.to_string(), EACH_SECOND.to_string());
    let mut sender = net.peer(CLIENT, &["--send-datagrams", &packets, &pace]);
    let sender = thread::spawn(move || run(&mut sender));
    let (start, mut memory) = (Instant::now(), Vec::new());
    for reloads in 1.. {
        let due = start + Duration::from_secs(reloads);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if sender.is_finished() {
            break;
        }
        let ruleset = &texts[reloads as usize % texts.len()];
        let reload =
            json!({"reload": {"ruleset": ruleset, "zero": false, "confirm_seconds": null}});
        let answer = ask(net, &reload);
        same(answer["done"].is_object(), true).map_err(|_| Failed::from(answer.to_string()))?;
        memory.push(memory_of(firewall.child.id()));
    }
    thread::sleep(Duration::from_millis(300));
    // Behind the counters of two policies and no rules stand the policy of `forward`, and its rules.
    let counted = ask(net, &json!("read"))["rules"]["counters"][2][0].clone();
    let early = memory[..memory.len().div_ceil(5)].iter().max();
    let early = early.copied().unwrap_or_default();
    let most = memory.iter().max().copied().unwrap_or_default();
    eprintln!(
        "{seconds} s, {} reloads, {counted} of {count} packets counted; {early} KiB, then {most}",
        memory.len()
    );
    for figure in ["overflow", "not_sent", "denied"] {
        same(net.figure(figure), 0)?;
    }
    same(most < early + MEMORY, true)?;
    same(counted, json!(count))?;
    // Every line is there or counted.
    wait_for(|| lines_about(log) + net.figure("lost_lines") == count);
    Ok(())
}

/// Lines in a packet log about datagrams of a test.
fn lines_about(log: &str) -> u64 {
    let output = run(Command::new("grep").args(["-c", &format!(":{PORT} "), log]));
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// What a process has in memory, in KiB.
fn memory_of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// A request over the socket, without a program for it.
fn ask(net: &Net, request: &Value) -> Value {
    let mut connection = Connection::open(&net.path("socket")).unwrap();
    connection.send(&request.to_string()).unwrap();
    serde_json::from_str(&connection.receive().unwrap().unwrap()).unwrap()
}
