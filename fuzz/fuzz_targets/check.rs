//! Findings about a ruleset are true, and rules that never match are all found.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_analysis::{
    Checked, Decided, Finding, Kind, Machine, Space, Subject, check, compare,
};
use portcullis_core::matcher::{Ending, Place};
use portcullis_core::ruleset::{BuiltIn, Ruleset};
use portcullis_fuzz::small_world::{PACKETS, reference, ruleset, walk};
use portcullis_testkit::generate::Random;

fuzz_target!(|bytes: &[u8]| {
    let ruleset = ruleset(&mut Random::from_bytes(bytes));
    let mut space = Space::new(&[&ruleset]);
    let Checked {
        findings,
        undecided,
    } = check(&mut space, &ruleset, &Machine::default());
    assert!(undecided.is_empty());
    let reference = reference(&ruleset);
    let walks: Vec<_> = PACKETS.iter().map(|it| walk(&reference, it)).collect();
    let decided = Decided::new(&mut space, &ruleset, BuiltIn::Input).expect("it is small");
    for place in places(&ruleset) {
        let never = findings.iter().any(|it| says_never(it, place));
        let met = walks.iter().any(|it| it.matched.contains(&place));
        assert!(!(never && met), "{place:?} matches");
        match space.example(decided.passage(place).matched) {
            Some(packet) => assert!(walk(&reference, &packet).matched.contains(&place)),
            None => assert!(never && !met, "{place:?} is missed"),
        }
    }
    let loops = findings.iter().any(|it| it.kind == Kind::Loop);
    let met = walks.iter().any(|it| it.ending == Ending::Loop);
    assert!(loops || !met);
    for finding in findings.iter().filter(|it| it.kind == Kind::Redundant) {
        let Subject::Rule(place) = finding.subject else {
            panic!("{finding:?}");
        };
        let mut without = ruleset.clone();
        let chain = *ruleset.chains()[place.chain as usize].name();
        without
            .delete(&chain, place.rule as usize + 1)
            .expect("it is there");
        let mut space = Space::new(&[&ruleset, &without]);
        assert_eq!(
            compare(&mut space, &ruleset, &without).expect("it is small"),
            []
        );
    }
});

fn places(ruleset: &Ruleset) -> Vec<Place> {
    let chains = ruleset.chains().iter().zip(0..);
    chains
        .flat_map(|(it, chain)| (0..it.rules().len() as u32).map(move |rule| Place { chain, rule }))
        .collect()
}

/// Whether a finding says that no packet matches a rule.
fn says_never(finding: &Finding, place: Place) -> bool {
    match finding.kind {
        Kind::Impossible | Kind::NeverSent | Kind::Shadowed { .. } => {
            finding.subject == Subject::Rule(place)
        }
        Kind::NoJumps | Kind::NeverEntered => {
            finding.subject == Subject::Chain(place.chain as usize)
        }
        _ => false,
    }
}
