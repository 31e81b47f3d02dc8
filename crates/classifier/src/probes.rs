//! The packets of a batch, field by field.

use portcullis_core::batch::BATCH;
use portcullis_core::packet::PacketKey;

use crate::plain_rule::Probe;
use crate::simd::Column;

/// Up to [`BATCH`] probes as columns, which are searched one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    pub(crate) count: usize,
    pub(crate) source: Column,
    pub(crate) destination: Column,
    pub(crate) source_port: Column,
    pub(crate) destination_port: Column,
    /// Protocol times four plus kind.
    pub(crate) kind: Column,
}

/// Stands behind the last packet of a batch that is not full.
const NOBODY: PacketKey = PacketKey {
    source: 0,
    destination: 0,
    source_port: 0,
    destination_port: 0,
    protocol: 0,
    fragment: false,
    syn: false,
};

impl Probes {
    /// At most [`BATCH`] keys.
    #[inline(always)]
    pub(crate) fn new(keys: &[PacketKey]) -> Self {
        match keys.first_chunk() {
            Some(all) => Self::of(all, BATCH),
            None => {
                let mut padded = [NOBODY; BATCH];
                padded[..keys.len()].copy_from_slice(keys);
                Self::of(&padded, keys.len())
            }
        }
    }

    /// Always all of them: the compiler makes few instructions of that.
    #[inline(always)]
    fn of(keys: &[PacketKey; BATCH], count: usize) -> Self {
        let mut probes = Self {
            count,
            source: Column::ZERO,
            destination: Column::ZERO,
            source_port: Column::ZERO,
            destination_port: Column::ZERO,
            kind: Column::ZERO,
        };
        for (packet, key) in keys.iter().enumerate() {
            probes.source.0[packet] = key.source;
            probes.destination.0[packet] = key.destination;
            probes.source_port.0[packet] = u32::from(key.source_port);
            probes.destination_port.0[packet] = u32::from(key.destination_port);
            probes.kind.0[packet] =
                u32::from(key.protocol) << 2 | u32::from(key.fragment) << 1 | u32::from(key.syn);
        }
        probes
    }

    /// Only these packets.
    #[inline(always)]
    pub(crate) fn pick(&self, packets: &[u8]) -> Self {
        let mut picked = Self {
            count: packets.len(),
            source: Column::ZERO,
            destination: Column::ZERO,
            source_port: Column::ZERO,
            destination_port: Column::ZERO,
            kind: Column::ZERO,
        };
        for (place, packet) in packets.iter().enumerate().take(BATCH) {
            let packet = usize::from(*packet) % BATCH;
            picked.source.0[place] = self.source.0[packet];
            picked.destination.0[place] = self.destination.0[packet];
            picked.source_port.0[place] = self.source_port.0[packet];
            picked.destination_port.0[place] = self.destination_port.0[packet];
            picked.kind.0[place] = self.kind.0[packet];
        }
        picked
    }

    /// One packet.
    #[inline(always)]
    pub(crate) fn get(&self, packet: usize) -> Probe {
        let kind = self.kind.0[packet];
        Probe {
            source: self.source.0[packet],
            destination: self.destination.0[packet],
            ports: self.source_port.0[packet] | self.destination_port.0[packet] << 16,
            protocol: (kind >> 2) as u8,
            kind: (kind & 3) as u8,
        }
    }
}
