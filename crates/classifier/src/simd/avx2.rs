//! The operations for CPUs with AVX2 and BMI2.

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_loadl_epi64, _mm_movemask_epi8,
    _mm_prefetch, _mm_set1_epi8, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi16,
    _mm256_cmpeq_epi32, _mm256_load_si256, _mm256_loadu_si256, _mm256_max_epu16, _mm256_max_epu32,
    _mm256_movemask_epi8, _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_sub_epi16, _mm256_subs_epu16,
    _mm256_testz_si256, _mm256_xor_si256, _pext_u32, _pext_u64,
};

use super::{Keys, Line, Simd, Thresholds, Work, first_line};
use crate::block::{Block, LANES};
use crate::plain_rule::Probe;

/// Proof that the CPU has AVX2 and BMI2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    #[inline]
    pub(super) fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt");
        has.then_some(Self(()))
    }

    /// Does the work in code compiled for this instruction set.
    #[inline]
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
        fn compiled<W: Work>(simd: Avx2, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` exists, so the CPU has these features.
        unsafe { compiled(self, work) }
    }
}

/// Loads eight numbers.
#[inline(always)]
fn load(numbers: &[u32; LANES]) -> __m256i {
    // SAFETY: 32 readable bytes; the load has no wish for alignment. AVX is
    // there, as only methods of `Avx2` call this.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

impl Simd for Avx2 {
    #[inline(always)]
    fn below(self, keys: &Keys, value: u32) -> usize {
        let (low, high) = keys.0.split_at(LANES);
        // SAFETY: each half is 32 readable bytes at a 32-byte boundary, since
        // `Keys` is aligned to 64; `self` is the proof of AVX2.
        let reached = unsafe {
            let value = _mm256_set1_epi32(value as i32);
            let reached = |half: &[u32]| {
                let keys = _mm256_load_si256(half.as_ptr().cast());
                // key >= value where the larger of both is the key.
                let reached = _mm256_cmpeq_epi32(_mm256_max_epu32(keys, value), keys);
                _mm256_movemask_ps(_mm256_castsi256_ps(reached)) as u32
            };
            reached(low) | reached(high) << 8
        };
        16 - reached.count_ones() as usize
    }

    #[inline(always)]
    fn first_common<const ROWS: usize>(self, rows: [&[Line]; ROWS], from: u32) -> Option<u32> {
        let (start, mut mask) = first_line(from);
        for line in start..rows[0].len() {
            let lines = rows.map(|row| &row[line]);
            for half in 0..2 {
                let half_of = |line: &Line| -> __m256i {
                    // SAFETY: `half` is 0 or 1: 32 readable, aligned bytes.
                    unsafe { _mm256_load_si256(line.0.as_ptr().add(half * 4).cast()) }
                };
                let mut common = half_of(&mask);
                // SAFETY: `self` is the proof of AVX2.
                let none = unsafe {
                    for line in lines {
                        common = _mm256_and_si256(common, half_of(line));
                    }
                    _mm256_testz_si256(common, common)
                };
                if none == 0 {
                    // SAFETY: both are 32 bytes of plain numbers.
                    let words: [u64; 4] = unsafe { std::mem::transmute(common) };
                    let word = words.iter().position(|word| *word != 0).unwrap_or(0);
                    let base = line * 512 + half * 256 + word * 64;
                    return Some(base as u32 + words[word].trailing_zeros());
                }
            }
            mask = Line([u64::MAX; 8]);
        }
        None
    }

    #[inline(always)]
    fn matching(self, block: &Block, probe: &Probe) -> u32 {
        // SAFETY: `self` is the proof of AVX2; `protocol` is eight readable
        // bytes.
        let (source, destination, ports, protocol) = unsafe {
            let zero = _mm256_setzero_si256();
            let differs = |value: u32, mask: &[u32; LANES], wanted: &[u32; LANES]| {
                let value = _mm256_set1_epi32(value as i32);
                _mm256_xor_si256(_mm256_and_si256(value, load(mask)), load(wanted))
            };
            let source = differs(probe.source, &block.source_mask, &block.source);
            let destination = differs(
                probe.destination,
                &block.destination_mask,
                &block.destination,
            );
            let offset = _mm256_sub_epi16(
                _mm256_set1_epi32(probe.ports as i32),
                load(&block.first_ports),
            );
            // What the offsets exceed the widths by: zero inside the ranges.
            let outside = _mm256_subs_epu16(offset, load(&block.port_widths));
            let zero_lanes = |differences: __m256i| {
                let same = _mm256_cmpeq_epi32(differences, zero);
                _mm256_movemask_ps(_mm256_castsi256_ps(same)) as u32
            };
            let protocols: __m128i = _mm_loadl_epi64(block.protocol.as_ptr().cast());
            let same = _mm_cmpeq_epi8(protocols, _mm_set1_epi8(probe.protocol as i8));
            let protocol = _mm_movemask_epi8(same) as u32 & 0xff;
            if block.not_source | block.not_destination == 0 {
                let any = _mm256_or_si256(_mm256_or_si256(source, destination), outside);
                (u32::MAX, u32::MAX, zero_lanes(any), protocol)
            } else {
                let source = zero_lanes(source) ^ u32::from(block.not_source);
                let destination = zero_lanes(destination) ^ u32::from(block.not_destination);
                (source, destination, zero_lanes(outside), protocol)
            }
        };
        let protocol = (protocol ^ u32::from(block.not_protocol)) | u32::from(block.any_protocol);
        let kind = block.kinds[usize::from(probe.kind % 4)];
        source & destination & ports & protocol & u32::from(kind)
    }

    #[inline(always)]
    fn reached(self, thresholds: &Thresholds, ports: u32) -> u32 {
        let (low, high) = thresholds.0.split_at(16);
        // SAFETY: each half is 32 readable bytes at a 32-byte boundary, since
        // `Thresholds` is aligned to 64; `self` is the proof of AVX2 and BMI2.
        unsafe {
            let reached = |half: &[u16], port: u16| {
                let port = _mm256_set1_epi16(port as i16);
                let half = _mm256_load_si256(half.as_ptr().cast());
                let reached = _mm256_cmpeq_epi16(_mm256_max_epu16(half, port), port);
                _pext_u32(_mm256_movemask_epi8(reached) as u32, 0x5555_5555)
            };
            reached(low, ports as u16) | reached(high, (ports >> 16) as u16) << 16
        }
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
