//! `--observe`.

use std::fs;

use libtest_mimic::Failed;

use crate::net::{Firewall, Net, SERVER, same, wait_for};

pub(crate) fn observes(net: &Net) -> Result<(), Failed> {
    // The tap sits on the server, whose address it finds out.
    fs::write(net.path("rules"), "ipchains -A input -p icmp -j DENY -l\n").unwrap();
    let mut accept_all = net.start("ipchains -P forward ACCEPT\n", &["--bridge", "f0:f1"]);
    fs::write(
        net.path("tap.rules"),
        "ipchains -A input -p icmp -j DENY -l\n",
    )
    .unwrap();
    let mut tap = net.inside(SERVER, env!("CARGO_BIN_EXE_portcullis"));
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
