//! Which chains a record meets, and on which interfaces.

use std::sync::Arc;

use portcullis_core::packet::{Ipv4Packet, Unusable};
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::{LocalAddresses, Route, Step};

use super::interfaces::InterfaceNames;
use super::tally::Assumed;
use crate::Direction;
use crate::capture::Record;
use crate::link::Network;

/// Decides which chains a record meets.
#[derive(Clone)]
pub struct Placement {
    chains: Chains,
    interfaces: InterfaceNames,
}

/// What tells the chains.
#[derive(Clone)]
pub enum Chains {
    /// Steps for record numbers, which rise; records without are left out.
    Steps(Arc<[(u64, Vec<Step>)]>),
    /// Every record meets this chain.
    One(BuiltIn),
    /// This machine's own addresses.
    Local(LocalAddresses),
    /// The direction that the capture knows; without one, `input`.
    Direction,
}

impl Chains {
    /// Steps for record numbers, counted over all captures.
    pub fn from_steps(steps: Vec<(u64, Vec<Step>)>) -> Self {
        Self::Steps(steps.into())
    }
}

impl Placement {
    /// Chains and interface names.
    pub fn new(chains: Chains, interfaces: InterfaceNames) -> Self {
        Self { chains, interfaces }
    }

    /// Takes over what another worker found out.
    pub(super) fn add(&mut self, other: &Self) {
        self.interfaces.add(&other.interfaces);
    }

    pub(super) fn next_capture(&mut self) {
        self.interfaces.next_capture();
    }

    /// How many packets the file of steps names behind this record number:
    /// after the last record, those that no capture brought.
    pub fn steps_after(&self, record: u64) -> usize {
        match &self.chains {
            Chains::Steps(named) => {
                named.len() - named.partition_point(|(number, _)| *number <= record)
            }
            _ => 0,
        }
    }

    /// How interfaces were named.
    pub fn interfaces(&self) -> &InterfaceNames {
        &self.interfaces
    }

    /// Appends the steps of a record that carries IPv4, and says what was
    /// assumed about them. `number` counts over all captures.
    pub(super) fn place(
        &mut self,
        number: u64,
        record: &Record<'_>,
        network: &Network<'_>,
        packet: &Result<Ipv4Packet<'_>, Unusable>,
        steps: &mut Vec<Step>,
    ) -> Guessed {
        let Network::Ipv4 {
            group,
            direction,
            loopback,
            ..
        } = *network
        else {
            return Guessed::default();
        };
        let direction = record.direction.or(direction);
        let mut guessed = Guessed::default();
        let mut loopback = loopback;
        let chains: &[BuiltIn] = match &self.chains {
            Chains::Steps(named) => {
                if let Ok(found) = named.binary_search_by_key(&number, |(record, _)| *record) {
                    steps.extend(&named[found].1);
                }
                return Guessed::default();
            }
            Chains::One(BuiltIn::Input) => &[BuiltIn::Input],
            Chains::One(BuiltIn::Forward) => &[BuiltIn::Forward],
            Chains::One(BuiltIn::Output) => &[BuiltIn::Output],
            Chains::Local(local) => {
                let route = route(local, packet, group);
                guessed.outgoing = route == Route::Through && !self.interfaces.tells_outgoing();
                // What a machine sends to itself crosses no other interface.
                loopback |= route == Route::Within;
                route.chains()
            }
            Chains::Direction => match direction {
                Some(Direction::Outbound) => &[BuiltIn::Output],
                Some(Direction::Inbound) => &[BuiltIn::Input],
                None => {
                    guessed.chain = true;
                    &[BuiltIn::Input]
                }
            },
        };
        for chain in chains {
            let (interface, made_up) = self.interfaces.name(*chain, record.interface, loopback);
            guessed.interface |= made_up;
            steps.push(Step {
                chain: *chain,
                interface,
            });
        }
        guessed
    }
}

/// What was taken for granted about one record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guessed {
    chain: bool,
    interface: bool,
    outgoing: bool,
}

impl Guessed {
    pub(super) fn all(self) -> impl Iterator<Item = Assumed> {
        [
            self.chain.then_some(Assumed::Chain),
            self.interface.then_some(Assumed::Interface),
            self.outgoing.then_some(Assumed::Outgoing),
        ]
        .into_iter()
        .flatten()
    }
}

/// The route by addresses. A frame that the link layer sends to many is not
/// forwarded, whatever its IP destination.
fn route(local: &LocalAddresses, packet: &Result<Ipv4Packet<'_>, Unusable>, group: bool) -> Route {
    let Ok(packet) = packet else {
        // Damaged or cut: wherever it is received, that shows.
        return Route::ToHere;
    };
    match local.route(packet.source(), packet.destination()) {
        Route::Through if group => Route::ToHere,
        route => route,
    }
}
