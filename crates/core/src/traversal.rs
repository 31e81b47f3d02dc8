//! Which built-in chains a packet meets (§2).

use alloc::vec::Vec;

use crate::names::InterfaceName;
use crate::packet::Column;
use crate::ruleset::{BuiltIn, Network, Verdict};

/// One chain that a packet is given to, with the interface that its rules
/// see: the receiving one in `input`, the outgoing one in `forward` and
/// `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The chain.
    pub chain: BuiltIn,
    /// The interface.
    pub interface: InterfaceName,
}

impl Step {
    /// Whether a packet goes on after this chain said `verdict`.
    ///
    /// MASQ in `forward` does not: masquerading makes another packet of it.
    pub fn lets_through(&self, verdict: Verdict) -> bool {
        match self.chain {
            BuiltIn::Input => matches!(verdict, Verdict::Accept | Verdict::Masq),
            BuiltIn::Forward => verdict == Verdict::Accept,
            BuiltIn::Output => !matches!(verdict, Verdict::Deny | Verdict::Reject),
        }
    }
}

/// Where a packet comes from and goes to, seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// From elsewhere to this machine: `input`.
    ToHere,
    /// From this machine to elsewhere: `output`.
    FromHere,
    /// From elsewhere to elsewhere: `input`, `forward`, `output`.
    Through,
    /// From this machine to itself: `output`, then `input`.
    Within,
}

impl Route {
    /// The route of a packet, by whether its source is this machine's own,
    /// whether its destination is, and whether that is a group of machines.
    pub fn new(from_here: bool, to_here: bool, to_group: bool) -> Self {
        match (from_here, to_here) {
            (true, true) => Self::Within,
            (true, false) => Self::FromHere,
            (false, true) => Self::ToHere,
            (false, false) if to_group => Self::ToHere,
            (false, false) => Self::Through,
        }
    }

    /// The chains on the way, in order.
    pub fn chains(self) -> &'static [BuiltIn] {
        match self {
            Self::ToHere => &[BuiltIn::Input],
            Self::FromHere => &[BuiltIn::Output],
            Self::Through => &[BuiltIn::Input, BuiltIn::Forward, BuiltIn::Output],
            Self::Within => &[BuiltIn::Output, BuiltIn::Input],
        }
    }
}

/// The addresses that are this machine's own.
#[derive(Clone, Debug)]
pub struct LocalAddresses {
    networks: Vec<Network>,
}

impl LocalAddresses {
    /// Every address in one of these networks is this machine's own, and so
    /// is every loopback address.
    pub fn new(networks: Vec<Network>) -> Self {
        let mut networks = networks;
        networks.push(Network::with_prefix(0x7f00_0000, 8));
        Self { networks }
    }

    /// The route of a packet. Broadcast and multicast from elsewhere is for
    /// this machine and is not forwarded.
    #[inline]
    pub fn route(&self, source: u32, destination: u32) -> Route {
        let (from_here, to_here) = self.sides(source, destination);
        Route::new(from_here, to_here, is_group(destination))
    }

    /// Whether a packet's source and its destination are this machine's own.
    #[inline]
    fn sides(&self, source: u32, destination: u32) -> (bool, bool) {
        let contains = |address| self.networks.iter().any(|it| it.contains(address));
        (contains(source), contains(destination))
    }

    /// Sets for each packet of a batch bit 1 where the source is this machine's
    /// own, and bit 0 where the destination is; other bits stay. Directions alternate from packet
    /// to packet, so nothing branches on them.
    #[inline(always)]
    pub fn sides_each(&self, sources: &Column, destinations: &Column, sides: &mut Column) {
        for network in &self.networks {
            for ((side, source), destination) in sides.iter_mut().zip(sources).zip(destinations) {
                let from_here = u32::from(network.contains(*source));
                *side |= from_here << 1 | u32::from(network.contains(*destination));
            }
        }
    }
}

impl Default for LocalAddresses {
    /// Loopback addresses.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// Whether an address is multicast (224.0.0.0/4) or the limited broadcast.
#[inline(always)]
pub fn is_group(address: u32) -> bool {
    Network::with_prefix(0xe000_0000, 4).contains(address) | (address == u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BATCH;

    #[test]
    fn the_sides_of_a_batch_are_those_of_each() {
        let local = LocalAddresses::new([Network::with_prefix(0x0a00_0001, 32)].to_vec());
        let some = [0x0a00_0001, 0x0a00_0002, 0x7f00_0001, 0, u32::MAX];
        let sources: Column = core::array::from_fn(|packet| some[packet % 5]);
        let destinations: Column = core::array::from_fn(|packet| some[packet / 5 % 5]);
        let mut sides = [0; BATCH];
        local.sides_each(&sources, &destinations, &mut sides);
        for (packet, side) in sides.into_iter().enumerate() {
            let (from_here, to_here) = local.sides(sources[packet], destinations[packet]);
            assert_eq!(side, u32::from(from_here) << 1 | u32::from(to_here));
        }
    }

    #[test]
    fn addresses_tell_the_route() {
        let local = LocalAddresses::new([Network::with_prefix(0x0a00_0001, 32)].to_vec());
        for (source, destination, route) in [
            (0x0b00_0001, 0x0a00_0001, Route::ToHere),
            (0x0a00_0001, 0x0b00_0001, Route::FromHere),
            (0x0b00_0001, 0x0b00_0002, Route::Through),
            (0x0a00_0001, 0x0a00_0001, Route::Within),
            (0x0b00_0001, 0xffff_ffff, Route::ToHere),
            (0x0b00_0001, 0xe000_0005, Route::ToHere),
            (0x0a00_0001, 0xe000_0005, Route::FromHere),
        ] {
            assert_eq!(local.route(source, destination), route);
        }
    }
}
