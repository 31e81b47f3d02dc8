//! What a mutation run found no other test to care about.

#![allow(clippy::unwrap_used, reason = "tests")]

use portcullis_core::packet_log::PacketLog;
use portcullis_core::ruleset::PortsOf;
use portcullis_syntax::names::Names;
use portcullis_syntax::syslog::{Event, Reader};
use portcullis_syntax::{classbench, packet_words, script};

/// The advice about the only mistake in a text.
fn advice(text: &str) -> String {
    let mistakes = script::read(text, &Names::new()).mistakes;
    assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
    mistakes[0].hint.clone().unwrap_or_default()
}

#[test]
fn advice_fits_the_mistake() {
    for (text, says) in [
        ("iptables -A INPUT -j DROP", "this file must speak ipchains"),
        ("fi", "one a line"),
        ("reboot", "take the line out"),
        ("ipchains -A input -j drop", "DENY"),
        ("ipchains -A input -j return", "RETURN"),
        ("ipchains -A forward -j masq", "MASQ"),
        (
            "ipchains -A input -p icmp -s 0/0 ping -d 0/0 0",
            "leave the code out",
        ),
    ] {
        let said = advice(text);
        assert!(said.contains(says), "{text}: {said}");
    }
    assert_ne!(advice("ipchains -A input ACCEPT"), "");
}

#[test]
fn a_number_sign_within_a_word_begins_no_comment() {
    let script = script::read("ipchains -N a#b # c\n", &Names::new());
    assert_eq!(script.mistakes, []);
    assert_eq!(script.ruleset.chains()[3].name().as_str(), "a#b");
}

#[test]
fn filters_ask_every_protocol_for_its_ports() {
    let rules =
        classbench::read_filters("@1.2.3.4/32\t5.6.7.8/32\t0 : 65535\t80 : 80\t0x00/0x00\n");
    assert_eq!(
        rules.unwrap()[0].conditions.ports_of,
        PortsOf::EveryProtocol
    );
}

#[test]
fn only_icmp_has_names_for_its_types() {
    let read = |text| packet_words::read(text, &Names::new());
    assert!(read("input eth0 icmp 1.2.3.4 > 5.6.7.8 redirect").is_ok());
    let error = read("input eth0 tcp 1.2.3.4:1 > 5.6.7.8:2 redirect").unwrap_err();
    assert!(!error.to_string().contains("ICMP"), "{error}");
}

const LINE: &str = "Packet log: input DENY eth0 PROTO=6 1.2.3.4:1024 5.6.7.8:80 L=48 S=0x10 I=1 \
     F=0x4000 T=1 SYN (#1)";

#[test]
fn repetitions_of_damaged_lines_are_counted() {
    let (mut reader, mut events) = (Reader::new(), Vec::new());
    assert!(LINE.parse::<PacketLog>().is_ok());
    let damaged = LINE.replace("L=48", "L=x");
    reader.push(
        &format!("Oct 17 00:30:06 host kernel: {damaged}"),
        &mut events,
    );
    reader.push(
        "Oct 17 00:30:07 host last message repeated 7 times",
        &mut events,
    );
    reader.finish(&mut events);
    let times: Vec<u64> = events
        .iter()
        .map(|event| match event {
            Event::Damaged(damaged) => damaged.times,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(times, [1, 7]);
}
