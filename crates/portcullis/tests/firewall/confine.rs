//! What a running firewall has given up, and what it still can.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::net::{CLIENT, FIREWALL, Firewall, Net, run, same, wait_for};

pub(crate) fn least_power(net: &Net) -> Result<(), Failed> {
    let log = net.path("packets.log");
    let options = ["--bridge", "f0:f1", "--log", log.to_str().unwrap()];
    let rules = "ipchains -A forward -p icmp -j ACCEPT -l\n";
    let mut firewall = net.start(rules, &options);
    same(net.ping(1), 1)?;
    wait_for(|| net.text("packets.log").contains("forward ACCEPT"));
    // Every thread of it, as the kernel says.
    let threads = fs::read_dir(format!("/proc/{}/task", firewall.child.id())).unwrap();
    let mut count = 0;
    for thread in threads {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for line in [
            "CapEff:\t0000000000000000",
            "CapPrm:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            same(status.contains(line), true).map_err(|_| Failed::from(status.clone()))?;
        }
        count += 1;
    }
    same(count >= 4, true)?;
    let confinement = &net.status()["confinement"];
    for (name, value) in [
        ("capabilities", "none"),
        ("new_privileges", "none"),
        ("seccomp", "filter"),
    ] {
        same(confinement[name].as_str(), Some(value))?;
    }
    let landlock = confinement["landlock"].as_str().unwrap();
    same(
        landlock.starts_with("enforced") || landlock == "not in this kernel",
        true,
    )?;
    // The log moves away and is opened again.
    fs::rename(&log, net.path("packets.log.1")).unwrap();
    firewall.signal("USR1");
    wait_for(|| log.exists());
    same(net.ping(1), 1)?;
    wait_for(|| net.text("packets.log").contains("forward ACCEPT"));
    // The rules are replaced, by another file of the same name, by a file, and by an edit.
    fs::write(net.path("new"), "ipchains -P forward DENY\n").unwrap();
    fs::rename(net.path("new"), net.path("rules")).unwrap();
    firewall.signal("HUP");
    wait_for(|| net.status()["generation"] == 2);
    same(net.ping(1), 0)?;
    fs::write(net.path("other"), rules).unwrap();
    let other = net.path("other");
    let output = net.control(&["reload", other.to_str().unwrap()]);
    same(output.status.code(), Some(0))?;
    same(net.ping(1), 1)?;
    same(net.ipchains("-I forward 1 -j DENY").status.code(), Some(0))?;
    same(net.ping(1), 0)?;
    // Who ends a whole service ends the keeper too, which waits for the firewall's word.
    let words = format!("kill -TERM {}", child_of(firewall.child.id()).unwrap());
    same(
        run(Command::new("sh").args(["-c", &words]))
            .status
            .success(),
        true,
    )?;
    firewall.signal("TERM");
    same(firewall.wait(), Some(0))?;
    same(net.path("socket").exists(), false)?;
    let output = run(net.inside(FIREWALL, "nft").args(["list", "ruleset"]));
    same(output.stdout.is_empty(), true)
}

/// Nobody reads standard output, and the log has a tag and two places.
pub(crate) fn ends(net: &Net) -> Result<(), Failed> {
    let log = net.path("packets.log");
    fs::write(net.path("rules"), "ipchains -A forward -p udp -l\n").unwrap();
    let mut command = net.portcullis();
    command.args([
        "run",
        "--bridge",
        "f0:f1",
        "--log-limit",
        "off",
        "--log-tag",
        "fw",
    ]);
    command.arg("--rules").arg(net.path("rules"));
    command.arg("--control").arg(net.path("socket"));
    command.args(["--log", log.to_str().unwrap(), "--log", "-"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(fs::File::create(net.path("messages")).unwrap())
        .spawn()
        .unwrap();
    let mut firewall = Firewall { child };
    wait_for(|| net.text("messages").contains("control socket"));
    // Many more lines than the pipe and the channel take.
    run(&mut net.peer(CLIENT, &["--send-datagrams", "60000", "0"]));
    wait_for(|| net.figure("lost_lines") > 0);
    same(
        net.text("packets.log")
            .contains(" fw: Packet log: forward "),
        true,
    )?;
    let start = Instant::now();
    firewall.signal("TERM");
    same(firewall.wait(), Some(0))?;
    same(start.elapsed() < Duration::from_secs(5), true)
}

/// The number of a process that was started by this one.
fn child_of(parent: u32) -> Option<u32> {
    let parent = format!("\nPPid:\t{parent}\n");
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        status.contains(&parent).then_some(id)
    })
}
