//! Rules that the machine contradicts.

use portcullis_core::names::InterfaceName;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, InterfacePattern, Network, PortRange, Ruleset, Target, Test, Verdict,
};

use super::finding::{Finding, Kind, MASQ_PORTS, Subject, add};
use super::trust::loopback;
use super::{Views, example, places};
use crate::{Space, TooLarge};

/// What is known of the machine that the rules are for; nothing is asked
/// about what is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The ports that its own connections are opened from.
    pub local_ports: Option<PortRange>,
    /// Its interfaces.
    pub interfaces: Option<Vec<InterfaceName>>,
    /// Its addresses.
    pub addresses: Option<Vec<Network>>,
}

pub(super) fn ask(
    space: &mut Space,
    views: &Views<'_>,
    machine: &Machine,
) -> Result<Vec<Finding>, TooLarge> {
    let mut findings = machine.interfaces_missing(views.ruleset);
    if let Some(used) = machine.local_ports {
        for chain in [BuiltIn::Input, BuiltIn::Output] {
            findings.extend(local_ports(space, views, chain, used)?);
        }
        findings.extend(root_ports(space, views)?);
        findings.extend(masq_ports(space, views, used));
    }
    if let Some(addresses) = &machine.addresses {
        findings.extend(not_local(space, views, addresses)?);
    }
    Ok(findings)
}

impl Machine {
    /// Rules that name an interface that does not exist.
    pub(super) fn interfaces_missing(&self, ruleset: &Ruleset) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let Some(interfaces) = &self.interfaces else {
            return findings;
        };
        for place in places(ruleset) {
            let rule = &ruleset.chains()[place.chain as usize].rules()[place.rule as usize];
            let pattern = rule.conditions.interface.value;
            let exists = interfaces.iter().any(|name| pattern.names(name));
            if exists || pattern == InterfacePattern::ANY {
                continue;
            }
            let kind = Kind::NoInterface(*pattern.name());
            add(&mut findings, kind, place, None);
        }
        findings
    }
}

/// Ports that a range of local ports holds, at least.
const FEWEST_LOCAL: u16 = 100;
/// Lower ports are those of services.
const FIRST_LOCAL: u16 = 1024;

/// Rules that accept a range of local ports, where packets that only differ in
/// that their local port is one that the machine uses are not accepted.
fn local_ports(
    space: &mut Space,
    views: &Views<'_>,
    chain: BuiltIn,
    used: PortRange,
) -> Result<Vec<Finding>, TooLarge> {
    let decided = views.of(chain);
    let mut findings = Vec::new();
    for place in views.places() {
        let rule = views.rule(place);
        let conditions = &rule.conditions;
        let own = match chain {
            BuiltIn::Output => conditions.source_ports,
            _ => conditions.destination_ports,
        };
        let named = own.value;
        let width = named.last.checked_sub(named.first);
        let protocols = [protocol::TCP, protocol::UDP].map(|it| Test::is(it.into()));
        if rule.target != Some(Target::Accept)
            || decided.passage(place).matched.is_empty()
            || !protocols.contains(&conditions.protocol)
            || own.is_inverted()
            || named.first < FIRST_LOCAL
            || width.is_none_or(|width| width < FEWEST_LOCAL - 1)
        {
            continue;
        }
        let mut wanted = conditions.clone();
        match chain {
            BuiltIn::Output => wanted.source_ports = Test::is(used),
            _ => wanted.destination_ports = Test::is(used),
        }
        let wanted = space.conditions(&wanted)?;
        let refused = space.subtract(wanted, decided.verdict(Verdict::Accept))?;
        if let Some(shown) = example(space, chain, refused) {
            let kind = Kind::LocalPorts { chain, named, used };
            add(&mut findings, kind, place, Some(shown));
        }
    }
    Ok(findings)
}

/// Services that root's programs ask from ports below 1024 (rcmd(3),
/// bindresvport(3)): ssh of that time, rexec, rlogin, rsh, lpd and NFS.
const ASKED_BY_ROOT: [u16; 6] = [22, 512, 513, 514, 515, 2049];
/// The ports that such programs take.
const ROOT_PORTS: PortRange = PortRange {
    first: 512,
    last: 1023,
};

/// Rules that let connections out to such a service, but not one of them from
/// root's ports.
fn root_ports(space: &mut Space, views: &Views<'_>) -> Result<Vec<Finding>, TooLarge> {
    let chain = BuiltIn::Output;
    let decided = views.of(chain);
    let mut findings = Vec::new();
    for place in views.places() {
        let rule = views.rule(place);
        let conditions = &rule.conditions;
        let service = conditions.destination_ports.value;
        if rule.target != Some(Target::Accept)
            || conditions.protocol != Test::is(protocol::TCP.into())
            || conditions.destination_ports.is_inverted()
            || service.first != service.last
            || !ASKED_BY_ROOT.contains(&service.first)
            || decided.passage(place).matched.is_empty()
        {
            continue;
        }
        let wanted = space.conditions(&Conditions {
            source_ports: Test::is(ROOT_PORTS),
            ..conditions.clone()
        })?;
        let loopback = loopback(space)?;
        let wanted = space.subtract(wanted, loopback)?;
        let passed = space.intersect(wanted, decided.verdict(Verdict::Accept))?;
        if passed.is_empty() {
            let shown = example(space, chain, wanted);
            add(&mut findings, Kind::RootPorts, place, shown);
        }
    }
    Ok(findings)
}

fn masq_ports(space: &Space, views: &Views<'_>, used: PortRange) -> Option<Finding> {
    let chain = BuiltIn::Forward;
    let shown = example(space, chain, views.of(chain).verdict(Verdict::Masq))?;
    let shared = used.first <= MASQ_PORTS.last && MASQ_PORTS.first <= used.last;
    shared.then(|| Finding::new(Kind::MasqPorts { used }, Subject::Ruleset, Some(shown)))
}

fn not_local(
    space: &mut Space,
    views: &Views<'_>,
    addresses: &[Network],
) -> Result<Vec<Finding>, TooLarge> {
    let mut findings = Vec::new();
    let (input, forward) = (views.of(BuiltIn::Input), views.of(BuiltIn::Forward));
    for place in views.places() {
        let rule = views.rule(place);
        let to = rule.conditions.destination;
        let address = to.value.address();
        // The first octets of loopback, multicast and broadcast.
        let special = matches!(address >> 24, 0 | 127 | 224..);
        if rule.target != Some(Target::Accept)
            || to.is_inverted()
            || to.value.prefix_length() != Some(32)
            || special
            || addresses.iter().any(|it| it.contains(address))
        {
            continue;
        }
        let to_it = space.conditions(&Conditions {
            destination: to,
            ..Conditions::ANY
        })?;
        let mut forwarded = forward.verdict(Verdict::Accept);
        forwarded = space.unite(forwarded, forward.verdict(Verdict::Masq))?;
        if !space.intersect(to_it, forwarded)?.is_empty() {
            continue;
        }
        if let Some(shown) = example(space, BuiltIn::Input, input.passage(place).matched) {
            add(&mut findings, Kind::NotLocal(address), place, Some(shown));
        }
    }
    Ok(findings)
}
