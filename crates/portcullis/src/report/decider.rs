//! What decided about a packet, in words.

use portcullis_core::judge::Decided;
use portcullis_core::ruleset::{BuiltIn, Ruleset, Verdict};

/// Who decided in a built-in chain, such as `input: bad rule 3 (user chain) DENY`.
pub(crate) fn decider(
    ruleset: &Ruleset,
    chain: BuiltIn,
    verdict: Verdict,
    decided: Decided,
) -> String {
    match decided {
        Decided::ByRule(place) | Decided::ByLoop(place) | Decided::ByLength(place) => {
            let holder = ruleset.chains()[place.chain as usize].name();
            let number = place.rule + 1;
            let way = match decided {
                Decided::ByLoop(_) => " (loop)",
                Decided::ByLength(_) => " (too long)",
                _ if holder.as_str() != chain.as_str() => " (user chain)",
                _ => "",
            };
            format!("{chain}: {holder} rule {number}{way} {verdict}")
        }
        Decided::ByPolicy => format!("{chain}: policy {verdict}"),
        Decided::ByCheck(_) => format!("{chain}: fragment check {verdict}"),
    }
}
