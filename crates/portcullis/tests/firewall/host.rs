//! `--host`: the firewall on the machine itself.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::net::{AWAY, CLIENT, HOME, Net, SERVER, run, same, wait_for};

const HOST: [&str; 2] = ["--host", "eth0"];

pub(crate) fn passes(net: &Net) -> Result<(), Failed> {
    let rules = "ipchains -P forward DENY\nipchains -A input -i ! eth0 -j DENY\n\
                 ipchains -A output -i ! eth0 -j DENY\n";
    let _firewall = net.start(rules, &HOST);
    same(net.ping(3), 3)?;
    same(net.ping_from(SERVER, HOME, 3), 3)?;
    for (at, from, address) in [(SERVER, CLIENT, AWAY), (CLIENT, SERVER, HOME)] {
        let _server = net.serve(at, &["--serve", address]);
        let output = run(&mut net.peer(from, &["--fetch", address]));
        same(output.status.success(), true)?;
    }
    same(net.figure("denied"), 0)
}

pub(crate) fn stops(net: &Net) -> Result<(), Failed> {
    let rules = "ipchains -P input DENY\nipchains -P output DENY\n";
    let _firewall = net.start(rules, &HOST);
    same(net.ping(3), 0)?;
    same(net.ping_from(SERVER, HOME, 3), 0)?;
    same(net.figure("passed"), 0)?;
    same(net.figure("denied") >= 6, true)?;
    // REJECT tells the machine's own programs.
    net.ipchains("-I output 1 -p udp -j REJECT");
    let output = run(&mut net.peer(CLIENT, &["--ask", "7"]));
    same(
        String::from_utf8(output.stdout).unwrap().as_str(),
        "ConnectionRefused",
    )
}

pub(crate) fn killed(net: &Net) -> Result<(), Failed> {
    let before = state(net);
    let mut firewall = net.start("", &HOST);
    same(net.ping(2), 2)?;
    firewall.kill();
    same(net.ping(2), 0)?;
    same(net.ping_from(SERVER, HOME, 2), 0)?;
    let mut firewall = net.start("", &HOST);
    same(net.ping(2), 2)?;
    firewall.kill();
    same(net.ping(1), 0)?;
    let output = run(net
        .portcullis()
        .args(["run", "--host", "eth0", "--restore"]));
    let said = String::from_utf8(output.stderr).unwrap();
    same(output.status.code(), Some(0)).map_err(|_| Failed::from(said))?;
    same(net.ping(1), 1)?;
    same(state(net), before.clone())?;
    let mut firewall = net.start(
        "ipchains -P output DENY\n",
        &["--host", "eth0", "--fail-open"],
    );
    same(net.ping(1), 0)?;
    firewall.kill();
    wait_for(|| net.ping(1) == 1);
    wait_for(|| state(net) == before);
    Ok(())
}

pub(crate) fn gives_back(net: &Net) -> Result<(), Failed> {
    for command in [
        "address add 10.9.0.77/24 dev eth0 label eth0:1",
        "address add 10.8.0.1 peer 10.8.0.2/32 dev eth0 noprefixroute",
        "address add fd00:9::1/64 dev eth0 nodad",
        "route add default via 10.9.0.2 metric 100 mtu 1400",
        "route add 10.77.0.0/16 via 10.9.0.2 src 10.9.0.77 table 200 proto static",
        "route add 10.78.0.0/16 dev eth0 scope link",
        "-6 route add fd00:10::/64 via fd00:9::2",
    ] {
        net.ip(CLIENT, command);
    }
    let before = state(net);
    let mut firewall = net.start("", &HOST);
    same(
        net.ip(CLIENT, "address show dev eth0").contains("inet"),
        false,
    )?;
    let near = net.ip(CLIENT, "address show dev pc-eth0");
    same(
        near.contains("10.9.0.77/24 scope global secondary pc-eth0:1"),
        true,
    )?;
    firewall.signal("TERM");
    same(firewall.wait(), Some(0))?;
    same(state(net), before)?;
    same(net.ping(1), 1)
}

/// An address that a program gives the interface itself does not lead around the rules.
pub(crate) fn another_address(net: &Net) -> Result<(), Failed> {
    const ANOTHER: &str = "10.9.0.55";
    let firewall = net.start("ipchains -P input DENY\n", &HOST);
    net.ip(CLIENT, &format!("address add {ANOTHER}/24 dev eth0"));
    let has = |device: &str| {
        net.ip(CLIENT, &format!("-4 address show dev {device}"))
            .contains(ANOTHER)
    };
    wait_for(|| !has("eth0") && has("pc-eth0"));
    same(net.ping_from(SERVER, ANOTHER, 2), 0)?;
    net.ipchains("-A input -p icmp -j ACCEPT");
    same(net.ping_from(SERVER, ANOTHER, 2), 2)?;
    same(net.ping(2), 2)?;
    wait_for(|| net.text("messages").contains("it is moved to pc-eth0"));
    let mut firewall = firewall;
    firewall.signal("TERM");
    same(firewall.wait(), Some(0))?;
    same(has("eth0"), true)
}

pub(crate) fn unconfirmed(net: &Net) -> Result<(), Failed> {
    // As in an ssh session over this interface.
    fs::write(net.path("rules"), "ipchains -P input DENY\n").unwrap();
    let mut command = net.portcullis();
    command.env("SSH_CONNECTION", "10.9.0.2 50000 10.9.0.1 22");
    command
        .arg("run")
        .arg("--rules")
        .arg(net.path("rules"))
        .args(HOST);
    command.arg("--control").arg(net.path("socket"));
    let output = run(&mut command);
    same(output.status.code(), Some(2))?;
    let said = String::from_utf8(output.stderr).unwrap();
    same(said.contains("--confirm 30s"), true).map_err(|_| Failed::from(said))?;
    same(net.ping(1), 1)?;
    let mut firewall = net.start(
        "ipchains -P input DENY\n",
        &["--host", "eth0", "--confirm", "1s"],
    );
    same(net.ping(1), 0)?;
    same(firewall.wait(), Some(1))?;
    same(net.ping(1), 1)?;
    let _firewall = net.start("", &["--host", "eth0", "--confirm", "2s"]);
    same(net.control(&["confirm"]).status.code(), Some(0))?;
    thread::sleep(Duration::from_millis(2500));
    same(net.ping(1), 1)?;
    same(net.status()["plane"].as_str(), Some("host"))
}

/// Default deny, a look at the log, a rule, and FTP works.
pub(crate) fn the_articles_day(net: &Net) -> Result<(), Failed> {
    let rules = "\
        ipchains -P input DENY\nipchains -P forward DENY\nipchains -P output DENY\n\
        ipchains -A output -p tcp -d 0/0 21 -j ACCEPT\n\
        ipchains -A input -p tcp -s 0/0 21 ! -y -j ACCEPT\n\
        ipchains -A input -j DENY -l\nipchains -A output -j DENY -l\n";
    let _firewall = net.start(rules, &HOST);
    let _server = net.serve(SERVER, &["--ftp-serve"]);
    let list = || {
        let output = run(&mut net.peer(CLIENT, &["--ftp-list"]));
        String::from_utf8(output.stdout).unwrap()
    };
    same(list().as_str(), "no data connection")?;
    let told = || {
        let log = net.text("log");
        let mut lines = log.lines();
        lines.any(|line| {
            line.contains("input DENY eth0 PROTO=6 10.9.0.2:20 10.9.0.1:6")
                && line.ends_with("SYN (#2)")
        })
    };
    wait_for(told);
    net.ipchains("-I input 1 -p tcp -s 0/0 20 -d 0/0 61000:65095 -j ACCEPT");
    same(list().as_str(), "no data connection")?;
    wait_for(|| {
        net.text("log")
            .contains("output DENY eth0 PROTO=6 10.9.0.1:6")
    });
    net.ipchains("-I output 1 -p tcp -s 0/0 61000:65095 -d 0/0 20 ! -y -j ACCEPT");
    same(list().as_str(), "drwxr-xr-x pub\n")
}

/// Addresses and routes of the client, and who guards its interfaces, once the kernel has ended its
/// check for doubles of its own address.
fn state(net: &Net) -> [Value; 5] {
    wait_for(|| {
        let shown = net.ip(CLIENT, "address show dev eth0");
        !shown.contains("tentative")
    });
    let json = |arguments: &str| {
        let text = net.ip(CLIENT, &format!("-json {arguments}"));
        serde_json::from_str(&text).unwrap()
    };
    let mut link: Value = json("address show dev eth0");
    // The order in which the kernel adds IPv6 addresses is its own.
    let addresses = link[0]["addr_info"].as_array_mut().unwrap();
    addresses.sort_by_key(ToString::to_string);
    let mut nft: Command = net.inside(CLIENT, "nft");
    let tables = String::from_utf8(run(nft.args(["list", "ruleset"])).stdout).unwrap();
    let setting = net
        .inside(CLIENT, "cat")
        .arg("/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
        .output()
        .unwrap();
    [
        link,
        json("-4 route show table all"),
        json("-6 route show table all"),
        tables.into(),
        String::from_utf8(setting.stdout).unwrap().into(),
    ]
}
