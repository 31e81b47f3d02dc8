//! What suggested rules open is what their certificate says, of every packet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_analysis::suggest::{Denial, Setting, groups, plan};
use portcullis_core::matcher::Trace;
use portcullis_core::ruleset::BuiltIn;
use portcullis_fuzz::small_world::{PACKETS, passes, reference, ruleset};
use portcullis_testkit::generate::Random;

fuzz_target!(|bytes: &[u8]| {
    let random = &mut Random::from_bytes(bytes);
    let (ruleset, never) = (ruleset(random), ruleset(random));
    let (old, mut trace) = (reference(&ruleset), Trace::new());
    let mut denials = Vec::new();
    for _ in 0..1 + random.below(6) {
        let packet = random.pick(&PACKETS);
        if !passes(&old, BuiltIn::Input, &packet, &mut trace) {
            denials.push(Denial {
                chain: BuiltIn::Input,
                packet,
                times: 1,
                when: String::new(),
            });
        }
    }
    let groups = groups(&denials, &Setting::default());
    let offered = |it: &usize| groups[*it].is_offered();
    let wanted: Vec<usize> = (0..groups.len()).filter(offered).collect();
    let setting = Setting::default();
    let plan = plan(&ruleset, Some(&never), &groups, &wanted, &denials, &setting);
    let plan = plan.expect("it is small");
    assert!(plan.certificate.as_named);
    let new = reference(&plan.ruleset);
    for chain in BuiltIn::ALL {
        let opened = plan.certificate.opened.iter().find(|it| it.chain == chain);
        for packet in PACKETS.iter() {
            let before = passes(&old, chain, packet, &mut trace);
            let after = passes(&new, chain, packet, &mut trace);
            let said = opened.is_some_and(|it| plan.space.contains(it.packets, packet));
            assert_eq!(!before && after, said, "{packet}");
            assert!(after || !before, "{packet} is lost");
        }
    }
    for number in wanted.iter().flat_map(|it| &groups[*it].denials) {
        let denied = !passes(&new, BuiltIn::Input, &denials[*number].packet, &mut trace);
        assert_eq!(plan.still_denied.contains(number), denied);
    }
});
