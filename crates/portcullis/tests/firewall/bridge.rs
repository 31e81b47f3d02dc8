//! `--bridge`, and what holds for every plane.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::net::{AWAY, CLIENT, FIREWALL, Net, SERVER, run, same, wait_for};

const RULES: &str = "\
ipchains -P forward DENY
ipchains -A forward -p icmp -j ACCEPT
ipchains -A forward -p tcp -d 10.9.0.2 5001 -j ACCEPT
ipchains -A forward -p tcp -s 10.9.0.2 5001 -j ACCEPT ! -y
ipchains -A forward -j DENY -l
";

pub(crate) fn crosses(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    same(net.ping(3), 3)?;
    let _server = net.serve(SERVER, &["--serve", AWAY]);
    let output = run(&mut net.peer(CLIENT, &["--fetch", AWAY]));
    same(output.status.success(), true)?;
    let output = net.control(&["stop"]);
    same(output.status.code(), Some(0))?;
    wait_for(|| !net.path("socket").exists());
    // The kernel has its interfaces again.
    wait_for(|| {
        let output = run(net.inside(FIREWALL, "nft").args(["list", "ruleset"]));
        output.stdout.is_empty()
    });
    Ok(())
}

pub(crate) fn deny_all(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start("ipchains -P forward DENY\n", &["--bridge", "f0:f1"]);
    same(net.ping(3), 0)?;
    same(net.figure("passed"), 0)?;
    same(net.figure("denied") >= 3, true)
}

pub(crate) fn rejects(net: &Net) -> Result<(), Failed> {
    // As a bridge: the forward chain says host unreachable.
    let rules = "ipchains -A forward -p icmp -s 10.9.0.1 -j REJECT -l\n";
    let mut bridge = net.start(rules, &["--bridge", "f0:f1"]);
    let mut ping = net.inside(CLIENT, "ping");
    let output = run(ping.args(["-n", "-c", "1", "-W", "1", AWAY]));
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
        let output = run(&mut net.peer(CLIENT, &["--ask", port]));
        String::from_utf8(output.stdout).unwrap()
    };
    same(asked("7").as_str(), "ConnectionRefused")?;
    same(asked("8").as_str(), "WouldBlock")?;
    wait_for(|| net.text("log").contains("input DENY f0 PROTO=17 10.9.0.1:"));
    // Routers take one from the time to live, and the checksum is right after it.
    let mut ping = net.inside(CLIENT, "ping");
    let output = run(ping.args(["-n", "-c", "1", "-W", "1", AWAY]));
    let said = String::from_utf8(output.stdout).unwrap();
    same(said.contains("ttl=63"), true).map_err(|_| Failed::from(said))
}

pub(crate) fn killed(net: &Net) -> Result<(), Failed> {
    let has_ipv6 = || {
        let mut cat = net.inside(FIREWALL, "cat");
        let output = run(cat.arg("/proc/sys/net/ipv6/conf/f0/disable_ipv6"));
        output.stdout == b"0\n"
    };
    same(has_ipv6(), true)?;
    let mut firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    same(net.ping(2), 2)?;
    same(has_ipv6(), false)?;
    firewall.kill();
    same(net.ping(2), 0)?;
    let mut firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    same(net.ping(2), 2)?;
    firewall.kill();
    let restore = || {
        let mut command = net.portcullis();
        command.args(["run", "--bridge", "f1:f0", "--restore"]);
        same(run(&mut command).status.code(), Some(0))
    };
    restore()?;
    let output = run(net.inside(FIREWALL, "nft").args(["list", "ruleset"]));
    same(output.stdout.is_empty(), true)?;
    // As before the first run, not as a killed one left it.
    same(has_ipv6(), true)?;
    // Open when it was asked for: the kernel bridges, until the next start.
    let deny = "ipchains -P forward DENY\n";
    let mut firewall = net.start(deny, &["--bridge", "f0:f1", "--fail-open"]);
    same(net.ping(1), 0)?;
    firewall.kill();
    wait_for(|| net.ping(1) == 1);
    let mut firewall = net.start(deny, &["--bridge", "f0:f1", "--fail-open"]);
    same(net.ping(2), 0)?;
    firewall.kill();
    wait_for(|| net.ping(1) == 1);
    restore()?;
    same(net.ping(1), 0)?;
    // A port of somebody else's bridge is refused.
    net.ip(FIREWALL, "link add br0 type bridge");
    net.ip(FIREWALL, "link set f1 master br0");
    let mut command = net.portcullis();
    command.args(["run", "--bridge", "f0:f1", "--rules"]);
    let output = run(command.arg(net.path("rules")));
    let said = String::from_utf8(output.stderr).unwrap();
    same(said.contains("nomaster"), true).map_err(|_| Failed::from(said))
}

pub(crate) fn ipchains(net: &Net) -> Result<(), Failed> {
    let options = ["--bridge", "f0:f1", "--control-group", "daemon"];
    let _firewall = net.start("ipchains -P forward DENY\n", &options);
    let socket = fs::metadata(net.path("socket")).unwrap();
    same(socket.mode() & 0o777, 0o660)?;
    same(socket.gid() != 0, true)?;
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

pub(crate) fn reloads(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(RULES, &["--bridge", "f0:f1"]);
    let wrong = net.path("wrong");
    fs::write(&wrong, "ipchains -F\nipchains -A forward -j ACCEPTT\n").unwrap();
    let output = net.control(&["reload", wrong.to_str().unwrap()]);
    same(output.status.code(), Some(2))?;
    same(net.status()["generation"].as_u64(), Some(1))?;
    let mut ping = net.inside(CLIENT, "ping");
    ping.args(["-n", "-q", "-i", "0.01", "-c", "200", "-W", "2", AWAY]);
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

pub(crate) fn unconfirmed(net: &Net) -> Result<(), Failed> {
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
