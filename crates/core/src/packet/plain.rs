//! The packets that nearly all packets are, read many at a time.

use super::columns::{Column, KeyColumns};
use super::key::{PacketKey, protocol};
use crate::batch::BATCH;

/// Whole IPv4 packets without options that are no fragments, up to [`BATCH`].
///
/// Says of such packets what [`Ipv4Packet`](super::Ipv4Packet) says of any,
/// without the questions that only others need: field by field, so that one
/// instruction works on several packets, and without a branch on any of them.
#[derive(Clone, Debug)]
pub struct PlainPackets {
    count: usize,
    raw: RawColumns,
    /// 1 or 0.
    plain: Column,
    keys: KeyColumns,
    total_lengths: Column,
    ttls: Column,
}

/// The heads of packets as they were received, field by field.
#[derive(Clone, Debug)]
pub struct RawColumns {
    /// The words of the header and that of the ports, byte n at bit 8n. The first
    /// is 0 for what is surely not plain.
    pub words: [Column; 6],
    /// TCP flags, if it is TCP.
    pub flags: Column,
    /// The packets' lengths in bytes, on the wire or as far as they were captured,
    /// whichever is more.
    pub lengths: Column,
}

impl PlainPackets {
    /// How many bytes hold the header, ports and TCP flags.
    pub const HEAD: usize = 34;

    /// No packets.
    pub const fn new() -> Self {
        const ZERO: Column = [0; BATCH];
        Self {
            count: 0,
            raw: RawColumns {
                words: [ZERO; 6],
                flags: ZERO,
                lengths: ZERO,
            },
            plain: ZERO,
            keys: KeyColumns::new(),
            total_lengths: ZERO,
            ttls: ZERO,
        }
    }

    /// Forgets all packets.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// How many there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where heads may be put by other means than [`push`](Self::push).
    #[inline(always)]
    pub fn raw_mut(&mut self) -> &mut RawColumns {
        &mut self.raw
    }

    /// Says how many heads there are.
    #[inline(always)]
    pub fn set_len(&mut self, count: usize) {
        self.count = count.min(BATCH);
    }

    /// Adds the head of a packet, or one that surely is not plain. `length` is
    /// that of [`RawColumns::lengths`]. Of more than [`BATCH`] the first are lost.
    #[inline(always)]
    pub fn push(&mut self, head: Option<&[u8; Self::HEAD]>, length: u32) {
        let place = self.count % BATCH;
        self.count += 1;
        let Some(head) = head else {
            // Of no version.
            self.raw.words[0][place] = 0;
            return;
        };
        for (number, column) in self.raw.words.iter_mut().enumerate() {
            column[place] = u32::from_le_bytes(at(head, 4 * number));
        }
        self.raw.flags[place] = u32::from(head[33]);
        self.raw.lengths[place] = length;
    }

    /// Reads what was added.
    #[inline(always)]
    pub fn read(&mut self) {
        let [first, second, third, source, destination, start] = &self.raw.words;
        for packet in 0..BATCH {
            let (first, second, third) = (first[packet], second[packet], third[packet]);
            let (source, destination) = (source[packet], destination[packet]);
            let start = start[packet];
            // Version 4, no options, no more fragments, and no offset.
            let whole = (first & 0xff == 0x45) & (second & 0xff3f_0000 == 0);
            let total_length = first >> 24 | first >> 8 & 0xff00;
            let protocol = third >> 8 & 0xff;
            let is = |number: u8| mask(protocol == u32::from(number));
            let tcp = is(protocol::TCP);
            let icmp = is(protocol::ICMP);
            let ports = tcp | is(protocol::UDP);
            // The least that has room for the fields the kernel reads.
            let least = 20 + (tcp & 16) + ((ports | icmp) & !tcp & 8);
            let fits = (total_length >= least) & (total_length <= self.raw.lengths[packet]);
            // The sum of 16-bit words is intact if all its bits are ones, in either
            // byte order (RFC 1071, section 2); it is never 0 here.
            let halves = |word: u32| (word & 0xffff) + (word >> 16);
            let sum = halves(first) + halves(second) + halves(third);
            let sum = sum + halves(source) + halves(destination);
            let intact = halves(halves(sum)) == 0xffff;
            self.plain[packet] = u32::from(whole & fits & intact);
            self.keys.sources[packet] = source.swap_bytes();
            self.keys.destinations[packet] = destination.swap_bytes();
            // Where there are none, ICMP's type and code stand for ports, or nothing.
            let swapped = start >> 8 & 0x00ff_00ff | (start & 0x00ff_00ff) << 8;
            let type_and_code = start & 0xff | (start & 0xff00) << 8;
            let other = icmp & type_and_code | !icmp;
            self.keys.ports[packet] = ports & swapped | !ports & other;
            let opens = mask(PacketKey::opens(self.raw.flags[packet] as u8));
            self.keys.kinds[packet] = protocol | tcp & opens & 1 << 16;
            self.total_lengths[packet] = total_length;
            self.ttls[packet] = third & 0xff;
        }
    }

    /// Whether packets are plain and were received intact, 1 or 0: only then the
    /// rest is of use.
    #[inline(always)]
    pub fn plain(&self) -> &Column {
        &self.plain
    }

    /// What rules can test: of a packet the key in its place, whatever
    /// [`KeyColumns::len`] says.
    #[inline(always)]
    pub fn keys(&self) -> &KeyColumns {
        &self.keys
    }

    /// Lengths of header and payload in bytes, as the headers state them.
    #[inline(always)]
    pub fn total_lengths(&self) -> &Column {
        &self.total_lengths
    }

    /// Times to live.
    #[inline(always)]
    pub fn ttls(&self) -> &Column {
        &self.ttls
    }
}

impl Default for PlainPackets {
    fn default() -> Self {
        Self::new()
    }
}

/// All bits, or none.
#[inline(always)]
fn mask(set: bool) -> u32 {
    u32::from(set).wrapping_neg()
}

/// Bytes from a place in the head that is known to hold them.
#[inline(always)]
fn at(head: &[u8; PlainPackets::HEAD], place: usize) -> [u8; 4] {
    *head[place..].first_chunk().unwrap_or(&[0; 4])
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::packet::{Ipv4Packet, Missing, header_checksum};

    fn slow(bytes: &[u8], wire_length: usize) -> Option<(PacketKey, u16, u8)> {
        let packet = Ipv4Packet::received(bytes, wire_length).ok()?;
        let plain = packet.header().len() == 20
            && packet.fragment_field() & 0x3fff == 0
            && packet.missing() == Missing::Nothing;
        let key = packet.key().ok().filter(|key| plain && !key.fragment)?;
        Some((key, packet.total_length(), packet.ttl()))
    }

    /// Every value of every byte of the head, alone and with the checksum put
    /// right after it, at several lengths.
    #[test]
    fn says_what_the_closer_look_says() {
        let (mut packets, mut expected) = (PlainPackets::new(), Vec::new());
        let mut plain = 0;
        for protocol in [1, 6, 17, 47] {
            for (captured, wire) in [(60, 60), (46, 46), (34, 60), (34, 34), (33, 60), (50, 48)] {
                for (at, value) in (0..36).flat_map(|at| (0..=255).map(move |it| (at, it))) {
                    let mut bytes = vec![0; captured];
                    bytes[..12].copy_from_slice(&[0x45, 0, 0, 46, 9, 9, 64, 0, 9, protocol, 0, 0]);
                    bytes[12..24].copy_from_slice(&[10, 1, 2, 3, 200, 4, 5, 6, 1, 2, 3, 4]);
                    for fixed in [false, true] {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = value;
                        }
                        if fixed {
                            bytes[10..12].fill(0);
                            let sum = header_checksum(&bytes[..20]);
                            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
                        }
                        packets.push(bytes.first_chunk(), wire.max(captured) as u32);
                        expected.push(slow(&bytes, wire).filter(|_| captured >= 34));
                        if packets.len() < BATCH {
                            continue;
                        }
                        packets.read();
                        for (place, expected) in expected.drain(..).enumerate() {
                            let quick = (packets.plain()[place] != 0).then(|| {
                                let length = packets.total_lengths()[place];
                                let ttl = packets.ttls()[place];
                                (packets.keys().get(place), length as u16, ttl as u8)
                            });
                            assert_eq!(quick, expected, "byte {at} = {value} of {captured}/{wire}");
                            plain += u32::from(quick.is_some());
                        }
                        packets.clear();
                    }
                }
            }
        }
        assert!(plain > 50_000, "only {plain} plain packets");
    }
}
