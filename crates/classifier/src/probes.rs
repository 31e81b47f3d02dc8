//! The packets of a batch, field by field.

use portcullis_core::batch::BATCH;
use portcullis_core::packet::{KeyColumns, PacketKey};

use crate::plain_rule::Probe;
use crate::simd::{Column, Simd};

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

/// Keys in some form.
pub(crate) trait ToProbes {
    /// Their fields.
    fn probes<S: Simd>(self, simd: S) -> Probes;
}

impl ToProbes for &[PacketKey] {
    #[inline(always)]
    fn probes<S: Simd>(self, simd: S) -> Probes {
        simd.probes(self)
    }
}

impl ToProbes for &KeyColumns {
    #[inline(always)]
    fn probes<S: Simd>(self, _simd: S) -> Probes {
        Probes {
            count: self.len(),
            source: Column(*self.sources()),
            destination: Column(*self.destinations()),
            source_port: Column(self.ports().map(|ports| ports & 0xffff)),
            destination_port: Column(self.ports().map(|ports| ports >> 16)),
            kind: Column(self.kinds().map(|kind| {
                let (protocol, fragment, syn) = (kind & 0xff, kind >> 8 & 1, kind >> 16 & 1);
                protocol << 2 | fragment << 1 | syn
            })),
        }
    }
}

impl Probes {
    /// At most [`BATCH`] keys.
    #[inline(always)]
    pub(crate) fn new(keys: &[PacketKey]) -> Self {
        let mut probes = Self::empty(keys.len());
        for (packet, key) in keys.iter().enumerate().take(BATCH) {
            probes.set(packet, key);
        }
        probes
    }

    /// So many packets without any content.
    #[inline(always)]
    pub(crate) fn empty(count: usize) -> Self {
        Self {
            count,
            source: Column::ZERO,
            destination: Column::ZERO,
            source_port: Column::ZERO,
            destination_port: Column::ZERO,
            kind: Column::ZERO,
        }
    }

    /// Sets the fields of one packet.
    #[inline(always)]
    pub(crate) fn set(&mut self, packet: usize, key: &PacketKey) {
        self.source.0[packet] = key.source;
        self.destination.0[packet] = key.destination;
        self.source_port.0[packet] = u32::from(key.source_port);
        self.destination_port.0[packet] = u32::from(key.destination_port);
        self.kind.0[packet] =
            u32::from(key.protocol) << 2 | u32::from(key.fragment) << 1 | u32::from(key.syn);
    }

    /// Only these packets.
    #[inline(always)]
    pub(crate) fn pick(&self, packets: &[u8]) -> Self {
        let mut picked = Self::empty(packets.len());
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
