//! The rules that a group's conversations need, chain by chain.

use std::collections::BTreeSet;

use portcullis_core::names::InterfaceName;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, InterfacePattern, Network, PortRange, Rule, Sense, Target, Test,
};

use super::conversation::KERNEL_DEFAULT;
use super::group::{Group, Way};
use super::pattern::{Answers, Ports, TIME_EXCEEDED, Transport, UNREACHABLE};
use super::{MASQUERADED, OwnPorts, Setting};

/// One chain that packets of one direction meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) chain: BuiltIn,
    /// The rule; its target is that of the leg.
    pub(super) rule: Rule,
}

/// Addresses and ports on both sides of a packet.
#[derive(Clone, Debug)]
struct Ends {
    protocol: u8,
    source: (Network, PortRange),
    destination: (Network, PortRange),
}

/// Ports that others than this machine are given.
const GIVEN: PortRange = PortRange {
    first: 1024,
    last: 65535,
};
/// Ports that root's programs open connections from.
const ROOT: PortRange = PortRange {
    first: 512,
    last: 1023,
};

/// All legs of a group's conversations.
pub(super) fn legs(group: &Group, setting: &Setting) -> Vec<Leg> {
    let asking = asking(group, setting);
    let mut legs = Vec::new();
    let masquerade = group.is_masqueraded();
    let outside = Ends {
        source: (outside_network(setting), masqueraded_ports(&asking)),
        ..asking.clone()
    };
    legs.extend(way_there(group, &asking, masquerade.then_some(&outside)));
    let answers = group.pattern.map_or(Answers::Reversed, |it| it.answers);
    match answers {
        Answers::Nothing => {}
        Answers::Reversed => {
            let inside = answer(group, &asking);
            let outside = masquerade.then(|| answer(group, &outside));
            legs.extend(way_back(group, &inside, outside.as_ref()));
        }
        Answers::Errors => {
            for kind in [UNREACHABLE, TIME_EXCEEDED] {
                let error = |to: Network| Ends {
                    protocol: protocol::ICMP,
                    source: (Network::ANY, PortRange::single(kind)),
                    destination: (to, PortRange::ALL),
                };
                let outside = masquerade.then(|| error(outside_network(setting)));
                let inside = error(group.opener.network);
                legs.extend(way_back(group, &inside, outside.as_ref()));
            }
        }
    }
    legs
}

/// The source ports of masqueraded packets; ICMP keeps its type.
fn masqueraded_ports(asking: &Ends) -> PortRange {
    match asking.protocol {
        protocol::TCP | protocol::UDP => MASQUERADED,
        _ => asking.source.1,
    }
}

/// What masqueraded packets come from.
fn outside_network(setting: &Setting) -> Network {
    let address = setting.outside;
    address.map_or(Network::ANY, |it| Network::with_prefix(it, 32))
}

/// The packets of the one who opens.
fn asking(group: &Group, setting: &Setting) -> Ends {
    let own = |is_local: bool| is_local.then_some(setting.port_range);
    let local_opener = matches!(group.way, Way::Out | Way::Within);
    let local_answerer = matches!(group.way, Way::In | Way::Within);
    let (opener, answerer) = match (group.pattern, group.protocol) {
        (Some(pattern), _) if pattern.transport == Transport::Icmp => {
            let codes = match pattern.answers {
                Answers::Reversed => PortRange::single(0),
                _ => PortRange::ALL,
            };
            (range(pattern.opener, &group.opener.ports, None), codes)
        }
        (None, protocol::ICMP) => (hull(&group.opener.ports), PortRange::ALL),
        (Some(pattern), _) => (
            range(pattern.opener, &group.opener.ports, own(local_opener)),
            range(pattern.answerer, &group.answerer.ports, own(local_answerer)),
        ),
        (None, protocol::TCP | protocol::UDP) => (
            unknown(&group.opener.ports, own(local_opener)),
            hull(&group.answerer.ports),
        ),
        (None, _) => (PortRange::ALL, PortRange::ALL),
    };
    Ends {
        protocol: group.protocol,
        source: (group.opener.network, opener),
        destination: (group.answerer.network, answerer),
    }
}

/// Ports as a pattern has them, as narrow as those that were seen allow.
fn range(ports: Ports, seen: &BTreeSet<u16>, own: Option<OwnPorts>) -> PortRange {
    const NARROW: u16 = 16;
    match ports {
        Ports::Exactly(port) => PortRange::single(port),
        Ports::Between(first, last) if last - first < NARROW => hull(seen),
        Ports::Between(first, last) => PortRange { first, last },
        Ports::Chosen => chosen(seen, own),
        Ports::Root if seen.iter().all(|port| ROOT.contains(*port)) => ROOT,
        Ports::Root => PortRange {
            first: 0,
            last: ROOT.last,
        },
        Ports::None => PortRange::ALL,
    }
}

/// Ports that a system gave out: this machine's are known.
fn chosen(seen: &BTreeSet<u16>, own: Option<OwnPorts>) -> PortRange {
    let all_in = |range: PortRange| seen.iter().all(|port| range.contains(*port));
    match own {
        Some(OwnPorts(range)) if all_in(range) => range,
        Some(_) if all_in(KERNEL_DEFAULT) => KERNEL_DEFAULT,
        _ => GIVEN,
    }
}

/// The opener's ports of a service that nobody knows.
fn unknown(seen: &BTreeSet<u16>, own: Option<OwnPorts>) -> PortRange {
    match seen.first() {
        Some(port) if seen.len() == 1 && *port < GIVEN.first => PortRange::single(*port),
        _ if seen.iter().all(|port| GIVEN.contains(*port)) => chosen(seen, own),
        _ if seen.iter().all(|port| ROOT.contains(*port)) => ROOT,
        _ => PortRange::ALL,
    }
}

fn hull(seen: &BTreeSet<u16>) -> PortRange {
    match (seen.first(), seen.last()) {
        (Some(first), Some(last)) => PortRange {
            first: *first,
            last: *last,
        },
        _ => PortRange::ALL,
    }
}

/// What comes back.
fn answer(group: &Group, asking: &Ends) -> Ends {
    let reversed = answer_of(asking);
    match (group.protocol, group.pattern.map(|it| it.answerer)) {
        (protocol::ICMP, Some(Ports::Exactly(kind))) => Ends {
            source: (reversed.source.0, PortRange::single(kind)),
            destination: (reversed.destination.0, PortRange::single(0)),
            ..reversed
        },
        _ => reversed,
    }
}

fn answer_of(asking: &Ends) -> Ends {
    Ends {
        protocol: asking.protocol,
        source: asking.destination,
        destination: asking.source,
    }
}

/// The legs of packets from the opener to the answerer; `outside` is what
/// masquerading makes of them.
fn way_there(group: &Group, ends: &Ends, outside: Option<&Ends>) -> Vec<Leg> {
    let (here, there) = (group.near_opener, group.near_answerer);
    let leg = |chain, interface, ends: &Ends, target| leg(chain, interface, ends, target, false);
    match (group.way, outside) {
        (Way::Out, _) => vec![leg(BuiltIn::Output, there, ends, Target::Accept)],
        (Way::In, _) => vec![leg(BuiltIn::Input, here, ends, Target::Accept)],
        (Way::Within, _) => vec![
            leg(BuiltIn::Output, there.or(here), ends, Target::Accept),
            leg(BuiltIn::Input, here.or(there), ends, Target::Accept),
        ],
        (Way::Through, None) => vec![
            leg(BuiltIn::Input, here, ends, Target::Accept),
            leg(BuiltIn::Forward, there, ends, Target::Accept),
            leg(BuiltIn::Output, there, ends, Target::Accept),
        ],
        (Way::Through, Some(outside)) => vec![
            leg(BuiltIn::Input, here, ends, Target::Accept),
            leg(BuiltIn::Forward, there, ends, Target::Masq),
            leg(BuiltIn::Output, there, outside, Target::Accept),
        ],
    }
}

/// The legs of answers. Those to masqueraded connections do not meet
/// `forward` (§2).
fn way_back(group: &Group, ends: &Ends, outside: Option<&Ends>) -> Vec<Leg> {
    let (here, there) = (group.near_opener, group.near_answerer);
    let leg = |chain, interface, ends: &Ends| leg(chain, interface, ends, Target::Accept, true);
    match (group.way, outside) {
        (Way::Out, _) => vec![leg(BuiltIn::Input, there, ends)],
        (Way::In, _) => vec![leg(BuiltIn::Output, here, ends)],
        (Way::Within, _) => vec![
            leg(BuiltIn::Output, there.or(here), ends),
            leg(BuiltIn::Input, here.or(there), ends),
        ],
        (Way::Through, None) => vec![
            leg(BuiltIn::Input, there, ends),
            leg(BuiltIn::Forward, here, ends),
            leg(BuiltIn::Output, here, ends),
        ],
        (Way::Through, Some(outside)) => vec![
            leg(BuiltIn::Input, there, outside),
            leg(BuiltIn::Output, here, ends),
        ],
    }
}

fn leg(
    chain: BuiltIn,
    interface: Option<InterfaceName>,
    ends: &Ends,
    target: Target,
    is_answer: bool,
) -> Leg {
    let pattern = interface.map_or(InterfacePattern::ANY, InterfacePattern::Exact);
    let conditions = Conditions {
        source: Test::is(ends.source.0),
        destination: Test::is(ends.destination.0),
        interface: Test::is(pattern),
        // Who answers does not open.
        syn: (is_answer && ends.protocol == protocol::TCP).then_some(Sense::Clear),
        protocol: Test::is(ends.protocol.into()),
        source_ports: Test::is(ends.source.1),
        destination_ports: Test::is(ends.destination.1),
        ..Conditions::ANY
    };
    Leg {
        chain,
        rule: Rule {
            conditions,
            target: Some(target),
            ..Rule::ANY
        },
    }
}
