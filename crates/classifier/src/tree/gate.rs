//! Which trees a packet can find anything in, told by the first bits of its
//! two addresses: two small loads spare the walk through most trees.

use hashbrown::HashSet;

use crate::plain_rule::{Address, PlainRule, Probe};
use crate::probes::Probes;
use crate::simd::{Column, Simd};

/// Trees that a gate can tell apart, a bit each.
pub(super) const TREES: u32 = 4;
/// A word has the trees of so many neighbouring prefixes.
const PREFIXES: u32 = u32::BITS / TREES;
const ALL_TREES: u32 = (1 << TREES) - 1;

/// For each prefix of either address the trees that have a rule for it.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    source: Side,
    destination: Side,
}

#[derive(Clone, Debug)]
struct Side {
    /// Bits of the address behind the prefix.
    shift: u32,
    words: Vec<u32>,
}

impl Gate {
    /// A gate to trees, each of the rules given for it.
    pub(super) fn new(trees: &[Vec<&PlainRule>]) -> Self {
        let rules = trees.iter().map(Vec::len).sum();
        Self {
            source: Side::new(rules, trees, |rule| &rule.meets.source),
            destination: Side::new(rules, trees, |rule| &rule.meets.destination),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        (self.source.words.len() + self.destination.words.len()) * size_of::<u32>()
    }

    /// A bit for each tree that may hold a match.
    #[inline(always)]
    pub(super) fn trees(&self, probe: &Probe) -> u32 {
        self.source.trees(probe.source) & self.destination.trees(probe.destination)
    }

    /// The same for each probe.
    #[inline(always)]
    pub(super) fn trees_each<S: Simd>(&self, simd: S, probes: &Probes) -> Column {
        let count = probes.count;
        let mut trees = self.source.trees_each(simd, &probes.source, count);
        let others = self
            .destination
            .trees_each(simd, &probes.destination, count);
        for (trees, others) in trees.0.iter_mut().zip(&others.0) {
            *trees &= others;
        }
        trees
    }
}

impl Side {
    fn new(rules: usize, trees: &[Vec<&PlainRule>], address: fn(&PlainRule) -> &Address) -> Self {
        // Eight prefixes for each rule leave most of them without one.
        let bits = (rules.max(1).ilog2() + 3).clamp(8, 20);
        let mut side = Self {
            shift: u32::BITS - bits,
            words: vec![0; 1 << (bits - PREFIXES.ilog2())],
        };
        for (tree, rules) in trees.iter().enumerate() {
            let networks: HashSet<(u32, u32)> = rules
                .iter()
                .map(|rule| side.prefixes(address(rule)))
                .collect();
            for (first, last) in networks {
                side.open(tree, first, last);
            }
        }
        side
    }

    /// The first and the last prefix of a network, or of one around it: bits
    /// that a hole in the mask precedes count as left open.
    fn prefixes(&self, address: &Address) -> (u32, u32) {
        let fixed = match address.inverted {
            true => 0,
            false => address.mask.leading_ones(),
        };
        let rest = u32::MAX.checked_shr(fixed).unwrap_or(0);
        let first = address.value & !rest;
        (first >> self.shift, (first | rest) >> self.shift)
    }

    fn open(&mut self, tree: usize, first: u32, last: u32) {
        for prefix in first..=last {
            let bit = 1 << tree << (prefix % PREFIXES * TREES);
            self.words[(prefix / PREFIXES) as usize] |= bit;
        }
    }

    #[inline(always)]
    fn trees(&self, address: u32) -> u32 {
        let prefix = address >> self.shift;
        self.words[(prefix / PREFIXES) as usize] >> (prefix % PREFIXES * TREES) & ALL_TREES
    }

    #[inline(always)]
    fn trees_each<S: Simd>(&self, simd: S, addresses: &Column, count: usize) -> Column {
        let mut words = Column::ZERO;
        for (word, address) in words.0.iter_mut().zip(&addresses.0) {
            *word = address >> self.shift >> PREFIXES.ilog2();
        }
        simd.look_up(&self.words, &mut words, count);
        for (word, address) in words.0.iter_mut().zip(&addresses.0) {
            *word = *word >> ((address >> self.shift) % PREFIXES * TREES) & ALL_TREES;
        }
        words
    }
}
