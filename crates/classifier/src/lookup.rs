//! "The first rule from number k on that matches", for one chain.
//!
//! A lookup has up to three parts, each holding some of the chain's rules; the
//! lowest number that any of them finds is the answer.

use hashbrown::HashSet;

use crate::bit_vector::{self, BitVector};
use crate::block::Block;
use crate::description::Form;
use crate::interfaces::Interfaces;
use crate::plain_rule::{Meets, PlainRule, Probe};
use crate::probes::Probes;
use crate::simd::{Column, Simd};
use crate::tree::{self, Forest};

/// Up to so many rules are compared one block after the other.
const FEW_RULES: usize = 16;
/// Up to so many rules go to a bit vector of their own; above, trees are
/// smaller and faster.
const BIT_VECTOR_RULES: usize = 1536;
/// Rules that trees may leave to a bit vector without need.
const SPARE_RULES: usize = 1024;

/// One chain's rules, ready to be looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup {
    forest: Option<Forest>,
    vectors: Vec<BitVector>,
    blocks: Vec<Block>,
    /// Rules in `blocks`.
    in_blocks: usize,
}

/// The interface of a packet, as the rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface<'a> {
    pub(crate) class: u32,
    /// Whether each interface test holds.
    pub(crate) holding: &'a [bool],
}

/// Which form a chain is to be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preference {
    /// What suits size and shape.
    #[default]
    Auto,
    /// Blocks of eight rules, one after the other.
    Linear,
    /// Bit vectors, whatever the size.
    BitVector,
    /// Trees, whatever the size.
    Tree,
}

impl Lookup {
    /// From rules in order of their numbers.
    pub(crate) fn new(
        rules: Vec<PlainRule>,
        interfaces: &Interfaces,
        preference: Preference,
    ) -> Self {
        let mut rules = rules;
        drop_repeated(&mut rules);
        let form = match preference {
            Preference::Auto if rules.len() <= FEW_RULES => Preference::Linear,
            Preference::Auto if rules.len() <= BIT_VECTOR_RULES => Preference::BitVector,
            Preference::Auto => Preference::Tree,
            chosen => chosen,
        };
        let mut lookup = Self::default();
        match form {
            Preference::Linear => lookup.add_blocks(&rules),
            Preference::BitVector => lookup.add_vectors(rules, interfaces),
            Preference::Tree | Preference::Auto => {
                let grown = tree::grow(&rules, SPARE_RULES);
                lookup.forest = Some(grown.forest);
                lookup.add_vectors(grown.left_over, interfaces);
            }
        }
        lookup
    }

    /// The first rule from number `from` on that matches.
    #[inline(always)]
    pub(crate) fn first<S: Simd>(
        &self,
        simd: S,
        probe: &Probe,
        interface: Interface<'_>,
        from: u32,
    ) -> Option<u32> {
        let found = Block::first_in(simd, &self.blocks, probe, from, interface.holding);
        let mut best = found.unwrap_or(u32::MAX);
        if let Some(forest) = &self.forest {
            let found = forest.first(simd, probe, interface.holding, from);
            best = best.min(found.unwrap_or(u32::MAX));
        }
        for vector in &self.vectors {
            if vector.lowest() < best {
                let found = vector.first(simd, probe, interface.class, from);
                best = best.min(found.unwrap_or(u32::MAX));
            }
        }
        (best != u32::MAX).then_some(best)
    }

    /// The first match of each probe; `u32::MAX` where none matches.
    #[inline(always)]
    pub(crate) fn first_batch<S: Simd>(
        &self,
        simd: S,
        probes: &Probes,
        interface: Interface<'_>,
        best: &mut Column,
    ) {
        if let (None, [vector], []) = (&self.forest, &*self.vectors, &*self.blocks) {
            vector.first_each(simd, probes, interface.class, best);
            return;
        }
        best.0.fill(u32::MAX);
        if !self.blocks.is_empty() {
            for (packet, best) in best.0.iter_mut().enumerate().take(probes.count) {
                let probe = probes.get(packet);
                let found = Block::first_in(simd, &self.blocks, &probe, 0, interface.holding);
                *best = found.unwrap_or(u32::MAX);
            }
        }
        if let Some(forest) = &self.forest {
            forest.lower_batch(simd, probes, interface.holding, best);
        }
        for vector in &self.vectors {
            vector.lower_batch(simd, probes, interface.class, best);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.blocks.len() * size_of::<Block>()
            + self.forest.as_ref().map_or(0, Forest::memory_bytes)
            + self
                .vectors
                .iter()
                .map(BitVector::memory_bytes)
                .sum::<usize>()
    }

    /// What this lookup is made of.
    pub(crate) fn forms(&self) -> Vec<Form> {
        let mut forms = Vec::new();
        if let Some(forest) = &self.forest {
            let (trees, nodes, blocks) = forest.shape();
            forms.push(Form::Trees {
                rules: forest.rule_count(),
                trees,
                tables: nodes,
                blocks,
            });
        }
        for vector in &self.vectors {
            forms.push(Form::BitVector {
                rules: vector.rule_count(),
            });
        }
        if !self.blocks.is_empty() {
            forms.push(Form::Linear {
                rules: self.in_blocks,
            });
        }
        forms
    }

    fn add_blocks(&mut self, rules: &[PlainRule]) {
        Block::pack(rules.iter(), &mut self.blocks);
        self.in_blocks += rules.len();
    }

    /// Masks with holes make no intervals; such rules go to blocks.
    fn add_vectors(&mut self, rules: Vec<PlainRule>, interfaces: &Interfaces) {
        let (whole, holes): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| {
            rule.meets.source.range().is_some() && rule.meets.destination.range().is_some()
        });
        for chunk in whole.chunks(bit_vector::MAX_RULES) {
            self.vectors.push(BitVector::new(chunk, interfaces));
        }
        self.add_blocks(&holes);
    }
}

/// Drops rules that repeat an earlier one at which every walk ends.
fn drop_repeated(rules: &mut Vec<PlainRule>) {
    let mut ending: HashSet<Meets> = HashSet::with_capacity(rules.len());
    rules.retain(|rule| match rule.ends {
        true => ending.insert(rule.meets.clone()),
        false => !ending.contains(&rule.meets),
    });
}
