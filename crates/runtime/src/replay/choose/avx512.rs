//! For CPUs with AVX-512.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _mm512_alignr_epi32, _mm512_cmpeq_epi32_mask, _mm512_loadu_si512,
    _mm512_mask_storeu_epi32, _mm512_maskz_compress_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
};

use portcullis_core::batch::BATCH;
use portcullis_core::packet::Column;
use portcullis_simd::Avx512;

#[inline(always)]
pub(super) fn equal(_: Avx512, column: &Column, number: u32) -> u64 {
    // SAFETY: the first argument is the proof of AVX-512.
    unsafe { equal_by_sixteens(column, number) }
}

#[inline(always)]
pub(super) fn repeated<const COLUMNS: usize>(_: Avx512, columns: [&Column; COLUMNS]) -> u64 {
    // SAFETY: the first argument is the proof of AVX-512.
    unsafe { repeated_by_sixteens(columns) }
}

#[inline(always)]
pub(super) fn append<const COLUMNS: usize>(
    _: Avx512,
    columns: [(&Column, &mut Column); COLUMNS],
    set: u64,
    count: usize,
) {
    // SAFETY: the first argument is the proof of AVX-512.
    unsafe { append_by_sixteens(columns, set, count) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn equal_by_sixteens(column: &Column, number: u32) -> u64 {
    let number = _mm512_set1_epi32(number as i32);
    let sixteens = column.as_chunks::<16>().0.iter().enumerate();
    sixteens.fold(0, |set, (place, sixteen)| {
        set | u64::from(_mm512_cmpeq_epi32_mask(load(sixteen), number)) << (16 * place)
    })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn repeated_by_sixteens<const COLUMNS: usize>(columns: [&Column; COLUMNS]) -> u64 {
    // Nothing is before the first place.
    let mut repeated = !1;
    for column in columns {
        let mut before = _mm512_setzero_si512();
        let mut same = 0;
        for (place, sixteen) in column.as_chunks::<16>().0.iter().enumerate() {
            let numbers = load(sixteen);
            let shifted = _mm512_alignr_epi32::<15>(numbers, before);
            same |= u64::from(_mm512_cmpeq_epi32_mask(numbers, shifted)) << (16 * place);
            before = numbers;
        }
        repeated &= same;
    }
    repeated
}

#[inline]
#[target_feature(enable = "avx512f,popcnt")]
fn append_by_sixteens<const COLUMNS: usize>(
    mut columns: [(&Column, &mut Column); COLUMNS],
    set: u64,
    count: usize,
) {
    let mut end = count;
    for place in 0..BATCH / 16 {
        let chosen = (set >> (16 * place)) as u16;
        let start = end;
        end += chosen.count_ones() as usize;
        if end > BATCH {
            return;
        }
        let stored = ((1_u32 << (end - start)) - 1) as u16;
        for (from, to) in &mut columns {
            let sixteen = &from.as_chunks::<16>().0[place];
            let numbers = _mm512_maskz_compress_epi32(chosen, load(sixteen));
            // SAFETY: only the numbers from `start` to `end` are stored, which is within.
            unsafe { _mm512_mask_storeu_epi32(to.as_mut_ptr().add(start).cast(), stored, numbers) }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(sixteen: &[u32; 16]) -> __m512i {
    // SAFETY: sixteen numbers are 64 bytes.
    unsafe { _mm512_loadu_si512(sixteen.as_ptr().cast()) }
}
