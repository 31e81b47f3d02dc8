//! `--observe`.

use std::fs;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::net::{CLIENT, FIREWALL, Firewall, Net, SERVER, run, same, wait_for};

/// A tap on both ports of a router: each packet meets `input` where it arrives, `forward` and `output`
/// where it leaves.
pub(crate) fn observes_a_router(net: &Net) -> Result<(), Failed> {
    let rules =
        ["input", "forward", "output"].map(|chain| format!("ipchains -A {chain} -p icmp -l\n"));
    fs::write(net.path("tap.rules"), rules.concat()).unwrap();
    let _tap = tap(net, FIREWALL, "f0,f1");
    same(net.ping(2), 2)?;
    let there = "PROTO=1 10.8.0.2:8 10.9.0.2:0 ";
    let back = "PROTO=1 10.9.0.2:0 10.8.0.2:0 ";
    let expected = [
        format!("input - f0 {there}"),
        format!("forward - f1 {there}"),
        format!("output - f1 {there}"),
        format!("input - f1 {back}"),
        format!("forward - f0 {back}"),
        format!("output - f0 {back}"),
    ];
    for line in &expected {
        wait_for(|| net.text("tap.log").matches(line.as_str()).count() == 2);
    }
    // As the kernel's own lines: the time to live is one less from `forward` on.
    let log = net.text("tap.log");
    let ttl = |line: &String| {
        let line = log.lines().find(|it| it.contains(line.as_str())).unwrap();
        let word = line.split(' ').find(|word| word.starts_with("T=")).unwrap();
        word[2..].parse::<u8>().unwrap()
    };
    same(
        expected[..3].iter().map(ttl).collect::<Vec<u8>>(),
        vec![64, 63, 63],
    )
}

/// What a tap was too slow for is counted.
pub(crate) fn observes_a_flood(net: &Net) -> Result<(), Failed> {
    fs::write(net.path("tap.rules"), "ipchains -A input -p udp -l\n").unwrap();
    let _bridge = net.start("", &["--bridge", "f0:f1"]);
    let tap = tap(net, SERVER, "eth0");
    let figures = || {
        let mut status = net.inside(SERVER, env!("CARGO_BIN_EXE_portcullis"));
        status.args(["status", "--json", "--control"]);
        let output = run(status.arg(net.path("tap.socket")));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["figures"].clone()
    };
    // Stopped, it can take nothing.
    tap.signal("STOP");
    let output = run(&mut net.peer(CLIENT, &["--send-datagrams", "20000", "0"]));
    same(output.status.success(), true)?;
    tap.signal("CONT");
    wait_for(|| figures()["overflow"].as_u64() > Some(1000));
    same(figures()["received"].as_u64() > Some(100), true)
}

pub(crate) fn observes(net: &Net) -> Result<(), Failed> {
    // The tap sits on the server, whose address it finds out.
    let mut accept_all = net.start("ipchains -P forward ACCEPT\n", &["--bridge", "f0:f1"]);
    fs::write(
        net.path("tap.rules"),
        "ipchains -A input -p icmp -j DENY -l\n",
    )
    .unwrap();
    let _tap = tap(net, SERVER, "eth0");
    same(net.ping(3), 3)?;
    let line = "would: Packet log: input DENY eth0 PROTO=1 10.9.0.1:8 10.9.0.2:0 L=84";
    wait_for(|| net.text("tap.log").matches(line).count() == 3);
    accept_all.kill();
    Ok(())
}

/// Starts a tap on a machine's interfaces, by the rules in `tap.rules`.
fn tap(net: &Net, machine: usize, interfaces: &str) -> Firewall {
    let mut tap = net.inside(machine, env!("CARGO_BIN_EXE_portcullis"));
    tap.args([
        "run",
        "--log-limit",
        "off",
        "--observe",
        interfaces,
        "--rules",
    ]);
    tap.arg(net.path("tap.rules"))
        .arg("--control")
        .arg(net.path("tap.socket"));
    let child = tap
        .stdout(fs::File::create(net.path("tap.log")).unwrap())
        .stderr(fs::File::create(net.path("tap.messages")).unwrap())
        .spawn()
        .unwrap();
    wait_for(|| net.text("tap.messages").contains("enforces NOTHING"));
    Firewall { child }
}
