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
            if trees.0[packet] != 0 {
                *bits = bits_of(simd, &probes.get(packet), &self.thresholds);
            }
        }
        for (tree, root) in self.roots.iter().enumerate() {
            // The packets that may find something there.
            let (mut inside, mut count) = ([0; BATCH], 0);
            for (packet, best) in best.0.iter().enumerate().take(probes.count) {
                inside[count % BATCH] = packet as u8;
                count += usize::from((trees.0[packet] >> tree & 1 != 0) & (root.lowest < *best));
            }
            self.lower_by_tree(
                simd,
                root.entry,
                &inside[..count],
                probes,
                &bits,
                holding,
                best,
            );
        }
    }

    /// Walks one tree with the packets `inside` level by level, so that the memory
    /// that one needs is fetched while the others are worked on.
    #[inline(always)]
    fn lower_by_tree<S: Simd>(
        &self,
        simd: S,
        root: Entry,
        inside: &[u8],
        probes: &Probes,
        bits: &[[u64; 2]; BATCH],
        holding: &[bool],
        best: &mut Column,
    ) {
        // Packets that are still at a node, and those that reached a leaf.
        let mut at_node = [(0, Entry::NOTHING); BATCH];
        let mut at_leaf = [(0, Entry::NOTHING); BATCH];
        let (mut nodes, mut leaves) = (0, 0);
        for packet in inside {
            let packet = usize::from(*packet) % BATCH;
            at_node[nodes % BATCH] = (packet, root);
            nodes += usize::from(root.is_node());
            at_leaf[leaves % BATCH] = (packet, root);
            leaves += usize::from(!root.is_node() && root != Entry::NOTHING);
        }
        let mut slots = [0; BATCH];
        while nodes > 0 {
            for (slot, (packet, entry)) in slots.iter_mut().zip(&at_node[..nodes]) {
                *slot = self.nodes[entry.node_number()].slot(simd, bits[*packet]);
                simd.prefetch(&self.entries[*slot], 1);
            }
            let mut further = 0;
            for place in 0..nodes {
                let packet = at_node[place].0;
                let entry = self.entries[slots[place]];
                at_node[further] = (packet, entry);
                further += usize::from(entry.is_node());
                at_leaf[leaves % BATCH] = (packet, entry);
                leaves += usize::from(!entry.is_node() && entry != Entry::NOTHING);
                if entry.is_node() {
                    simd.prefetch(&self.nodes[entry.node_number()], 1);
                } else {
                    simd.prefetch(&self.blocks[entry.first_block()], 4);
                }
            }
            nodes = further;
        }
        for (packet, entry) in &at_leaf[..leaves] {
            let probe = probes.get(*packet);
            let found = self.first_in_leaf(simd, *entry, &probe, holding, 0);
            let best = &mut best.0[*packet];
            *best = (*best).min(found.unwrap_or(u32::MAX));
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
