//! Packets and rules as 128 bits, which tables are indexed by.
//!
//! The first word holds source and destination address; the second one, from
//! its lowest bit on, source port, destination port, protocol, and for each
//! port twelve bits that say which thresholds it reaches, so that ranges too
//! can be told apart by single bits.

use hashbrown::HashMap;

use crate::plain_rule::{Address, PlainRule, Ports, Probe, Protocol};
use crate::simd::{Simd, Thresholds};

/// Thresholds of each port.
const THRESHOLDS: usize = 12;
const PROTOCOL_SHIFT: u32 = 32;
const THRESHOLD_SHIFT: u32 = 40;

/// Bits of the packets that a rule matches: `value` counts where `care` is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ternary {
    pub(super) value: [u64; 2],
    pub(super) care: [u64; 2],
}

/// The bits of a packet.
#[inline(always)]
pub(super) fn bits_of<S: Simd>(simd: S, probe: &Probe, thresholds: &Thresholds) -> [u64; 2] {
    let reached = u64::from(simd.reached(thresholds, probe.ports));
    let reached = reached & 0xfff | reached >> 4 & 0xff_f000;
    [
        u64::from(probe.source) << 32 | u64::from(probe.destination),
        u64::from(probe.ports)
            | u64::from(probe.protocol) << PROTOCOL_SHIFT
            | reached << THRESHOLD_SHIFT,
    ]
}

/// The most frequent borders of port ranges.
pub(super) fn thresholds(rules: &[PlainRule]) -> Thresholds {
    let mut thresholds = Thresholds([u16::MAX; 32]);
    let mut fill = |place: usize, ports: &dyn Fn(&PlainRule) -> Ports| {
        let mut counts: HashMap<u16, usize> = HashMap::new();
        for (first, last) in rules.iter().map(|rule| ports(rule).range()) {
            if first < last {
                *counts.entry(first).or_default() += 1;
                *counts.entry(last.wrapping_add(1)).or_default() += 1;
            }
        }
        counts.remove(&0);
        let mut borders: Vec<(usize, u16)> = counts.into_iter().map(|(a, b)| (b, a)).collect();
        borders.sort_unstable_by(|a, b| b.cmp(a));
        let slots = &mut thresholds.0[place..place + THRESHOLDS];
        for (slot, (_, border)) in slots.iter_mut().zip(borders) {
            *slot = border;
        }
    };
    fill(0, &|rule| rule.meets.source_port);
    fill(16, &|rule| rule.meets.destination_port);
    thresholds
}

impl Ternary {
    pub(super) fn new(rule: &PlainRule, thresholds: &Thresholds) -> Self {
        let meets = &rule.meets;
        let address = |address: &Address| match address.inverted {
            true => (0, 0),
            false => (u64::from(address.value), u64::from(address.mask)),
        };
        let (source, source_care) = address(&meets.source);
        let (destination, destination_care) = address(&meets.destination);
        let mut ternary = Self {
            value: [source << 32 | destination, 0],
            care: [source_care << 32 | destination_care, 0],
        };
        for (place, ports) in [meets.source_port, meets.destination_port]
            .into_iter()
            .enumerate()
        {
            ternary.set_port(place, ports, &thresholds.0[place * 16..][..THRESHOLDS]);
        }
        if let Protocol::Is(number) = meets.protocol {
            ternary.set(u64::from(number), 0xff, PROTOCOL_SHIFT);
        }
        ternary
    }

    fn set_port(&mut self, place: usize, ports: Ports, thresholds: &[u16]) {
        let (first, last) = ports.range();
        if first > last {
            return;
        }
        let place = place as u32;
        let varying = u16::MAX.checked_shr((first ^ last).leading_zeros());
        let fixed = !varying.unwrap_or(0);
        self.set(u64::from(first & fixed), u64::from(fixed), 16 * place);
        for (bit, threshold) in thresholds.iter().enumerate() {
            let shift = THRESHOLD_SHIFT + THRESHOLDS as u32 * place + bit as u32;
            if first >= *threshold {
                self.set(1, 1, shift);
            } else if last < *threshold {
                self.set(0, 1, shift);
            }
        }
    }

    fn set(&mut self, value: u64, care: u64, shift: u32) {
        self.value[1] |= value << shift;
        self.care[1] |= care << shift;
    }
}
