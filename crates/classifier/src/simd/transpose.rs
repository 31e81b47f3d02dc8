//! Keys to columns, for CPUs with AVX-512.

use std::arch::x86_64::{
    _mm512_add_epi32, _mm512_and_si512, _mm512_castsi512_si256, _mm512_inserti64x4,
    _mm512_maskz_loadu_epi8, _mm512_or_si512, _mm512_permutex2var_epi32, _mm512_set1_epi32,
    _mm512_setr_epi32, _mm512_shuffle_i64x2, _mm512_slli_epi32, _mm512_srli_epi32,
};
use std::mem::offset_of;

use portcullis_core::batch::BATCH;
use portcullis_core::packet::PacketKey;

use super::avx512::store_numbers;
use crate::probes::Probes;

/// Sixteen keys at a time, transposed; what is left over goes one by one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn probes(keys: &[PacketKey]) -> Probes {
    const {
        assert!(size_of::<PacketKey>() == 16);
        assert!(offset_of!(PacketKey, source) == 0 && offset_of!(PacketKey, destination) == 4);
        assert!(offset_of!(PacketKey, source_port) == 8);
        assert!(offset_of!(PacketKey, destination_port) == 10);
        assert!(offset_of!(PacketKey, protocol) == 12 && offset_of!(PacketKey, fragment) == 13);
        assert!(offset_of!(PacketKey, syn) == 14);
    }
    // All of a key but the byte behind its fields.
    const FIELDS: u64 = 0x7fff_7fff_7fff_7fff;
    let (full, rest) = keys.as_chunks::<16>();
    let mut probes = Probes::empty(keys.len());
    let first_words = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    let last_words = _mm512_add_epi32(first_words, _mm512_set1_epi32(2));
    for (place, chunk) in full.iter().enumerate().take(BATCH / 16) {
        let four = |place: usize| {
            // SAFETY: four keys follow; bytes that are masked are not read.
            unsafe { _mm512_maskz_loadu_epi8(FIELDS, chunk[4 * place..].as_ptr().cast()) }
        };
        let (a, b, c, d) = (four(0), four(1), four(2), four(3));
        let pair = |words, a, b| _mm512_permutex2var_epi32(a, words, b);
        let (addresses, more_addresses) = (pair(first_words, a, b), pair(first_words, c, d));
        let (others, more_others) = (pair(last_words, a, b), pair(last_words, c, d));
        let low = |a, b| _mm512_inserti64x4::<1>(a, _mm512_castsi512_si256(b));
        let high = |a, b| _mm512_shuffle_i64x2::<0b11_10_11_10>(a, b);
        let ports = low(others, more_others);
        let protocols = high(others, more_others);
        let bits = |mask| _mm512_set1_epi32(mask);
        let kinds = _mm512_or_si512(
            _mm512_slli_epi32::<2>(_mm512_and_si512(protocols, bits(0xff))),
            _mm512_or_si512(
                _mm512_and_si512(_mm512_srli_epi32::<7>(protocols), bits(2)),
                _mm512_srli_epi32::<16>(protocols),
            ),
        );
        let columns = [
            (&mut probes.source, low(addresses, more_addresses)),
            (&mut probes.destination, high(addresses, more_addresses)),
            (
                &mut probes.source_port,
                _mm512_and_si512(ports, bits(0xffff)),
            ),
            (&mut probes.destination_port, _mm512_srli_epi32::<16>(ports)),
            (&mut probes.kind, kinds),
        ];
        for (column, values) in columns {
            store_numbers(&mut column.0.as_chunks_mut().0[place], values);
        }
    }
    for (place, key) in (16 * full.len()..BATCH).zip(rest) {
        probes.set(place, key);
    }
    probes
}
