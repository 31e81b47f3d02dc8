//! A pcap file: reading ends, every record is found and accounted for, both ways of judging agree.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// Either byte order, microseconds and nanoseconds.
const MAGIC: [[u8; 4]; 4] = [
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
];

fuzz_target!(|file: &[u8]| {
    let mut file = file.to_vec();
    if let Some(start) = file.first_chunk_mut()
        && !MAGIC.contains(start)
    {
        *start = MAGIC[usize::from(start[0] % 4)];
    }
    portcullis_fuzz::capture::judge(&file);
    match file.first() {
        Some(0xd4 | 0x4d) => portcullis_fuzz::capture::count(&file, u32::from_le_bytes),
        _ => portcullis_fuzz::capture::count(&file, u32::from_be_bytes),
    }
});
