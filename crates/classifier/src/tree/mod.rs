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

/// A packet of a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    probe: Probe,
    /// What tables are indexed by.
    bits: [u64; 2],
}

/// Packets of a batch on their way, each with the number of what it comes to,
/// in the high half.
#[derive(Clone, Debug)]
struct Walkers {
    all: [u64; BATCH],
    count: usize,
}

impl Walkers {
    const NONE: Self = Self {
        all: [0; BATCH],
        count: 0,
    };

    /// Adds a walker on a condition, without a branch.
    #[inline(always)]
    fn add(&mut self, packet: usize, goal: u32, condition: bool) {
        self.all[self.count % BATCH] = u64::from(goal) << 32 | packet as u64;
        self.count += usize::from(condition);
    }

    /// A walker's packet, and what it comes to.
    #[inline(always)]
    fn get(&self, place: usize) -> (usize, u32) {
        let walker = self.all[place % BATCH];
        (walker as usize % BATCH, (walker >> 32) as u32)
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
        let present = u64::MAX >> (BATCH - probes.count.clamp(1, BATCH));
        // Rows, since a walk comes back to one packet again and again.
        let mut rows = [Row::default(); BATCH];
        for (packet, row) in rows.iter_mut().enumerate().take(probes.count) {
            row.probe = probes.get(packet);
            row.bits = bits_of(simd, &row.probe, &self.thresholds);
        }
        let mut leaves = Walkers::NONE;
        for (tree, root) in self.roots.iter().enumerate() {
            let open = simd.with_any(&trees, 1 << tree) & simd.above(best, root.lowest) & present;
            self.walk_to_leaves(simd, &rows, root.entry, open, &mut leaves);
            for place in 0..leaves.count {
                let (_, ahead) = leaves.get(place + AHEAD);
                if let Some(block) = self.blocks.get(Entry(ahead).first_block()) {
                    simd.prefetch(block, 4);
                }
                let (packet, leaf) = leaves.get(place);
                let found = self.first_in_leaf(simd, Entry(leaf), &rows[packet].probe, holding, 0);
                let best = &mut best.0[packet];
                *best = (*best).min(found.unwrap_or(u32::MAX));
            }
        }
    }

    /// Walks with some packets from a tree's root to its leaves, step by step,
    /// without a branch on where a packet is.
    #[inline(always)]
    fn walk_to_leaves<S: Simd>(
        &self,
        simd: S,
        rows: &[Row; BATCH],
        root: Entry,
        packets: u64,
        leaves: &mut Walkers,
    ) {
        leaves.count = 0;
        let (mut slots, mut nodes) = (Walkers::NONE, Walkers::NONE);
        let mut left = packets;
        if !root.is_node() {
            while left != 0 {
                leaves.add(left.trailing_zeros() as usize, root.0, root.is_leaf());
                left &= left - 1;
            }
            return;
        }
        let node = self.nodes[root.node_number()];
        while left != 0 {
            let packet = left.trailing_zeros() as usize;
            let slot = node.slot(simd, rows[packet].bits);
            slots.add(packet, slot as u32, true);
            simd.prefetch(&self.entries[slot], 1);
            left &= left - 1;
        }
        loop {
            nodes.count = 0;
            for place in 0..slots.count {
                let (packet, slot) = slots.get(place);
                let entry = self.entries[slot as usize];
                nodes.add(packet, entry.0, entry.is_node());
                leaves.add(packet, entry.0, entry.is_leaf());
            }
            if nodes.count == 0 {
                return;
            }
            slots.count = 0;
            for place in 0..nodes.count {
                let (packet, node) = nodes.get(place);
                let slot = self.nodes[Entry(node).node_number()].slot(simd, rows[packet].bits);
                slots.add(packet, slot as u32, true);
                simd.prefetch(&self.entries[slot], 1);
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
