//! What is suggested: held against every packet of small worlds, by the names of
//! known conversations, and by the rules that come of them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod certificate;
mod names;
mod rules;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use portcullis_analysis::Packet;
use portcullis_analysis::suggest::{Denial, Group, Setting, groups};
use portcullis_core::matcher::{Matcher as _, Trace};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Ruleset, Verdict};
use portcullis_core::traversal::Step;
use portcullis_syntax::names::Names;
use portcullis_syntax::{packet_words, script};

fn passes(reference: &Reference, chain: BuiltIn, packet: &Packet) -> bool {
    let step = Step {
        chain,
        interface: packet.interface,
    };
    let verdict = reference.decide(&step, &packet.key, &mut Trace::new());
    !matches!(verdict, Verdict::Deny | Verdict::Reject)
}

fn reference(ruleset: &Ruleset) -> Reference {
    Reference::new(Arc::new(ruleset.clone()))
}

/// The groups of packets in words; those that the rules accept are left out.
fn named(words: &[&str], ruleset: &Ruleset) -> (Vec<Group>, Vec<Denial>) {
    named_with(words, ruleset, &Setting::default())
}

fn named_with(words: &[&str], ruleset: &Ruleset, setting: &Setting) -> (Vec<Group>, Vec<Denial>) {
    let reference = reference(ruleset);
    let denials: Vec<Denial> = words
        .iter()
        .map(|words| packet_words::read(words, &Names::new()).unwrap())
        .map(|it| Denial {
            chain: it.chain,
            packet: Packet {
                interface: it.interface,
                key: it.key,
            },
            times: 1,
            when: String::new(),
        })
        .filter(|it| !passes(&reference, it.chain, &it.packet))
        .collect();
    (groups(&denials, setting), denials)
}

/// Closed, but for what each line says.
fn closed(more: &str) -> Ruleset {
    let text = format!(
        "-P input DENY\n-P forward DENY\n-P output DENY\n{more}\n-A input -j DENY -l\n\
         -A forward -j DENY -l\n-A output -j DENY -l\n"
    );
    let script = script::read(&text, &Names::new());
    assert!(script.mistakes.is_empty(), "{:?}", script.mistakes);
    script.ruleset
}
