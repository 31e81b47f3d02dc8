//! What is believed of senders, and whether the machine may speak to itself.

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, InterfacePattern, Network, Rule, Target, Test, Verdict,
};

use super::finding::{Finding, Kind, Subject};
use super::{Machine, Views, example};
use crate::{Region, Space, TooLarge};

pub(super) fn ask(
    space: &mut Space,
    views: &Views<'_>,
    _: &Machine,
) -> Result<Vec<Finding>, TooLarge> {
    let mut findings = Vec::new();
    for chain in [BuiltIn::Input, BuiltIn::Output] {
        findings.extend(loopback_shut(space, views, chain)?);
    }
    let gateway = [Verdict::Accept, Verdict::Masq]
        .into_iter()
        .any(|verdict| !views.of(BuiltIn::Forward).verdict(verdict).is_empty());
    for place in views.places() {
        let Some(network) = claimed(views.rule(place)) else {
            continue;
        };
        let matched = views.of(BuiltIn::Input).passage(place).matched;
        if let Some(strangers) = on_all_interfaces(space, matched)? {
            let shown = example(space, BuiltIn::Input, strangers);
            let kind = Kind::Believed { network, gateway };
            findings.push(Finding::new(kind, Subject::Rule(place), shown));
        }
    }
    Ok(findings)
}

/// The packets on `lo`.
pub(super) fn loopback(space: &mut Space) -> Result<Region, TooLarge> {
    let lo = InterfaceName::new("lo").unwrap_or(InterfaceName::EMPTY);
    on(space, lo)
}

fn on(space: &mut Space, interface: InterfaceName) -> Result<Region, TooLarge> {
    space.conditions(&Conditions {
        interface: Test::is(InterfacePattern::Exact(interface)),
        ..Conditions::ANY
    })
}

/// A chain that denies what no rule speaks of, also from 127.0.0.1 to 127.0.0.1.
fn loopback_shut(
    space: &mut Space,
    views: &Views<'_>,
    chain: BuiltIn,
) -> Result<Option<Finding>, TooLarge> {
    const SELF: Test<Network> = Test::is(Network::with_prefix(0x7f00_0001, 32));
    let decided = views.of(chain);
    let mut unspoken = decided.policy;
    for place in views
        .places()
        .filter(|it| it.chain as usize == chain.position())
    {
        if views.region(place) == space.everything() {
            unspoken = space.unite(unspoken, decided.passage(place).matched)?;
        }
    }
    let own = space.conditions(&Conditions {
        source: SELF,
        destination: SELF,
        ..Conditions::ANY
    })?;
    let loopback = loopback(space)?;
    let own = space.intersect(own, loopback)?;
    let unspoken = space.intersect(own, unspoken)?;
    let denied = space.unite(
        decided.verdict(Verdict::Deny),
        decided.verdict(Verdict::Reject),
    )?;
    let shut = space.intersect(unspoken, denied)?;
    let subject = Subject::Chain(chain.position());
    let shown = example(space, chain, shut);
    Ok(shown.map(|shown| Finding::new(Kind::LoopbackShut, subject, Some(shown))))
}

/// The private network of a rule that accepts whatever comes from there and
/// asks nothing else.
fn claimed(rule: &Rule) -> Option<Network> {
    const PRIVATE: [(u32, u8); 4] = [
        (0x0a00_0000, 8),
        (0xac10_0000, 12),
        (0xc0a8_0000, 16),
        (0x7f00_0000, 8),
    ];
    let source = rule.conditions.source;
    let asks_source_only = Conditions {
        source,
        ..Conditions::ANY
    };
    let network = source.value;
    let is_private = PRIVATE.into_iter().any(|(address, length)| {
        let whole = Network::with_prefix(address, length);
        network.mask() & whole.mask() == whole.mask() && whole.contains(network.address())
    });
    let accepts = rule.target == Some(Target::Accept);
    (accepts && !source.is_inverted() && is_private && rule.conditions == asks_source_only)
        .then_some(network)
}

/// The packets of a region that came from outside, if there are some on every
/// interface.
fn on_all_interfaces(space: &mut Space, packets: Region) -> Result<Option<Region>, TooLarge> {
    let mut all = Region::EMPTY;
    for name in space.interfaces().to_vec() {
        if name.as_str() == "lo" {
            continue;
        }
        let on = on(space, name)?;
        let own = space.intersect(packets, on)?;
        if own.is_empty() {
            return Ok(None);
        }
        all = space.unite(all, own)?;
    }
    Ok((!all.is_empty()).then_some(all))
}
