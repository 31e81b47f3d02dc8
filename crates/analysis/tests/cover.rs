//! Packets for rules, and what traffic tries of them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portcullis_analysis::{Coverage, Packet, Probes, Space, explain};
use portcullis_core::matcher::Place;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Field, Ruleset, Target};
use portcullis_syntax::names::Names;
use portcullis_syntax::{packet_words, script};
use portcullis_testkit::generate::Random;

use support::{packets, small_ruleset};

fn places(ruleset: &Ruleset) -> Vec<Place> {
    let chains = ruleset.chains().iter().zip(0..);
    chains
        .flat_map(|(it, chain)| (0..it.rules().len() as u32).map(move |rule| Place { chain, rule }))
        .collect()
}

#[test]
fn each_rule_gets_a_packet_that_matches_it_alone_if_there_is_one() {
    let packets = packets();
    let mut counts = [0; 3];
    for seed in 0..1500 {
        let ruleset = small_ruleset(&mut Random::new(seed));
        let reference = Reference::new(ruleset.clone().into());
        let jumps = |place: &Place| {
            let chain = &ruleset.chains()[place.chain as usize];
            let target = chain.rules()[place.rule as usize].target;
            matches!(target, Some(Target::Chain(_)))
        };
        let matched = |packet: &Packet| explain(&reference, 0, packet, 0).matched;
        let alone = |place: &Place, matched: &[Place]| {
            matched.contains(place) && matched.iter().all(|it| it == place || jumps(it))
        };
        let walks: Vec<Vec<Place>> = packets.iter().map(matched).collect();
        let mut space = Space::new(&[&ruleset]);
        let probes = Probes::new(&mut space, &ruleset).unwrap();
        for place in places(&ruleset) {
            match probes.find(&mut space, place).unwrap() {
                Some(probe) => {
                    assert_eq!(probe.chain, BuiltIn::Input);
                    let own = matched(&probe.packet);
                    assert!(own.contains(&place), "seed {seed}: {}", probe.packet);
                    assert_eq!(alone(&place, &own), probe.alone, "seed {seed}");
                    let missed = walks.iter().any(|it| alone(&place, it));
                    assert!(probe.alone || !missed, "seed {seed}: {place:?}");
                    counts[usize::from(probe.alone)] += 1;
                }
                None => {
                    assert!(!walks.iter().any(|it| it.contains(&place)), "seed {seed}");
                    counts[2] += 1;
                }
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

#[test]
fn a_condition_is_idle_until_a_packet_fails_it_alone() {
    let names = Names::new();
    let rule =
        "-A input -i eth0 -p tcp -s 10.0.0.0/8 --dport 25 ! -y -j ACCEPT\n-A input -j DENY\n";
    let ruleset = script::read(rule, &names).ruleset;
    let reference = Reference::new(ruleset.clone().into());
    let mut coverage = Coverage::new(&ruleset);
    let place = Place { chain: 0, rule: 0 };
    let conditions = &ruleset.chains()[0].rules()[0].conditions;
    let mut idle = |words: &str| {
        let words = packet_words::read(words, &names).unwrap();
        let (interface, key) = (words.interface, words.key);
        coverage.add(&reference, words.chain, &Packet { interface, key });
        let tried = coverage.of(place);
        (tried.compared, tried.matched, tried.idle(conditions))
    };
    let all = [
        Field::Source,
        Field::Interface,
        Field::Syn,
        Field::Protocol,
        Field::DestinationPort,
    ];
    let matches = idle("input eth0 tcp 10.0.0.1:1024 > 192.0.2.1:25");
    assert_eq!(matches, (1, 1, all.to_vec()));
    // Two conditions at once say nothing of either.
    let two = idle("input eth1 tcp 10.0.0.1:1024 > 192.0.2.1:25 syn");
    assert_eq!(two, (2, 1, all.to_vec()));
    let packets = [
        "input eth0 tcp 11.0.0.1:1024 > 192.0.2.1:25",
        "input eth1 tcp 10.0.0.1:1024 > 192.0.2.1:25",
        "input eth0 tcp 10.0.0.1:1024 > 192.0.2.1:25 syn",
        "input eth0 udp 10.0.0.1:1024 > 192.0.2.1:25",
        "input eth0 tcp 10.0.0.1:1024 > 192.0.2.1:26",
    ];
    for (place, packet) in packets.into_iter().enumerate() {
        let (compared, matched, idle) = idle(packet);
        assert_eq!((compared, matched), (place as u64 + 3, 1));
        assert_eq!(idle, all[place + 1..], "{packet}");
    }
}
