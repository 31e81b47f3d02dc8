//! The golden packets of the forward chain as real frames through `--bridge`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use portcullis_core::packet::{Ipv4Packet, header_checksum};
use portcullis_testkit::golden::{Case, packet_cases};
use portcullis_testkit::pcap::raw_ipv4_packets;

use crate::frames::{LINK, captured, with_length};
use crate::net::{AWAY, CLIENT, FIREWALL, Net, SERVER, run, same};

/// A bridge has no loopback interface as a port.
const IMPOSSIBLE: &str = "lo";
/// What is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a case expects of the packets that are forwarded to one interface.
#[derive(Default)]
struct Batch {
    sent: Vec<Vec<u8>>,
    passed: Vec<Vec<u8>>,
    log: Vec<String>,
}

/// Interface names are ports' names here: one firewall for each, all cases through it.
pub(crate) fn cases(net: &Net) -> Result<(), Failed> {
    let cases: Vec<_> = packet_cases()?.iter().map(Plan::of).collect();
    let names: BTreeSet<&String> = cases.iter().flat_map(|plan| plan.batches.keys()).collect();
    for machine in [CLIENT, SERVER] {
        // Nobody answers.
        net.ip(machine, "address flush dev eth0");
        net.ip(machine, "link set eth0 mtu 65000");
    }
    net.ip(FIREWALL, "link set f0 mtu 65000");
    let file = net.path("frames");
    let _capture = net.serve(SERVER, &["--capture", file.to_str().unwrap()]);
    let mut injector = net.serve(CLIENT, &["--inject"]);
    let input = injector.child.stdin.as_mut().unwrap();
    let (mut port, mut seen) = ("f1".to_owned(), 0);
    let (mut packets, mut passed, mut logged, mut impossible) = (0, 0, 0, 0);
    for name in names {
        let batches = cases
            .iter()
            .filter_map(|plan| Some((plan, plan.batches.get(name)?)));
        if name == IMPOSSIBLE {
            impossible = batches.map(|(_, batch)| batch.sent.len()).sum();
            continue;
        }
        net.ip(FIREWALL, &format!("link set {port} down"));
        net.ip(FIREWALL, &format!("link set {port} name {name} mtu 65000"));
        net.ip(FIREWALL, &format!("link set {name} up"));
        port.clone_from(name);
        let bridge = format!("f0:{name}");
        let _ = fs::remove_file(net.path("log"));
        let _firewall = net.start("", &["--bridge", &bridge, "--log-limit", "off"]);
        let mut lines = 0;
        for (plan, batch) in batches {
            let what = format!("{} {name}", plan.name);
            let rules = net.path("case");
            fs::write(&rules, &plan.rules).unwrap();
            let output = net.control(&["reload", rules.to_str().unwrap(), "--zero"]);
            let said = String::from_utf8(output.stderr).unwrap();
            same(output.status.code(), Some(0)).map_err(|_| format!("{what}: {said}"))?;
            for packet in &batch.sent {
                input.write_all(&with_length(&[&LINK, packet.as_slice()].concat()))?;
                packets += 1;
            }
            input.flush()?;
            let expected = (batch.passed.len(), batch.log.len());
            let start = Instant::now();
            let (frames, log) = loop {
                let frames = ours(captured(&file));
                let log = net.text("log");
                // The last line may be half written.
                let log = &log[..log.rfind('\n').map_or(0, |end| end + 1)];
                let log: Vec<_> = log.lines().skip(lines).map(str::to_owned).collect();
                let there = (frames.len() - seen, log.len());
                if there >= expected && there.1 >= expected.1 || start.elapsed() > PATIENCE {
                    break (frames[seen..].to_vec(), log);
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            (passed, logged) = (passed + frames.len(), logged + log.len());
            (seen, lines) = (seen + frames.len(), lines + log.len());
            let text = |line: &String| line.split_once(" kernel: ").unwrap().1.to_owned();
            let log: Vec<_> = log.iter().map(text).collect();
            same(&log, &batch.log).map_err(|error| format!("{what}: log: {error:?}"))?;
            if frames != batch.passed {
                let counts = (frames.len(), batch.passed.len());
                return Err(format!("{what}: other frames came out: {counts:?}").into());
            }
        }
    }
    eprintln!(
        "{packets} packets: {passed} crossed, {logged} log lines, all as expected; {impossible} \
         would need {IMPOSSIBLE}"
    );
    same(passed > 0 && logged > 0 && packets > passed, true)
}

/// Both ends agree about headers that were changed, also of the largest segments.
pub(crate) fn checksums(net: &Net) -> Result<(), Failed> {
    let rules = "ipchains -A forward -t 01 10 -j ACCEPT\n";
    let _firewall = net.start(rules, &["--bridge", "f0:f1"]);
    let file = net.path("frames");
    let _capture = net.serve(SERVER, &["--capture", file.to_str().unwrap()]);
    let _server = net.serve(SERVER, &["--serve", AWAY]);
    let output = run(&mut net.peer(CLIENT, &["--fetch", AWAY]));
    same(output.status.success(), true)?;
    let to_server = AWAY.parse::<std::net::Ipv4Addr>()?.octets();
    let mut count = 0;
    for frame in captured(&file) {
        if frame[30..34] == to_server {
            same(frame[15], 0x10)?;
            // A sum over a right header, its checksum included, is zero.
            same(header_checksum(&frame[14..34]), 0)?;
            count += 1;
        }
    }
    same(count > 100, true)
}

/// A case as a bridge can carry it out.
struct Plan {
    name: String,
    rules: String,
    /// By the outgoing interface.
    batches: BTreeMap<String, Batch>,
}

impl Plan {
    /// A bridge refuses rules that masquerade or redirect. Their verdicts are what the kernel does
    /// with them there: both are accepted here but REDIRECT, which forward drops (§2).
    fn of(case: &Case) -> Self {
        let rules = carried_out(case.text("rules.ipchains").unwrap());
        let mut plan = Self {
            name: case.name.clone(),
            rules,
            batches: BTreeMap::new(),
        };
        let packets = raw_ipv4_packets(case.bytes("packets.pcap").unwrap());
        let expected = expected(case.text("expected.txt").unwrap());
        for line in case.text("packets.txt").unwrap().lines().skip(1) {
            let words: Vec<&str> = line.split(' ').collect();
            let [number, step] = words.as_slice() else {
                continue;
            };
            let Some(interface) = step.strip_prefix("forward:") else {
                continue;
            };
            let number: usize = number.parse().unwrap();
            let bytes = packets[number - 1];
            let batch = plan.batches.entry(interface.to_owned()).or_default();
            batch.sent.push(bytes.to_vec());
            // What the kernel's IP layer drops on arrival meets no chain; the golden forward cases
            // begin behind it.
            if Ipv4Packet::received(bytes, bytes.len()).is_err() {
                continue;
            }
            let (passes, tos, log) = &expected[&number];
            batch.log.extend(log.iter().cloned());
            if *passes {
                batch
                    .passed
                    .push([&LINK, with_tos(bytes, *tos).as_slice()].concat());
            }
        }
        plan
    }
}

/// The rules, with what a bridge can do instead of what it cannot.
fn carried_out(rules: &str) -> String {
    let mut lines = Vec::new();
    for line in rules.lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        if let Some(at) = words.iter().position(|word| *word == "REDIRECT") {
            words[at] = "DENY";
            // A port may follow.
            if words
                .get(at + 1)
                .is_some_and(|word| word.parse::<u16>().is_ok())
            {
                words.remove(at + 1);
            }
        }
        for word in &mut words {
            if *word == "MASQ" {
                *word = "ACCEPT";
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n") + "\n"
}

/// By packet: whether it passes, its type of service then, and its log lines.
fn expected(text: &str) -> BTreeMap<usize, (bool, u8, Vec<String>)> {
    let mut all: BTreeMap<usize, (bool, u8, Vec<String>)> = BTreeMap::new();
    let mut last = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "P" => {
                last = words[1].parse().unwrap();
                let passes = matches!(words.get(4), Some(&"ACCEPT" | &"MASQ"));
                let tos = words.get(5).and_then(|word| word.strip_prefix("tos=0x"));
                let tos = tos.map_or(0, |tos| u8::from_str_radix(tos, 16).unwrap());
                all.insert(last, (passes, tos, Vec::new()));
            }
            "L" => {
                let mut words: Vec<&str> = words[1..].to_vec();
                if words[0] == "Packet" && words[3] == "MASQ" {
                    words[3] = "ACCEPT";
                } else if words[0] == "Packet" && words[3] == "REDIRECT" {
                    words[3] = "DENY";
                    words.remove(4);
                }
                all.get_mut(&last).unwrap().2.push(words.join(" "));
            }
            _ => {}
        }
    }
    all
}

fn with_tos(packet: &[u8], tos: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[1] != tos {
        packet[1] = tos;
        packet[10..12].fill(0);
        let header = usize::from(packet[0] & 15) * 4;
        let sum = header_checksum(&packet[..header]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// Frames that the injector sent.
fn ours(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.retain(|frame| frame[..14] == LINK);
    frames
}
