//! Text as a file of rules: every mistake has its place in the text, and what
//! was understood survives being saved and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::ruleset::{InterfacePattern, PortRange, Ruleset, Test};
use portcullis_syntax::names::Names;
use portcullis_syntax::{proc_files, save, script};

thread_local! {
    static NAMES: Names = Names::new();
}

fuzz_target!(|text: &str| NAMES.with(|names| check(text, names)));

fn check(text: &str, names: &Names) {
    let script = script::read(text, names);
    for mistake in &script.mistakes {
        assert!(text.get(mistake.span.clone()).is_some());
    }
    if !survives_saving(&script.ruleset) {
        return;
    }
    let again = script::read(&save::save(&script.ruleset), names);
    assert_eq!(again.mistakes, []);
    assert_eq!(
        proc_files::ip_fwchains(&again.ruleset),
        proc_files::ip_fwchains(&script.ruleset)
    );
}

/// The save format of 1999 loses two conditions, and chain names may hold
/// anything but are words in its lines.
fn survives_saving(ruleset: &Ruleset) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || it == '.' || it == '_')
    };
    ruleset.chains().iter().all(|chain| {
        plain(chain.name().as_str())
            && chain.rules().iter().all(|rule| {
                let conditions = &rule.conditions;
                let full = |ports: &Test<_>| ports.is_inverted() && ports.value == PortRange::ALL;
                let interface = match conditions.interface.value {
                    InterfacePattern::Exact(name) | InterfacePattern::Prefix(name) => name,
                };
                !full(&conditions.source_ports)
                    && !full(&conditions.destination_ports)
                    && (plain(interface.as_str())
                        || (interface.as_str().is_empty() && !conditions.interface.is_inverted()))
            })
    })
}
