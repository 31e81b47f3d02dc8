//! Which chains a record meets, and on which interfaces.

use std::sync::Arc;

use portcullis_core::packet::Ipv4Packet;
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
    /// Packets that were found among the steps.
    steps_met: usize,
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
        Self {
            chains,
            interfaces,
            steps_met: 0,
        }
    }

    /// Takes over what another worker found out.
    pub(super) fn add(&mut self, other: &Self) {
        self.steps_met += other.steps_met;
        self.interfaces.add(&other.interfaces);
    }

    pub(super) fn next_capture(&mut self) {
        self.interfaces.next_capture();
    }

    /// Packets that the file of steps names and no capture brought.
    pub fn unmet_steps(&self) -> usize {
        match &self.chains {
            Chains::Steps(named) => named.len() - self.steps_met,
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
        steps: &mut Vec<Step>,
    ) -> impl Iterator<Item = Assumed> + use<> {
        let Network::Ipv4 {
            packet,
            group,
            direction,
            loopback,
        } = *network
        else {
            return assumed(false, false);
        };
        let direction = record.direction.or(direction);
        let mut assumed_chain = false;
        let chains: &[BuiltIn] = match &self.chains {
            Chains::Steps(named) => {
                if let Ok(found) = named.binary_search_by_key(&number, |(record, _)| *record) {
                    steps.extend(&named[found].1);
                    self.steps_met += 1;
                }
                return assumed(false, false);
            }
            Chains::One(BuiltIn::Input) => &[BuiltIn::Input],
            Chains::One(BuiltIn::Forward) => &[BuiltIn::Forward],
            Chains::One(BuiltIn::Output) => &[BuiltIn::Output],
            Chains::Local(local) => route(local, packet, group).chains(),
            Chains::Direction => match direction {
                Some(Direction::Outbound) => &[BuiltIn::Output],
                Some(Direction::Inbound) => &[BuiltIn::Input],
                None => {
                    assumed_chain = true;
                    &[BuiltIn::Input]
                }
            },
        };
        let mut assumed_interface = false;
        for chain in chains {
            let (interface, made_up) = self.interfaces.name(*chain, record.interface, loopback);
            assumed_interface |= made_up;
            steps.push(Step {
                chain: *chain,
                interface,
            });
        }
        assumed(assumed_chain, assumed_interface)
    }
}

fn assumed(chain: bool, interface: bool) -> impl Iterator<Item = Assumed> + use<> {
    let chain = chain.then_some(Assumed::Chain);
    chain
        .into_iter()
        .chain(interface.then_some(Assumed::Interface))
}

/// The route by addresses. A frame that the link layer sends to many is not
/// forwarded, whatever its IP destination.
fn route(local: &LocalAddresses, packet: &[u8], group: bool) -> Route {
    let Ok(packet) = Ipv4Packet::sent(packet, packet.len()) else {
        // Damaged or cut: wherever it is received, that shows.
        return Route::ToHere;
    };
    match local.route(packet.source(), packet.destination()) {
        Route::Through if group => Route::ToHere,
        route => route,
    }
}
