//! Which chains a record meets, and on which interfaces.

use std::sync::Arc;

use portcullis_core::batch::BATCH;
use portcullis_core::packet::{Column, Ipv4Packet, KeyColumns, Unusable};
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::{LocalAddresses, Route, Step, is_group};

use super::interfaces::InterfaceNames;
use super::tally::Assumed;
use crate::Direction;
use crate::capture::{CaptureInterface, Record};
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
        let way = match &self.chains {
            Chains::Steps(named) => {
                if let Ok(found) = named.binary_search_by_key(&number, |(record, _)| *record) {
                    steps.extend(&named[found].1);
                }
                return Guessed::default();
            }
            Chains::Local(local) => Way::Routed(route(local, packet, group)),
            Chains::One(chain) => Way::Chain(*chain),
            Chains::Direction => Way::Directed(record.direction.or(direction)),
        };
        self.steps_of(way, record.interface, loopback, steps)
    }

    /// What tells the ways of received packets: adds to what the frames tell, as
    /// [`Signs::of_frame`] has it.
    #[inline(always)]
    pub(super) fn signs(&self, keys: &KeyColumns, signs: &mut Column) {
        let mut sides = [0; BATCH];
        if let Chains::Local(local) = &self.chains {
            local.sides_each(keys.sources(), keys.destinations(), &mut sides);
        }
        for ((sign, side), destination) in signs.iter_mut().zip(sides).zip(keys.destinations()) {
            *sign |= side << 1 | u32::from(is_group(*destination));
        }
    }

    /// The way of packets with these signs; `None` where more than these tell it.
    pub(super) fn way(&self, signs: Signs) -> Option<Way> {
        if signs.0 >> Signs::ALONE & 1 != 0 {
            return None;
        }
        match &self.chains {
            Chains::Local(_) => {
                let is_set = |bit: u8| signs.0 >> bit & 1 != 0;
                Some(Way::Routed(Route::new(is_set(2), is_set(1), is_set(0))))
            }
            Chains::Steps(_) => None,
            Chains::One(chain) => Some(Way::Chain(*chain)),
            Chains::Direction => Some(Way::Directed(match signs.0 >> 3 & 3 {
                0 => None,
                1 => Some(Direction::Inbound),
                _ => Some(Direction::Outbound),
            })),
        }
    }

    /// Appends the steps of a way that starts at this interface.
    pub(super) fn steps_of(
        &mut self,
        way: Way,
        interface: &CaptureInterface,
        loopback: bool,
        steps: &mut Vec<Step>,
    ) -> Guessed {
        let mut guessed = Guessed::default();
        let mut loopback = loopback;
        let chains: &[BuiltIn] = match way {
            Way::Chain(BuiltIn::Forward) => &[BuiltIn::Forward],
            Way::Chain(BuiltIn::Output) | Way::Directed(Some(Direction::Outbound)) => {
                &[BuiltIn::Output]
            }
            Way::Chain(BuiltIn::Input) | Way::Directed(Some(Direction::Inbound)) => {
                &[BuiltIn::Input]
            }
            Way::Directed(None) => {
                guessed.chain = true;
                &[BuiltIn::Input]
            }
            Way::Routed(route) => {
                guessed.outgoing = route == Route::Through && !self.interfaces.tells_outgoing();
                // What a machine sends to itself crosses no other interface.
                loopback |= route == Route::Within;
                route.chains()
            }
        };
        for chain in chains {
            let (interface, made_up) = self.interfaces.name(*chain, interface, loopback);
            guessed.interface |= made_up;
            steps.push(Step {
                chain: *chain,
                interface,
            });
        }
        guessed
    }
}

/// What tells a packet's chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Chain(BuiltIn),
    Directed(Option<Direction>),
    Routed(Route),
}

/// What tells the way of a plain packet, in a few bits, so that it can be looked
/// up: the interface and direction of its frame, and whether the packet comes from
/// here, goes here, and goes to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signs(u32);

impl Signs {
    /// How many there are for each interface.
    pub(super) const NUMBERS: usize = 64;
    /// The bit of packets that must be judged on their own, whatever else they
    /// show.
    pub(super) const ALONE: u32 = 5;

    /// What the frame tells, for [`Placement::signs`]: the index of its interface,
    /// its direction, and whether the link layer sends it to many.
    #[inline(always)]
    pub(super) fn of_frame(interface: usize, direction: Option<Direction>, group: bool) -> u32 {
        let direction = direction.map_or(0, |direction| 1 + direction as u32);
        (interface as u32) << 8 | direction << 3 | u32::from(group)
    }

    /// Signs as [`Placement::signs`] gives them.
    #[inline(always)]
    pub(super) fn new(signs: u32) -> Self {
        Self(signs)
    }

    /// The interface's index.
    #[inline(always)]
    pub(super) fn interface(self) -> usize {
        (self.0 >> 8) as usize
    }

    /// Tells apart those of one interface.
    #[inline(always)]
    pub(super) fn number(self) -> usize {
        self.0 as usize % Self::NUMBERS
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
