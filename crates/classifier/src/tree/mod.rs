//! Cut trees: a few bits of the packet index a table, whose entry leads to
//! another table or to a handful of rules.
//!
//! Rules that name both addresses, one of them or none are cut by different
//! bits, so there is a tree for each of these *groups*. Rules that would stand
//! in too many tables are left to a bit vector.

mod build;
mod choose;
mod gate;
mod ternary;

pub(crate) use build::grow;

use portcullis_core::batch::BATCH;

use crate::block::Block;
use crate::plain_rule::Probe;
use crate::probes::Probes;
use crate::simd::{Column, Simd, Thresholds};
use gate::Gate;
use ternary::bits_of;

/// How many packets ahead the blocks of a leaf are fetched.
const AHEAD: usize = 8;

/// Several trees with their storage.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    thresholds: Thresholds,
    gate: Gate,
    roots: Vec<Root>,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    blocks: Vec<Block>,
    /// Rules in all trees.
    rule_count: usize,
}

/// Where the tree of one group begins.
#[derive(Clone, Copy, Debug)]
struct Root {
    entry: Entry,
    /// The lowest rule number in the tree.
    lowest: u32,
}

/// A table, indexed by the packet bits in `masks`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
struct Node {
    masks: [u64; 2],
    /// Bits that the first mask yields.
    shift: u32,
    /// Where the table begins.
    first: u32,
}

/// Zero: nothing. Highest bit set: a node. Otherwise: a leaf, its first block
/// times [`Entry::BLOCKS`] plus the number of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry(u32);

/// A packet on its way through a tree.
#[derive(Clone, Copy, Debug)]
struct Walker {
    packet: u32,
    entry: Entry,
    /// Where the next entry stands.
    slot: u32,
}

/// Packets on their way, at most all of a batch.
#[derive(Clone, Debug)]
struct Walkers {
    all: [Walker; BATCH],
    count: usize,
}

impl Walkers {
    const NONE: Self = Self {
        all: [Walker {
            packet: 0,
            entry: Entry::NOTHING,
            slot: 0,
        }; BATCH],
        count: 0,
    };

    /// Adds a walker on a condition, without a branch.
    #[inline(always)]
    fn add(&mut self, packet: u32, entry: Entry, condition: bool) {
        self.all[self.count % BATCH] = Walker {
            packet,
            entry,
            slot: 0,
        };
        self.count += usize::from(condition);
    }
}

impl Entry {
    const NOTHING: Self = Self(0);
    const NODE: u32 = 1 << 31;
    /// One more than the blocks a leaf can have.
    const BLOCKS: u32 = 8;

    fn node(number: usize) -> Self {
        Self(number as u32 | Self::NODE)
    }

    fn leaf(first: usize, blocks: usize) -> Self {
        Self(first as u32 * Self::BLOCKS + blocks as u32)
    }

    #[inline(always)]
    fn is_node(self) -> bool {
        self.0 & Self::NODE != 0
    }

    #[inline(always)]
    fn is_leaf(self) -> bool {
        !self.is_node() & (self != Self::NOTHING)
    }

    #[inline(always)]
    fn node_number(self) -> usize {
        (self.0 & !Self::NODE) as usize
    }

    #[inline(always)]
    fn first_block(self) -> usize {
        (self.0 / Self::BLOCKS) as usize
    }

    #[inline(always)]
    fn block_count(self) -> usize {
        (self.0 % Self::BLOCKS) as usize
    }
}

impl Node {
    #[inline(always)]
    fn slot<S: Simd>(&self, simd: S, bits: [u64; 2]) -> usize {
        let high = simd.extract(bits[0], self.masks[0]);
        let low = simd.extract(bits[1], self.masks[1]);
        self.first as usize + (high | low << self.shift) as usize
    }
}

impl Forest {
    pub(crate) fn rule_count(&self) -> usize {
        self.rule_count
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.gate.memory_bytes()
            + self.nodes.len() * size_of::<Node>()
            + self.entries.len() * size_of::<Entry>()
            + self.blocks.len() * size_of::<Block>()
    }

    /// Trees, nodes and blocks.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        (self.roots.len(), self.nodes.len(), self.blocks.len())
    }

    /// The first rule from number `from` on that matches.
    #[inline(always)]
    pub(crate) fn first<S: Simd>(
        &self,
        simd: S,
        probe: &Probe,
        holding: &[bool],
        from: u32,
    ) -> Option<u32> {
        let trees = self.gate.trees(probe);
        if trees == 0 {
            return None;
        }
        let bits = bits_of(simd, probe, &self.thresholds);
        let mut best = u32::MAX;
        for (tree, root) in self.roots.iter().enumerate() {
            if trees >> tree & 1 == 0 || root.lowest >= best {
                continue;
            }
            let mut entry = root.entry;
            while entry.is_node() {
                entry = self.entries[self.nodes[entry.node_number()].slot(simd, bits)];
            }
            let found = self.first_in_leaf(simd, entry, probe, holding, from);
            best = best.min(found.unwrap_or(u32::MAX));
        }
        (best != u32::MAX).then_some(best)
    }

    /// Lowers each of `best` to the first match of its probe, if that is lower.
    ///
    /// All packets go through a tree together, step by step, so that the memory
    /// that one needs is fetched while the others are worked on.
    #[inline(always)]
    pub(crate) fn lower_batch<S: Simd>(
        &self,
        simd: S,
        probes: &Probes,
        holding: &[bool],
        best: &mut Column,
    ) {
        let trees = self.gate.trees_each(simd, probes);
        let mut bits = [[0; 2]; BATCH];
        for (packet, bits) in bits.iter_mut().enumerate().take(probes.count) {
            *bits = bits_of(simd, &probes.get(packet), &self.thresholds);
        }
        let (mut at_node, mut at_leaf) = (Walkers::NONE, Walkers::NONE);
        for (tree, root) in self.roots.iter().enumerate() {
            (at_node.count, at_leaf.count) = (0, 0);
            for packet in 0..probes.count {
                let enters = (trees.0[packet] >> tree & 1 != 0) & (root.lowest < best.0[packet]);
                at_node.add(packet as u32, root.entry, enters & root.entry.is_node());
                at_leaf.add(packet as u32, root.entry, enters & root.entry.is_leaf());
            }
            self.walk_to_leaves(simd, &bits, &mut at_node, &mut at_leaf);
            for place in 0..at_leaf.count {
                let ahead = at_leaf.all[(place + AHEAD) % BATCH].entry.first_block();
                if let Some(block) = self.blocks.get(ahead) {
                    simd.prefetch(block, 4);
                }
                let Walker { packet, entry, .. } = at_leaf.all[place];
                let packet = packet as usize % BATCH;
                let found = self.first_in_leaf(simd, entry, &probes.get(packet), holding, 0);
                let best = &mut best.0[packet];
                *best = (*best).min(found.unwrap_or(u32::MAX));
            }
        }
    }

    /// Walks with all packets that are at a node as far as they come, without a
    /// branch on where that is.
    #[inline(always)]
    fn walk_to_leaves<S: Simd>(
        &self,
        simd: S,
        bits: &[[u64; 2]; BATCH],
        at_node: &mut Walkers,
        at_leaf: &mut Walkers,
    ) {
        while at_node.count > 0 {
            let arrived = at_node.count;
            for walker in &mut at_node.all[..arrived] {
                let packet = walker.packet as usize % BATCH;
                let slot = self.nodes[walker.entry.node_number()].slot(simd, bits[packet]);
                walker.slot = slot as u32;
                simd.prefetch(&self.entries[slot], 1);
            }
            at_node.count = 0;
            for place in 0..arrived {
                let Walker { packet, slot, .. } = at_node.all[place];
                let entry = self.entries[slot as usize];
                at_node.add(packet, entry, entry.is_node());
                at_leaf.add(packet, entry, entry.is_leaf());
            }
        }
    }

    #[inline(always)]
    fn first_in_leaf<S: Simd>(
        &self,
        simd: S,
        leaf: Entry,
        probe: &Probe,
        holding: &[bool],
        from: u32,
    ) -> Option<u32> {
        let blocks = &self.blocks[leaf.first_block()..][..leaf.block_count()];
        Block::first_in(simd, blocks, probe, from, holding)
    }
}
