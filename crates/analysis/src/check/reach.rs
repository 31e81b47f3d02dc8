//! Rules that never match, chains that nobody enters, and loops.

use portcullis_core::matcher::{Ending, Place};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::BuiltIn;

use super::finding::{Finding, Kind, Subject};
use super::{Machine, Views, example};
use crate::explain::explain;
use crate::{Region, Space, TooLarge};

pub(super) fn ask(
    space: &mut Space,
    views: &Views<'_>,
    _: &Machine,
) -> Result<Vec<Finding>, TooLarge> {
    let mut findings = chains(views);
    for place in views.places() {
        if !views.matches(place) {
            findings.extend(never_matches(space, views, place)?);
        }
    }
    findings.extend(loops(space, views));
    Ok(findings)
}

fn chains(views: &Views<'_>) -> Vec<Finding> {
    let references = views.ruleset.references();
    let all = views.ruleset.chains().iter().zip(references).enumerate();
    let user = all.filter(|(_, (chain, _))| chain.policy().is_none());
    user.filter_map(|(number, (_, references))| {
        let kind = match references {
            0 => Kind::NoJumps,
            _ if !is_entered(views, number) => Kind::NeverEntered,
            _ => return None,
        };
        Some(Finding::new(kind, Subject::Chain(number), None))
    })
    .collect()
}

fn is_entered(views: &Views<'_>, chain: usize) -> bool {
    views.decided.iter().any(|it| !it.entered(chain).is_empty())
}

/// Why no packet matches a rule.
fn never_matches(
    space: &mut Space,
    views: &Views<'_>,
    place: Place,
) -> Result<Option<Finding>, TooLarge> {
    let subject = Subject::Rule(place);
    if views.region(place).is_empty() {
        return Ok(Some(Finding::new(Kind::Impossible, subject, None)));
    }
    let chain = place.chain as usize;
    if !is_entered(views, chain) {
        // It is the chain that is found.
        return Ok(None);
    }
    let mut takers: Vec<(Place, (BuiltIn, Region))> = Vec::new();
    for (built_in, decided) in views.each() {
        // None of these comes to the rule: each is taken by one before it.
        let wanted = space.intersect(decided.entered(chain), views.region(place))?;
        if wanted.is_empty() {
            continue;
        }
        for rule in 0..place.rule {
            let before = Place { rule, ..place };
            let ended = decided.passage(before).ended;
            let taken = match ended.is_empty() {
                true => Region::EMPTY,
                false => space.intersect(wanted, ended)?,
            };
            if !taken.is_empty() && !takers.iter().any(|(it, _)| *it == before) {
                takers.push((before, (built_in, taken)));
            }
        }
    }
    if takers.is_empty() {
        return Ok(Some(never_sent(space, views, place)));
    }
    takers.sort_by_key(|(it, _)| it.rule);
    // One that speaks of all that the rule does says more than all that take
    // a part of it.
    for (taker, taken) in takers.clone() {
        let verdict = views.rule(taker).target.and_then(|it| it.verdict());
        if verdict.is_some() && space.is_within(views.region(place), views.region(taker))? {
            takers = vec![(taker, taken)];
            break;
        }
    }
    let (built_in, taken) = takers[0].1;
    let shown = example(space, built_in, taken);
    let takers: Vec<Place> = takers.into_iter().map(|(it, _)| it).collect();
    let target = views.rule(place).target;
    let alike = takers.iter().all(|it| views.rule(*it).target == target);
    let finding = Finding::new(Kind::Shadowed { alike }, subject, shown);
    Ok(Some(finding.with(takers)))
}

/// Packets come to the chain, but what decides about the rule's own stands
/// before that.
fn never_sent(space: &Space, views: &Views<'_>, place: Place) -> Finding {
    let chain = place.chain as usize;
    let mut each = views.each();
    let entering = each.find(|(_, decided)| !decided.entered(chain).is_empty());
    let shown = entering.and_then(|(it, _)| example(space, it, views.region(place)));
    let finding = Finding::new(Kind::NeverSent, Subject::Rule(place), shown);
    let Some((built_in, packet)) = shown else {
        return finding;
    };
    let reference = Reference::new(views.ruleset.clone().into());
    let walk = explain(&reference, built_in.position(), &packet, 0);
    let by_policy = walk.ending == Ending::Policy;
    let decides = walk.matched.last().filter(|_| !by_policy);
    finding.with(decides.copied().into_iter().collect())
}

fn loops(space: &Space, views: &Views<'_>) -> Vec<Finding> {
    let reference = Reference::new(views.ruleset.clone().into());
    let mut findings: Vec<Finding> = Vec::new();
    for (built_in, decided) in views.each() {
        let Some((chain, packet)) = example(space, built_in, decided.looped) else {
            continue;
        };
        let walk = explain(&reference, chain.position(), &packet, 0);
        let Some(jump) = walk.matched.last() else {
            continue;
        };
        let found = Finding::new(Kind::Loop, Subject::Rule(*jump), Some((chain, packet)));
        findings.push(found);
    }
    findings
}
