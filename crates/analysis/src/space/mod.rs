//! Exact sets of packets.
//!
//! ```
//! use portcullis_analysis::Space;
//! use portcullis_core::ruleset::{Conditions, Ruleset, Test};
//!
//! let ruleset = Ruleset::new();
//! let mut space = Space::new(&[&ruleset]);
//! let tcp = Conditions { protocol: Test::is(6), ..Conditions::ANY };
//! let tcp = space.conditions(&tcp)?;
//! let rest = space.complement(tcp)?;
//! assert!(space.intersect(tcp, rest)?.is_empty());
//! assert_eq!(space.unite(tcp, rest)?, space.everything());
//! assert_eq!(space.example(tcp).unwrap().key.protocol, 6);
//! # Ok::<(), portcullis_analysis::TooLarge>(())
//! ```

mod blocks;
mod diagram;
mod interfaces;
mod layout;
mod summary;

use std::fmt;

use portcullis_core::names::InterfaceName;
use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{Conditions, Field, Network, PortRange, Ruleset, Test};

pub use blocks::{Block, Blocks, Interfaces, Names, Parts};
pub use summary::{Range, Summary};

use diagram::{Diagram, EMPTY, Exhausted, FULL, Id};
use interfaces::Classes;
use layout::{
    DESTINATION, DESTINATION_PORT, INTERFACE, KIND, LAST_KIND, LEVELS, Ports, SOURCE, SOURCE_PORT,
};

/// A packet as one chain sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// The chain's interface.
    pub interface: InterfaceName,
    /// What rules can test.
    pub key: PacketKey,
}

/// A set of packets of one [`Space`]. Two regions of a space are equal exactly
/// when they hold the same packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region(Id);

impl Region {
    /// No packet at all.
    pub const EMPTY: Self = Self(EMPTY);

    /// Whether no packet is in it.
    pub fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

/// The question takes more work than a space may do: nothing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rules are too entangled to decide this exactly")
    }
}

impl std::error::Error for TooLarge {}

impl From<Exhausted> for TooLarge {
    fn from(_: Exhausted) -> Self {
        Self
    }
}

/// All packets that rules can meet, and the regions made of them.
///
/// Packets are those that pass the checks before the rules (§3): fragments and
/// protocols without ports have port 65535, ICMP types and codes are bytes,
/// only TCP opens connections. Interface names are told apart as far as the
/// rulesets do ([`interfaces`](Self::interfaces)); regions of rules of other
/// rulesets mean nothing here unless they name the same interfaces.
#[derive(Debug)]
pub struct Space {
    diagram: Diagram,
    interfaces: Classes,
    everything: Id,
}

/// Steps that a space may take: some ten seconds.
const MOST_WORK: u64 = 400_000_000;

impl Space {
    /// The packets on all interfaces, told apart as these rulesets do.
    pub fn new(rulesets: &[&Ruleset]) -> Self {
        Self::of(Classes::new(rulesets), MOST_WORK)
    }

    /// The packets on these interfaces and no others, of which there are at
    /// most 65535; no more than `most_work` steps will be taken.
    ///
    /// # Panics
    ///
    /// If there is no interface, or too many.
    pub fn with_interfaces(interfaces: Vec<InterfaceName>, most_work: u64) -> Self {
        Self::of(Classes::only(interfaces), most_work)
    }

    fn of(interfaces: Classes, most_work: u64) -> Self {
        let mut last = vec![255; LEVELS];
        let most = u16::try_from(interfaces.names().len()).ok();
        last[INTERFACE] = most
            .and_then(|most| most.checked_sub(1))
            .expect("1 to 65535 interfaces");
        last[KIND] = LAST_KIND;
        last[SOURCE_PORT] = u16::MAX;
        last[DESTINATION_PORT] = u16::MAX;
        let mut space = Self {
            diagram: Diagram::new(last, most_work),
            interfaces,
            everything: FULL,
        };
        // A dozen nodes, which no bound forbids.
        space.everything = match space.conditions(&Conditions::ANY) {
            Ok(region) => region.0,
            Err(TooLarge) => FULL,
        };
        space
    }

    /// One name for each class of interfaces.
    pub fn interfaces(&self) -> &[InterfaceName] {
        self.interfaces.names()
    }

    /// Every packet.
    pub fn everything(&self) -> Region {
        Region(self.everything)
    }

    /// Steps taken so far.
    pub fn work(&self) -> u64 {
        self.diagram.work()
    }

    /// The packets that meet all conditions of a rule (§4).
    pub fn conditions(&mut self, conditions: &Conditions) -> Result<Region, TooLarge> {
        let mut of_shape = [EMPTY; 3];
        for shape in [Ports::Any, Ports::Byte, Ports::None] {
            of_shape[shape as usize] = self.addresses_and_ports(conditions, shape)?;
        }
        let any = InterfaceName::EMPTY;
        let kinds = self.diagram.by_value(KIND, |kind| {
            let key = layout::key_of_kind(kind);
            let passes = |field| conditions.holds(field, &key, &any);
            let mut flags = [Field::Fragment, Field::Syn, Field::Protocol].into_iter();
            let mut ports = [Field::SourcePort, Field::DestinationPort].into_iter();
            let shape = layout::ports_of(kind);
            let no_ports = shape == Ports::None;
            match flags.all(passes) && (!no_ports || ports.all(passes)) {
                true => of_shape[shape as usize],
                false => EMPTY,
            }
        })?;
        let names = self.interfaces.names().to_vec();
        let key = layout::key_of_kind(0);
        let id = self.diagram.choice(INTERFACE, kinds, EMPTY, |class| {
            conditions.holds(Field::Interface, &key, &names[usize::from(class)])
        })?;
        Ok(Region(id))
    }

    /// The packets that meet the conditions on addresses and, if they have
    /// any, on ports.
    fn addresses_and_ports(&mut self, it: &Conditions, shape: Ports) -> Result<Id, Exhausted> {
        let tests = |field| shape != Ports::None && it.tests(field);
        let any = Test::is(PortRange::ALL);
        let destination = match tests(Field::DestinationPort) {
            true => &it.destination_ports,
            false => &any,
        };
        let source = match tests(Field::SourcePort) {
            true => &it.source_ports,
            false => &any,
        };
        let ports = self.ports(DESTINATION_PORT, destination, shape, FULL)?;
        let ports = self.ports(SOURCE_PORT, source, shape, ports)?;
        let addresses = self.network(DESTINATION, &it.destination, ports)?;
        self.network(SOURCE, &it.source, addresses)
    }

    fn ports(
        &mut self,
        level: usize,
        test: &Test<PortRange>,
        shape: Ports,
        to: Id,
    ) -> Result<Id, Exhausted> {
        let range = (test.value.first, test.value.last);
        let (inside, outside) = match test.is_inverted() {
            false => (to, EMPTY),
            true => (EMPTY, to),
        };
        let chosen = self.diagram.interval(level, range, inside, outside)?;
        let possible = self.diagram.interval(level, shape.bounds(), FULL, EMPTY)?;
        self.diagram.intersect(chosen, possible)
    }

    fn network(&mut self, level: usize, test: &Test<Network>, to: Id) -> Result<Id, Exhausted> {
        let (mut inside, outside) = match test.is_inverted() {
            false => (to, EMPTY),
            true => (EMPTY, to),
        };
        for place in (0..4).rev() {
            let mask = layout::octet(test.value.mask(), place);
            let wanted = layout::octet(test.value.address(), place);
            inside = self
                .diagram
                .choice(level + place, inside, outside, |it| it & mask == wanted)?;
        }
        Ok(inside)
    }

    /// The packets that are in `a`, `b` or both.
    pub fn unite(&mut self, a: Region, b: Region) -> Result<Region, TooLarge> {
        Ok(Region(self.diagram.unite(a.0, b.0)?))
    }

    /// The packets that are in both.
    pub fn intersect(&mut self, a: Region, b: Region) -> Result<Region, TooLarge> {
        Ok(Region(self.diagram.intersect(a.0, b.0)?))
    }

    /// The packets of `a` that are not in `b`.
    pub fn subtract(&mut self, a: Region, b: Region) -> Result<Region, TooLarge> {
        Ok(Region(self.diagram.subtract(a.0, b.0)?))
    }

    /// The packets that are not in it.
    pub fn complement(&mut self, region: Region) -> Result<Region, TooLarge> {
        self.subtract(self.everything(), region)
    }

    /// Whether every packet of `a` is in `b`.
    pub fn is_within(&mut self, a: Region, b: Region) -> Result<bool, TooLarge> {
        Ok(self.subtract(a, b)?.is_empty())
    }

    /// Whether a packet is in it; never if its interface is none of the
    /// space's.
    pub fn contains(&self, region: Region, packet: &Packet) -> bool {
        self.interfaces
            .class(&packet.interface)
            .is_some_and(|class| {
                self.diagram.contains(region.0, |level| match level {
                    INTERFACE => class,
                    level => layout::value(&packet.key, level),
                })
            })
    }

    /// How many packets there are in it, a class of interfaces counting as
    /// one; exact below 2⁵³.
    pub fn count(&self, region: Region) -> f64 {
        self.diagram.count(region.0)
    }

    /// A packet of it, as ordinary as there is; `None` if it is empty.
    pub fn example(&self, region: Region) -> Option<Packet> {
        if region.is_empty() {
            return None;
        }
        let mut values = [0; LEVELS];
        let mut id = region.0;
        for level in 0..LEVELS {
            let wanted = layout::usual(level, &values);
            if self.diagram.level(id) == level {
                (values[level], id) = choose(self.diagram.edges(id), wanted)?;
            } else {
                values[level] = wanted.first().copied().unwrap_or(0);
            }
        }
        Some(self.packet(&values))
    }

    fn packet(&self, values: &[u16; LEVELS]) -> Packet {
        let address = |level: usize| {
            let octets = [0, 1, 2, 3].map(|place| values[level + place] as u8);
            u32::from_be_bytes(octets)
        };
        Packet {
            interface: self.interfaces.names()[usize::from(values[INTERFACE])],
            key: PacketKey {
                source: address(SOURCE),
                destination: address(DESTINATION),
                source_port: values[SOURCE_PORT],
                destination_port: values[DESTINATION_PORT],
                ..layout::key_of_kind(values[KIND])
            },
        }
    }
}

/// A value that leads on, and where to: a wanted one, or the lowest.
fn choose(edges: &[diagram::Edge], wanted: &[u16]) -> Option<(u16, Id)> {
    let leads_on = |value: &u16| {
        let edge = edges.get(edges.partition_point(|edge| edge.last < *value))?;
        (edge.to != EMPTY).then_some((*value, edge.to))
    };
    let lowest = || {
        let place = edges.iter().position(|edge| edge.to != EMPTY)?;
        let first = match place.checked_sub(1) {
            Some(before) => edges[before].last + 1,
            None => 0,
        };
        Some((first, edges[place].to))
    };
    wanted.iter().find_map(leads_on).or_else(lowest)
}
