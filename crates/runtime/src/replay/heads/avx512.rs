//! Records to columns, for CPUs with AVX-512.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmpeq_epi32_mask, _mm512_cmpge_epu32_mask,
    _mm512_loadu_si512, _mm512_maskz_mov_epi32, _mm512_max_epu32, _mm512_or_si512, _mm512_set_epi8,
    _mm512_set1_epi32, _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_slli_epi32,
    _mm512_srli_epi32, _mm512_storeu_si512, _mm512_sub_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use portcullis_core::batch::BATCH;
use portcullis_core::packet::{Column, RawColumns};
use portcullis_simd::Avx512;

use crate::capture::UsualRecords;
use crate::link::{ETHERNET, ETHERNET_HEAD, Foreign};

/// Bytes of a record that are read: from the captured length on, past the TCP
/// flags.
const ROW: usize = 64;

/// The columns of records that begin at `starts`, and whether the link layer
/// sends them to many; `None` where not all of them can be read whole.
#[inline(always)]
pub(super) fn gather(
    _: Avx512,
    records: &UsualRecords<'_>,
    starts: &[u32; BATCH],
    raw: &mut RawColumns,
    groups: &mut Column,
) -> Option<()> {
    let bytes = records.lengths_first();
    let last = starts.iter().fold(0, |last, start| last.max(*start));
    bytes.get(last as usize..)?.first_chunk::<ROW>()?;
    for (place, starts) in starts.as_chunks::<16>().0.iter().enumerate() {
        // SAFETY: the first argument is the proof of AVX-512; a row follows the last start, so one
        // follows each.
        unsafe { gather_sixteen(bytes, starts, place, raw, groups) };
    }
    Some(())
}

/// Sixteen rows, transposed.
///
/// # Safety
///
/// [`ROW`] bytes must follow each start.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn gather_sixteen(
    bytes: &[u8],
    starts: &[u32; 16],
    place: usize,
    raw: &mut RawColumns,
    groups: &mut Column,
) {
    // In each quarter of a row the bytes of up to four fields are moved together:
    // captured length, original length, first bytes of the frame;
    // bytes 0-3 and 4-7 of the IP header, its bytes 8-9 with the Ethernet type;
    // addresses, ports, checksum; TCP flags.
    const X: i8 = -1;
    #[rustfmt::skip]
    let fields = _mm512_set_epi8(
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, 7,
        X, X, 1, 0, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2,
        X, X, X, X, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6,
        X, X, X, X, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    );
    let row = |number: usize| {
        // SAFETY: the caller promises that the bytes of a row follow.
        let row = unsafe { _mm512_loadu_si512(bytes.as_ptr().add(starts[number] as usize).cast()) };
        _mm512_shuffle_epi8(row, fields)
    };
    // Of four records the first fields of each quarter side by side, then the
    // second ones, and so on.
    let four = |first: usize| {
        let (a, b, c, d) = (row(first), row(first + 1), row(first + 2), row(first + 3));
        let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (more_low, more_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(low, more_low),
            _mm512_unpackhi_epi64(low, more_low),
            _mm512_unpacklo_epi64(high, more_high),
            _mm512_unpackhi_epi64(high, more_high),
        ]
    };
    let fours = [four(0), four(4), four(8), four(12)];
    // Of all sixteen the fields of one quarter.
    let quarters = |field: usize| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|four: usize| fours[four][field]);
        let first = _mm512_shuffle_i32x4::<0b01_00_01_00>(a, b);
        let first_more = _mm512_shuffle_i32x4::<0b01_00_01_00>(c, d);
        let last = _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b);
        let last_more = _mm512_shuffle_i32x4::<0b11_10_11_10>(c, d);
        [
            _mm512_shuffle_i32x4::<0b10_00_10_00>(first, first_more),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(first, first_more),
            _mm512_shuffle_i32x4::<0b10_00_10_00>(last, last_more),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(last, last_more),
        ]
    };
    let [captured, first, source, flags] = quarters(0);
    let [original, second, destination, _] = quarters(1);
    let [frame, mixed, ports, _] = quarters(2);
    let [_, _, checksum, _] = quarters(3);

    let number = |value: u32| _mm512_set1_epi32(value as i32);
    let ether_type = u32::from(Foreign::IPV4_ETHER_TYPE.swap_bytes());
    let is_ipv4 = _mm512_cmpeq_epi32_mask(_mm512_srli_epi32::<16>(mixed), number(ether_type));
    let is_whole = _mm512_cmpge_epu32_mask(captured, number(ETHERNET_HEAD as u32));
    let third = _mm512_and_si512(mixed, number(0xffff));
    let words = [
        // Of no version where it is no plain frame.
        _mm512_maskz_mov_epi32(is_ipv4 & is_whole, first),
        second,
        _mm512_or_si512(third, _mm512_slli_epi32::<16>(checksum)),
        source,
        destination,
        ports,
    ];
    for (column, words) in raw.words.iter_mut().zip(words) {
        store(column, place, words);
    }
    store(&mut raw.flags, place, flags);
    let frame_length = _mm512_max_epu32(captured, original);
    let length = _mm512_sub_epi32(frame_length, number(ETHERNET as u32));
    store(&mut raw.lengths, place, length);
    store(groups, place, _mm512_and_si512(frame, number(1)));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(column: &mut Column, place: usize, numbers: __m512i) {
    let sixteen = &mut column.as_chunks_mut::<16>().0[place];
    // SAFETY: sixteen numbers are 64 bytes.
    unsafe { _mm512_storeu_si512(sixteen.as_mut_ptr().cast(), numbers) }
}
