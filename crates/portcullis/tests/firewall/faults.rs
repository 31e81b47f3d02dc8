//! What fails around a running firewall.

use std::fs;

use libtest_mimic::Failed;

use crate::net::{
    AWAY, CLIENT, FIREWALL, Firewall, HOME, Net, SERVER, Server, run, same, wait_for,
};

/// Only pings cross.
const PINGS: &str = "ipchains -P input DENY\nipchains -P output DENY\nipchains -P forward DENY\n\
                     ipchains -A input -p icmp -j ACCEPT\nipchains -A output -p icmp -j ACCEPT\n\
                     ipchains -A forward -p icmp -j ACCEPT\n";

/// A host's interface goes away under load; another of its name is guarded.
pub(crate) fn host_interface(net: &Net) -> Result<(), Failed> {
    let (_firewall, load) = taken_away(net, &["--host", "eth0"], CLIENT, "eth0")?;
    net.cable(CLIENT, (SERVER, "eth0"));
    net.address();
    drop(load);
    only_pings_cross(net, SERVER, HOME)?;
    let messages = net.text("messages");
    let told = messages.matches("there is no interface eth0").count();
    same(told, 1).map_err(|_| Failed::from(messages))
}

/// A router's interface goes away under load and comes again.
pub(crate) fn queue_interface(net: &Net) -> Result<(), Failed> {
    let (_firewall, load) = taken_away(net, &["--queue"], FIREWALL, "f1")?;
    net.cable(SERVER, (FIREWALL, "f1"));
    net.ip(SERVER, &format!("address add {AWAY}/24 dev eth0"));
    net.ip(FIREWALL, "address add 10.9.0.1/24 dev f1");
    net.ip(SERVER, "link set eth0 up");
    net.ip(FIREWALL, "link set f1 up");
    net.ip(SERVER, "route add 10.8.0.0/24 via 10.9.0.1");
    drop(load);
    only_pings_cross(net, CLIENT, AWAY)
}

/// A firewall under a flood of datagrams, from under which an interface is taken away.
fn taken_away(
    net: &Net,
    plane: &[&str],
    machine: usize,
    port: &str,
) -> Result<(Firewall, Server), Failed> {
    let firewall = net.start(PINGS, plane);
    let mut load = net.peer(CLIENT, &["--send-datagrams", "100000000", "0"]);
    let load = Server {
        child: load.spawn().unwrap(),
    };
    wait_for(|| net.ping(1) == 1);
    net.ip(machine, &format!("link delete {port}"));
    same(net.ping(1), 0)?;
    same(net.status()["generation"].as_u64(), Some(1))?;
    Ok((firewall, load))
}

/// Somebody removes the control socket: packets are judged as before, the commands say what they
/// miss, and a signal still reloads and ends.
pub(crate) fn control_socket(net: &Net) -> Result<(), Failed> {
    let mut firewall = net.start(PINGS, &["--bridge", "f0:f1"]);
    same(net.ping(1), 1)?;
    fs::remove_file(net.path("socket")).unwrap();
    same(net.ping(1), 1)?;
    let output = net.control(&["status"]);
    same(output.status.code(), Some(2))?;
    let message = String::from_utf8(output.stderr).unwrap();
    same(message.contains("socket"), true).map_err(|_| Failed::from(message))?;
    fs::write(net.path("rules"), "ipchains -P forward DENY\n").unwrap();
    firewall.signal("HUP");
    wait_for(|| net.ping(1) == 0);
    firewall.signal("TERM");
    same(firewall.wait(), Some(0))
}

/// Whether the rules still say what crosses: pings, and TCP only once it is let in.
fn only_pings_cross(net: &Net, from: usize, to: &str) -> Result<(), Failed> {
    // The new interface may need a moment.
    wait_for(|| net.ping_from(from, to, 1) == 1);
    let at = if to == HOME { CLIENT } else { SERVER };
    let _server = net.serve(at, &["--serve", to]);
    let fetch = || {
        let this = std::env::current_exe().unwrap();
        let mut fetch = net.inside(from, "timeout");
        run(fetch.arg("2").arg(this).args(["--fetch", to]))
            .status
            .success()
    };
    same(fetch(), false)?;
    for chain in ["input", "output", "forward"] {
        net.ipchains(&format!("-A {chain} -p tcp -j ACCEPT"));
    }
    same(fetch(), true)
}
