//! Eight rules side by side, compared in one go.

use crate::plain_rule::{Address, PlainRule, Ports, Probe, Protocol};
use crate::simd::Simd;

/// Rules in a block.
pub(crate) const LANES: usize = 8;

/// Eight rules, field by field, in order of their numbers: 256 bytes.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Block {
    pub(crate) source: [u32; LANES],
    pub(crate) source_mask: [u32; LANES],
    pub(crate) destination: [u32; LANES],
    pub(crate) destination_mask: [u32; LANES],
    /// First ports, laid out as in [`Probe::ports`].
    pub(crate) first_ports: [u32; LANES],
    /// Widths of the port ranges, likewise.
    pub(crate) port_widths: [u32; LANES],
    /// Rule numbers; those of empty lanes are the highest.
    pub(crate) numbers: [u32; LANES],
    pub(crate) protocol: [u8; LANES],
    /// Interface tests.
    pub(crate) interface: [u16; LANES],
    /// For each kind of packet the lanes that accept it.
    pub(crate) kinds: [u8; 4],
    /// Lanes that take any protocol.
    pub(crate) any_protocol: u8,
    /// Lanes whose protocol test is inverted.
    pub(crate) not_protocol: u8,
    /// Lanes whose source test is inverted.
    pub(crate) not_source: u8,
    /// Lanes whose destination test is inverted.
    pub(crate) not_destination: u8,
}

impl Block {
    /// The rules, in order of their numbers, in as many blocks as they need.
    pub(crate) fn pack<'a>(rules: impl Iterator<Item = &'a PlainRule>, blocks: &mut Vec<Self>) {
        for (place, rule) in rules.enumerate() {
            if place % LANES == 0 {
                blocks.push(Self::EMPTY);
            }
            if let Some(block) = blocks.last_mut() {
                block.set(place % LANES, rule);
            }
        }
    }

    /// No lane matches anything.
    const EMPTY: Self = Self {
        source: [0; LANES],
        source_mask: [0; LANES],
        destination: [0; LANES],
        destination_mask: [0; LANES],
        first_ports: [0; LANES],
        port_widths: [0; LANES],
        numbers: [u32::MAX; LANES],
        protocol: [0; LANES],
        interface: [0; LANES],
        kinds: [0; 4],
        any_protocol: 0,
        not_protocol: 0,
        not_source: 0,
        not_destination: 0,
    };

    /// The first rule of these blocks from number `from` on that matches.
    ///
    /// A plain loop: closures would not be compiled for the instruction set.
    #[inline(always)]
    pub(crate) fn first_in<S: Simd>(
        simd: S,
        blocks: &[Self],
        probe: &Probe,
        from: u32,
        holding: &[bool],
    ) -> Option<u32> {
        for block in blocks {
            let lanes = simd.matching(block, probe);
            if lanes != 0
                && let Some(number) = block.first_of(lanes, from, holding)
            {
                return Some(number);
            }
        }
        None
    }

    /// The first lane of those in `lanes` with a rule number of at least
    /// `from` whose interface test holds; its rule number.
    #[inline(always)]
    fn first_of(&self, lanes: u32, from: u32, holding: &[bool]) -> Option<u32> {
        let mut left = lanes;
        while left != 0 {
            let lane = left.trailing_zeros() as usize % LANES;
            let interface = usize::from(self.interface[lane]);
            if self.numbers[lane] >= from && (interface == 0 || holding[interface]) {
                return Some(self.numbers[lane]);
            }
            left &= left - 1;
        }
        None
    }

    /// The lanes that match, their interfaces aside: what every SIMD form
    /// computes, written plainly.
    #[inline(always)]
    pub(crate) fn matching(&self, probe: &Probe) -> u32 {
        let mut lanes = 0;
        for lane in 0..LANES {
            let bit = |lanes: u8| lanes >> lane & 1 != 0;
            let source = Address {
                value: self.source[lane],
                mask: self.source_mask[lane],
                inverted: bit(self.not_source),
            };
            let destination = Address {
                value: self.destination[lane],
                mask: self.destination_mask[lane],
                inverted: bit(self.not_destination),
            };
            let ports = |shift: u32| Ports {
                first: (self.first_ports[lane] >> shift) as u16,
                width: (self.port_widths[lane] >> shift) as u16,
            };
            let same_protocol = self.protocol[lane] == probe.protocol;
            let matches = source.contains(probe.source)
                & destination.contains(probe.destination)
                & ports(0).contains(probe.source_port())
                & ports(16).contains(probe.destination_port())
                & ((same_protocol != bit(self.not_protocol)) | bit(self.any_protocol))
                & bit(self.kinds[usize::from(probe.kind % 4)]);
            lanes |= u32::from(matches) << lane;
        }
        lanes
    }

    fn set(&mut self, lane: usize, rule: &PlainRule) {
        let meets = &rule.meets;
        let bit = 1 << lane;
        self.source[lane] = meets.source.value;
        self.source_mask[lane] = meets.source.mask;
        self.destination[lane] = meets.destination.value;
        self.destination_mask[lane] = meets.destination.mask;
        let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        let (source, destination) = (meets.source_port, meets.destination_port);
        self.first_ports[lane] = pair(source.first, destination.first);
        self.port_widths[lane] = pair(source.width, destination.width);
        self.numbers[lane] = rule.number;
        self.interface[lane] = meets.interface;
        for (kind, lanes) in self.kinds.iter_mut().enumerate() {
            *lanes |= (meets.kinds >> kind & 1) << lane;
        }
        match meets.protocol {
            Protocol::Any => self.any_protocol |= bit,
            Protocol::Is(number) => self.protocol[lane] = number,
            Protocol::IsNot(number) => {
                self.protocol[lane] = number;
                self.not_protocol |= bit;
            }
        }
        if meets.source.inverted {
            self.not_source |= bit;
        }
        if meets.destination.inverted {
            self.not_destination |= bit;
        }
    }
}
