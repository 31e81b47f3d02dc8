//! The operations for CPUs with AVX-512 F, BW, DQ and VL.

use std::arch::x86_64::{
    __m256i, __m512i, _mm_cmpeq_epi8_mask, _mm_loadl_epi64, _mm_set1_epi8, _mm256_and_si256,
    _mm256_loadu_si256, _mm256_or_si256, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_sub_epi16,
    _mm256_subs_epu16, _mm256_testn_epi32_mask, _mm256_xor_si256, _mm512_and_si512,
    _mm512_castsi256_si512, _mm512_cmple_epu16_mask, _mm512_cmplt_epu32_mask, _mm512_inserti64x4,
    _mm512_load_si512, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_test_epi64_mask, _pext_u64,
};

use super::avx2::prefetch;
use super::{Keys, Line, Simd, Thresholds, Work, first_line};
use crate::block::{Block, LANES};
use crate::plain_rule::Probe;

/// Proof that the CPU has AVX-512 as far as it is used here, and BMI2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    #[inline]
    pub(super) fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt");
        has.then_some(Self(()))
    }

    /// Does the work in code compiled for this instruction set.
    #[inline]
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt,lzcnt")]
        fn compiled<W: Work>(simd: Avx512, work: W) -> W::Output {
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
    // there, as only methods of `Avx512` call this.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

impl Simd for Avx512 {
    #[inline(always)]
    fn below(self, keys: &Keys, value: u32) -> usize {
        // SAFETY: `Keys` is 64 readable bytes aligned to 64; `self` is the
        // proof of AVX-512.
        let below = unsafe {
            let keys = _mm512_load_si512(keys.0.as_ptr().cast());
            _mm512_cmplt_epu32_mask(keys, _mm512_set1_epi32(value as i32))
        };
        below.count_ones() as usize
    }

    #[inline(always)]
    fn first_common<const ROWS: usize>(self, rows: [&[Line]; ROWS], from: u32) -> Option<u32> {
        let (start, mask) = first_line(from);
        // SAFETY: a `Line` is 64 readable bytes aligned to 64; `self` is the
        // proof of AVX-512.
        let load =
            |line: &Line| -> __m512i { unsafe { _mm512_load_si512(line.0.as_ptr().cast()) } };
        let common = |line: usize| {
            let mut common = load(&rows[0][line]);
            for row in &rows[1..] {
                // SAFETY: `self` is the proof of AVX-512.
                common = unsafe { _mm512_and_si512(common, load(&row[line])) };
            }
            common
        };
        for line in start..rows[0].len() {
            let mut bits = common(line);
            if from != 0 && line == start {
                // SAFETY: `self` is the proof of AVX-512.
                bits = unsafe { _mm512_and_si512(bits, load(&mask)) };
            }
            // SAFETY: `self` is the proof of AVX-512.
            let words_set = unsafe { _mm512_test_epi64_mask(bits, bits) };
            if words_set != 0 {
                // SAFETY: both are 64 bytes of plain numbers.
                let words: [u64; 8] = unsafe { std::mem::transmute(bits) };
                let word = words_set.trailing_zeros() as usize % 8;
                let base = line * 512 + word * 64;
                return Some(base as u32 + words[word].trailing_zeros());
            }
        }
        None
    }

    #[inline(always)]
    fn matching(self, block: &Block, probe: &Probe) -> u32 {
        // SAFETY: `self` is the proof of AVX-512 with VL and BW; `protocol` is
        // eight readable bytes.
        let (fields, protocol) = unsafe {
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
            let ports = _mm256_set1_epi32(probe.ports as i32);
            let offset = _mm256_sub_epi16(ports, load(&block.first_ports));
            // What the offsets exceed the widths by: zero inside the ranges.
            let outside = _mm256_subs_epu16(offset, load(&block.port_widths));
            let zero_lanes = |it: __m256i| _mm256_testn_epi32_mask(it, it);
            let protocols = _mm_loadl_epi64(block.protocol.as_ptr().cast());
            let protocol = _mm_set1_epi8(probe.protocol as i8);
            let same = _mm_cmpeq_epi8_mask(protocols, protocol) as u8;
            let fields = if block.not_source | block.not_destination == 0 {
                let any = _mm256_or_si256(_mm256_or_si256(source, destination), outside);
                zero_lanes(any)
            } else {
                (zero_lanes(source) ^ block.not_source)
                    & (zero_lanes(destination) ^ block.not_destination)
                    & zero_lanes(outside)
            };
            (fields, same)
        };
        let protocol = (protocol ^ block.not_protocol) | block.any_protocol;
        u32::from(fields & protocol & block.kinds[usize::from(probe.kind % 4)])
    }

    #[inline(always)]
    fn reached(self, thresholds: &Thresholds, ports: u32) -> u32 {
        // SAFETY: `Thresholds` is 64 readable bytes; `self` is the proof of
        // AVX-512 with BW.
        unsafe {
            let low = _mm256_set1_epi16(ports as i16);
            let high = _mm256_set1_epi16((ports >> 16) as i16);
            let ports = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            _mm512_cmple_epu16_mask(_mm512_loadu_si512(thresholds.0.as_ptr().cast()), ports)
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
