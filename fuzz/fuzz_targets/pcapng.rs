//! A pcapng file, or one that is packed: reading ends, every record is accounted for, both ways of
//! judging agree.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// How gzip and zstd files begin.
const PACKED: [[u8; 2]; 2] = [[0x1f, 0x8b], [0x28, 0xb5]];
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

fuzz_target!(|file: &[u8]| {
    let mut file = file.to_vec();
    if let Some(start) = file.first_chunk_mut::<4>()
        && !PACKED.contains(&[start[0], start[1]])
    {
        *start = SECTION;
    }
    portcullis_fuzz::capture::judge(&file);
});
