//! What lets packets past a firewall without a rule that accepts them: none of it may.

use std::fs;
use std::net::UdpSocket;
use std::process::ExitCode;

use libtest_mimic::Failed;

use crate::net::{AWAY, CLIENT, FIREWALL, Net, SERVER, Server, run, same, wait_for};

const DENY: &str = "ipchains -P input DENY\nipchains -P forward DENY\nipchains -P output DENY\n";
/// Datagrams that are as large as can be, nearly.
const LARGE: usize = 60_000;
const MANY: usize = 40;

/// `--send-large`: datagrams that become many fragments each.
pub(crate) fn send_large() -> ExitCode {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for _ in 0..MANY {
        let _ = socket.send_to(&[7; LARGE], (AWAY, 5003));
    }
    ExitCode::SUCCESS
}

/// The start of a second firewall changes nothing for the first.
pub(crate) fn second_queue(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(DENY, &["--queue"]);
    second(net, &["--queue"])?;
    second(net, &["--queue", "7"])?;
    same(net.ping_from(FIREWALL, AWAY, 1), 0)
}

pub(crate) fn second_bridge(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(DENY, &["--bridge", "f0:f1"]);
    second(net, &["--bridge", "f0:f1"])?;
    second(net, &["--bridge", "f1:f0"])?;
    // Nor is it possible to give back what it has.
    let mut restore = net.portcullis();
    let output = run(restore.args(["run", "--bridge", "f0:f1", "--restore"]));
    same(output.status.code(), Some(2))?;
    same(guards(net), 1)
}

fn second(net: &Net, plane: &[&str]) -> Result<(), Failed> {
    for control in ["socket", "other.socket"] {
        let mut command = net.portcullis();
        command.arg("run").arg("--rules").arg(net.path("rules"));
        command.args(plane).arg("--control").arg(net.path(control));
        let output = run(&mut command);
        let said = String::from_utf8(output.stderr).unwrap();
        same(output.status.code(), Some(2)).map_err(|_| Failed::from(said.clone()))?;
        same(said.contains("another firewall"), true).map_err(|_| Failed::from(said))?;
        same(net.ping(1), 0)?;
        same(net.status()["enforces"].as_bool(), Some(true))?;
    }
    Ok(())
}

/// What a killed firewall has closed is not opened by a start that fails.
pub(crate) fn failed_start(net: &Net) -> Result<(), Failed> {
    let mut firewall = net.start(DENY, &["--queue"]);
    firewall.kill();
    fs::write(net.path("file"), "").unwrap();
    fs::write(net.path("wrong"), "ipchains -A forward -j ACCEPTT\n").unwrap();
    for (rules, control, log) in [
        ("wrong", "socket", "-"),
        ("missing", "socket", "-"),
        ("rules", "file", "-"),
        ("rules", "socket", "/nowhere/log"),
    ] {
        let mut command = net.portcullis();
        command.args(["run", "--queue", "--log", log, "--rules"]);
        command
            .arg(net.path(rules))
            .arg("--control")
            .arg(net.path(control));
        same(run(&mut command).status.code(), Some(2))?;
        same(net.ping(1), 0).map_err(|_| Failed::from(format!("{rules} {control}")))?;
    }
    Ok(())
}

/// Killed at whatever moment of a reload, it leaves all closed, and starts again at once.
pub(crate) fn killed_in_a_reload(net: &Net) -> Result<(), Failed> {
    let rules = |first: u16| {
        let accepts = (first..first + 2000)
            .map(|port| format!("ipchains -A forward -p tcp -d 10.9.0.0/16 {port} -j ACCEPT\n"));
        DENY.to_owned() + &accepts.collect::<String>()
    };
    fs::write(net.path("other"), rules(3000)).unwrap();
    for round in 0..5 {
        let mut firewall = net.start(&rules(1000), &["--bridge", "f0:f1"]);
        let mut reload = net.portcullis();
        reload.arg("reload").arg(net.path("other"));
        reload.arg("--control").arg(net.path("socket"));
        let mut reload = reload.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(9 * round));
        firewall.kill();
        reload.wait().unwrap();
        same(net.ping(1), 0)?;
    }
    let _firewall = net.start("", &["--bridge", "f0:f1"]);
    // The client may have given the server's address up meanwhile.
    wait_for(|| net.ping(1) == 1);
    Ok(())
}

/// Changed packets go back to the kernel whole, however large they are.
pub(crate) fn large(net: &Net) -> Result<(), Failed> {
    let rules = "ipchains -A output -p udp -t 01 10\n";
    let _firewall = net.start(rules, &["--queue"]);
    let sent = run(&mut net.peer(FIREWALL, &["--send-large"]));
    same(sent.status.success(), true)?;
    same(net.ping(1), 1)?;
    let passed = net.figure("passed");
    same(passed > MANY as u64, true).map_err(|_| Failed::from(passed.to_string()))
}

/// Bridge ports that are taken away, or belong to somebody, under load.
pub(crate) fn ports(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start("", &["--bridge", "f0:f1"]);
    let mut load = net.peer(CLIENT, &["--send-datagrams", "100000000", "0"]);
    let _load = Server {
        child: load.spawn().unwrap(),
    };
    // One of them may be lost in the flood.
    wait_for(|| net.ping(1) == 1);
    net.ip(FIREWALL, "link set f1 down");
    same(net.ping(1), 0)?;
    net.ip(FIREWALL, "link set f1 up");
    wait_for(|| net.ping(1) == 1);
    // Another interface of the same name is followed, and guarded.
    net.ip(FIREWALL, "link delete f1");
    same(net.ping(1), 0)?;
    net.cable(SERVER, (FIREWALL, "f1"));
    net.ip(SERVER, &format!("address add {AWAY}/24 dev eth0"));
    net.ip(SERVER, "link set eth0 up");
    net.ip(FIREWALL, "link set f1 up");
    // The server has another MAC now. In a flood the kernel may learn it before it has forgotten.
    let _ = run(net
        .inside(CLIENT, "ip")
        .args(["neigh", "flush", "dev", "eth0"]));
    wait_for(|| net.ping(1) == 1);
    // The kernel itself gets nothing from it.
    net.ip(FIREWALL, "address add 10.9.0.3/24 dev f1");
    same(net.ping_from(SERVER, "10.9.0.3", 1), 0)
}

/// Somebody flushes the kernel's tables, as starting another firewall's service does.
pub(crate) fn flushed(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start(DENY, &["--queue"]);
    same(net.ping(1), 0)?;
    let output = run(net.inside(FIREWALL, "nft").args(["flush", "ruleset"]));
    same(output.status.success(), true)?;
    wait_for(|| net.ping(1) == 0);
    same(net.ping(2), 0)?;
    same(net.ping_from(FIREWALL, AWAY, 1), 0)
}

/// How many tables keep the kernel away from interfaces.
fn guards(net: &Net) -> usize {
    let output = run(net
        .inside(FIREWALL, "nft")
        .args(["list", "tables", "netdev"]));
    String::from_utf8(output.stdout).unwrap().lines().count()
}
