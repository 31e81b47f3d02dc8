//! The certificate, against every packet of small worlds.

use portcullis_analysis::Packet;
use portcullis_analysis::suggest::{Denial, Plan, Setting, groups, plan};
use portcullis_core::matcher::{Matcher as _, Trace};
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, Network, PortRange, Rule, Ruleset, Target, Test, Verdict,
};
use portcullis_core::traversal::Step;
use portcullis_syntax::names::Names;
use portcullis_syntax::script;
use portcullis_testkit::generate::Random;

use crate::support::{packets, small_ruleset};
use crate::{named, passes, reference};

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
