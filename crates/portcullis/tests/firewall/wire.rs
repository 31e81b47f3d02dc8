//! Frames that are not what a wire usually carries: tagged, too large, too short, with options, or
//! many in one.

use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::process::ExitCode;

use libtest_mimic::Failed;
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use crate::frames::{LINK, captured, with_length};
use crate::net::{AWAY, CLIENT, FIREWALL, Net, SERVER, Server, run, same, wait_for};

/// Datagrams that the kernel hands over as one, and how many of these.
const SEGMENTS: usize = 40;
const SUPERS: usize = 20;
const SEGMENT: usize = 1000;

/// `--send-segments`: datagrams by [`SEGMENTS`] in one call.
pub(crate) fn send_segments() -> ExitCode {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    setsockopt(&socket, UdpGsoSegment, &(SEGMENT as i32)).unwrap();
    for _ in 0..SUPERS {
        socket
            .send_to(&[7; SEGMENTS * SEGMENT], (AWAY, 5002))
            .unwrap();
    }
    ExitCode::SUCCESS
}

/// Tagged frames keep their tag, and rules look behind it.
pub(crate) fn tagged(net: &Net) -> Result<(), Failed> {
    let rules = "ipchains -P forward DENY\nipchains -A forward -p udp -d 0/0 5002 -j ACCEPT\n\
                 ipchains -A forward -j DENY -l\n";
    let _firewall = net.start(rules, &["--bridge", "f0:f1"]);
    let nft = |words: &str| {
        let output = run(net.inside(SERVER, "nft").args(words.split(' ')));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        same(output.status.success(), true).map_err(|_| Failed::from(said))?;
        Ok::<_, Failed>(String::from_utf8(output.stdout).unwrap())
    };
    nft("add table netdev tags")?;
    nft("add chain netdev tags arriving { type filter hook ingress device eth0 priority 0; }")?;
    nft("add rule netdev tags arriving ether saddr 02:00:00:00:00:07 vlan id 7 counter")?;
    let mut inject = net.serve(CLIENT, &["--inject"]);
    let tagged = |port: u16| {
        let mut packet = with_options();
        packet[30..32].copy_from_slice(&port.to_be_bytes());
        [&LINK[..12], &[0x81, 0, 0, 7], &LINK[12..], &packet].concat()
    };
    send(&mut inject, &tagged(5003));
    send(&mut inject, &tagged(5002));
    wait_for(|| nft("list table netdev tags").is_ok_and(|said| said.contains("packets 1 ")));
    wait_for(|| {
        net.text("log")
            .contains("forward DENY f1 PROTO=17 10.9.0.1:5000 10.9.0.2:5003")
    });
    same(net.figure("denied"), 1)
}

/// Jumbo frames cross where both sides take them; where one does not, they are dropped and counted,
/// and the others cross.
pub(crate) fn jumbo(net: &Net) -> Result<(), Failed> {
    for (machine, port) in [(CLIENT, "eth0"), (FIREWALL, "f0")] {
        net.ip(machine, &format!("link set {port} mtu 9000"));
    }
    let _firewall = net.start("", &["--bridge", "f0:f1"]);
    let large = |net: &Net| {
        let mut ping = net.inside(CLIENT, "ping");
        ping.args(["-n", "-M", "do", "-s", "8000", "-W", "1", "-c", "1", AWAY]);
        run(&mut ping).status.success()
    };
    same(large(net), false)?;
    wait_for(|| net.figure("not_sent") == 1);
    same(net.ping(2), 2)?;
    let _server = net.serve(SERVER, &["--serve", AWAY]);
    let output = run(&mut net.peer(CLIENT, &["--fetch", AWAY]));
    same(output.status.success(), true)?;
    for (machine, port) in [(SERVER, "eth0"), (FIREWALL, "f1")] {
        net.ip(machine, &format!("link set {port} mtu 9000"));
    }
    wait_for(|| large(net));
    Ok(())
}

/// Frames too short for what they say they carry do not cross, options cross unchanged, and what is
/// no IPv4 is counted.
pub(crate) fn odd(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start("", &["--bridge", "f0:f1"]);
    let file = net.path("frames");
    let _capture = net.serve(SERVER, &["--capture", file.to_str().unwrap()]);
    let mut inject = net.serve(CLIENT, &["--inject"]);
    let whole = [LINK.as_slice(), &with_options()].concat();
    let before = net.figure("not_ipv4");
    for length in [14, 15, 18, 33] {
        send(&mut inject, &whole[..length]);
    }
    for ether_type in [[0x86, 0xdd], [0x81, 0x37], [0, 46]] {
        let mut foreign = whole.clone();
        foreign[12..14].copy_from_slice(&ether_type);
        send(&mut inject, &foreign);
    }
    send(&mut inject, &whole);
    wait_for(|| captured(&file).contains(&whole));
    wait_for(|| net.figure("not_ipv4") >= before + 3);
    // Nothing else of them came.
    let others = captured(&file);
    let others = others
        .iter()
        .filter(|frame| **frame != whole && frame[6..12] == LINK[6..12]);
    same(others.count(), 0)?;
    same(net.ping(2), 2)
}

/// Datagrams that the kernel hands over as one cross, and come out as many.
pub(crate) fn segments(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start("", &["--bridge", "f0:f1"]);
    sent_in_segments(net)
}

pub(crate) fn segments_of_a_host(net: &Net) -> Result<(), Failed> {
    let _firewall = net.start("", &["--host", "eth0"]);
    sent_in_segments(net)
}

fn sent_in_segments(net: &Net) -> Result<(), Failed> {
    net.ping(1);
    let mut counting = net.serve(SERVER, &["--count-datagrams"]);
    let output = run(&mut net.peer(CLIENT, &["--send-segments"]));
    same(output.status.success(), true)?;
    drop(counting.child.stdin.take());
    let mut count = String::new();
    let output = counting.child.stdout.as_mut().unwrap();
    output.read_to_string(&mut count).unwrap();
    same(count, (SEGMENTS * SUPERS).to_string())
}

/// Has a frame injected.
fn send(inject: &mut Server, frame: &[u8]) {
    let input = inject.child.stdin.as_mut().unwrap();
    input.write_all(&with_length(frame)).unwrap();
    input.flush().unwrap();
}

/// A UDP packet with a record-route option.
fn with_options() -> Vec<u8> {
    let mut packet = vec![
        0x47, 0, 0, 36, 0, 7, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2, // the header
        7, 7, 4, 0, 0, 0, 0, 0, // the option, and its end
        0x13, 0x88, 0x13, 0x8a, 0, 8, 0, 0, // UDP
    ];
    let sum = portcullis_core::packet::header_checksum(&packet[..28]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}
