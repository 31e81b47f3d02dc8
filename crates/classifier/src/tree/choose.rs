//! Choosing the bits that a table is indexed by.

use super::ternary::Ternary;

/// Rules looked at to choose the bits of one table; of more, every so many-th.
const SAMPLE: usize = 4096;

/// A cell of so few rules needs no further cut.
const FEW: usize = 8;

/// A bit must bring the cost to this many percent at most.
const WORTH_IT: u64 = 88;

/// Chooses at most `max_bits` bits that spread the rules best, one after the
/// other. Returns a mask for each word; empty if no bit is worth a table.
///
/// The cost of a cut is the sum of the squares of the cells' sizes: it falls by
/// half for a bit that halves every cell, and not at all for one that most
/// rules leave open, since these then stand in both halves.
pub(super) fn choose(rules: &[Ternary], members: &[u32], max_bits: u32) -> [u64; 2] {
    let step = members.len().div_ceil(SAMPLE);
    let few = FEW / step;
    let sample: Vec<Ternary> = members
        .iter()
        .step_by(step)
        .map(|member| rules[*member as usize])
        .collect();
    let mut cells: Vec<Vec<Ternary>> = vec![sample];
    let mut masks = [0; 2];
    for _ in 0..max_bits {
        cells.retain(|cell| cell.len() > few);
        let now: u64 = cells.iter().map(|cell| square(cell.len())).sum();
        let costs = costs(&cells);
        let candidates = (0..128).filter(|bit| masks[bit / 64] >> (bit % 64) & 1 == 0);
        let best = candidates.min_by_key(|bit| costs[*bit]);
        let Some(bit) = best.filter(|bit| costs[*bit] * 100 < now * WORTH_IT) else {
            break;
        };
        masks[bit / 64] |= 1 << (bit % 64);
        cells = cells.iter().flat_map(|cell| split(cell, bit)).collect();
    }
    masks
}

/// For each bit the cost after a cut by it.
fn costs(cells: &[Vec<Ternary>]) -> [u64; 128] {
    let mut costs = [0; 128];
    for cell in cells {
        let mut zeros = [0u32; 128];
        let mut ones = [0u32; 128];
        for rule in cell {
            for word in 0..2 {
                count(rule.care[word] & rule.value[word], &mut ones[word * 64..]);
                count(rule.care[word] & !rule.value[word], &mut zeros[word * 64..]);
            }
        }
        for bit in 0..128 {
            costs[bit] +=
                square(cell.len() - zeros[bit] as usize) + square(cell.len() - ones[bit] as usize);
        }
    }
    costs
}

fn count(bits: u64, counts: &mut [u32]) {
    let mut left = bits;
    while left != 0 {
        counts[left.trailing_zeros() as usize] += 1;
        left &= left - 1;
    }
}

fn square(size: usize) -> u64 {
    size as u64 * size as u64
}

fn split(cell: &[Ternary], bit: usize) -> [Vec<Ternary>; 2] {
    let (word, bit) = (bit / 64, bit % 64);
    let half = |wanted: u64| {
        let allows = |rule: &&Ternary| {
            rule.care[word] >> bit & 1 == 0 || rule.value[word] >> bit & 1 == wanted
        };
        cell.iter().filter(allows).copied().collect()
    };
    [half(0), half(1)]
}
