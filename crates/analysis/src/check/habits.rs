//! Rules that mean what they say, but seldom what their author meant.

use portcullis_core::matcher::Place;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, Network, Policy, PortRange, Rule, Sense, Target, Test, Verdict,
};

use super::finding::{Finding, Kind, Subject, add, denies};
use super::trust::loopback;
use super::{Machine, Views, example};
use crate::{Decided, Space, TooLarge};

pub(super) fn ask(
    space: &mut Space,
    views: &Views<'_>,
    _: &Machine,
) -> Result<Vec<Finding>, TooLarge> {
    let mut findings = Vec::new();
    for (chain, decided) in views.each() {
        findings.extend(open_policy(space, views, chain, decided));
        findings.extend(silent_deny(space, views, chain, decided)?);
    }
    for place in views.places().filter(|place| views.matches(*place)) {
        let rule = views.rule(place);
        let questions = [
            syn_fragments(space, views, place, rule)?,
            open_replies(space, views, place, rule)?,
            loopback_caught(space, views, place, rule)?,
            masq_everything(space, views, place, rule),
        ];
        findings.extend(questions.into_iter().flatten());
        if is_zero_address(rule) {
            add(
                &mut findings,
                Kind::ZeroAddress,
                place,
                views.shown(space, place),
            );
        }
    }
    Ok(findings)
}

fn open_policy(
    space: &Space,
    views: &Views<'_>,
    chain: BuiltIn,
    decided: &Decided,
) -> Option<Finding> {
    let policy = views.ruleset.chains()[chain.position()].policy()?;
    if !matches!(policy, Policy::Accept | Policy::Masq) {
        return None;
    }
    let shown = example(space, chain, decided.policy)?;
    let subject = Subject::Chain(chain.position());
    Some(Finding::new(Kind::OpenPolicy(policy), subject, Some(shown)))
}

fn silent_deny(
    space: &mut Space,
    views: &Views<'_>,
    chain: BuiltIn,
    decided: &Decided,
) -> Result<Option<Finding>, TooLarge> {
    let own = &views.ruleset.chains()[chain.position()];
    if matches!(own.policy(), Some(Policy::Deny | Policy::Reject)) {
        let silent = space.subtract(decided.policy, decided.logged)?;
        if let Some(shown) = example(space, chain, silent) {
            let subject = Subject::Chain(chain.position());
            return Ok(Some(Finding::new(Kind::SilentDeny, subject, Some(shown))));
        }
    }
    for (number, rule) in (0..).zip(own.rules()) {
        let place = Place {
            chain: chain.position() as u32,
            rule: number,
        };
        if denies(rule.target) && !rule.log && views.region(place) == space.everything() {
            let silent = space.subtract(decided.passage(place).matched, decided.logged)?;
            if let Some(shown) = example(space, chain, silent) {
                let subject = Subject::Rule(place);
                return Ok(Some(Finding::new(Kind::SilentDeny, subject, Some(shown))));
            }
        }
    }
    Ok(None)
}

fn syn_fragments(
    space: &mut Space,
    views: &Views<'_>,
    place: Place,
    rule: &Rule,
) -> Result<Option<Finding>, TooLarge> {
    if !denies(rule.target) || rule.conditions.syn != Some(Sense::Set) {
        return Ok(None);
    }
    let fragments = space.conditions(&Conditions {
        syn: None,
        fragment: Some(Sense::Set),
        protocol: Test::is(protocol::TCP.into()),
        source_ports: Test::is(PortRange::ALL),
        destination_ports: Test::is(PortRange::ALL),
        ..rule.conditions.clone()
    })?;
    for (chain, decided) in views.each() {
        let past = space.intersect(decided.passage(place).reached, fragments)?;
        let past = space.intersect(past, decided.verdict(Verdict::Accept))?;
        if let Some(shown) = example(space, chain, past) {
            let subject = Subject::Rule(place);
            return Ok(Some(Finding::new(Kind::SynFragments, subject, Some(shown))));
        }
    }
    Ok(None)
}

/// Ports of services that a rule for answers may name at most.
const MOST_SERVICES: u16 = 1024;
/// Ports that answers go to, at least.
const FEWEST_LOCAL: u16 = 1000;
/// Lower ports are those of services.
const FIRST_LOCAL: u16 = 1023;
/// Where active FTP opens its data connections from.
const FTP_DATA: PortRange = PortRange::single(20);

fn open_replies(
    space: &mut Space,
    views: &Views<'_>,
    place: Place,
    rule: &Rule,
) -> Result<Option<Finding>, TooLarge> {
    let conditions = &rule.conditions;
    let (from, to) = (conditions.source_ports, conditions.destination_ports);
    let width = |range: PortRange| range.last.checked_sub(range.first);
    let accepts_tcp = rule.target == Some(Target::Accept)
        && conditions.syn.is_none()
        && conditions.protocol == Test::is(protocol::TCP.into())
        && !from.is_inverted()
        && !to.is_inverted()
        && width(to.value).is_some_and(|width| width >= FEWEST_LOCAL - 1);
    let from_service =
        from.value != FTP_DATA && width(from.value).is_some_and(|width| width < MOST_SERVICES);
    let from_anyone = from.value == PortRange::ALL
        && conditions.source == Test::is(Network::ANY)
        && (FIRST_LOCAL..).contains(&to.value.first);
    if !accepts_tcp || !(from_service || from_anyone) {
        return Ok(None);
    }
    let opening = space.conditions(&Conditions {
        syn: Some(Sense::Set),
        ..Conditions::ANY
    })?;
    let loopback = loopback(space)?;
    let chain = BuiltIn::Input;
    let opened = space.intersect(views.of(chain).passage(place).matched, opening)?;
    let opened = space.subtract(opened, loopback)?;
    let kind = match from_service {
        true => Kind::OpenReplies,
        false => Kind::OpenPorts(to.value),
    };
    let shown = example(space, chain, opened);
    Ok(shown.map(|shown| Finding::new(kind, Subject::Rule(place), Some(shown))))
}

fn loopback_caught(
    space: &mut Space,
    views: &Views<'_>,
    place: Place,
    rule: &Rule,
) -> Result<Option<Finding>, TooLarge> {
    if !denies(rule.target) || !rule.conditions.interface.is_inverted() {
        return Ok(None);
    }
    let loopback = loopback(space)?;
    for (chain, decided) in views.each() {
        // Nothing on lo is forwarded.
        if chain == BuiltIn::Forward {
            continue;
        }
        let caught = space.intersect(decided.passage(place).matched, loopback)?;
        if let Some(shown) = example(space, chain, caught) {
            let subject = Subject::Rule(place);
            return Ok(Some(Finding::new(
                Kind::LoopbackCaught,
                subject,
                Some(shown),
            )));
        }
    }
    Ok(None)
}

fn is_zero_address(rule: &Rule) -> bool {
    let zero = Test::is(Network::with_prefix(0, 32));
    let conditions = &rule.conditions;
    // DHCP asks from there, and forged addresses are denied as such.
    let dhcp = conditions.protocol == Test::is(protocol::UDP.into());
    let forged = denies(rule.target) && conditions.protocol == Test::is(0);
    let destination = conditions.destination == zero;
    let source = conditions.source == zero && !dhcp;
    (destination || source) && !forged
}

fn masq_everything(space: &Space, views: &Views<'_>, place: Place, rule: &Rule) -> Option<Finding> {
    let everything = views.region(place) == space.everything();
    (rule.target == Some(Target::Masq) && everything).then(|| {
        let shown = views.shown(space, place);
        Finding::new(Kind::MasqEverything, Subject::Rule(place), shown)
    })
}
