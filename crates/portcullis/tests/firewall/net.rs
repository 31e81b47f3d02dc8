//! Machines in network namespaces, and what is done on them.

use std::env;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;

/// The client's address.
pub(crate) const HOME: &str = "10.9.0.1";
/// The server's address.
pub(crate) const AWAY: &str = "10.9.0.2";
/// The inner address of a router.
pub(crate) const INSIDE: &str = "10.8.0.1";
/// The machines.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;
pub(crate) const FIREWALL: usize = 2;

/// Two machines, `client` 10.9.0.1 and `server` 10.9.0.2, and a firewall: between them on the ports
/// `f0` and `f1`, or on the client itself.
pub(crate) struct Net {
    names: [String; 3],
    folder: tempfile::TempDir,
    /// The machine with the firewall.
    firewall: usize,
}

impl Net {
    /// The firewall is a machine of its own between the others.
    pub(crate) fn between(number: usize) -> Self {
        let net = Self::machines(number, FIREWALL);
        for (machine, port) in [(CLIENT, "f0"), (SERVER, "f1")] {
            net.cable(machine, (FIREWALL, port));
            net.ip(FIREWALL, &format!("link set {port} up"));
        }
        net.address();
        net
    }

    /// The firewall is on the client, whose other end is the server.
    pub(crate) fn at_home(number: usize) -> Self {
        let net = Self::machines(number, CLIENT);
        net.cable(CLIENT, (SERVER, "eth0"));
        net.address();
        net
    }

    /// The firewall is a router: the client is 10.8.0.2 behind its port `f0`, the server at `f1`.
    pub(crate) fn routed(number: usize) -> Self {
        let net = Self::machines(number, FIREWALL);
        for (machine, port) in [(CLIENT, "f0"), (SERVER, "f1")] {
            net.cable(machine, (FIREWALL, port));
        }
        for (machine, port, address) in [
            (CLIENT, "eth0", "10.8.0.2/24"),
            (FIREWALL, "f0", "10.8.0.1/24"),
            (FIREWALL, "f1", "10.9.0.1/24"),
            (FIREWALL, "f1", "fd00:9::1/64 nodad"),
            (SERVER, "eth0", "10.9.0.2/24"),
            (SERVER, "eth0", "fd00:9::2/64 nodad"),
        ] {
            net.ip(machine, &format!("address add {address} dev {port}"));
            net.ip(machine, &format!("link set {port} up"));
        }
        net.ip(CLIENT, "route add default via 10.8.0.1");
        net.ip(SERVER, "route add 10.8.0.0/24 via 10.9.0.1");
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        assert!(
            run(net.inside(FIREWALL, "sh").args(["-c", forward]))
                .status
                .success()
        );
        net
    }

    fn machines(number: usize, firewall: usize) -> Self {
        let name = |role: &str| format!("pc{}{role}{number}", std::process::id());
        let net = Self {
            names: [name("c"), name("s"), name("f")],
            folder: tempfile::tempdir().unwrap(),
            firewall,
        };
        for name in &net.names {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        net
    }

    /// Joins `eth0` of a machine, which is made, and such a port of another one.
    pub(crate) fn cable(&self, machine: usize, (other, port): (usize, &str)) {
        let [machine, other] = [machine, other].map(|it| &self.names[it]);
        ip(&format!(
            "link add eth0 netns {machine} type veth peer name {port} netns {other}"
        ));
    }

    /// Gives both ends their addresses in one network.
    pub(crate) fn address(&self) {
        for (machine, address) in [(CLIENT, HOME), (SERVER, AWAY)] {
            self.ip(machine, &format!("address add {address}/24 dev eth0"));
            self.ip(machine, "link set eth0 up");
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn inside(&self, machine: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[machine], program]);
        command
    }

    /// This program in a role of [`crate::peers`].
    pub(crate) fn peer(&self, machine: usize, arguments: &[&str]) -> Command {
        let mut command = self.inside(machine, env::current_exe().unwrap().to_str().unwrap());
        command.args(arguments);
        command
    }

    pub(crate) fn portcullis(&self) -> Command {
        self.inside(self.firewall, env!("CARGO_BIN_EXE_portcullis"))
    }

    /// `ip ARGUMENTS` on a machine; its output.
    pub(crate) fn ip(&self, machine: usize, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.names[machine]))
    }

    /// Starts the firewall and waits until it says that it runs.
    pub(crate) fn start(&self, rules: &str, arguments: &[&str]) -> Firewall {
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

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `portcullis COMMAND --control SOCKET ...`
    pub(crate) fn control(&self, arguments: &[&str]) -> Output {
        let mut command = self.portcullis();
        command
            .args(arguments)
            .arg("--control")
            .arg(self.path("socket"));
        run(&mut command)
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.control(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn figure(&self, name: &str) -> u64 {
        self.status()["figures"][name].as_u64().unwrap()
    }

    pub(crate) fn ipchains(&self, arguments: &str) -> Output {
        let mut command = self.portcullis();
        command.env("PORTCULLIS_CONTROL", self.path("socket"));
        command.arg("ipchains").args(arguments.split(' '));
        run(&mut command)
    }

    /// Answers to so many pings from the client.
    pub(crate) fn ping(&self, count: u32) -> u32 {
        self.ping_from(CLIENT, AWAY, count)
    }

    pub(crate) fn ping_from(&self, machine: usize, to: &str, count: u32) -> u32 {
        let count = count.to_string();
        let mut command = self.inside(machine, "ping");
        command.args(["-n", "-i", "0.05", "-W", "1", "-c", &count, to]);
        let output = run(&mut command);
        let said = String::from_utf8(output.stdout).unwrap();
        // Without an address there is not even a summary.
        let Some((before, _)) = said.split_once(" received") else {
            return 0;
        };
        before.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Starts a role that says when it is ready.
    pub(crate) fn serve(&self, machine: usize, arguments: &[&str]) -> Server {
        let mut command = self.peer(machine, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut ready = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        assert_eq!(&ready, b"ready\n");
        Server { child }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}

pub(crate) struct Firewall {
    pub(crate) child: Child,
}

impl Firewall {
    /// `kill -SIGNAL`
    pub(crate) fn signal(&self, signal: &str) {
        let words = format!("kill -{signal} {}", self.child.id());
        assert!(
            run(Command::new("sh").args(["-c", &words]))
                .status
                .success()
        );
    }

    /// Its exit status, once it has ended by itself.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) fn kill(&mut self) {
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

pub(crate) struct Server {
    pub(crate) child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn ip(arguments: &str) -> String {
    let output = run(Command::new("ip").args(arguments.split(' ')));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
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
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?} instead of {expected:?}").into()),
    }
}
