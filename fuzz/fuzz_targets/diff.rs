//! What changed between two rulesets is what every packet says; and sets of packets say what the
//! matcher says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_analysis::{ChangeKind, Decided, Space, compare};
use portcullis_core::matcher::{Ending, Trace};
use portcullis_core::ruleset::{BuiltIn, Ruleset, Verdict};
use portcullis_fuzz::small_world::{PACKETS, reference, ruleset, verdict};
use portcullis_testkit::generate::Random;

const INPUT: BuiltIn = BuiltIn::Input;

fuzz_target!(|bytes: &[u8]| {
    let random = &mut Random::from_bytes(bytes);
    let (old, new) = (ruleset(random), ruleset(random));
    let mut space = Space::new(&[&old, &new]);
    let decided = Decided::new(&mut space, &old, INPUT).expect("it is small");
    let changes = compare(&mut space, &old, &new).expect("it is small");
    let matchers = (reference(&old), reference(&new));
    let mut trace = Trace::new();
    for packet in PACKETS.iter() {
        let before = verdict(&matchers.0, INPUT, packet, &mut trace);
        for it in Verdict::ALL {
            let inside = space.contains(decided.verdict(it), packet);
            assert_eq!(inside, it == before, "{packet}");
        }
        let ending = trace.ending();
        assert_eq!(
            space.contains(decided.policy, packet),
            ending == Ending::Policy
        );
        assert_eq!(
            space.contains(decided.looped, packet),
            ending == Ending::Loop
        );
        let logged_before = logged(&old, &trace);
        assert_eq!(space.contains(decided.logged, packet), logged_before);
        let after = verdict(&matchers.1, INPUT, packet, &mut trace);
        let logged_after = logged(&new, &trace);
        let said: Vec<ChangeKind> = changes
            .iter()
            .filter(|it| it.chain == INPUT && space.contains(it.packets, packet))
            .map(|it| it.kind)
            .collect();
        let mut expected = Vec::new();
        if before != after {
            expected.push(ChangeKind::Verdict {
                old: before,
                new: after,
            });
        }
        match (logged_before, logged_after) {
            (false, true) => expected.push(ChangeKind::Logged),
            (true, false) => expected.push(ChangeKind::NotLogged),
            _ => {}
        }
        assert_eq!(said, expected, "{packet}");
    }
});

fn logged(ruleset: &Ruleset, trace: &Trace) -> bool {
    trace.matched().iter().any(|place| {
        let chain = &ruleset.chains()[place.chain as usize];
        chain.rules()[place.rule as usize].log
    })
}
