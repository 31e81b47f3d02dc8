//! Few packets and rulesets about them, so that an answer about all packets can be held against
//! every one.

#[path = "../../crates/analysis/tests/support/mod.rs"]
#[allow(dead_code)]
mod small;

use std::sync::{Arc, LazyLock};

use portcullis_analysis::{Explanation, Packet, explain};
use portcullis_core::matcher::{Matcher as _, Trace};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Ruleset, Verdict};
use portcullis_core::traversal::Step;
use portcullis_testkit::generate::Random;

/// Every packet there is.
pub static PACKETS: LazyLock<Vec<Packet>> = LazyLock::new(small::packets);

/// A few rules that the fuzzer's bytes choose.
pub fn ruleset(random: &mut Random) -> Ruleset {
    small::small_ruleset(random)
}

/// The reference matcher of these rules.
pub fn reference(ruleset: &Ruleset) -> Reference {
    Reference::new(Arc::new(ruleset.clone()))
}

/// What the input chain does with a packet, and every rule that it came to.
pub fn walk(reference: &Reference, packet: &Packet) -> Explanation {
    explain(reference, BuiltIn::Input.position(), packet, usize::MAX)
}

/// The verdict of a chain.
pub fn verdict(
    reference: &Reference,
    chain: BuiltIn,
    packet: &Packet,
    trace: &mut Trace,
) -> Verdict {
    let step = Step {
        chain,
        interface: packet.interface,
    };
    reference.decide(&step, &packet.key, trace)
}

/// Whether a chain lets a packet through.
pub fn passes(reference: &Reference, chain: BuiltIn, packet: &Packet, trace: &mut Trace) -> bool {
    let verdict = verdict(reference, chain, packet, trace);
    !matches!(verdict, Verdict::Deny | Verdict::Reject)
}
