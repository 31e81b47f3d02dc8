//! Growing the trees.

use hashbrown::HashMap;

use super::choose::choose;
use super::gate::Gate;
use super::ternary::{Ternary, thresholds};
use super::{Entry, Forest, Node, Root};
use crate::block::{Block, LANES};
use crate::plain_rule::{Address, PlainRule};

/// Rules in a leaf that is not cut further.
const LEAF: usize = 2 * LANES;
/// Rules in a leaf at most; the rest goes to the bit vector.
const MAX_LEAF: usize = 4 * LANES;
/// In a list longer than this nobody looks for hidden rules.
const TOO_LONG: usize = 1024;
/// Tables on the way to a leaf.
const MAX_DEPTH: u32 = 4;
/// An address is specific if the rule fixes so many of its bits.
const SPECIFIC: u32 = 8;

/// Trees, and the rules that are left to a bit vector.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) forest: Forest,
    /// In order of their numbers; some stand in leaves too.
    pub(crate) left_over: Vec<PlainRule>,
}

/// Grows the trees for rules in order of their numbers. Up to `spare` rules
/// go to the bit vector readily, more only where no leaf can take them.
pub(crate) fn grow(rules: &[PlainRule], spare: usize) -> Grown {
    let thresholds = thresholds(rules);
    let ternaries: Vec<Ternary> = rules
        .iter()
        .map(|rule| Ternary::new(rule, &thresholds))
        .collect();
    let mut grower = Grower {
        rules,
        ternaries: &ternaries,
        forest: Forest {
            thresholds,
            gate: Gate::new(&[]),
            roots: Vec::new(),
            nodes: Vec::new(),
            entries: Vec::new(),
            blocks: Vec::new(),
            rule_count: rules.len(),
        },
        left_over: vec![false; rules.len()],
        spare,
    };
    let mut trees: Vec<Vec<&PlainRule>> = Vec::new();
    for group in groups(rules) {
        let members = grower.plant(group);
        if !members.is_empty() {
            trees.push(members.iter().map(|it| &rules[*it as usize]).collect());
        }
    }
    grower.forest.gate = Gate::new(&trees);
    let left_over = grower.left_over;
    let left_over: Vec<PlainRule> = rules
        .iter()
        .zip(&left_over)
        .filter(|(_, left)| **left)
        .map(|(rule, _)| rule.clone())
        .collect();
    Grown {
        forest: grower.forest,
        left_over,
    }
}

/// The rules by which of their addresses are specific: both, only the source,
/// only the destination, none.
fn groups(rules: &[PlainRule]) -> [Vec<u32>; 4] {
    let mut groups: [Vec<u32>; 4] = Default::default();
    for (place, rule) in rules.iter().enumerate() {
        let specific = |it: &Address| !it.inverted && it.mask.count_ones() >= SPECIFIC;
        let group = match (
            specific(&rule.meets.source),
            specific(&rule.meets.destination),
        ) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        groups[group].push(place as u32);
    }
    groups
}

struct Grower<'a> {
    rules: &'a [PlainRule],
    ternaries: &'a [Ternary],
    forest: Forest,
    left_over: Vec<bool>,
    spare: usize,
}

impl Grower<'_> {
    /// Grows the tree of one group. Returns the rules in it.
    fn plant(&mut self, mut members: Vec<u32>) -> Vec<u32> {
        if members.len() > LEAF {
            let masks = self.choose(&members);
            self.set_aside(&mut members, masks);
        }
        if let Some(first) = members.first() {
            let lowest = self.rules[*first as usize].number;
            let entry = self.grow(&members, 0);
            self.forest.roots.push(Root { entry, lowest });
        }
        members
    }

    fn choose(&self, members: &[u32]) -> [u64; 2] {
        let max_bits = (members.len() as u32).ilog2().clamp(2, 16);
        choose(self.ternaries, members, max_bits)
    }

    /// Leaves to the bit vector those rules that would stand in a great part
    /// of a table, as long as there are few.
    fn set_aside(&mut self, members: &mut Vec<u32>, masks: [u64; 2]) {
        let bits = masks[0].count_ones() + masks[1].count_ones();
        let open = |member: &u32| {
            let care = self.ternaries[*member as usize].care;
            (masks[0] & !care[0]).count_ones() + (masks[1] & !care[1]).count_ones()
        };
        let wide = |member: &u32| open(member) + 6 >= bits;
        let count = members.iter().filter(|member| wide(member)).count();
        if bits == 0 || count > self.spare {
            if bits == 0 && members.len() <= self.spare {
                self.leave(members);
            }
            return;
        }
        let (aside, rest): (Vec<u32>, Vec<u32>) = members.iter().partition(|it| wide(it));
        *members = rest;
        self.leave(&mut { aside });
    }

    fn leave(&mut self, members: &mut Vec<u32>) {
        self.spare = self.spare.saturating_sub(members.len());
        for member in members.drain(..) {
            self.left_over[member as usize] = true;
        }
    }

    fn grow(&mut self, members: &[u32], depth: u32) -> Entry {
        if members.len() <= LEAF || depth == MAX_DEPTH {
            return self.leaf(members);
        }
        let masks = self.choose(members);
        if masks == [0; 2] {
            return self.leaf(members);
        }
        let (starts, placed) = self.distribute(members, masks);
        let first = self.forest.entries.len();
        let number = self.forest.nodes.len();
        let slots = starts.len() - 1;
        self.forest.nodes.push(Node {
            masks,
            shift: masks[0].count_ones(),
            first: first as u32,
        });
        self.forest.entries.resize(first + slots, Entry::NOTHING);
        // Slots with the same rules share what follows.
        let mut known: HashMap<&[u32], Entry> = HashMap::new();
        for slot in 0..slots {
            let inside = &placed[starts[slot] as usize..starts[slot + 1] as usize];
            if inside.is_empty() {
                continue;
            }
            let entry = match known.get(inside) {
                Some(entry) => *entry,
                None => {
                    let entry = self.grow(inside, depth + 1);
                    known.insert(inside, entry);
                    entry
                }
            };
            self.forest.entries[first + slot] = entry;
        }
        Entry::node(number)
    }

    /// For each slot of a table the rules that belong there: where they begin,
    /// and all of them in a row.
    fn distribute(&self, members: &[u32], masks: [u64; 2]) -> (Vec<u32>, Vec<u32>) {
        let shift = masks[0].count_ones();
        let slots = 1usize << (shift + masks[1].count_ones());
        let together =
            |words: [u64; 2]| gather(words[0], masks[0]) | gather(words[1], masks[1]) << shift;
        let places: Vec<(u32, u32)> = members
            .iter()
            .map(|member| {
                let ternary = &self.ternaries[*member as usize];
                let open = together(ternary.care.map(|care| !care));
                (together(ternary.value) & !open, open)
            })
            .collect();
        let mut starts = vec![0u32; slots + 1];
        for (base, open) in &places {
            each_slot(*base, *open, |slot| starts[slot + 1] += 1);
        }
        for slot in 0..slots {
            starts[slot + 1] += starts[slot];
        }
        let mut next = starts.clone();
        let mut placed = vec![0; starts[slots] as usize];
        for (member, (base, open)) in members.iter().zip(&places) {
            each_slot(*base, *open, |slot| {
                placed[next[slot] as usize] = *member;
                next[slot] += 1;
            });
        }
        (starts, placed)
    }

    fn leaf(&mut self, members: &[u32]) -> Entry {
        let mut members = members.to_vec();
        if members.len() > TOO_LONG {
            self.shorten(&mut members);
        }
        let mut kept: Vec<u32> = Vec::with_capacity(members.len());
        for member in &members {
            let rule = &self.rules[*member as usize];
            let hidden = |earlier: &u32| {
                let earlier = &self.rules[*earlier as usize];
                earlier.ends && earlier.meets.covers(&rule.meets)
            };
            if !self.left_over[*member as usize] && !kept.iter().any(hidden) {
                kept.push(*member);
            }
        }
        if kept.len() > MAX_LEAF {
            self.shorten(&mut kept);
        }
        if kept.is_empty() {
            return Entry::NOTHING;
        }
        let first = self.forest.blocks.len();
        let rules = kept.iter().map(|member| &self.rules[*member as usize]);
        Block::pack(rules, &mut self.forest.blocks);
        Entry::leaf(first, self.forest.blocks.len() - first)
    }

    /// Leaves the widest rules of a leaf that would be too long to the bit
    /// vector.
    fn shorten(&mut self, kept: &mut Vec<u32>) {
        let mut by_width = kept.clone();
        by_width.sort_by_key(|member| {
            let care = self.ternaries[*member as usize].care;
            care[0].count_ones() + care[1].count_ones()
        });
        let aside = kept.len() - MAX_LEAF;
        self.leave(&mut by_width[..aside].to_vec());
        kept.retain(|member| !self.left_over[*member as usize]);
    }
}

/// The bits of `value` in `mask`, moved together.
fn gather(value: u64, mask: u64) -> u32 {
    let (mut left, mut at, mut gathered) = (mask, 0, 0);
    while left != 0 {
        gathered |= ((value >> left.trailing_zeros() & 1) as u32) << at;
        at += 1;
        left &= left - 1;
    }
    gathered
}

/// Every slot that agrees with `base` outside of `open`.
fn each_slot(base: u32, open: u32, mut place: impl FnMut(usize)) {
    let mut variant = open;
    loop {
        place((base | variant) as usize);
        if variant == 0 {
            break;
        }
        variant = (variant - 1) & open;
    }
}
