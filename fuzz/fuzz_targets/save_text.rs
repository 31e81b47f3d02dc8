//! `ipchains-save` text for `ipchains-restore`: options and answers whatever they are, it ends, and
//! what it made can be saved and restored.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::ipchains::Fidelity;
use portcullis_syntax::names::Names;
use portcullis_syntax::scripts::{restore, save};

thread_local! {
    static NAMES: Names = Names::new();
}

const OPTIONS: [&str; 6] = ["", "-f", "-p", "-v", "-vfp", "-fp"];

fuzz_target!(|input: (u8, &str)| NAMES.with(|names| check(input.0, input.1, names)));

fn check(choice: u8, text: &str, names: &Names) {
    let words = |words: &[&str]| -> Vec<String> {
        let words = words.iter().filter(|word| !word.is_empty());
        words.map(|word| (*word).to_owned()).collect()
    };
    let options = OPTIONS[usize::from(choice) % OPTIONS.len()];
    let mut answers = choice;
    let mut ruleset = Ruleset::new();
    // Twice, so that chains exist already.
    for _ in 0..2 {
        let output = restore(
            &words(&["ipchains-restore", options]),
            text,
            &mut ruleset,
            names,
            Fidelity::Repaired,
            &mut |_: &str| {
                answers = answers.rotate_left(1);
                (answers & 2 == 0).then(|| ["s", "f"][usize::from(answers & 1)].to_owned())
            },
        );
        assert!(output.status == 0 || !output.stderr.is_empty());
    }
    assert_eq!(save(&words(&["ipchains-save", "-v"]), &ruleset).status, 0);
}
