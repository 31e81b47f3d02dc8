//! Suggestions, held against every packet of small worlds, and the names of
//! known conversations.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use portcullis_analysis::Packet;
use portcullis_analysis::suggest::{Denial, Group, Plan, Setting, Stance, groups, plan};
use portcullis_core::matcher::{Matcher as _, Trace};
use portcullis_core::names::InterfaceName;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, Network, PortRange, Rule, Ruleset, Target, Test, Verdict,
};
use portcullis_core::traversal::Step;
use portcullis_syntax::names::Names;
use portcullis_syntax::{packet_words, script};
use portcullis_testkit::generate::Random;

use support::{packets, small_ruleset};

fn passes(reference: &Reference, chain: BuiltIn, packet: &Packet) -> bool {
    let step = Step {
        chain,
        interface: packet.interface,
    };
    let verdict = reference.decide(&step, &packet.key, &mut Trace::new());
    !matches!(verdict, Verdict::Deny | Verdict::Reject)
}

fn reference(ruleset: &Ruleset) -> Reference {
    Reference::new(Arc::new(ruleset.clone()))
}

/// Whether the certificate says of every packet what the two rulesets do.
fn certificate_holds(plan: &Plan, old: &Ruleset, new: &Ruleset, packets: &[Packet]) -> bool {
    let (old, new) = (reference(old), reference(new));
    BuiltIn::ALL.into_iter().all(|chain| {
        let opened = &plan.certificate.opened;
        let opened = opened.iter().find(|it| it.chain == chain);
        packets.iter().all(|packet| {
            let newly = !passes(&old, chain, packet) && passes(&new, chain, packet);
            let lost = passes(&old, chain, packet) && !passes(&new, chain, packet);
            let said = opened.is_some_and(|it| plan.space.contains(it.packets, packet));
            newly == said && !lost
        })
    })
}

/// Some of the packets that a ruleset denies.
fn denials(random: &mut Random, ruleset: &Ruleset, packets: &[Packet]) -> Vec<Denial> {
    let reference = reference(ruleset);
    let chain = BuiltIn::Input;
    let denied: Vec<&Packet> = packets
        .iter()
        .filter(|packet| !passes(&reference, chain, packet))
        .collect();
    if denied.is_empty() {
        return Vec::new();
    }
    let denial = |packet: &Packet| Denial {
        chain,
        packet: *packet,
        times: 1,
        when: String::new(),
    };
    (0..1 + random.below(6))
        .map(|_| denial(random.pick(&denied)))
        .collect()
}

#[test]
fn the_certificate_is_what_every_packet_says() {
    let packets = packets();
    let (mut opened, mut helped, mut on_purpose, mut forbidden) = (0, 0, 0, 0);
    for seed in 0..1200 {
        let random = &mut Random::new(seed);
        let ruleset = small_ruleset(random);
        let never = small_ruleset(random);
        let denials = denials(random, &ruleset, &packets);
        let groups = groups(&denials, &Setting::default());
        let wanted: Vec<usize> = (0..groups.len())
            .filter(|it| groups[*it].is_offered())
            .collect();
        let plan = plan(
            &ruleset,
            Some(&never),
            &groups,
            &wanted,
            &denials,
            &Setting::default(),
        );
        let plan = plan.unwrap();
        assert!(
            certificate_holds(&plan, &ruleset, &plan.ruleset, &packets),
            "seed {seed}"
        );
        assert!(plan.certificate.as_named, "seed {seed}");
        assert!(plan.certificate.other.is_empty(), "seed {seed}");
        opened += usize::from(!plan.certificate.opened.is_empty());
        on_purpose += plan.on_purpose.len();

        // Who is said to be still denied is, and nobody else.
        let new = reference(&plan.ruleset);
        for number in wanted.iter().flat_map(|it| &groups[*it].denials) {
            let denied = !passes(&new, BuiltIn::Input, &denials[*number].packet);
            assert_eq!(plan.still_denied.contains(number), denied, "seed {seed}");
            helped += usize::from(!denied);
        }

        // What must stay shut is said exactly: by rules, not by the policy.
        let shut = |packet: &Packet| {
            let step = Step {
                chain: BuiltIn::Input,
                interface: packet.interface,
            };
            let mut trace = Trace::new();
            let verdict = reference(&never).decide(&step, &packet.key, &mut trace);
            matches!(verdict, Verdict::Deny | Verdict::Reject)
                && trace.ending() != portcullis_core::matcher::Ending::Policy
        };
        let old = reference(&ruleset);
        let broken = packets.iter().any(|packet| {
            let chain = BuiltIn::Input;
            passes(&new, chain, packet) && !passes(&old, chain, packet) && shut(packet)
        });
        let said = plan.certificate.forbidden.iter();
        let mut said = said.filter(|it| it.chain == BuiltIn::Input).peekable();
        assert!(!broken || said.peek().is_some(), "seed {seed}");
        for it in said {
            forbidden += 1;
            assert!(shut(&it.example), "seed {seed}: {}", it.example);
            assert!(passes(&new, BuiltIn::Input, &it.example), "seed {seed}");
            assert!(!passes(&old, BuiltIn::Input, &it.example), "seed {seed}");
        }
    }
    // The test is about something.
    assert!(opened > 200 && helped > 400, "{opened} {helped}");
    assert!(
        on_purpose > 50 && forbidden > 20,
        "{on_purpose} {forbidden}"
    );
}

#[test]
fn planted_mistakes_are_caught() {
    let rules = "-P input DENY\n-P output DENY\n-A input -s 10.0.0.1 -i eth0 -j DENY\n\
                 -A input -j DENY -l\n-A output -j DENY -l\n";
    let old = script::read(rules, &Names::new()).ruleset;
    let (groups, denials) = named(
        &["input eth0 tcp 192.168.0.1:20 > 10.0.0.2:61394 syn"],
        &old,
    );
    let plan = plan(&old, None, &groups, &[0], &denials, &Setting::default()).unwrap();
    let mut world = packets();
    for port in [20, 21, 60999, 61000, 61394, 65095, 65096] {
        for syn in [false, true] {
            for (from, to) in [(20, port), (port, 20), (port, port)] {
                let mut asks = denials[0].packet;
                asks.key.source_port = from;
                asks.key.destination_port = to;
                asks.key.syn = syn;
                let mut answers = asks;
                std::mem::swap(&mut answers.key.source, &mut answers.key.destination);
                world.extend([asks, answers].into_iter().flat_map(neighbours));
            }
        }
    }
    assert!(certificate_holds(&plan, &old, &plan.ruleset, &world));
    let planted: [fn(&mut Rule); 7] = [
        |rule| rule.conditions.syn = None,
        |rule| rule.conditions.source = Test::is(Network::ANY),
        |rule| rule.conditions.interface = Conditions::ANY.interface,
        |rule| rule.conditions.source_ports = Test::is(PortRange::ALL),
        |rule| rule.conditions.destination_ports = Test::is(PortRange::ALL),
        |rule| rule.conditions.protocol = Test::is(0),
        |rule| rule.target = Some(Target::Reject),
    ];
    let mut caught = 0;
    for mistake in planted {
        for added in &plan.added {
            let mut rule = added.rule.clone();
            mistake(&mut rule);
            if rule == added.rule {
                continue;
            }
            let mut wrong = plan.ruleset.clone();
            wrong.replace(&added.chain, added.before, rule).unwrap();
            assert!(!certificate_holds(&plan, &old, &wrong, &world), "{wrong:?}");
            caught += 1;
        }
    }
    assert!(caught >= 12, "{caught}");
    // A rule that stands behind the one that denies does nothing.
    let mut wrong = old.clone();
    for added in &plan.added {
        wrong.append(&added.chain, added.rule.clone()).unwrap();
    }
    assert!(!certificate_holds(&plan, &old, &wrong, &world));
    // One that is left out is missed.
    let mut wrong = plan.ruleset.clone();
    wrong
        .delete(&plan.added[1].chain, plan.added[1].before)
        .unwrap();
    assert!(!certificate_holds(&plan, &old, &wrong, &world));
}

/// A packet, and those that differ from it in one field.
fn neighbours(packet: Packet) -> Vec<Packet> {
    let changes: [fn(&mut Packet); 6] = [
        |_| {},
        |it| it.key.source ^= 0x4000_0000,
        |it| it.key.destination ^= 0x4000_0000,
        |it| it.key.source = 0x0a00_0001,
        |it| it.interface = InterfaceName::new("eth1").unwrap(),
        |it| (it.key.protocol, it.key.syn) = (17, false),
    ];
    changes
        .into_iter()
        .map(|change| {
            let mut other = packet;
            change(&mut other);
            other
        })
        .collect()
}

/// The groups of packets in words; those that the rules accept are left out.
fn named(words: &[&str], ruleset: &Ruleset) -> (Vec<Group>, Vec<Denial>) {
    named_with(words, ruleset, &Setting::default())
}

fn named_with(words: &[&str], ruleset: &Ruleset, setting: &Setting) -> (Vec<Group>, Vec<Denial>) {
    let reference = reference(ruleset);
    let denials: Vec<Denial> = words
        .iter()
        .map(|words| packet_words::read(words, &Names::new()).unwrap())
        .map(|it| Denial {
            chain: it.chain,
            packet: Packet {
                interface: it.interface,
                key: it.key,
            },
            times: 1,
            when: String::new(),
        })
        .filter(|it| !passes(&reference, it.chain, &it.packet))
        .collect();
    (groups(&denials, setting), denials)
}

/// Closed, but for what each line says.
fn closed(more: &str) -> Ruleset {
    let text = format!(
        "-P input DENY\n-P forward DENY\n-P output DENY\n{more}\n-A input -j DENY -l\n\
         -A forward -j DENY -l\n-A output -j DENY -l\n"
    );
    let script = script::read(&text, &Names::new());
    assert!(script.mistakes.is_empty(), "{:?}", script.mistakes);
    script.ruleset
}

#[test]
fn known_conversations_have_names() {
    for (words, title) in [
        (
            "input eth0 tcp 192.0.2.7:20 > 198.51.100.1:61394 syn",
            "active FTP data from 192.0.2.7",
        ),
        (
            "output eth0 tcp 198.51.100.1:61394 > 192.0.2.7:20",
            "active FTP data from 192.0.2.7",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.7:21 syn",
            "FTP control to 192.0.2.7",
        ),
        (
            "output eth0 udp 198.51.100.1:61000 > 192.0.2.53:53",
            "DNS to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:53 > 198.51.100.1:61000",
            "DNS to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:53 > 198.51.100.1:1030",
            "DNS to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:53 > 198.51.100.1:53",
            "DNS between name servers to 192.0.2.53",
        ),
        (
            "output eth0 udp 198.51.100.1:53 > 192.0.2.53:53",
            "DNS between name servers to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.9:2000 > 198.51.100.1:53",
            "DNS from 192.0.2.9",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.53:53 syn",
            "DNS over TCP to 192.0.2.53",
        ),
        (
            "output eth0 udp 198.51.100.1:123 > 192.0.2.53:123",
            "NTP to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:123 > 198.51.100.1:123",
            "NTP to 192.0.2.53",
        ),
        (
            "output eth0 tcp 198.51.100.1:1022 > 203.0.113.22:22 syn",
            "SSH from a low port to 203.0.113.22",
        ),
        (
            "input eth0 tcp 203.0.113.22:22 > 198.51.100.1:1022",
            "SSH from a low port to 203.0.113.22",
        ),
        (
            "input eth0 tcp 192.0.2.25:4000 > 198.51.100.1:113 syn",
            "ident from 192.0.2.25",
        ),
        (
            "output eth0 udp 198.51.100.1:61000 > 192.0.2.9:33440",
            "traceroute to 192.0.2.9",
        ),
        (
            "input eth0 icmp 192.0.2.9 > 198.51.100.1 echo-reply",
            "ping to 192.0.2.9",
        ),
        (
            "input eth0 icmp 192.0.2.9 > 198.51.100.1 echo-request",
            "ping from 192.0.2.9",
        ),
        (
            "input eth0 icmp 192.0.2.9 > 198.51.100.1 time-exceeded",
            "ICMP time-exceeded from anyone",
        ),
        (
            "input eth0 tcp 192.0.2.80:80 > 198.51.100.1:61000",
            "HTTP to 192.0.2.80",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.80:80",
            "HTTP to 192.0.2.80",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.25:25 syn",
            "SMTP to 192.0.2.25",
        ),
        (
            "input eth0 tcp 192.0.2.9:3000 > 198.51.100.1:6346 syn",
            "tcp/6346 from 192.0.2.9",
        ),
        (
            "forward eth0 tcp 192.168.1.10:1025 > 192.0.2.80:80 syn",
            "HTTP from 192.168.1.10 to 192.0.2.80",
        ),
        (
            "input eth0 47 192.0.2.9 > 198.51.100.1",
            "protocol-47 from 192.0.2.9",
        ),
    ] {
        let (groups, _) = named(&[words], &closed(""));
        assert_eq!(groups.len(), 1, "{words}");
        assert_eq!(groups[0].to_string(), title, "{words}");
        assert!(groups[0].is_offered(), "{words}");
    }
}

#[test]
fn what_nobody_wants_is_not_offered() {
    for words in [
        "input eth0 udp 192.0.2.9:137 > 198.51.100.1:137",
        "input eth0 tcp 192.0.2.9:3000 > 198.51.100.1:139 syn",
        "input eth0 udp 192.0.2.9:3000 > 198.51.100.1:31337",
        "input eth0 icmp 192.0.2.9 > 198.51.100.1 host-redirect",
        "input eth0 tcp 192.0.2.9 > 198.51.100.1 fragment",
    ] {
        let (groups, _) = named(&[words], &closed(""));
        assert!(!groups[0].is_offered(), "{words}: {:?}", groups[0].stance);
    }
}

/// Packets to many ports, from a port.
fn many(count: u16, from: u16, first: u16, flags: &str) -> Vec<String> {
    (0..count)
        .map(|number| {
            let to = first + number;
            format!("input eth0 tcp 203.0.113.66:{from} > 198.51.100.1:{to}{flags}")
        })
        .collect()
}

fn stances(words: &[String]) -> Vec<Stance> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (groups, _) = named(&words, &closed(""));
    groups.iter().map(|group| group.stance).collect()
}

#[test]
fn scans_are_told_from_services() {
    let scan = |ports| {
        [Stance::Scan {
            ports,
            addresses: 1,
        }]
    };
    assert_eq!(stances(&many(50, 40000, 1, " syn")), scan(50));
    // From a port that answers come from.
    assert_eq!(stances(&many(50, 20, 1, " syn")), scan(50));
    assert_eq!(stances(&many(50, 80, 1, "")), scan(50));
    assert_eq!(stances(&many(50, 20, 30000, " syn")), scan(50));
    // One address after the other.
    let sweep: Vec<String> = (1..=20)
        .map(|host| format!("forward eth1 tcp 203.0.113.66:4000 > 192.0.2.{host}:80 syn"))
        .collect();
    let swept = Stance::Scan {
        ports: 1,
        addresses: 20,
    };
    assert_eq!(stances(&sweep), [swept]);
    // A long FTP session and a name server that answers a lot are none.
    assert_eq!(stances(&many(50, 20, 61100, " syn")), [Stance::Offered]);
    let answers: Vec<String> = (0..50)
        .map(|port| {
            format!(
                "input eth0 udp 192.0.2.53:53 > 198.51.100.1:{}",
                61100 + port
            )
        })
        .collect();
    assert_eq!(stances(&answers), [Stance::Offered]);
    // Whoever scans is not let in elsewhere either.
    let mut both = many(50, 40000, 1, " syn");
    both.push("input eth0 udp 203.0.113.66:53 > 198.51.100.1:53".to_owned());
    both.push("input eth0 tcp 203.0.113.66:20 > 198.51.100.1:61500 syn".to_owned());
    let stances = stances(&both);
    let offered = stances.iter().filter(|it| **it == Stance::Offered).count();
    // A datagram from port 53 to port 53 may be an answer to this machine.
    assert_eq!((stances.len(), offered), (2, 1), "{stances:?}");
}

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
