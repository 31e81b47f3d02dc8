//! Findings about rulesets over fields of a few values, held against what the
//! reference matcher does with every packet: none is false, none is missed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use portcullis_analysis::{
    Checked, Decided, Explanation, Finding, Kind, Machine, Packet, Space, Subject, check, compare,
    explain,
};
use portcullis_core::matcher::{Ending, Place};
use portcullis_core::names::InterfaceName;
use portcullis_core::reference::{Outcome, Reference};
use portcullis_core::ruleset::{
    BuiltIn, Field, Mark, Network, Policy, Rule, Ruleset, Sense, Target, Verdict,
};
use portcullis_testkit::generate::Random;

use support::{keys, packets, small_ruleset};

const INPUT: BuiltIn = BuiltIn::Input;

fn ruleset(seed: u64) -> Ruleset {
    small_ruleset(&mut Random::new(seed))
}

fn checked(ruleset: &Ruleset) -> Checked {
    let mut space = Space::new(&[ruleset]);
    let checked = check(&mut space, ruleset, &Machine::default());
    assert!(checked.undecided.is_empty());
    checked
}

fn reference(ruleset: &Ruleset) -> Reference {
    Reference::new(Arc::new(ruleset.clone()))
}

fn walk(reference: &Reference, packet: &Packet) -> Explanation {
    explain(reference, INPUT.position(), packet, usize::MAX)
}

fn rule(ruleset: &Ruleset, place: Place) -> &Rule {
    &ruleset.chains()[place.chain as usize].rules()[place.rule as usize]
}

fn places(ruleset: &Ruleset) -> Vec<Place> {
    let chains = ruleset.chains().iter().zip(0..);
    chains
        .flat_map(|(it, chain)| (0..it.rules().len() as u32).map(move |rule| Place { chain, rule }))
        .collect()
}

fn without(ruleset: &Ruleset, place: Place) -> Ruleset {
    let mut without = ruleset.clone();
    let chain = *ruleset.chains()[place.chain as usize].name();
    without.delete(&chain, place.rule as usize + 1).unwrap();
    without
}

fn denied(verdict: Outcome) -> bool {
    matches!(
        verdict,
        Outcome::Loop | Outcome::Verdict(Verdict::Deny | Verdict::Reject)
    )
}

/// What can be told of a walk from outside: verdict, log, marks in order.
fn effects(ruleset: &Ruleset, walk: &Explanation) -> (Outcome, bool, Vec<Mark>) {
    let rules = walk.matched.iter().map(|place| rule(ruleset, *place));
    let outcome = match walk.outcome {
        Outcome::Loop => Outcome::Verdict(Verdict::Deny),
        other => other,
    };
    let marks = rules.clone().map(|it| it.mark);
    (
        outcome,
        rules.clone().any(|it| it.log),
        marks.filter(|mark| *mark != Mark::NONE).collect(),
    )
}

fn about(finding: &Finding, place: Place) -> bool {
    finding.subject == Subject::Rule(place)
}

#[test]
fn rules_that_never_match_are_exactly_those() {
    let packets = packets();
    let mut kinds = [0; 4];
    for seed in 0..3000 {
        let ruleset = ruleset(seed);
        let reference = reference(&ruleset);
        let findings = checked(&ruleset).findings;
        let mut space = Space::new(&[&ruleset]);
        let decided = Decided::new(&mut space, &ruleset, INPUT).unwrap();
        let walks: Vec<Explanation> = packets.iter().map(|it| walk(&reference, it)).collect();
        for place in places(&ruleset) {
            let found = findings.iter().find(|it| {
                let never = [Kind::Impossible, Kind::NeverSent];
                about(it, place)
                    && (never.contains(&it.kind) || matches!(it.kind, Kind::Shadowed { .. }))
            });
            let chain = Subject::Chain(place.chain as usize);
            let dead_chain = findings.iter().any(|it| {
                it.subject == chain && matches!(it.kind, Kind::NoJumps | Kind::NeverEntered)
            });
            if let Some(witness) = space.example(decided.passage(place).matched) {
                assert!(found.is_none() && !dead_chain, "seed {seed}: {found:?}");
                assert!(walk(&reference, &witness).matched.contains(&place));
                continue;
            }
            let met = walks.iter().any(|it| it.matched.contains(&place));
            assert!(!met, "seed {seed}: {place:?} matches");
            let Some(found) = found else {
                assert!(dead_chain, "seed {seed}: {place:?} is missed");
                continue;
            };
            let conditions = &rule(&ruleset, place).conditions;
            match &found.kind {
                Kind::Impossible => {
                    kinds[0] += 1;
                    let mut all = packets.iter();
                    assert!(!all.any(|it| conditions.hold(&it.key, &it.interface)));
                }
                Kind::NeverSent => kinds[1] += 1,
                Kind::Shadowed { alike } => {
                    kinds[2 + usize::from(*alike)] += 1;
                    // The example would match, comes to the chain, and leaves
                    // it at one of the rules that are named.
                    let (_, packet) = found.example.unwrap();
                    assert!(conditions.hold(&packet.key, &packet.interface));
                    let walk = walk(&reference, &packet);
                    assert!(
                        walk.matched.iter().any(|it| found.others.contains(it)),
                        "seed {seed}: {packet}"
                    );
                    let target = rule(&ruleset, place).target;
                    let same = found
                        .others
                        .iter()
                        .all(|it| rule(&ruleset, *it).target == target);
                    assert_eq!(same, *alike);
                    assert!(found.others.iter().all(|it| it.rule < place.rule));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(kinds.iter().all(|count| *count > 10), "{kinds:?}");
}

#[test]
fn rules_that_change_nothing_are_exactly_those() {
    let packets = packets();
    let (mut found, mut kept, mut marked) = (0, 0, 0);
    for seed in 0..1500 {
        let mut ruleset = ruleset(seed);
        let mut random = Random::new(seed ^ 0xabcd);
        if seed % 3 == 0 {
            mark_some(&mut random, &mut ruleset);
        }
        let marks = places(&ruleset)
            .iter()
            .any(|it| rule(&ruleset, *it).mark != Mark::NONE);
        let findings = checked(&ruleset).findings;
        let with = reference(&ruleset);
        for place in places(&ruleset) {
            let own = rule(&ruleset, place);
            let shorter = without(&ruleset, place);
            let redundant = findings
                .iter()
                .any(|it| about(it, place) && it.kind == Kind::Redundant);
            let reference = reference(&shorter);
            if redundant {
                found += 1;
                marked += u32::from(marks);
                for packet in &packets {
                    let before = effects(&ruleset, &walk(&with, packet));
                    let after = effects(&shorter, &walk(&reference, packet));
                    assert_eq!(before, after, "seed {seed}: {place:?} for {packet}");
                }
                continue;
            }
            let mut space = Space::new(&[&ruleset, &shorter]);
            let decided = Decided::new(&mut space, &ruleset, INPUT).unwrap();
            let idle = own.target.is_none() && !own.log;
            if marks || idle || decided.passage(place).matched.is_empty() {
                continue;
            }
            // Something changes: here is a packet that can tell.
            kept += 1;
            let changes = compare(&mut space, &ruleset, &shorter).unwrap();
            let change = changes.first().expect("a redundant rule was missed");
            let packet = space.example(change.packets).unwrap();
            let before = effects(&ruleset, &walk(&with, &packet));
            let after = effects(&shorter, &walk(&reference, &packet));
            assert_ne!(before, after, "seed {seed}: {place:?} for {packet}");
        }
    }
    assert!(
        found > 300 && kept > 500 && marked > 20,
        "{found} {kept} {marked}"
    );
}

fn mark_some(random: &mut Random, ruleset: &mut Ruleset) {
    for place in places(ruleset) {
        if random.one_in(4) {
            let chain = *ruleset.chains()[place.chain as usize].name();
            let mut marked = rule(ruleset, place).clone();
            marked.mark = random.pick(&[Mark::Set(1), Mark::Add(2)]);
            let number = place.rule as usize + 1;
            ruleset.replace(&chain, number, marked).unwrap();
        }
    }
}

#[test]
fn policies_loops_and_fragments_are_found_where_packets_show_them() {
    let packets = packets();
    let mut counts = [0; 4];
    for seed in 0..3000 {
        let ruleset = ruleset(seed);
        let reference = reference(&ruleset);
        let findings = checked(&ruleset).findings;
        let policy = ruleset.chains()[INPUT.position()].policy().unwrap();
        let walks: Vec<(&Packet, Explanation)> = packets
            .iter()
            .map(|it| (it, walk(&reference, it)))
            .collect();
        let logged = |walk: &Explanation| effects(&ruleset, walk).1;

        let open = Kind::OpenPolicy(policy);
        let opens = matches!(policy, Policy::Accept | Policy::Masq);
        let shown = |walk: &Explanation| walk.ending == Ending::Policy && opens;
        let found = of_input(&findings, &open);
        counts[0] += u32::from(agree(&walks, found, &reference, shown, seed));

        let silent = |walk: &Explanation| {
            walk.ending == Ending::Policy && denied(walk.outcome) && !logged(walk)
        };
        let found = of_input(&findings, &Kind::SilentDeny);
        counts[1] += u32::from(agree(&walks, found, &reference, silent, seed));

        let found = findings.iter().find(|it| it.kind == Kind::Loop);
        let loops = |walk: &Explanation| walk.ending == Ending::Loop;
        counts[2] += u32::from(agree(&walks, found, &reference, loops, seed));
        if let Some(found) = found {
            let (_, packet) = found.example.unwrap();
            let last = *walk(&reference, &packet).matched.last().unwrap();
            assert!(about(found, last));
        }

        for place in places(&ruleset) {
            let own = rule(&ruleset, place);
            let denies = matches!(own.target, Some(Target::Deny | Target::Reject));
            if !denies || own.conditions.syn != Some(Sense::Set) {
                continue;
            }
            let past = |packet: &Packet, walk: &Explanation| {
                let came = walk.considered.iter().any(|it| it.place == place);
                let alike = [Field::Source, Field::Destination, Field::Interface];
                let hold = |field| own.conditions.holds(field, &packet.key, &packet.interface);
                came && packet.key.fragment
                    && packet.key.protocol == 6
                    && alike.into_iter().all(hold)
                    && walk.outcome == Outcome::Verdict(Verdict::Accept)
            };
            let found = findings
                .iter()
                .find(|it| about(it, place) && it.kind == Kind::SynFragments);
            counts[3] += u32::from(found.is_some());
            match found {
                Some(found) => {
                    let (_, packet) = found.example.unwrap();
                    assert!(past(&packet, &walk(&reference, &packet)), "seed {seed}");
                }
                None => {
                    // Rules that match nothing at all are found otherwise.
                    let matches = walks.iter().any(|(_, it)| it.matched.contains(&place));
                    let missed = walks.iter().any(|(packet, walk)| past(packet, walk));
                    assert!(!matches || !missed, "seed {seed}: {place:?}");
                }
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
}

#[test]
fn a_shut_loopback_and_believed_senders_are_found_where_packets_show_them() {
    const SELF: u32 = 0x7f00_0001;
    let packets = packets();
    let mut counts = [0; 4];
    for seed in 0..6000 {
        let mut random = Random::new(seed ^ 0x10_0b);
        let mut ruleset = ruleset(seed);
        // Rules like these are rare by chance.
        let input = *ruleset.chains()[INPUT.position()].name();
        let mut trusting = Rule {
            target: Some(Target::Accept),
            ..Rule::ANY
        };
        trusting.conditions.source.value = Network::with_prefix(0x0a00_0000, 8);
        let planted = 1 + random.below(ruleset.chains()[0].rules().len() as u32 + 1);
        ruleset.insert(&input, planted as usize, trusting).unwrap();
        let place = Place {
            chain: 0,
            rule: planted - 1,
        };
        let reference = reference(&ruleset);
        let findings = checked(&ruleset).findings;
        let mut space = Space::new(&[&ruleset]);
        let everything = space.everything();
        let mut is_for_all = |place: Place| {
            let own = &rule(&ruleset, place).conditions;
            place.chain == 0 && space.conditions(own).unwrap() == everything
        };
        let mut shows = |walk: &Explanation| {
            let unspoken = match walk.ending {
                Ending::Policy => true,
                _ => walk.matched.iter().any(|it| is_for_all(*it)),
            };
            unspoken && denied(walk.outcome)
        };
        let lo = InterfaceName::new("lo").unwrap();
        let found = of_input(&findings, &Kind::LoopbackShut);
        counts[usize::from(found.is_some())] += 1;
        match found {
            Some(found) => {
                let (_, packet) = found.example.unwrap();
                let ends = (packet.key.source, packet.key.destination);
                assert_eq!((packet.interface, ends), (lo, (SELF, SELF)), "seed {seed}");
                assert!(shows(&walk(&reference, &packet)), "seed {seed}: {packet}");
            }
            None => {
                for key in keys(SELF, SELF) {
                    let packet = Packet { interface: lo, key };
                    assert!(!shows(&walk(&reference, &packet)), "seed {seed}: {packet}");
                }
            }
        }
        let found = findings
            .iter()
            .find(|it| about(it, place) && matches!(it.kind, Kind::Believed { .. }));
        counts[2 + usize::from(found.is_some())] += 1;
        match found {
            Some(found) => {
                let (_, packet) = found.example.unwrap();
                assert!(packet.interface != lo, "seed {seed}: {packet}");
                let walk = walk(&reference, &packet);
                assert!(walk.matched.contains(&place), "seed {seed}: {packet}");
                assert_eq!(walk.outcome, Outcome::Verdict(Verdict::Accept));
            }
            None => {
                let names = space.interfaces().to_vec();
                let others = names.iter().filter(|name| **name != lo);
                let taken = |name: &InterfaceName| {
                    packets.iter().any(|it| {
                        let packet = Packet {
                            interface: *name,
                            ..*it
                        };
                        walk(&reference, &packet).matched.contains(&place)
                    })
                };
                let everywhere = others.into_iter().all(taken);
                assert!(!everywhere, "seed {seed}: {place:?}");
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}

fn of_input<'a>(findings: &'a [Finding], kind: &Kind) -> Option<&'a Finding> {
    let subject = Subject::Chain(INPUT.position());
    let mut all = findings.iter();
    all.find(|it| it.kind == *kind && it.subject == subject)
}

/// That a finding is there if some packet shows it, and that its example does.
fn agree(
    walks: &[(&Packet, Explanation)],
    found: Option<&Finding>,
    reference: &Reference,
    shows: impl Fn(&Explanation) -> bool,
    seed: u64,
) -> bool {
    match found {
        Some(found) => {
            let (_, packet) = found.example.unwrap();
            assert!(shows(&walk(reference, &packet)), "seed {seed}: {packet}");
        }
        None => {
            let missed = walks.iter().find(|(_, walk)| shows(walk));
            assert!(missed.is_none(), "seed {seed}: {}", missed.unwrap().0);
        }
    }
    found.is_some()
}
