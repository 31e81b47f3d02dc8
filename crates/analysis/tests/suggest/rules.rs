//! The rules that are proposed.

use portcullis_analysis::suggest::{Setting, plan};
use portcullis_core::ruleset::Ruleset;

use crate::{closed, named};

/// The rules for packets in words, as `CHAIN before NUMBER: WORDS`.
fn proposed(words: &[&str], ruleset: &Ruleset) -> Vec<String> {
    let (groups, denials) = named(words, ruleset);
    let all: Vec<usize> = (0..groups.len()).collect();
    let plan = plan(ruleset, None, &groups, &all, &denials, &Setting::default()).unwrap();
    assert_eq!(plan.still_denied, [] as [usize; 0]);
    assert!(plan.certificate.as_named && plan.certificate.other.is_empty());
    plan.added
        .iter()
        .map(|it| {
            let form = portcullis_syntax::save::Form::Script;
            let text = portcullis_syntax::save::rule_text(&it.rule, form);
            let text = text.replace("/255.255.255.255", "");
            let text = text.replace("0.0.0.0/0.0.0.0", "any");
            format!("{} {}: {text}", it.chain, it.before)
        })
        .collect()
}

#[test]
fn all_chains_and_both_directions_are_thought_of() {
    // Forwarded: three chains there, three back.
    let rules = proposed(
        &[
            "input eth1 tcp 192.0.2.130:1025 > 203.0.113.80:80 syn",
            "forward eth0 tcp 192.0.2.130:1025 > 203.0.113.80:80 syn",
        ],
        &closed(""),
    );
    assert_eq!(
        rules,
        [
            "input 1: -s 192.0.2.130 1024:65535 -d 203.0.113.80 80:80 -i eth1 -p 6 -j ACCEPT",
            "input 1: -s 203.0.113.80 80:80 -d 192.0.2.130 1024:65535 -i eth0 -p 6 -j ACCEPT ! -y",
            "forward 1: -s 192.0.2.130 1024:65535 -d 203.0.113.80 80:80 -i eth0 -p 6 -j ACCEPT",
            "forward 1: -s 203.0.113.80 80:80 -d 192.0.2.130 1024:65535 -i eth1 -p 6 -j ACCEPT ! -y",
            "output 1: -s 192.0.2.130 1024:65535 -d 203.0.113.80 80:80 -i eth0 -p 6 -j ACCEPT",
            "output 1: -s 203.0.113.80 80:80 -d 192.0.2.130 1024:65535 -i eth1 -p 6 -j ACCEPT ! -y",
        ]
    );
    // Masqueraded: the house is trusted, so only the outside is missing.
    let rules = proposed(
        &["forward eth0 tcp 192.168.1.10:1025 > 203.0.113.80:80 syn"],
        &closed("-A input -i eth1 -j ACCEPT\n-A output -i eth1 -j ACCEPT"),
    );
    assert_eq!(
        rules,
        [
            "input 2: -s 203.0.113.80 80:80 -d any 61000:65095 -i eth0 -p 6 -j ACCEPT ! -y",
            "forward 1: -s 192.168.1.10 1024:65535 -d 203.0.113.80 80:80 -i eth0 -p 6 -j MASQ",
            "output 2: -s any 61000:65095 -d 203.0.113.80 80:80 -i eth0 -p 6 -j ACCEPT",
        ]
    );
    // Datagrams have no SYN; traceroute is answered by whoever is on the way.
    let rules = proposed(
        &["output eth0 udp 198.51.100.1:61000 > 192.0.2.9:33440"],
        &closed(""),
    );
    assert_eq!(
        rules,
        [
            "input 1: -s any 3:3 -d 198.51.100.1 -i eth0 -p 1 -j ACCEPT",
            "input 1: -s any 11:11 -d 198.51.100.1 -i eth0 -p 1 -j ACCEPT",
            "output 1: -s 198.51.100.1 61000:65095 -d 192.0.2.9 33434:33523 -i eth0 -p 17 -j ACCEPT",
        ]
    );
    // Root's programs.
    let rules = proposed(
        &["output eth0 tcp 198.51.100.1:1022 > 203.0.113.22:22 syn"],
        &closed(""),
    );
    assert_eq!(
        rules,
        [
            "input 1: -s 203.0.113.22 22:22 -d 198.51.100.1 512:1023 -i eth0 -p 6 -j ACCEPT ! -y",
            "output 1: -s 198.51.100.1 512:1023 -d 203.0.113.22 22:22 -i eth0 -p 6 -j ACCEPT",
        ]
    );
}

#[test]
fn a_late_packet_of_our_own_connection_is_an_answer() {
    // From a high port to one that this machine asks from, and no SYN.
    let late = "input eth0 tcp 192.0.2.7:30394 > 198.51.100.1:61032";
    let (groups, _) = named(&[late], &closed(""));
    assert_eq!(groups[0].to_string(), "tcp/30394 to 192.0.2.7");
    assert_eq!(
        proposed(&[late], &closed("")),
        [
            "input 1: -s 192.0.2.7 30394:30394 -d 198.51.100.1 61000:65095 -i eth0 -p 6 -j ACCEPT ! -y",
            "output 1: -s 198.51.100.1 61000:65095 -d 192.0.2.7 30394:30394 -i eth0 -p 6 -j ACCEPT",
        ]
    );
    // Who opens asks.
    let (groups, _) = named(&[&format!("{late} syn")], &closed(""));
    assert_eq!(groups[0].to_string(), "tcp/61032 from 192.0.2.7");
    // Several such ports of one server look like passive FTP.
    let another = "output eth0 tcp 198.51.100.1:61040 > 192.0.2.7:30500 syn";
    let (groups, _) = named(&[late, another], &closed(""));
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].to_string(), "passive FTP data to 192.0.2.7");
    assert!(groups[0].guessed);
    let elsewhere = "output eth0 tcp 198.51.100.1:61040 > 192.0.2.8:30500 syn";
    let (groups, _) = named(&[late, elsewhere], &closed(""));
    assert_eq!(groups.len(), 2);
    assert!(groups.iter().all(|it| !it.guessed));
}

#[test]
fn what_the_rules_have_is_not_added_again() {
    let rules = closed("-A output -p udp -d 192.0.2.53 53 -j ACCEPT");
    let answer = "input eth0 udp 192.0.2.53:53 > 198.51.100.1:61000";
    assert_eq!(
        proposed(&[answer], &rules),
        ["input 1: -s 192.0.2.53 53:53 -d 198.51.100.1 61000:65095 -i eth0 -p 17 -j ACCEPT"]
    );
    // Two groups that need the same rule get it once.
    let rules = proposed(
        &[
            "output eth0 udp 198.51.100.1:61000 > 192.0.2.9:33440",
            "input eth0 icmp 192.0.2.1 > 198.51.100.1 time-exceeded",
        ],
        &closed(""),
    );
    assert_eq!(rules.len(), 3, "{rules:?}");
}

#[test]
fn rules_stand_in_the_chain_that_denied() {
    let rules =
        "-N eth\n-A input -i eth0 -j eth\n-A eth -s 10.0.0.0/8 -j DENY -l\n-A eth -j DENY -l";
    let words = "input eth0 udp 192.0.2.53:53 > 198.51.100.1:61000";
    let found = proposed(&[words], &closed(rules));
    assert!(
        found.iter().any(|it| it.starts_with("eth 2: ")),
        "{found:?}"
    );
    // What a rule denies on purpose is not undone.
    let spoofed = "input eth0 udp 10.0.0.53:53 > 198.51.100.1:61000";
    let ruleset = closed(rules);
    let (groups, denials) = named(&[spoofed], &ruleset);
    let plan = plan(&ruleset, None, &groups, &[0], &denials, &Setting::default()).unwrap();
    assert_eq!((plan.added.len(), plan.on_purpose.len()), (0, 1));
    assert_eq!(plan.still_denied, [0]);
}

#[test]
fn a_service_that_is_used_everywhere_is_one_group() {
    let words: Vec<String> = (1..=12)
        .map(|host| {
            format!(
                "output eth0 tcp 198.51.100.1:{} > 192.0.2.{host}:80 syn",
                61000 + host
            )
        })
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(
        proposed(&words, &closed("")),
        [
            "input 1: -s any 80:80 -d 198.51.100.1 61000:65095 -i eth0 -p 6 -j ACCEPT ! -y",
            "output 1: -s 198.51.100.1 61000:65095 -d any 80:80 -i eth0 -p 6 -j ACCEPT",
        ]
    );
    assert_eq!(named(&words[..8], &closed("")).0.len(), 8);
}
