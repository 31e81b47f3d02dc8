//! Interfaces and addresses that are probably written wrong.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Conditions, InterfacePattern, Network, Rule, Test};

use super::finding::{Finding, Kind, add, denies};
use super::{Machine, Views};
use crate::{Space, TooLarge};

pub(super) fn ask(
    space: &mut Space,
    views: &Views<'_>,
    _: &Machine,
) -> Result<Vec<Finding>, TooLarge> {
    let mut findings = Vec::new();
    let named = Named::new(views);
    for place in views.places() {
        let rule = views.rule(place);
        let shown = views.shown(space, place);
        if let Some(name) = odd_interface(rule) {
            add(&mut findings, Kind::OddInterface(name), place, None);
        }
        for network in networks(&rule.conditions) {
            if let Some(meant) = almost_loopback(rule, network).or_else(|| named.almost(network)) {
                let written = network;
                let kind = Kind::NearMiss { written, meant };
                add(&mut findings, kind, place, shown);
            }
            if is_part_of_multicast(network) && shown.is_some() {
                add(&mut findings, Kind::PartOfMulticast(network), place, shown);
            }
        }
        if denies_handed_out(rule) && shown.is_some() {
            add(&mut findings, Kind::HandedOut, place, shown);
        }
    }
    Ok(findings)
}

/// The networks that a rule names, without `!`.
fn networks(conditions: &Conditions) -> impl Iterator<Item = Network> {
    let both = [conditions.source, conditions.destination];
    let plain = both.into_iter().filter(|it| !it.is_inverted());
    plain.map(|it| it.value).filter(|it| *it != Network::ANY)
}

/// `-i !eth0` lacks a blank; `-i eth*` is how a shell says `eth+`.
fn odd_interface(rule: &Rule) -> Option<InterfaceName> {
    let name = *rule.conditions.interface.value.name();
    let text = name.as_str();
    let is_exact = matches!(rule.conditions.interface.value, InterfacePattern::Exact(_));
    (text.starts_with('!') || (is_exact && text.contains('*'))).then_some(name)
}

/// All networks that the rules name.
struct Named(BTreeSet<(u32, u8)>);

impl Named {
    fn new(views: &Views<'_>) -> Self {
        let networks = views
            .places()
            .flat_map(|place| networks(&views.rule(place).conditions));
        Self(
            networks
                .filter_map(|it| Some((it.address(), it.prefix_length()?)))
                .collect(),
        )
    }

    /// A network of several octets that an address would be in if one digit
    /// of it were another, or two stood the other way round; `None` if the
    /// address lies in a network that is named, or has neighbours.
    fn almost(&self, written: Network) -> Option<Network> {
        const OCTETS: [u8; 2] = [16, 24];
        let address = written.address();
        if Ipv4Addr::from_bits(address).is_private() {
            return None;
        }
        let length = written.prefix_length()?;
        let wider = || {
            let wider = self.0.iter().filter(move |(_, other)| *other < length);
            wider.map(|(address, length)| Network::with_prefix(*address, *length))
        };
        if wider().any(|it| it.contains(address)) {
            return None;
        }
        wider().find(|meant| {
            let Some(octets) = meant.prefix_length().filter(|it| OCTETS.contains(it)) else {
                return false;
            };
            let own = Network::with_prefix(address, octets);
            let mut others = self.0.iter().filter(|it| **it != (address, length));
            let has_neighbours = others.any(|(other, _)| own.contains(*other));
            !has_neighbours && one_slip(own.address(), meant.address())
        })
    }
}

/// The network of `lo`, if a rule about `lo` names almost that.
fn almost_loopback(rule: &Rule, written: Network) -> Option<Network> {
    const LOOPBACK: Network = Network::with_prefix(0x7f00_0000, 8);
    let interface = rule.conditions.interface;
    let is_loopback = !interface.is_inverted()
        && interface.value.name().as_str() == "lo"
        && written.prefix_length().is_some_and(|it| it >= 8);
    let own = written.address() & LOOPBACK.mask();
    (is_loopback && one_slip(own, LOOPBACK.address())).then_some(LOOPBACK)
}

/// Whether two addresses differ in one octet, and there in one digit or in the
/// order of two.
fn one_slip(one: u32, other: u32) -> bool {
    let pairs = one.to_be_bytes().into_iter().zip(other.to_be_bytes());
    let mut different = pairs.filter(|(one, other)| one != other);
    let (Some((one, other)), None) = (different.next(), different.next()) else {
        return false;
    };
    let (one, other) = (one.to_string(), other.to_string());
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let places: Vec<usize> = (0..one.len()).filter(|it| one[*it] != other[*it]).collect();
    match places[..] {
        [_] => true,
        [first, second] => {
            second == first + 1 && one[first] == other[second] && one[second] == other[first]
        }
        _ => false,
    }
}

/// 224.0.0.0/4 is multicast; a longer mask of whole octets' look takes a part.
fn is_part_of_multicast(network: Network) -> bool {
    network.address() == 0xe000_0000 && matches!(network.prefix_length(), Some(5..=8))
}

/// First octets that were reserved when Linux 2.2 was new and are in use since,
/// as the registry of IANA tells: first and last of each run.
const HANDED_OUT: [(u8, u8); 18] = [
    (1, 2),
    (5, 5),
    (14, 14),
    (23, 23),
    (27, 27),
    (31, 31),
    (36, 37),
    (39, 39),
    (41, 42),
    (46, 46),
    (49, 50),
    (58, 60),
    (65, 126),
    (173, 187),
    (189, 190),
    (197, 197),
    (201, 201),
    (217, 223),
];

/// Whether a rule denies everything from or to a whole block of them.
fn denies_handed_out(rule: &Rule) -> bool {
    let conditions = &rule.conditions;
    let plain = conditions.protocol == Test::is(0)
        && conditions.fragment.is_none()
        && conditions.syn.is_none();
    denies(rule.target) && plain && networks(conditions).any(is_handed_out)
}

fn is_handed_out(network: Network) -> bool {
    let Some(length) = network.prefix_length().filter(|it| (3..=8).contains(it)) else {
        return false;
    };
    let first = network.address() >> 24;
    let last = first + (1 << (8 - length)) - 1;
    (first..=last).all(|octet| {
        let mut runs = HANDED_OUT.iter();
        runs.any(|(from, to)| (u32::from(*from)..=u32::from(*to)).contains(&octet))
    })
}
