//! The one capture format that the golden corpora use. Everything else is
//! read by the runtime's reader, which these tests must not depend on.

/// Bytes before the first record.
const FILE_HEADER: usize = 24;
/// Bytes before each packet.
const RECORD_HEADER: usize = 16;

/// The packets of a little-endian pcap file of raw IPv4, whole records only.
///
/// # Panics
///
/// If the file is anything else: golden files are not hostile.
pub fn raw_ipv4_packets(file: &[u8]) -> Vec<&[u8]> {
    assert_eq!(&file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "not a classic pcap");
    assert_eq!(file[20..24], [101, 0, 0, 0], "not raw IP");
    let mut packets = Vec::new();
    let mut rest = &file[FILE_HEADER..];
    while !rest.is_empty() {
        let length = [8, 9, 10, 11].map(|at| rest[at]);
        let end = RECORD_HEADER + u32::from_le_bytes(length) as usize;
        packets.push(&rest[RECORD_HEADER..end]);
        rest = &rest[end..];
    }
    packets
}
