//! Who decided about a packet, in one line.

use portcullis_analysis::Explanation;
use portcullis_core::matcher::Ending;
use portcullis_core::reference::Outcome;
use portcullis_core::ruleset::BuiltIn;

use crate::rules::RuleFile;

/// The verdict of a walk from chain number `start`, and the rule or policy
/// behind it with its line.
pub(crate) fn decision(rules: &RuleFile, start: usize, explanation: &Explanation) -> String {
    let chains = rules.script.ruleset.chains();
    match (explanation.outcome, explanation.ending) {
        (Outcome::PassedThrough, _) => "the packet leaves the chain at its end".to_owned(),
        (Outcome::Loop, Ending::TooLong) => {
            "DENY: so many rules matched that the walk was cut short".to_owned()
        }
        (Outcome::Loop, _) => "DENY: the chains call each other in a circle".to_owned(),
        (Outcome::Verdict(verdict), Ending::Rule) => match explanation.matched.last() {
            Some(place) => {
                let name = chains[place.chain as usize].name();
                let number = place.rule as usize;
                let at = rules.place(name, number);
                format!("{verdict} by {at}, rule {} of {name}", number + 1)
            }
            None => verdict.to_string(),
        },
        (Outcome::Verdict(verdict), _) => {
            let name = chains[start].name();
            let built_in = BuiltIn::from_name(name.as_str());
            let set = built_in.and_then(|it| rules.script.origins.policy(it));
            match set {
                Some(span) => {
                    let at = rules.place_of(Some(span));
                    format!("{verdict} by the policy of {name} ({at})")
                }
                None => format!("{verdict} by the policy of {name}, as after boot"),
            }
        }
    }
}
