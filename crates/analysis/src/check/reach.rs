//! Rules that never match, chains that nobody enters, and loops.

use portcullis_core::matcher::Place;
use portcullis_core::reference::Reference;

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
    let mut takers = Vec::new();
    let mut shown = None;
    for (built_in, decided) in views.each() {
        // None of these comes to the rule: each is taken by one before it.
        let wanted = space.intersect(decided.entered(chain), views.region(place))?;
        if wanted.is_empty() {
            continue;
        }
        shown = shown.or_else(|| example(space, built_in, wanted));
        for rule in 0..place.rule {
            let before = Place { rule, ..place };
            let ended = decided.passage(before).ended;
            let taken = if ended.is_empty() {
                Region::EMPTY
            } else {
                space.intersect(wanted, ended)?
            };
            if !taken.is_empty() && !takers.contains(&before) {
                takers.push(before);
            }
        }
    }
    if takers.is_empty() {
        return Ok(Some(Finding::new(Kind::NeverSent, subject, None)));
    }
    takers.sort_by_key(|it| it.rule);
    let target = views.rule(place).target;
    let alike = takers.iter().all(|it| views.rule(*it).target == target);
    let finding = Finding::new(Kind::Shadowed { alike }, subject, shown);
    Ok(Some(finding.with(takers)))
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
