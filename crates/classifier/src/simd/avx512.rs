//! The operations for CPUs with AVX-512 F, BW, DQ and VL.

use std::arch::x86_64::{
    __m256i, __m512i, _mm_cmpeq_epi8_mask, _mm_cvtsi128_si64, _mm_loadl_epi64, _mm_set1_epi8,
    _mm256_or_si256, _mm256_set1_epi16, _mm256_testn_epi32_mask, _mm512_add_epi32,
    _mm512_and_si512, _mm512_castsi256_si512, _mm512_castsi512_si128, _mm512_cmple_epu16_mask,
    _mm512_cmplt_epu32_mask, _mm512_i32gather_epi32, _mm512_inserti64x4, _mm512_loadu_si512,
    _mm512_mask_add_epi32, _mm512_mask_mov_epi32, _mm512_mask_mov_epi64,
    _mm512_maskz_compress_epi64, _mm512_min_epu32, _mm512_permutex2var_epi32,
    _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_test_epi32_mask, _mm512_test_epi64_mask, _pext_u64,
};

use portcullis_core::packet::PacketKey;

use portcullis_simd::Avx512;

use super::avx2::{differs, last_place, outside, prefetch};
use super::transpose::probes;
use super::{Borders, Column, Line, Simd, Sixteen, Thresholds, first_line};
use crate::block::Block;
use crate::plain_rule::Probe;
use crate::probes::Probes;

impl Simd for Avx512 {
    #[inline(always)]
    fn probes(self, keys: &[PacketKey]) -> Probes {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { probes(keys) }
    }

    #[inline(always)]
    fn look_up(self, table: &[u32], numbers: &mut Column, count: usize) {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { look_up(table, numbers, count) }
    }

    #[inline(always)]
    fn rank(self, borders: &Borders, numbers: &Column, count: usize) -> Column {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { rank(borders, numbers, count) }
    }

    #[inline(always)]
    fn with_any(self, numbers: &Column, bits: u32) -> u64 {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { with_any(numbers, bits) }
    }

    #[inline(always)]
    fn above(self, numbers: &Column, limit: u32) -> u64 {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { above(numbers, limit) }
    }

    #[inline(always)]
    fn first_common<const ROWS: usize>(self, rows: [&[Line]; ROWS], from: u32) -> Option<u32> {
        // SAFETY: `self` is the proof of AVX-512.
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
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { first_common_each(lines, length, rows, count, firsts) }
    }

    #[inline(always)]
    fn matching(self, block: &Block, probe: &Probe) -> u32 {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { matching(block, probe) }
    }

    #[inline(always)]
    fn reached(self, thresholds: &Thresholds, ports: u32) -> u32 {
        // SAFETY: `self` is the proof of AVX-512.
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

#[inline]
#[target_feature(enable = "avx512f")]
fn with_any(numbers: &Column, bits: u32) -> u64 {
    let bits = _mm512_set1_epi32(bits as i32);
    each_sixteen(numbers, |numbers| _mm512_test_epi32_mask(numbers, bits))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn above(numbers: &Column, limit: u32) -> u64 {
    let limit = _mm512_set1_epi32(limit as i32);
    each_sixteen(numbers, |numbers| _mm512_cmplt_epu32_mask(limit, numbers))
}

/// The masks of all sixteens of a column, one after the other.
#[inline]
#[target_feature(enable = "avx512f")]
fn each_sixteen(numbers: &Column, mask: impl Fn(__m512i) -> u16) -> u64 {
    let mut all = 0;
    for (place, chunk) in numbers.0.as_chunks().0.iter().enumerate() {
        all |= u64::from(mask(load_numbers(chunk))) << (16 * place);
    }
    all
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: 64 readable bytes; this load has no wish for alignment.
    unsafe { _mm512_loadu_si512(line.0.as_ptr().cast()) }
}

/// Small tables are looked up in registers: gathering takes one load for each packet.
#[inline]
#[target_feature(enable = "avx512f")]
fn look_up(table: &[u32], numbers: &mut Column, count: usize) {
    let (lines, rest) = table.as_chunks::<16>();
    let chunks = chunks(numbers, count);
    match (lines, rest) {
        ([a], []) => {
            let a = load_numbers(a);
            for chunk in chunks {
                store_numbers(chunk, _mm512_permutexvar_epi32(load_numbers(chunk), a));
            }
        }
        ([a, b], []) => {
            for chunk in chunks {
                store_numbers(chunk, pick(load_numbers(chunk), a, b));
            }
        }
        ([a, b, c, d], []) => {
            for chunk in chunks {
                store_numbers(chunk, pick_of_four(load_numbers(chunk), [a, b, c, d]));
            }
        }
        ([a, b, c, d, e, f, g, h], []) => {
            let lines = [a, b, c, d, e, f, g, h];
            for chunk in chunks {
                store_numbers(chunk, pick_of_eight(load_numbers(chunk), lines));
            }
        }
        _ => {
            let last = _mm512_set1_epi32(last_place(table));
            for chunk in chunks {
                let place = _mm512_min_epu32(load_numbers(chunk), last);
                // SAFETY: every place is in the table.
                let found = unsafe { _mm512_i32gather_epi32::<4>(place, table.as_ptr().cast()) };
                store_numbers(chunk, found);
            }
        }
    }
}

/// A search for several chunks of sixteen numbers at once, which hides how long each step takes: an
/// array of ranks for one of numbers. Levels of up to eight lines are looked up in registers. (A
/// macro, for the compiler keeps arrays in memory that loops go over.)
macro_rules! search {
    ($borders:expr, $values:expr, [$($chunk:literal),*]) => {{
        let (borders, values) = ($borders, $values);
        let mut places = [$({ let _: usize = $chunk; _mm512_setzero_si512() }),*];
        macro_rules! step {
            ($border:expr) => {{
                let border = $border;
                places = [$(below(places[$chunk], border(places[$chunk]), values[$chunk])),*];
            }};
        }
        for level in 0..borders.depth() {
            let level = borders.level(level);
            match level {
                [line] => {
                    let line = load_numbers(&line.0);
                    step!(|place| _mm512_permutexvar_epi32(place, line));
                }
                [a, b] => step!(|place| pick(place, &a.0, &b.0)),
                [a, b, c, d] => step!(|place| pick_of_four(place, [&a.0, &b.0, &c.0, &d.0])),
                [a, b, c, d, e, f, g, h] => {
                    let lines = [&a.0, &b.0, &c.0, &d.0, &e.0, &f.0, &g.0, &h.0];
                    step!(|place| pick_of_eight(place, lines));
                }
                _ => {
                    let level = Sixteen::numbers(level);
                    // SAFETY: a place on a level is lower than the number of its numbers.
                    step!(|place| unsafe {
                        _mm512_i32gather_epi32::<4>(place, level.as_ptr().cast())
                    });
                }
            }
        }
        places
    }};
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rank(borders: &Borders, numbers: &Column, count: usize) -> Column {
    let mut ranks = Column::ZERO;
    let all: &[[u32; 16]] = numbers.0.as_chunks().0;
    let chunks = ranks.0.as_chunks_mut().0;
    if count <= 16 {
        let places = search!(borders, [load_numbers(&all[0])], [0]);
        store_numbers(&mut chunks[0], places[0]);
    } else {
        let load = |chunk: usize| load_numbers(&all[chunk]);
        let values = [load(0), load(1), load(2), load(3)];
        let places = search!(borders, values, [0, 1, 2, 3]);
        for (chunk, place) in chunks.iter_mut().zip(places) {
            store_numbers(chunk, place);
        }
    }
    ranks
}

/// The places below `places`: the right ones where the border is lower than the value.
#[inline]
#[target_feature(enable = "avx512f")]
fn below(places: __m512i, borders: __m512i, values: __m512i) -> __m512i {
    let left = _mm512_add_epi32(places, places);
    let right = _mm512_cmplt_epu32_mask(borders, values);
    _mm512_mask_add_epi32(left, right, left, _mm512_set1_epi32(1))
}

/// Numbers of two lines by the lowest five bits of their places.
#[inline]
#[target_feature(enable = "avx512f")]
fn pick(places: __m512i, a: &[u32; 16], b: &[u32; 16]) -> __m512i {
    _mm512_permutex2var_epi32(load_numbers(a), places, load_numbers(b))
}

/// Numbers of four lines by the lowest six bits of their places.
#[inline]
#[target_feature(enable = "avx512f")]
fn pick_of_four(places: __m512i, [a, b, c, d]: [&[u32; 16]; 4]) -> __m512i {
    let high = _mm512_test_epi32_mask(places, _mm512_set1_epi32(32));
    _mm512_mask_mov_epi32(pick(places, a, b), high, pick(places, c, d))
}

/// Numbers of eight lines by the lowest seven bits of their places.
#[inline]
#[target_feature(enable = "avx512f")]
fn pick_of_eight(places: __m512i, [a, b, c, d, e, f, g, h]: [&[u32; 16]; 8]) -> __m512i {
    let high = _mm512_test_epi32_mask(places, _mm512_set1_epi32(64));
    let (low_lines, high_lines) = ([a, b, c, d], [e, f, g, h]);
    let low = pick_of_four(places, low_lines);
    _mm512_mask_mov_epi32(low, high, pick_of_four(places, high_lines))
}

/// The first `count` numbers sixteen by sixteen, and perhaps some more.
#[inline]
fn chunks(column: &mut Column, count: usize) -> impl Iterator<Item = &mut [u32; 16]> {
    let chunks = column.0.as_chunks_mut().0;
    chunks.iter_mut().take(count.div_ceil(16))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_numbers(numbers: &[u32; 16]) -> __m512i {
    // SAFETY: 64 readable bytes; this load has no wish for alignment.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store_numbers(numbers: &mut [u32; 16], values: __m512i) {
    // SAFETY: 64 writable bytes; this store has no wish for alignment.
    unsafe { _mm512_storeu_si512(numbers.as_mut_ptr().cast(), values) };
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,bmi1")]
fn first_common_each<const ROWS: usize>(
    lines: &[Line],
    length: usize,
    rows: &[Column; ROWS],
    count: usize,
    firsts: &mut Column,
) {
    match length {
        // Short rows without a branch on what is in them.
        1 => {
            for packet in 0..count {
                let mut bits = load(&lines[rows[0].0[packet] as usize]);
                for row in &rows[1..] {
                    bits = _mm512_and_si512(bits, load(&lines[row.0[packet] as usize]));
                }
                firsts.0[packet] = first_word(bits, 0);
            }
        }
        2 => {
            let pairs: &[[Line; 2]] = lines.as_chunks().0;
            for packet in 0..count {
                let mut low = load(&pairs[rows[0].0[packet] as usize][0]);
                let mut high = load(&pairs[rows[0].0[packet] as usize][1]);
                for row in &rows[1..] {
                    let pair = &pairs[row.0[packet] as usize];
                    low = _mm512_and_si512(low, load(&pair[0]));
                    high = _mm512_and_si512(high, load(&pair[1]));
                }
                let nothing = u8::from(_mm512_test_epi64_mask(low, low) == 0);
                let bits = _mm512_mask_mov_epi64(low, nothing.wrapping_neg(), high);
                firsts.0[packet] = first_word(bits, u32::from(nothing) * 512);
            }
        }
        _ => {
            for packet in 0..count {
                let mut row_lines = [&[][..]; ROWS];
                for (row, column) in row_lines.iter_mut().zip(rows) {
                    *row = &lines[column.0[packet] as usize * length..][..length];
                }
                firsts.0[packet] = first_common(row_lines, 0).unwrap_or(u32::MAX);
            }
        }
    }
}

/// `base` and the number of the first bit that is set, or the highest number.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,bmi1")]
fn first_word(bits: __m512i, base: u32) -> u32 {
    let set = _mm512_test_epi64_mask(bits, bits);
    let word = _mm512_maskz_compress_epi64(set, bits);
    let word = _mm_cvtsi128_si64(_mm512_castsi512_si128(word)) as u64;
    let first = base + set.trailing_zeros() * 64 + word.trailing_zeros();
    if set == 0 { u32::MAX } else { first }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,bmi1")]
fn first_common<const ROWS: usize>(rows: [&[Line]; ROWS], from: u32) -> Option<u32> {
    let mut start = 0;
    let mut bits = common(&rows, 0);
    if from != 0 {
        let (line, mask) = first_line(from);
        if line >= rows[0].len() {
            return None;
        }
        start = line;
        bits = _mm512_and_si512(common(&rows, line), load(&mask));
    }
    loop {
        let set = _mm512_test_epi64_mask(bits, bits);
        if set != 0 {
            return Some(first_word(bits, start as u32 * 512));
        }
        start += 1;
        if start >= rows[0].len() {
            return None;
        }
        bits = common(&rows, start);
    }
}

/// The bits that are set in all rows.
#[inline]
#[target_feature(enable = "avx512f")]
fn common<const ROWS: usize>(rows: &[&[Line]; ROWS], line: usize) -> __m512i {
    let mut common = load(&rows[0][line]);
    for row in &rows[1..] {
        common = _mm512_and_si512(common, load(&row[line]));
    }
    common
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
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
    let same = _mm_cmpeq_epi8_mask(protocols, _mm_set1_epi8(probe.protocol as i8)) as u8;
    let protocol = (same ^ block.not_protocol) | block.any_protocol;
    let fields = if block.not_source | block.not_destination == 0 {
        zero_lanes(_mm256_or_si256(
            _mm256_or_si256(source, destination),
            outside,
        ))
    } else {
        (zero_lanes(source) ^ block.not_source)
            & (zero_lanes(destination) ^ block.not_destination)
            & zero_lanes(outside)
    };
    u32::from(fields & protocol & block.kinds[usize::from(probe.kind % 4)])
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn zero_lanes(lanes: __m256i) -> u8 {
    _mm256_testn_epi32_mask(lanes, lanes)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn reached(thresholds: &Thresholds, ports: u32) -> u32 {
    let low = _mm256_set1_epi16(ports as i16);
    let high = _mm256_set1_epi16((ports >> 16) as i16);
    let ports = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
    // SAFETY: 64 readable bytes; this load has no wish for alignment.
    let thresholds = unsafe { _mm512_loadu_si512(thresholds.0.as_ptr().cast()) };
    _mm512_cmple_epu16_mask(thresholds, ports)
}
