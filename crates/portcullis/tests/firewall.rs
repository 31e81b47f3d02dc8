//! The firewall between real machines: network namespaces with real traffic.
//!
//! Needs root, iproute2, nftables and ping; without them every test is shown as ignored. Under CI
//! that is a failure.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const SERVER: &str = "10.9.0.2";
const PORT: u16 = 5001;
/// Bytes that a bulk transfer moves.
const BULK: usize = 64 << 20;

const RULES: &str = "\
ipchains -P forward DENY
ipchains -A forward -p icmp -j ACCEPT
ipchains -A forward -p tcp -d 10.9.0.2 5001 -j ACCEPT
ipchains -A forward -p tcp -s 10.9.0.2 5001 -j ACCEPT ! -y
ipchains -A forward -j DENY -l
";

type Test = fn(&Net) -> Result<(), Failed>;

const TESTS: [(&str, Test); 8] = [
    ("accepted traffic crosses, with offloads on", crosses),
    ("deny all lets nothing cross", deny_all),
    (
        "a rejected packet is answered, a denied one is not",
        rejects,
    ),
    (
        "after kill -9 nothing crosses until it is started again",
        killed,
    ),
    ("the old commands change the running firewall", ipchains),
    ("reloading is all or nothing, and loses no packet", reloads),
    ("rules that are not confirmed go away again", unconfirmed),
    ("a tap says what it would have done", observes),
];

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    // The programs at both ends are this one, inside a namespace.
    match words.next().as_deref() {
        Some("--serve") => return serve(),
        Some("--fetch") => return fetch(),
        Some("--ask") => return ask(),
        _ => {}
    }
    let missing = missing();
    let trials = TESTS.into_iter().enumerate().map(|(number, (name, test))| {
        let trial = Trial::test(name, move || test(&Net::new(number)));
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

/// Two machines, `client` 10.9.0.1 and `server` 10.9.0.2, and the firewall between them on the
/// ports `f0` and `f1`.
struct Net {
    names: [String; 3],
    folder: tempfile::TempDir,
}

impl Net {
    fn new(number: usize) -> Self {
        let name = |role: &str| format!("pc{}{role}{number}", std::process::id());
        let net = Self {
            names: [name("c"), name("s"), name("f")],
            folder: tempfile::tempdir().unwrap(),
        };
        let [client, server, firewall] = &net.names;
        for name in &net.names {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        for (machine, port, address) in [(client, "f0", "10.9.0.1"), (server, "f1", SERVER)] {
            ip(&format!(
                "link add eth0 netns {machine} type veth peer name {port} netns {firewall}"
            ));
            ip(&format!("-n {machine} address add {address}/24 dev eth0"));
            ip(&format!("-n {machine} link set eth0 up"));
            ip(&format!("-n {firewall} link set {port} up"));
        }
        net
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn inside(&self, machine: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[machine], program]);
        command
    }

    fn client(&self, role: &str) -> Command {
        let mut command = self.inside(0, env::current_exe().unwrap().to_str().unwrap());
        command.arg(role);
        command
    }

    fn portcullis(&self) -> Command {
        self.inside(2, env!("CARGO_BIN_EXE_portcullis"))
    }

    /// Starts the firewall and waits until it says that it runs.
    fn start(&self, rules: &str, arguments: &[&str]) -> Firewall {
        fs::write(self.path("rules"), rules).unwrap();
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = self.portcullis();
        command.arg("run").arg("--rules").arg(self.path("rules"));
        command
            .arg("--control")
            .arg(self.path("socket"))
            .args(arguments);
        let child = command
            .stdout(log)
            .stderr(fs::File::create(self.path("messages")).unwrap())
            .spawn()
            .unwrap();
        let firewall = Firewall { child };
        wait_for(|| {
            let messages = self.text("messages");
            assert!(!messages.contains("panicked"), "{messages}");
            messages.contains("control socket")
        });
        firewall
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `portcullis COMMAND --control SOCKET ...`
    fn control(&self, arguments: &[&str]) -> Output {
        let mut command = self.portcullis();
        command
            .args(arguments)
            .arg("--control")
            .arg(self.path("socket"));
        run(&mut command)
    }

    fn status(&self) -> Value {
        let output = self.control(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn figure(&self, name: &str) -> u64 {
        self.status()["figures"][name].as_u64().unwrap()
    }

    fn ipchains(&self, arguments: &str) -> Output {
        let mut command = self.portcullis();
        command.env("PORTCULLIS_CONTROL", self.path("socket"));
        command.arg("ipchains").args(arguments.split(' '));
        run(&mut command)
    }

    /// Answers to so many pings.
    fn ping(&self, count: u32) -> u32 {
        let count = count.to_string();
        let mut command = self.inside(0, "ping");
        command.args(["-n", "-i", "0.05", "-W", "1", "-c", &count, SERVER]);
        let output = run(&mut command);
        let said = String::from_utf8(output.stdout).unwrap();
        let before = said.split(" received").next().unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn serve(&self) -> Server {
        let mut command = self.inside(1, env::current_exe().unwrap().to_str().unwrap());
        let child = command
            .arg("--serve")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Server { child };
        let mut ready = [0; 6];
        server
            .child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        server
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}

struct Firewall {
    child: Child,
}

impl Firewall {
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        // `ip netns exec` becomes the program, so this is its own number.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn crosses(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    same(net.ping(3), 3)?;
    let _server = net.serve();
    let output = run(&mut net.client("--fetch"));
    same(output.status.success(), true)?;
    let output = net.control(&["stop"]);
    same(output.status.code(), Some(0))?;
    wait_for(|| !net.path("socket").exists());
    // The kernel has its interfaces again.
    wait_for(|| {
        let output = run(net.inside(2, "nft").args(["list", "ruleset"]));
        output.stdout.is_empty()
    });
    Ok(())
}

fn deny_all(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start("ipchains -P forward DENY\n", &["--bridge", "f0:f1"]);
    same(net.ping(3), 0)?;
    same(net.figure("passed"), 0)?;
    same(net.figure("denied") >= 3, true)
}

fn rejects(net: &Net) -> Result<(), Failed> {
    // As a bridge: the forward chain says host unreachable.
    let rules = "ipchains -A forward -p icmp -s 10.9.0.1 -j REJECT -l\n";
    let mut bridge = net.start(rules, &["--bridge", "f0:f1"]);
    let mut ping = net.inside(0, "ping");
    let output = run(ping.args(["-n", "-c", "1", "-W", "1", SERVER]));
    let said = String::from_utf8(output.stdout).unwrap();
    let told = said.contains("From 10.9.0.2 icmp_seq=1 Destination Host Unreachable");
    same(told, true).map_err(|_| Failed::from(said))?;
    wait_for(|| {
        net.text("log")
            .contains("kernel: Packet log: forward REJECT f1 PROTO=1 ")
    });
    bridge.kill();
    // As a router: the input chain says port unreachable, which a socket is told of.
    let rules = "ipchains -A input -p udp -d 0/0 7 -j REJECT\n\
                 ipchains -A input -p udp -d 0/0 8 -j DENY -l\n";
    let _router = net.start(rules, &["--bridge", "f0:f1", "--routed"]);
    let asked = |port| {
        let output = run(net.client("--ask").arg(port));
        String::from_utf8(output.stdout).unwrap()
    };
    same(asked("7").as_str(), "ConnectionRefused")?;
    same(asked("8").as_str(), "WouldBlock")?;
    wait_for(|| net.text("log").contains("input DENY f0 PROTO=17 10.9.0.1:"));
    // Routers take one from the time to live, and the checksum is right after it.
    let mut ping = net.inside(0, "ping");
    let output = run(ping.args(["-n", "-c", "1", "-W", "1", SERVER]));
    let said = String::from_utf8(output.stdout).unwrap();
    same(said.contains("ttl=63"), true).map_err(|_| Failed::from(said))
}

fn killed(net: &Net) -> Result<(), Failed> {
    let mut firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    same(net.ping(2), 2)?;
    firewall.kill();
    same(net.ping(2), 0)?;
    let _firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    same(net.ping(2), 2)
}

fn ipchains(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start("ipchains -P forward DENY\n", &["--bridge", "f0:f1"]);
    same(net.ping(2), 0)?;
    let output = net.ipchains("-A forward -p icmp -j ACCEPT");
    same(output.status.code(), Some(0))?;
    same(net.ping(2), 2)?;
    let listing = net.ipchains("-L forward -v -n");
    let listing = String::from_utf8(listing.stdout).unwrap();
    // Two questions, two answers, 84 bytes each.
    let counted = listing
        .lines()
        .any(|line| line.starts_with("    4   336 ACCEPT     icmp"));
    same(counted, true).map_err(|_| Failed::from(listing))?;
    // An edit keeps the other rules' counters.
    net.ipchains("-I forward 1 -p tcp -j DENY");
    let listing = String::from_utf8(net.ipchains("-L forward -v -n").stdout).unwrap();
    same(listing.contains("    4   336 ACCEPT     icmp"), true)?;
    let refused = net.ipchains("-A forward -j MASQ");
    same(refused.status.success(), false)
}

fn reloads(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    let wrong = net.path("wrong");
    fs::write(&wrong, "ipchains -F\nipchains -A forward -j ACCEPTT\n").unwrap();
    let output = net.control(&["reload", wrong.to_str().unwrap()]);
    same(output.status.code(), Some(2))?;
    same(net.status()["generation"].as_u64(), Some(1))?;
    let mut ping = net.inside(0, "ping");
    ping.args(["-n", "-q", "-i", "0.01", "-c", "200", "-W", "2", SERVER]);
    let ping = thread::spawn(move || run(&mut ping));
    let mut reloads = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1800) {
        let output = net.control(&["reload"]);
        same(output.status.code(), Some(0))?;
        reloads += 1;
    }
    let said = String::from_utf8(ping.join().unwrap().stdout).unwrap();
    same(said.contains("200 received"), true).map_err(|_| Failed::from(said))?;
    same(net.status()["generation"].as_u64(), Some(reloads + 1))?;
    // Every packet was counted by some generation, and all counters came over.
    let listing = String::from_utf8(net.ipchains("-L forward -v -n -x").stdout).unwrap();
    let rule = listing
        .lines()
        .find(|line| line.contains("ACCEPT     icmp"))
        .unwrap();
    same(rule.split_whitespace().next(), Some("400"))
}

fn unconfirmed(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    let other = net.path("other");
    fs::write(&other, "ipchains -P forward DENY\n").unwrap();
    let other = other.to_str().unwrap();
    net.control(&["reload", other, "--confirm", "1"]);
    same(net.ping(1), 0)?;
    wait_for(|| net.text("messages").contains("not confirmed"));
    same(net.ping(1), 1)?;
    net.control(&["reload", other, "--confirm", "1s"]);
    same(net.control(&["confirm"]).status.code(), Some(0))?;
    thread::sleep(Duration::from_millis(1300));
    same(net.ping(1), 0)?;
    same(net.control(&["confirm"]).status.code(), Some(1))
}

fn observes(net: &Net) -> Result<(), Failed> {
    // The tap sits on the server, whose address it finds out.
    fs::write(net.path("rules"), "ipchains -A input -p icmp -j DENY -l\n").unwrap();
    let mut accept_all = net.start("ipchains -P forward ACCEPT\n", &["--bridge", "f0:f1"]);
    fs::write(
        net.path("tap.rules"),
        "ipchains -A input -p icmp -j DENY -l\n",
    )
    .unwrap();
    let mut tap = net.inside(1, env!("CARGO_BIN_EXE_portcullis"));
    tap.args(["run", "--observe", "eth0", "--log-limit", "off", "--rules"]);
    tap.arg(net.path("tap.rules"))
        .arg("--control")
        .arg(net.path("tap.socket"));
    let child = tap
        .stdout(fs::File::create(net.path("tap.log")).unwrap())
        .stderr(fs::File::create(net.path("tap.messages")).unwrap())
        .spawn()
        .unwrap();
    let _tap = Firewall { child };
    wait_for(|| net.text("tap.messages").contains("enforces NOTHING"));
    same(net.ping(3), 3)?;
    let line = "would: Packet log: input DENY eth0 PROTO=1 10.9.0.1:8 10.9.0.2:0 L=84";
    wait_for(|| net.text("tap.log").matches(line).count() == 3);
    accept_all.kill();
    Ok(())
}

/// `--serve`: takes what comes on [`PORT`] and says how much it was.
fn serve() -> ExitCode {
    let listener = TcpListener::bind((SERVER, PORT)).unwrap();
    println!("ready");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut total = 0u64;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => total += count as u64,
            }
        }
        let _ = stream.write_all(&total.to_be_bytes());
    }
    ExitCode::SUCCESS
}

/// `--fetch`: sends much and checks that as much arrived.
fn fetch() -> ExitCode {
    let address = format!("{SERVER}:{PORT}").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let chunk = vec![7; 1 << 20];
    for _ in 0..BULK / chunk.len() {
        stream.write_all(&chunk).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut total = [0; 8];
    stream.read_exact(&mut total).unwrap();
    match u64::from_be_bytes(total) as usize == BULK {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// `--ask PORT`: sends a datagram and prints what becomes of it.
fn ask() -> ExitCode {
    let port: u16 = env::args().nth(2).unwrap().parse().unwrap();
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.connect((SERVER, port)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    socket.send(b"question").unwrap();
    match socket.recv(&mut [0; 10]) {
        Ok(count) => print!("{count} bytes"),
        Err(error) => print!("{:?}", error.kind()),
    }
    ExitCode::SUCCESS
}

fn ip(arguments: &str) {
    let output = run(Command::new("ip").args(arguments.split(' ')));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "nothing happened"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better")]
fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?} instead of {expected:?}").into()),
    }
}
