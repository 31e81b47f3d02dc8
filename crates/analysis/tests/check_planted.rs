//! Mistakes planted in rules that are otherwise fine.

#![allow(clippy::unwrap_used, reason = "tests")]

use portcullis_analysis::{Machine, Question, Space, Subject, check};
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Network, PortRange};
use portcullis_syntax::names::Names;
use portcullis_syntax::script;

const FINE: &str = "-P input DENY\n-P forward DENY\n-P output DENY\n\
    -A input -i lo -j ACCEPT\n\
    -A input -p tcp -s 0/0 80 -d 192.0.2.1 1024:65535 ! -y -j ACCEPT\n\
    -A input -j DENY -l\n\
    -A forward -j DENY -l\n\
    -A output -i lo -j ACCEPT\n\
    -A output -p tcp -s 192.0.2.1 1024:65535 -d 0/0 80 -j ACCEPT\n\
    -A output -j DENY -l\n";

/// `CODE CHAIN RULE` for each finding.
fn found(source: &str, machine: &Machine) -> Vec<String> {
    let script = script::read(source, &Names::new());
    assert!(script.mistakes.is_empty(), "{:?}", script.mistakes);
    let mut space = Space::new(&[&script.ruleset]);
    let checked = check(&mut space, &script.ruleset, machine);
    assert!(checked.undecided.is_empty());
    let chains = script.ruleset.chains();
    let place = |subject| match subject {
        Subject::Rule(place) => {
            let chain = chains[place.chain as usize].name();
            format!(" {chain} {}", place.rule + 1)
        }
        Subject::Chain(chain) => format!(" {}", chains[chain].name()),
        Subject::Ruleset => String::new(),
    };
    let findings = checked.findings.iter();
    findings
        .map(|it| {
            assert!(!it.message(&script.ruleset).is_empty());
            format!("{}{}", it.code(), place(it.subject))
        })
        .collect()
}

#[test]
fn good_rules_have_no_findings() {
    assert_eq!(found(FINE, &Machine::default()), Vec::<String>::new());
}

#[test]
fn planted_mistakes_are_found() {
    let cases: [(&str, &[&str]); 30] = [
        (
            "-I input 2 -s 10.0.0.0/8 -p tcp --dport 25:20 -j DENY",
            &["impossible input 2"],
        ),
        ("-I input 2 -p 300 -j DENY", &["impossible input 2"]),
        ("-A input -p udp -j ACCEPT", &["shadowed input 4"]),
        ("-I output 2 -s 192.0.2.1 -j ACCEPT", &["shadowed output 3"]),
        (
            "-I input 3 -s 10.0.0.0/8 -j DENY -l",
            &["redundant input 3"],
        ),
        ("-I input -p tcp", &["counts-only input 1"]),
        ("-N spare", &["no-jumps spare"]),
        (
            "-N deep\n-N deeper\n-A deep -j deeper",
            &["no-jumps deep", "never-entered deeper"],
        ),
        (
            "-N some\n-A some -p udp --dport 53 -j ACCEPT\n-I input 2 -p tcp -j some",
            &["redundant input 2", "never-sent some 1"],
        ),
        (
            "-N round\n-A round -j round\n-I input 2 -p icmp -j round",
            &["loop round 1"],
        ),
        (
            "-D output 3\n-P output ACCEPT",
            &[
                "open-policy output",
                "redundant output 1",
                "redundant output 2",
            ],
        ),
        ("-F forward\n-P forward MASQ", &["open-policy forward"]),
        ("-D input 3", &["silent-deny input"]),
        (
            "-R input 3 -j DENY",
            &["silent-deny input 3", "redundant input 3"],
        ),
        (
            "-I input 2 -i eth0 -p tcp -y -j DENY\n-I input 3 -i eth0 -j ACCEPT",
            &["syn-fragments input 2"],
        ),
        (
            "-I input 2 -p tcp -s 0/0 443 -d 192.0.2.1 1024:65535 -j ACCEPT",
            &["open-replies input 2"],
        ),
        (
            "-I input 2 -p tcp -d 0.0.0.0/32 6000 -j DENY\n-I input 3 -p udp -d 0.0.0.0/32 6000 -j DENY",
            &["zero-address input 2"],
        ),
        (
            "-I input 2 -p tcp -d 192.0.2.1 1023:65535 -j ACCEPT",
            &["open-ports input 2", "shadowed input 3"],
        ),
        ("-D input 1", &["loopback-shut input"]),
        // A slip in the network of lo.
        (
            "-R output 1 -i lo -s 172.0.0.0/8 -j ACCEPT",
            &["loopback-shut output", "near-miss output 1"],
        ),
        (
            "-I input 2 -s 192.168.1.0/24 -j ACCEPT",
            &["believed input 2"],
        ),
        ("-I input 2 -s 127.0.0.1 -j ACCEPT", &["believed input 2"]),
        (
            "-I input 2 -i !eth0 -s 10.0.0.0/8 -j ACCEPT",
            &["odd-interface input 2"],
        ),
        (
            "-I input 2 -i eth* -s 10.0.0.0/8 -j ACCEPT",
            &["odd-interface input 2"],
        ),
        (
            "-I forward -s 203.0.113.0/24 -j ACCEPT\n-I input 2 -s 203.0.131.7 -j ACCEPT",
            &["near-miss input 2"],
        ),
        (
            "-I input 2 -s 224.0.0.0/8 -j REJECT",
            &["part-of-multicast input 2"],
        ),
        (
            "-I input 2 -i eth0 -s 96.0.0.0/4 -j REJECT\n-I input 3 -s 5.0.0.0/8 -j REJECT",
            &["handed-out input 2"],
        ),
        // One rule takes all, though another took a part before.
        (
            "-I input 2 -s 10.0.0.0/8 -j REJECT\n-I input 3 -p udp -j REJECT\n-I input 4 -p udp --sport 53 -j ACCEPT",
            &["shadowed input 4"],
        ),
        (
            "-I forward -j MASQ",
            &["masq-everything forward 1", "shadowed forward 2"],
        ),
        (
            "-D input 1\n-I input -i ! eth0 -j DENY -l",
            &["loopback-caught input 1"],
        ),
    ];
    let mut wrong = Vec::new();
    for (planted, expected) in cases {
        let found = found(&format!("{FINE}{planted}\n"), &Machine::default());
        if found != expected {
            wrong.push((planted, found, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_only_looks_like_a_mistake_is_none() {
    let fine = [
        // Active FTP opens data connections from port 20.
        "-I input 2 -p tcp -s 0/0 20 -d 192.0.2.1 1024:65535 -j ACCEPT",
        "-I input 2 -i lo -p tcp -s 0/0 80 -d 0/0 1024:65535 -j DENY\n-D input 2",
        // Fragments are denied before.
        "-I input 2 -f -j DENY -l\n-I input 3 -i eth0 -p tcp -y -j DENY\n-I input 4 -i eth0 -j ACCEPT",
        "-I input 2 -i ! eth0 -s 10.0.0.0/8 -j REJECT",
        // Forged addresses.
        "-I input 2 -d 0.0.0.0 -j REJECT -l",
        "-I input 2 -i eth0 -s 192.168.1.0/24 -j ACCEPT",
        "-I input 2 -p tcp -s 192.168.1.0/24 --dport 22 -j ACCEPT",
        // Taken on one interface only.
        "-I input 2 -i eth0 -s 192.168.1.0/24 -j REJECT\n-I input 3 -s 192.168.1.0/24 -j ACCEPT",
        "-I input 2 -s 224.0.0.0/4 -j REJECT",
        "-I input 2 -s 224.0.0.0/24 -j REJECT",
        // Networks that are numbered one after the other, or have neighbours.
        "-I forward -s 192.168.1.0/24 -j ACCEPT\n-I forward -s 192.168.2.7 -j ACCEPT",
        "-I forward -s 203.0.113.0/24 -j ACCEPT\n-I input 2 -s 203.0.131.7 -j ACCEPT\n\
         -I input 2 -s 203.0.131.8 -j ACCEPT",
        // Reserved to this day.
        "-I input 2 -s 240.0.0.0/5 -j REJECT",
        "-I input 2 -p tcp -s 5.0.0.0/8 -j REJECT",
        "-I input 2 -p udp -s 0.0.0.0 68 -d 255.255.255.255 67 -j ACCEPT",
        "-I forward -s 10.0.0.0/8 -j MASQ",
        // Marked packets are left alone.
        "-I input 3 -s 10.0.0.0/8 -m 4 -j DENY -l",
    ];
    for rule in fine {
        let source = format!("{FINE}{rule}\n");
        assert_eq!(
            found(&source, &Machine::default()),
            Vec::<String>::new(),
            "{rule}"
        );
    }
}

#[test]
fn the_machine_contradicts_rules() {
    let interface = |name| InterfaceName::new(name).unwrap();
    let machine = Machine {
        local_ports: Some(PortRange {
            first: 32768,
            last: 60999,
        }),
        interfaces: Some(["lo", "eth0"].map(interface).to_vec()),
        addresses: Some(vec![Network::with_prefix(0xc000_0201, 32)]),
    };
    assert_eq!(found(FINE, &machine), Vec::<String>::new());
    let narrow = FINE.replace("1024:65535", "61000:65095");
    assert_eq!(
        found(&narrow, &machine),
        ["local-ports input 2", "local-ports output 2"]
    );
    // Another rule lets the rest in.
    let rest = "-I input 2 -p tcp -d 192.0.2.1 32768:60999 ! -y -j ACCEPT\n";
    assert_eq!(
        found(&format!("{narrow}{rest}"), &machine),
        ["local-ports output 2"]
    );
    let fits = Machine {
        local_ports: Some(PortRange {
            first: 61000,
            last: 65095,
        }),
        ..machine.clone()
    };
    assert_eq!(found(&narrow, &fits), Vec::<String>::new());
    let masq = format!("{narrow}-I forward -s 10.0.0.0/8 -j MASQ\n");
    assert_eq!(found(&masq, &fits), ["masq-ports"]);
    let gone = format!("{FINE}-I input 2 -i eth1 -s 10.0.0.0/8 -j ACCEPT\n");
    assert_eq!(found(&gone, &machine), ["no-interface input 2"]);
    let ppp = format!("{FINE}-I input 2 -i ppp+ -s 10.0.0.0/8 -j ACCEPT\n");
    assert_eq!(found(&ppp, &machine), ["no-interface input 2"]);
    let ssh = format!("{FINE}-I output 2 -p tcp -s 192.0.2.1 1024:65535 -d 0/0 22 -j ACCEPT\n");
    assert_eq!(found(&ssh, &machine), ["root-ports output 2"]);
    let root = format!("{ssh}-I output 2 -p tcp -s 192.0.2.1 1020:1023 -d 0/0 22 -j ACCEPT\n");
    assert_eq!(found(&root, &machine), Vec::<String>::new());
    let other = format!("{FINE}-I input 2 -d 192.0.2.9 -j ACCEPT\n");
    assert_eq!(found(&other, &machine), ["not-local input 2"]);
    let passed_on = format!("{other}-I forward -d 192.0.2.9 -j ACCEPT\n");
    assert_eq!(found(&passed_on, &machine), Vec::<String>::new());
}

#[test]
fn what_is_too_large_is_said() {
    let source = format!("{FINE}-I input 3 -s 10.0.0.0/8 -j DENY -l\n");
    let script = script::read(&source, &Names::new());
    let interfaces = Space::new(&[&script.ruleset]).interfaces().to_vec();
    let mut undecided = Vec::new();
    for work in 0..8000 {
        let mut space = Space::with_interfaces(interfaces.clone(), work);
        let checked = check(&mut space, &script.ruleset, &Machine::default());
        // All or nothing is known of the one redundant rule.
        let found = checked
            .findings
            .iter()
            .map(portcullis_analysis::Finding::code);
        let decided = checked.undecided.is_empty();
        assert!(found.eq(decided.then_some("redundant")), "{work}");
        undecided.push(checked.undecided);
    }
    let ends_with_redundant = |it: &Vec<Question>| matches!(it[..], [.., Question::Redundant(_)]);
    assert!(matches!(undecided[0][..], [Question::Packets(_)]));
    assert!(undecided.iter().any(ends_with_redundant));
    assert!(undecided.last().unwrap().is_empty());
}
