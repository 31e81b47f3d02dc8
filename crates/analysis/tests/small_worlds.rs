//! Rulesets over fields of a few values, where every packet can be tried: the
//! sets must say of each what the reference matcher says.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portcullis_analysis::{ChangeKind, Decided, Packet, Space, TooLarge, compare};
use portcullis_core::matcher::{Ending, Matcher as _, Place, Trace};
use portcullis_core::names::ChainName;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Target, Test, Verdict};
use portcullis_core::traversal::Step;
use portcullis_testkit::generate::Random;

use support::{packets, small_rule, small_ruleset};

#[test]
fn the_sets_say_what_the_matcher_says() {
    let packets = packets();
    for seed in 0..1500 {
        let ruleset = small_ruleset(&mut Random::new(seed));
        let mut space = Space::new(&[&ruleset]);
        let decided = Decided::new(&mut space, &ruleset, BuiltIn::Input).unwrap();
        let reference = Reference::new(ruleset.clone().into());
        let mut trace = Trace::new();
        for packet in &packets {
            let step = Step {
                chain: BuiltIn::Input,
                interface: packet.interface,
            };
            let verdict = reference.decide(&step, &packet.key, &mut trace);
            for it in Verdict::ALL {
                let inside = space.contains(decided.verdict(it), packet);
                assert_eq!(inside, it == verdict, "seed {seed}: {packet}");
            }
            let policy = trace.ending() == Ending::Policy;
            assert_eq!(
                space.contains(decided.policy, packet),
                policy,
                "seed {seed}: {packet}"
            );
            let looped = trace.ending() == Ending::Loop;
            assert_eq!(
                space.contains(decided.looped, packet),
                looped,
                "seed {seed}: {packet}"
            );
            let rule = |place: &Place| {
                &ruleset.chains()[place.chain as usize].rules()[place.rule as usize]
            };
            let logged = trace.matched().iter().any(|place| rule(place).log);
            assert_eq!(
                space.contains(decided.logged, packet),
                logged,
                "seed {seed}: {packet}"
            );
            for (chain, rules) in ruleset.chains().iter().zip(0..) {
                for number in 0..chain.rules().len() as u32 {
                    let place = Place {
                        chain: rules,
                        rule: number,
                    };
                    let matched = space.contains(decided.passage(place).matched, packet);
                    assert_eq!(
                        matched,
                        trace.matched().contains(&place),
                        "seed {seed}: {packet}"
                    );
                }
            }
        }
    }
}

/// What becomes of a packet: the verdict, whether it is logged, and where it
/// is redirected to.
fn fate(reference: &Reference, packet: &Packet) -> (Verdict, bool, Option<u16>) {
    let mut trace = Trace::new();
    let step = Step {
        chain: BuiltIn::Input,
        interface: packet.interface,
    };
    let verdict = reference.decide(&step, &packet.key, &mut trace);
    let rule = |place: &Place| {
        let chain = &reference.ruleset().chains()[place.chain as usize];
        &chain.rules()[place.rule as usize]
    };
    let logged = trace.matched().iter().any(|place| rule(place).log);
    let port = trace.matched().last().map(|place| rule(place).target);
    let port = match (verdict, port) {
        (Verdict::Redirect, Some(Some(Target::Redirect(0)))) => Some(packet.key.destination_port),
        (Verdict::Redirect, Some(Some(Target::Redirect(port)))) => Some(port),
        _ => None,
    };
    (verdict, logged, port)
}

#[test]
fn changes_are_those_of_every_packet() {
    let packets = packets();
    let mut redirected = 0;
    for seed in 0..600 {
        let random = &mut Random::new(seed);
        let mut ruleset = || {
            let mut ruleset = small_ruleset(random);
            let input = ChainName::new("input").unwrap();
            for _ in 0..2 {
                let mut rule = small_rule(random, &[]);
                rule.conditions.protocol = Test::is(random.pick(&[6, 17]));
                rule.target = Some(Target::Redirect(random.pick(&[0, 80, 1024, 65535])));
                ruleset.insert(&input, 1, rule).unwrap();
            }
            ruleset
        };
        let (old, new) = (ruleset(), ruleset());
        let mut space = Space::new(&[&old, &new]);
        let changes = compare(&mut space, &old, &new).unwrap();
        let references = [old, new].map(|it| Reference::new(it.into()));
        for packet in &packets {
            let said: Vec<ChangeKind> = changes
                .iter()
                .filter(|it| it.chain == BuiltIn::Input && space.contains(it.packets, packet))
                .map(|it| it.kind)
                .collect();
            let [before, after] = references.each_ref().map(|it| fate(it, packet));
            let mut expected = 0;
            if before.0 != after.0 {
                let (old, new) = (before.0, after.0);
                assert!(
                    said.contains(&ChangeKind::Verdict { old, new }),
                    "seed {seed}: {packet}"
                );
                expected += 1;
            }
            if before.0 == after.0 && before.2 != after.2 {
                let is_port = |kind: &ChangeKind| matches!(kind, ChangeKind::RedirectPort { .. });
                assert!(said.iter().any(is_port), "seed {seed}: {packet}");
                expected += 1;
                redirected += 1;
            }
            if before.1 != after.1 {
                let kind = if after.1 {
                    ChangeKind::Logged
                } else {
                    ChangeKind::NotLogged
                };
                assert!(said.contains(&kind), "seed {seed}: {packet}");
                expected += 1;
            }
            assert_eq!(said.len(), expected, "seed {seed}: {packet}: {said:?}");
        }
    }
    assert!(redirected > 1000, "only {redirected}");
}

#[test]
fn sets_add_up() {
    for seed in 0..500 {
        let ruleset = small_ruleset(&mut Random::new(seed));
        let mut space = Space::new(&[&ruleset]);
        let decided = Decided::new(&mut space, &ruleset, BuiltIn::Input).unwrap();
        let mut whole = portcullis_analysis::Region::EMPTY;
        let mut count = 0.0;
        for verdict in Verdict::ALL {
            let part = decided.verdict(verdict);
            assert!(space.intersect(whole, part).unwrap().is_empty());
            whole = space.unite(whole, part).unwrap();
            count += space.count(part);
            let outside = space.complement(part).unwrap();
            assert_eq!(space.complement(outside).unwrap(), part);
            if let Some(example) = space.example(part) {
                assert!(space.contains(part, &example), "{example}");
            }
        }
        assert_eq!(whole, space.everything());
        let all = space.count(space.everything());
        assert!((count / all - 1.0).abs() < 1e-9, "{count} {all}");
    }
}

#[test]
fn blocks_are_the_region_and_no_more() {
    for seed in 0..300 {
        let ruleset = small_ruleset(&mut Random::new(seed));
        let mut space = Space::new(&[&ruleset]);
        let decided = Decided::new(&mut space, &ruleset, BuiltIn::Input).unwrap();
        let accepted = decided.verdict(Verdict::Accept);
        let blocks = space.blocks(accepted, 200).unwrap();
        let mut whole = blocks.rest;
        for block in &blocks.blocks {
            let own = space.block(block).unwrap();
            assert!(
                space.is_within(own, accepted).unwrap(),
                "seed {seed}: {block}"
            );
            whole = space.unite(whole, own).unwrap();
        }
        assert_eq!(whole, accepted, "seed {seed}");
        assert!(blocks.rest.is_empty() || blocks.blocks.len() == 200);
    }
}

#[test]
fn summaries_are_the_region_and_no_more() {
    for seed in 0..60 {
        let ruleset = small_ruleset(&mut Random::new(seed));
        let mut space = Space::new(&[&ruleset]);
        let decided = Decided::new(&mut space, &ruleset, BuiltIn::Input).unwrap();
        let denied = decided.verdict(Verdict::Deny);
        let summary = space.summary(denied, 100).unwrap();
        let mut whole = summary.rest;
        for range in &summary.ranges {
            let mut own = space.block(&range.block).unwrap();
            for except in &range.except {
                let except = space.block(except).unwrap();
                own = space.subtract(own, except).unwrap();
            }
            assert!(
                space.is_within(own, denied).unwrap(),
                "seed {seed}: {range}"
            );
            whole = space.unite(whole, own).unwrap();
        }
        assert_eq!(whole, denied, "seed {seed}");
    }
}

#[test]
fn work_is_bounded() {
    let ruleset = small_ruleset(&mut Random::new(7));
    let interfaces = Space::new(&[&ruleset]).interfaces().to_vec();
    let mut space = Space::with_interfaces(interfaces, 5);
    let decided = Decided::new(&mut space, &ruleset, BuiltIn::Input);
    assert_eq!(decided.map(|_| ()), Err(TooLarge));
}
