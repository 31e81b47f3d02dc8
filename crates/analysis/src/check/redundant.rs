//! Rules that change nothing when they are left out.

use portcullis_core::matcher::Place;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Rule, Ruleset, Verdict};

use super::finding::{Finding, Kind, Subject};
use super::{Views, example, places};
use crate::explain::{Explanation, explain};
use crate::{Decided, Region, Space, TooLarge};

pub(super) fn ask(
    space: &mut Space,
    views: &Views<'_>,
    place: Place,
) -> Result<Option<Finding>, TooLarge> {
    let rule = views.rule(place);
    if !views.matches(place) || changes_packets(rule) {
        return Ok(None);
    }
    let subject = Subject::Rule(place);
    let matched = |decided: &Decided| decided.passage(place).matched;
    let mut each = views.each();
    let shown = each.find_map(|(chain, it)| example(space, chain, matched(it)));
    if rule.target.is_none() && !rule.log {
        return Ok(Some(Finding::new(Kind::CountsOnly, subject, shown)));
    }
    let Some((chain, packet)) = shown else {
        return Ok(None);
    };
    // Most rules matter to the first packet that comes to mind.
    let without = Reference::new(left_out(views.ruleset, place).into());
    let with = Reference::new(views.ruleset.clone().into());
    let before = explain(&with, chain.position(), &packet, 0);
    let after = explain(&without, chain.position(), &packet, 0);
    if differ(&with, &before, &without, &after) {
        return Ok(None);
    }
    for (chain, decided) in views.each() {
        let packets = matched(decided);
        if !packets.is_empty() && !is_unchanged(space, views, place, chain, packets)? {
            return Ok(None);
        }
    }
    let found = Finding::new(Kind::Redundant, subject, Some((chain, packet)));
    Ok(Some(found.with(instead(place, &after))))
}

/// Whether a rule does something to a packet that cannot be told from its
/// verdict and the log.
fn changes_packets(rule: &Rule) -> bool {
    let mut silent = rule.clone();
    silent.log = false;
    silent.has_effects()
}

fn left_out(ruleset: &Ruleset, place: Place) -> Ruleset {
    let mut without = ruleset.clone();
    let chain = *ruleset.chains()[place.chain as usize].name();
    // The rule is there.
    let _ = without.delete(&chain, place.rule as usize + 1);
    without
}

fn differ(
    with: &Reference,
    before: &Explanation,
    without: &Reference,
    after: &Explanation,
) -> bool {
    logs(with, before) != logs(without, after) || verdict(before) != verdict(after)
}

fn verdict(explanation: &Explanation) -> Verdict {
    match explanation.outcome {
        portcullis_core::reference::Outcome::Verdict(verdict) => verdict,
        _ => Verdict::Deny,
    }
}

fn logs(reference: &Reference, explanation: &Explanation) -> bool {
    use portcullis_core::matcher::Matcher as _;

    let chains = reference.ruleset().chains();
    let mut matched = explanation.matched.iter();
    matched.any(|it| chains[it.chain as usize].rules()[it.rule as usize].log)
}

/// The rule that decides when `place` is left out, as it is numbered now.
fn instead(place: Place, after: &Explanation) -> Vec<Place> {
    let decides = after.ending == portcullis_core::matcher::Ending::Rule;
    let last = after.matched.last().filter(|_| decides);
    let renumbered = last.map(|it| {
        let moved = it.chain == place.chain && it.rule >= place.rule;
        Place {
            rule: it.rule + u32::from(moved),
            ..*it
        }
    });
    renumbered.into_iter().collect()
}

/// Whether a built-in chain does the same without a rule to the packets that
/// match it; no other packet can tell.
fn is_unchanged(
    space: &mut Space,
    views: &Views<'_>,
    place: Place,
    chain: BuiltIn,
    packets: Region,
) -> Result<bool, TooLarge> {
    let before = views.of(chain);
    let after = Decided::without(
        space,
        views.ruleset,
        &views.conditions,
        Some(place),
        chain,
        packets,
    )?;
    for verdict in Verdict::ALL {
        if space.intersect(before.verdict(verdict), packets)? != after.verdict(verdict) {
            return Ok(false);
        }
    }
    if space.intersect(before.logged, packets)? != after.logged {
        return Ok(false);
    }
    for (port, redirected) in before.redirects() {
        let own = space.intersect(redirected, packets)?;
        let mut others = after.redirects();
        let new = others.find(|(other, _)| *other == port);
        if own != new.map_or(Region::EMPTY, |(_, region)| region) {
            return Ok(false);
        }
    }
    for other in places(views.ruleset) {
        if changes_packets(views.rule(other)) {
            let met = space.intersect(before.passage(other).matched, packets)?;
            if !met.is_empty() || !after.passage(other).matched.is_empty() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
