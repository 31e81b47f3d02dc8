//! Which built-in chains a packet meets (§2).

use alloc::vec::Vec;

use crate::names::InterfaceName;
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
    #[inline(always)]
    pub fn sides(&self, source: u32, destination: u32) -> (bool, bool) {
        (self.contains(source), self.contains(destination))
    }

    /// Directions alternate from packet to packet, so nothing branches on them.
    #[inline(always)]
    fn contains(&self, address: u32) -> bool {
        let contains = |found, network: &Network| found | network.contains(address);
        self.networks.iter().fold(false, contains)
    }
}

impl Default for LocalAddresses {
    /// Loopback addresses.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// Whether an address is multicast (224.0.0.0/4) or the limited broadcast.
#[inline]
pub fn is_group(address: u32) -> bool {
    Network::with_prefix(0xe000_0000, 4).contains(address) | (address == u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
