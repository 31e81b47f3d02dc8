//! Arguments of `ipchains`, one command a line and a word between blanks or quotes: what is refused
//! changes nothing, what is accepted survives being kept, in either fidelity.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::ipchains::{Fidelity, parse, run};
use portcullis_syntax::names::Names;
use portcullis_syntax::save::{Form, save_as};
use portcullis_syntax::{listing, proc_files, script};

thread_local! {
    static NAMES: Names = Names::new();
}

fuzz_target!(|text: &str| NAMES.with(|names| check(text, names)));

fn check(text: &str, names: &Names) {
    for fidelity in [Fidelity::Repaired, Fidelity::Strict] {
        let mut ruleset = Ruleset::new();
        for line in text.split('\n').take(64) {
            let words = std::iter::once("ipchains").chain(line.split(' '));
            let words: Vec<String> = words.map(str::to_owned).collect();
            let before = ruleset.clone();
            let output = run(&words, &mut ruleset, names, fidelity);
            assert_eq!(output.status == 0, output.error.is_none());
            if output.status == 2 {
                assert!(before == ruleset && parse(&words, names, fidelity).is_err());
                assert!(!output.stderr.is_empty());
            }
        }
        assert!(!proc_files::ip_fwnames(&ruleset).is_empty());
        let mut lines = String::new();
        for chain in ruleset.chains() {
            for rule in chain.rules() {
                listing::write_rule_line(&mut lines, rule, None);
            }
        }
        // What no line can hold is refused before it is kept.
        if lines.contains(|letter: char| letter.is_control() && letter != '\n')
            || has_control(&ruleset)
        {
            continue;
        }
        let kept = save_as(&ruleset, Form::Lossless);
        let again = script::read_as(&kept, names, Fidelity::Strict);
        assert_eq!(again.mistakes, [], "{kept}");
        assert!(again.ruleset == ruleset, "{kept}");
    }
}

fn has_control(ruleset: &Ruleset) -> bool {
    let control = |name: &str| name.chars().any(char::is_control);
    ruleset.chains().iter().any(|chain| {
        control(chain.name().as_str())
            || chain
                .rules()
                .iter()
                .any(|rule| control(rule.conditions.interface.value.name().as_str()))
    })
}
