//! The compiled matcher gives the reference's verdict and trace, in every form and with every
//! instruction set that the machine has, one by one and in batches.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portcullis_classifier::{Classifier, InstructionSet, Options, Preference};
use portcullis_core::batch::BATCH;
use portcullis_core::names::InterfaceName;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::Step;
use portcullis_testkit::agreement::{compare, compare_batches};
use portcullis_testkit::generate::{INTERFACES, Random, keys_near};

const PREFERENCES: [Preference; 4] = [
    Preference::Auto,
    Preference::Linear,
    Preference::BitVector,
    Preference::Tree,
];

fuzz_target!(|bytes: &[u8]| {
    let random = &mut Random::from_bytes(bytes);
    let step = Step {
        chain: random.pick(&BuiltIn::ALL),
        interface: InterfaceName::new(random.pick(&INTERFACES)).unwrap_or(InterfaceName::EMPTY),
    };
    let most = random.pick(&[3, 20, 20, 80, 300]);
    let ruleset = Arc::new(portcullis_fuzz::ruleset(random, most));
    let count = random.below(2 * BATCH as u32) as usize;
    let keys = keys_near(random, &ruleset, count);
    let reference = Reference::new(Arc::clone(&ruleset));
    let sets = InstructionSet::ALL.into_iter();
    for instruction_set in sets.filter(|set| set.is_available()) {
        for preference in PREFERENCES {
            let options = Options {
                instruction_set,
                preference,
            };
            let classifier = Classifier::compile_with(Arc::clone(&ruleset), options)
                .expect("generated rules compile");
            for compared in [
                compare(&reference, &classifier, &step, &keys),
                compare_batches(&reference, &classifier, &step, &keys),
            ] {
                if let Err(difference) = compared {
                    panic!("{options:?}\n{difference}\n{ruleset:?}");
                }
            }
        }
    }
});
