//! What comes over the control socket: messages end where they say, memory follows what comes, and
//! what is understood as rules and counters is understood again when it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::ruleset::CounterTable;
use portcullis_runtime::control::read_message;
use portcullis_syntax::ipchains::Fidelity;
use portcullis_syntax::names::Names;
use portcullis_syntax::save::{Form, save_as};
use portcullis_syntax::script;

#[path = "../../crates/portcullis/src/commands/run/messages.rs"]
#[allow(dead_code)]
mod messages;

use messages::{Request, Response};

thread_local! {
    static NAMES: Names = Names::new();
}

fuzz_target!(|bytes: &[u8]| {
    let mut stream = bytes;
    while let Ok(Some(text)) = read_message(&mut stream) {
        check(&text);
    }
    // Most bytes are no message; as text they go on.
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
});

fn check(text: &str) {
    if let Ok(response) = serde_json::from_str::<Response>(text) {
        let text = serde_json::to_string(&response).expect("it was JSON");
        assert!(serde_json::from_str::<Response>(&text).is_ok());
    }
    let Ok(request) = serde_json::from_str::<Request>(text) else {
        return;
    };
    let text = serde_json::to_string(&request).expect("it was JSON");
    assert!(serde_json::from_str::<Request>(&text).is_ok());
    let (Request::Keep { ruleset, .. } | Request::Reload { ruleset, .. }) = request else {
        return;
    };
    NAMES.with(|names| {
        let read = script::read_as(&ruleset, names, Fidelity::Strict);
        if read.mistakes.is_empty() {
            let slots = CounterTable::new(&read.ruleset).as_slice().len();
            assert_eq!(
                slots,
                read.ruleset.rule_count() + read.ruleset.chains().len()
            );
            let _ = save_as(&read.ruleset, Form::Lossless);
        }
    });
}
