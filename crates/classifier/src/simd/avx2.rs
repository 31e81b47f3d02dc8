//! The operations for CPUs with AVX2 and BMI2.

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_loadl_epi64, _mm_movemask_epi8, _mm_prefetch,
    _mm_set1_epi8, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi16,
    _mm256_cmpeq_epi32, _mm256_i32gather_epi32, _mm256_loadu_si256, _mm256_max_epu16,
    _mm256_max_epu32, _mm256_min_epu32, _mm256_movemask_epi8, _mm256_movemask_ps, _mm256_or_si256,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256,
    _mm256_sub_epi16, _mm256_subs_epu16, _mm256_testz_si256, _mm256_xor_si256, _pext_u32,
    _pext_u64,
};

use portcullis_simd::Avx2;

use super::{Borders, Column, Line, Simd, Sixteen, Thresholds, first_line};
use crate::block::{Block, LANES};
use crate::plain_rule::Probe;

impl Simd for Avx2 {
    #[inline(always)]
    fn look_up(self, table: &[u32], numbers: &mut Column, count: usize) {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { look_up(table, numbers, count) }
    }

    #[inline(always)]
    fn rank(self, borders: &Borders, numbers: &Column, count: usize) -> Column {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { rank(borders, numbers, count) }
    }

    #[inline(always)]
    fn first_common<const ROWS: usize>(self, rows: [&[Line]; ROWS], from: u32) -> Option<u32> {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { first_common(rows, from) }
    }

    #[inline(always)]
    fn first_common_each<const ROWS: usize>(
        self,
        lines: &[Line],
        length: usize,
        rows: &[Column; ROWS],
        count: usize,
        firsts: &mut Column,
    ) {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { first_common_each(lines, length, rows, count, firsts) }
    }

    #[inline(always)]
    fn matching(self, block: &Block, probe: &Probe) -> u32 {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { matching(block, probe) }
    }

    #[inline(always)]
    fn reached(self, thresholds: &Thresholds, ports: u32) -> u32 {
        // SAFETY: `self` is the proof of AVX2 and BMI2.
        unsafe { reached(thresholds, ports) }
    }

    #[inline(always)]
    fn extract(self, value: u64, mask: u64) -> u64 {
        // SAFETY: `self` is the proof of BMI2.
        unsafe { _pext_u64(value, mask) }
    }

    #[inline(always)]
    fn prefetch<T>(self, item: &T, lines: usize) {
        prefetch(item, lines);
    }
}

/// Fetches cache lines ahead; every x86-64 CPU can.
#[inline(always)]
pub(super) fn prefetch<T>(item: &T, lines: usize) {
    let start: *const i8 = std::ptr::from_ref(item).cast();
    for line in 0..lines {
        // SAFETY: prefetching reads nothing, so any address may be given; the
        // pointer itself is computed by wrapping arithmetic.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line * 64)) };
    }
}

/// Loads eight numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(numbers: &[u32; LANES]) -> __m256i {
    // SAFETY: 32 readable bytes; this load has no wish for alignment.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

/// The place of a table's last entry, for the gathering instructions.
///
/// # Panics
///
/// If the table is empty, or longer than they can reach.
#[inline]
pub(super) fn last_place(table: &[u32]) -> i32 {
    let last = table.len().checked_sub(1).map(i32::try_from);
    last.and_then(Result::ok)
        .expect("a table has between 1 and 2^31 entries")
}

#[inline]
#[target_feature(enable = "avx2")]
fn look_up(table: &[u32], numbers: &mut Column, count: usize) {
    let last = _mm256_set1_epi32(last_place(table));
    for chunk in chunks(numbers, count) {
        let place = _mm256_min_epu32(load(chunk), last);
        // SAFETY: every place is in the table.
        let found = unsafe { _mm256_i32gather_epi32::<4>(table.as_ptr().cast(), place) };
        store(chunk, found);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn rank(borders: &Borders, numbers: &Column, count: usize) -> Column {
    let mut ranks = Column::ZERO;
    let values: &[[u32; LANES]] = numbers.0.as_chunks().0;
    for (rank, value) in chunks(&mut ranks, count).zip(values) {
        let value = load(value);
        let mut place = _mm256_setzero_si256();
        for level in 0..borders.depth() {
            let level = Sixteen::numbers(borders.level(level));
            // SAFETY: a place on a level is lower than the number of its numbers.
            let border = unsafe { _mm256_i32gather_epi32::<4>(level.as_ptr().cast(), place) };
            // There is no comparison of unsigned numbers, but a maximum: all ones where the border
            // is as high as the number.
            let reaches = _mm256_cmpeq_epi32(_mm256_max_epu32(border, value), border);
            let right = _mm256_add_epi32(_mm256_set1_epi32(1), reaches);
            place = _mm256_add_epi32(_mm256_add_epi32(place, place), right);
        }
        store(rank, place);
    }
    ranks
}

/// The first `count` numbers eight by eight, and perhaps some more.
#[inline]
fn chunks(column: &mut Column, count: usize) -> impl Iterator<Item = &mut [u32; LANES]> {
    let chunks = column.0.as_chunks_mut().0;
    chunks.iter_mut().take(count.div_ceil(LANES))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(numbers: &mut [u32; LANES], values: __m256i) {
    // SAFETY: 32 writable bytes; this store has no wish for alignment.
    unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast(), values) };
}

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn first_common_each<const ROWS: usize>(
    lines: &[Line],
    length: usize,
    rows: &[Column; ROWS],
    count: usize,
    firsts: &mut Column,
) {
    for packet in 0..count {
        let mut row_lines = [&[][..]; ROWS];
        for (row, column) in row_lines.iter_mut().zip(rows) {
            *row = &lines[column.0[packet] as usize * length..][..length];
        }
        firsts.0[packet] = first_common(row_lines, 0).unwrap_or(u32::MAX);
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn first_common<const ROWS: usize>(rows: [&[Line]; ROWS], from: u32) -> Option<u32> {
    let (start, mut mask) = first_line(from);
    for line in start..rows[0].len() {
        for half in 0..2 {
            let mut common = load_half(&mask, half);
            for row in rows {
                common = _mm256_and_si256(common, load_half(&row[line], half));
            }
            if _mm256_testz_si256(common, common) == 0 {
                // SAFETY: both are 32 bytes of plain numbers.
                let words: [u64; 4] = unsafe { std::mem::transmute(common) };
                let mut word = 0;
                while word < 3 && words[word] == 0 {
                    word += 1;
                }
                let base = line * 512 + half * 256 + word * 64;
                return Some(base as u32 + words[word].trailing_zeros());
            }
        }
        mask = Line([u64::MAX; 8]);
    }
    None
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half(line: &Line, half: usize) -> __m256i {
    let half: &[u64; 4] = &line.0.as_chunks().0[half];
    // SAFETY: 32 readable bytes; this load has no wish for alignment.
    unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn matching(block: &Block, probe: &Probe) -> u32 {
    let source = differs(probe.source, &block.source_mask, &block.source);
    let destination = differs(
        probe.destination,
        &block.destination_mask,
        &block.destination,
    );
    let outside = outside(block, probe);
    // SAFETY: eight readable bytes.
    let protocols = unsafe { _mm_loadl_epi64(block.protocol.as_ptr().cast()) };
    let same = _mm_cmpeq_epi8(protocols, _mm_set1_epi8(probe.protocol as i8));
    let protocol = _mm_movemask_epi8(same) as u32 & 0xff;
    let protocol = (protocol ^ u32::from(block.not_protocol)) | u32::from(block.any_protocol);
    let fields = if block.not_source | block.not_destination == 0 {
        zero_lanes(_mm256_or_si256(
            _mm256_or_si256(source, destination),
            outside,
        ))
    } else {
        (zero_lanes(source) ^ u32::from(block.not_source))
            & (zero_lanes(destination) ^ u32::from(block.not_destination))
            & zero_lanes(outside)
    };
    fields & protocol & u32::from(block.kinds[usize::from(probe.kind % 4)])
}

/// Zero in the lanes where `value & mask == wanted`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn differs(value: u32, mask: &[u32; LANES], wanted: &[u32; LANES]) -> __m256i {
    let value = _mm256_set1_epi32(value as i32);
    _mm256_xor_si256(_mm256_and_si256(value, load(mask)), load(wanted))
}

/// What the ports' offsets exceed the ranges' widths by: zero inside them.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn outside(block: &Block, probe: &Probe) -> __m256i {
    let ports = _mm256_set1_epi32(probe.ports as i32);
    let offset = _mm256_sub_epi16(ports, load(&block.first_ports));
    _mm256_subs_epu16(offset, load(&block.port_widths))
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero_lanes(lanes: __m256i) -> u32 {
    let zero = _mm256_cmpeq_epi32(lanes, _mm256_setzero_si256());
    _mm256_movemask_ps(_mm256_castsi256_ps(zero)) as u32
}

#[inline]
#[target_feature(enable = "avx2,bmi2")]
fn reached(thresholds: &Thresholds, ports: u32) -> u32 {
    let mut reached = 0;
    for (place, half) in thresholds.0.as_chunks::<16>().0.iter().enumerate() {
        let port = _mm256_set1_epi16((ports >> (16 * place)) as i16);
        // SAFETY: 32 readable bytes; this load has no wish for alignment.
        let half = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
        let lanes = _mm256_cmpeq_epi16(_mm256_max_epu16(half, port), port);
        let bits = _pext_u32(_mm256_movemask_epi8(lanes) as u32, 0x5555_5555);
        reached |= bits << (16 * place);
    }
    reached
}
