//! `--queue`: a router between two networks, 10.8.0.0/24 inside and 10.9.0.0/24 outside.

use std::fs;

use libtest_mimic::Failed;

use crate::net::{AWAY, CLIENT, FIREWALL, INSIDE, Net, SERVER, run, same, wait_for};

const QUEUE: [&str; 1] = ["--queue"];

pub(crate) fn passes(net: &Net) -> Result<(), Failed> {
    let mut firewall = net.start("", &QUEUE);
    same(net.ping(3), 3)?;
    let server = net.serve(SERVER, &["--serve", AWAY]);
    let output = run(&mut net.peer(CLIENT, &["--fetch", AWAY]));
    same(output.status.success(), true)?;
    drop(server);
    // On the router itself, and with itself.
    same(net.ping_from(FIREWALL, AWAY, 1), 1)?;
    same(net.ping_from(FIREWALL, "127.0.0.1", 1), 1)?;
    same(net.figure("overflow"), 0)?;
    // IPv6 is not ruled by anybody, so it does not pass.
    same(net.ping_from(FIREWALL, "fd00:9::2", 1), 0)?;
    firewall.signal("TERM");
    same(firewall.wait(), Some(0))?;
    let tables = run(net.inside(FIREWALL, "nft").args(["list", "ruleset"]));
    same(tables.stdout.is_empty(), true)?;
    same(net.ping_from(FIREWALL, "fd00:9::2", 1), 1)
}

pub(crate) fn stops(net: &Net) -> Result<(), Failed> {
    let deny = "ipchains -P input DENY\nipchains -P forward DENY\nipchains -P output DENY\n";
    let mut firewall = net.start(deny, &QUEUE);
    same(net.ping(2), 0)?;
    same(net.ping_from(FIREWALL, AWAY, 1), 0)?;
    same(net.ping_from(FIREWALL, "127.0.0.1", 1), 0)?;
    same(net.figure("passed"), 0)?;
    firewall.kill();
    // Each chain by itself is enough.
    for chain in ["input", "forward", "output"] {
        let rules = format!("ipchains -A {chain} -p icmp -s 10.8.0.2 -j DENY\n");
        let mut firewall = net.start(&rules, &QUEUE);
        same(net.ping(1), 0).map_err(|_| Failed::from(chain))?;
        same(net.figure("denied"), 1)?;
        firewall.kill();
    }
    Ok(())
}

pub(crate) fn killed(net: &Net) -> Result<(), Failed> {
    let mut firewall = net.start("", &QUEUE);
    same(net.ping(1), 1)?;
    firewall.kill();
    same(net.ping(2), 0)?;
    same(net.ping_from(FIREWALL, AWAY, 1), 0)?;
    let mut firewall = net.start("", &["--queue", "--fail-open"]);
    same(net.ping(1), 1)?;
    firewall.kill();
    same(net.ping(2), 2)?;
    let mut firewall = net.start("ipchains -P forward DENY\n", &QUEUE);
    same(net.ping(1), 0)?;
    firewall.kill();
    let mut restore = net.portcullis();
    restore.args(["run", "--queue", "--restore", "--control"]);
    let output = run(restore.arg(net.path("socket")));
    same(output.status.code(), Some(0))?;
    same(net.ping(1), 1)
}

pub(crate) fn answers_and_changes(net: &Net) -> Result<(), Failed> {
    let rules = "ipchains -A input -p udp -d 0/0 7 -j REJECT\n\
                 ipchains -A input -p udp -d 0/0 8 -j DENY\n\
                 ipchains -A forward -p icmp -s 10.8.0.2 -t 0x01 0x10 -m 0x55\n\
                 ipchains -A output -p icmp -s 10.8.0.2 -m +1 -l\n\
                 ipchains -A forward -p icmp -d 10.9.0.2 -i f1 -l\n";
    let _firewall = net.start(rules, &QUEUE);
    let asked = |port| {
        let output = run(&mut net.peer(CLIENT, &["--ask", port]));
        String::from_utf8(output.stdout).unwrap()
    };
    same(asked("7").as_str(), "ConnectionRefused")?;
    same(asked("8").as_str(), "WouldBlock")?;
    net.ipchains("-I forward 1 -p icmp -s 10.8.0.2 -j REJECT");
    let mut ping = net.inside(CLIENT, "ping");
    let output = run(ping.args(["-n", "-c", "1", "-W", "1", AWAY]));
    let said = String::from_utf8(output.stdout).unwrap();
    let told = said.contains("From 10.8.0.1 icmp_seq=1 Destination Host Unreachable");
    same(told, true).map_err(|_| Failed::from(said))?;
    net.ipchains("-D forward 1");
    // A rule of the kernel's own sees the mark, and the far side answers the changed packet, which
    // it does only if the checksum is right.
    let counter = "table ip seen {
        chain sent { type filter hook postrouting priority 295; meta mark 0x56 ip dscp 4 counter; }
    }
    ";
    fs::write(net.path("counter"), counter).unwrap();
    let mut nft = net.inside(FIREWALL, "nft");
    let output = run(nft.arg("-f").arg(net.path("counter")));
    same(output.status.success(), true)?;
    same(net.ping(3), 3)?;
    wait_for(|| {
        net.text("log").contains("output - f1 PROTO=1") && net.text("log").contains("S=0x10")
    });
    let listing = run(net
        .inside(FIREWALL, "nft")
        .args(["list", "table", "ip", "seen"]));
    let listing = String::from_utf8(listing.stdout).unwrap();
    same(listing.contains("counter packets 3 "), true).map_err(|_| Failed::from(listing))
}

/// Default deny, a look at the log, rules one by one, and active FTP works through MASQ.
pub(crate) fn the_articles_day(net: &Net) -> Result<(), Failed> {
    // The server knows no way to the inner network.
    net.ip(SERVER, "route del 10.8.0.0/24");
    let rules = "\
        ipchains -P input DENY\nipchains -P forward DENY\nipchains -P output DENY\n\
        ipchains -A input -j DENY -l\nipchains -A forward -j DENY -l\n\
        ipchains -A output -j DENY -l\n";
    let _firewall = net.start(rules, &["--queue", "--masq-ftp"]);
    let _server = net.serve(SERVER, &["--ftp-serve"]);
    let list = || {
        let output = run(&mut net.peer(CLIENT, &["--ftp-list"]));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = |line: &str| wait_for(|| net.text("log").contains(line));
    let add = |rule: &str| same(net.ipchains(rule).status.code(), Some(0));
    same(list().as_str(), "no connection")?;
    told("input DENY f0 PROTO=6 10.8.0.2:");
    add("-I input 1 -i f0 -p tcp -s 10.8.0.0/24 -j ACCEPT")?;
    same(list().as_str(), "no connection")?;
    told("forward DENY f1 PROTO=6 10.8.0.2:");
    add("-I forward 1 -i f1 -s 10.8.0.0/24 -j MASQ")?;
    same(list().as_str(), "no connection")?;
    // The output chain sees what masquerading has made of it.
    told("output DENY f1 PROTO=6 10.9.0.1:6");
    add("-I output 1 -i f1 -p tcp -j ACCEPT")?;
    same(list().as_str(), "no connection")?;
    told("input DENY f1 PROTO=6 10.9.0.2:21 10.9.0.1:6");
    add("-I input 1 -i f1 -p tcp -s 0/0 21 -d 10.9.0.1 61000:65095 ! -y -j ACCEPT")?;
    same(list().as_str(), "no connection")?;
    // Answers are not given to the forward chain.
    told("output DENY f0 PROTO=6 10.9.0.2:21 10.8.0.2:");
    add("-I output 1 -i f0 -p tcp -j ACCEPT")?;
    same(list().as_str(), "no data connection")?;
    told("input DENY f1 PROTO=6 10.9.0.2:20 10.9.0.1:");
    add("-I input 1 -i f1 -p tcp -s 0/0 20 -j ACCEPT")?;
    same(list().as_str(), "drwxr-xr-x pub\n")
}

pub(crate) fn redirects(net: &Net) -> Result<(), Failed> {
    // To a port of this machine; the client believes that the server answered.
    let rules = "ipchains -A input -i f0 -p tcp -d 10.9.0.2 80 -j REDIRECT 5001 -l\n\
                 ipchains -A output -i f0 -p tcp -s 10.9.0.2 80 -l\n";
    let _firewall = net.start(rules, &QUEUE);
    let _server = net.serve(FIREWALL, &["--serve", INSIDE]);
    let output = run(&mut net.peer(CLIENT, &["--fetch", AWAY, "80"]));
    same(output.status.success(), true)?;
    let told = |line: &str| wait_for(|| net.text("log").contains(line));
    told("input REDIRECT 5001 f0 PROTO=6 10.8.0.2:");
    told("output - f0 PROTO=6 10.9.0.2:80 10.8.0.2:");
    Ok(())
}
