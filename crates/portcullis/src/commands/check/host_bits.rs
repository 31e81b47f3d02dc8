//! Addresses with bits outside their masks.

use std::net::Ipv4Addr;
use std::ops::Range;

use portcullis_analysis::{Decided, Space, TooLarge};
use portcullis_core::matcher::Place;
use portcullis_core::ruleset::{BuiltIn, Conditions, Network, Test};
use portcullis_syntax::script::CutAddress;

use crate::rules::RuleFile;

/// An address that means more than it seems to.
pub(super) struct HostBits {
    /// As it stands in the file.
    pub(super) written: String,
    /// What ipchains makes of it.
    pub(super) meant: String,
    /// The bytes of the file where it is written first.
    pub(super) span: Range<usize>,
    /// The rule there.
    pub(super) place: Place,
    /// Other rules with it.
    pub(super) others: Vec<Place>,
    /// A packet that matches, of another than the one address.
    pub(super) example: Option<String>,
}

/// All of a file's rules that are still there, each that is written once.
pub(super) fn find(rules: &RuleFile, space: &mut Space) -> Vec<HostBits> {
    let ruleset = &rules.script.ruleset;
    let mut all: Vec<HostBits> = Vec::new();
    if rules.script.cut_addresses.is_empty() {
        return all;
    }
    // What is too large to decide is no reason not to tell of the rest.
    let decided: Vec<(BuiltIn, Decided)> = BuiltIn::ALL
        .into_iter()
        .filter_map(|chain| Some((chain, Decided::new(space, ruleset, chain).ok()?)))
        .collect();
    for cut in &rules.script.cut_addresses {
        let Some(place) = rule_with(rules, cut) else {
            continue;
        };
        let known = all.iter_mut().find(|it| it.written == cut.written);
        match known {
            Some(it) if it.place == place || it.others.contains(&place) => {}
            Some(it) => it.others.push(place),
            None => all.push(HostBits {
                written: cut.written.clone(),
                meant: meant(&cut.network),
                span: cut.span.clone(),
                place,
                others: Vec::new(),
                example: example(space, &decided, cut, place).unwrap_or_default(),
            }),
        }
    }
    all
}

fn meant(network: &Network) -> String {
    let first = Ipv4Addr::from_bits(network.address());
    match network.prefix_length() {
        Some(0) => "every address".to_owned(),
        Some(length) => format!("{first}/{length}"),
        None => format!("{first}/{}", Ipv4Addr::from_bits(network.mask())),
    }
}

fn rule_with(rules: &RuleFile, cut: &CutAddress) -> Option<Place> {
    let chains = rules.script.ruleset.chains().iter().zip(0..);
    let mut places = chains.flat_map(|(it, chain)| {
        let rules = 0..it.rules().len() as u32;
        rules.map(move |rule| (it.name(), Place { chain, rule }))
    });
    let found = places.find(|(name, place)| {
        let span = rules.script.origins.rule(name, place.rule as usize);
        span.is_some_and(|it| it.start <= cut.span.start && cut.span.end <= it.end)
    });
    found.map(|(_, place)| place)
}

fn example(
    space: &mut Space,
    decided: &[(BuiltIn, Decided)],
    cut: &CutAddress,
    place: Place,
) -> Result<Option<String>, TooLarge> {
    let alone = cut.written.split('/').next().and_then(|it| it.parse().ok());
    let Some(alone) = alone.map(Ipv4Addr::to_bits) else {
        return Ok(None);
    };
    let host = Test::is(Network::with_prefix(alone, 32));
    let from = space.conditions(&Conditions {
        source: host,
        ..Conditions::ANY
    })?;
    let to = space.conditions(&Conditions {
        destination: host,
        ..Conditions::ANY
    })?;
    let either = space.unite(from, to)?;
    for (chain, decided) in decided {
        let others = space.subtract(decided.passage(place).matched, either)?;
        if let Some(packet) = space.example(others) {
            return Ok(Some(format!("{chain} {packet}")));
        }
    }
    Ok(None)
}
