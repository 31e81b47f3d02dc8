//! A checked view of an IPv4 packet's bytes.

use core::fmt;

/// Header length without options, in bytes.
const MIN_HEADER: usize = 20;

/// An IPv4 packet whose whole header was captured.
///
/// The bytes may go on after the packet's total length (link padding), which
/// is never looked at, or end before it (a capture's snap length).
#[derive(Clone, Copy, Debug)]
pub struct Ipv4Packet<'a> {
    /// The part of the header that every packet has, apart so that reading a
    /// field needs no check of its length.
    fixed: &'a [u8; MIN_HEADER],
    header: &'a [u8],
    payload: &'a [u8],
}

/// Why bytes are not an [`Ipv4Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The kernel's receive code drops it before any chain, without a log
    /// line or a counter (§2).
    Damaged(Damage),
    /// The capture kept too few bytes to tell.
    CutShort,
}

/// What `ip_rcv` finds wrong with a packet (§2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// Shorter than an IPv4 header, or than the header it announces.
    Runt,
    /// The version is not 4.
    Version,
    /// The header length is below 20 bytes.
    HeaderLength,
    /// The header checksum is wrong.
    Checksum,
    /// The total length goes beyond the packet, or ends inside the header.
    TotalLength,
}

impl Damage {
    /// All kinds, in the order in which the kernel tests for them.
    pub const ALL: [Self; 5] = [
        Self::Runt,
        Self::Version,
        Self::HeaderLength,
        Self::Checksum,
        Self::TotalLength,
    ];
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runt => "shorter than its header",
            Self::Version => "version is not 4",
            Self::HeaderLength => "header length below 20",
            Self::Checksum => "wrong header checksum",
            Self::TotalLength => "wrong total length",
        })
    }
}

impl<'a> Ipv4Packet<'a> {
    /// Reads a packet as the kernel receives it, with all the checks of
    /// `ip_rcv` (§2).
    ///
    /// `wire_length` is the packet's length in bytes on the wire, which is
    /// more than `bytes.len()` where the capture was cut.
    #[inline]
    pub fn received(bytes: &'a [u8], wire_length: usize) -> Result<Self, Unusable> {
        let packet = Self::sent(bytes, wire_length)?;
        packet.check_checksum()?;
        packet.check_total_length(wire_length)?;
        Ok(packet)
    }

    /// Reads a packet that this machine sends or forwards: checksum and total
    /// length are taken as they are.
    #[inline]
    pub fn sent(bytes: &'a [u8], wire_length: usize) -> Result<Self, Unusable> {
        Self::split(bytes, wire_length)
    }

    /// Whether the header checksum is right, as a receiver demands.
    #[inline]
    pub fn check_checksum(&self) -> Result<(), Unusable> {
        if header_checksum(self.header) == 0 {
            Ok(())
        } else {
            Err(Unusable::Damaged(Damage::Checksum))
        }
    }

    /// Whether the total length fits the packet, as a receiver demands.
    #[inline]
    pub fn check_total_length(&self, wire_length: usize) -> Result<(), Unusable> {
        let available = wire_length.max(self.header.len() + self.payload.len());
        let total = usize::from(self.total_length());
        if total > available || total < self.header.len() {
            return Err(Unusable::Damaged(Damage::TotalLength));
        }
        Ok(())
    }

    #[inline]
    fn split(bytes: &'a [u8], wire_length: usize) -> Result<Self, Unusable> {
        let too_short = |needed: usize| {
            if wire_length >= needed {
                Unusable::CutShort
            } else {
                Unusable::Damaged(Damage::Runt)
            }
        };
        let Some(fixed) = bytes.first_chunk::<MIN_HEADER>() else {
            return Err(too_short(MIN_HEADER));
        };
        if fixed[0] >> 4 != 4 {
            return Err(Unusable::Damaged(Damage::Version));
        }
        let header_length = usize::from(fixed[0] & 0x0f) * 4;
        if header_length < MIN_HEADER {
            return Err(Unusable::Damaged(Damage::HeaderLength));
        }
        let (header, payload) = bytes
            .split_at_checked(header_length)
            .ok_or_else(|| too_short(header_length))?;
        Ok(Self {
            fixed,
            header,
            payload,
        })
    }

    /// The header, options included.
    #[inline]
    pub fn header(&self) -> &'a [u8] {
        self.header
    }

    /// What was captured after the header, link padding included.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Type of service, the whole byte.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.fixed[1]
    }

    /// Length of header and payload in bytes, as the header states it. All
    /// counters and log lines use it, whatever was captured.
    #[inline]
    pub fn total_length(&self) -> u16 {
        self.u16_at(2)
    }

    /// Identification.
    pub fn id(&self) -> u16 {
        self.u16_at(4)
    }

    /// The flags (top three bits) and the fragment offset in units of 8 bytes.
    #[inline]
    pub fn fragment_field(&self) -> u16 {
        self.u16_at(6)
    }

    /// The fragment offset in units of 8 bytes.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        self.fragment_field() & 0x1fff
    }

    /// Whether more fragments follow.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.fragment_field() & 0x2000 != 0
    }

    /// Time to live.
    pub fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// Protocol number.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// Header checksum as it stands in the packet.
    pub fn checksum(&self) -> u16 {
        self.u16_at(10)
    }

    /// Source address, first octet in the highest byte.
    #[inline]
    pub fn source(&self) -> u32 {
        self.u32_at(12)
    }

    /// Destination address, first octet in the highest byte.
    #[inline]
    pub fn destination(&self) -> u32 {
        self.u32_at(16)
    }

    /// The IP options, as the log prints them.
    pub fn options(&self) -> IpOptions {
        let mut options = IpOptions::default();
        for word in self.header[MIN_HEADER..].chunks_exact(4) {
            options.push(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        options
    }

    #[inline(always)]
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.fixed[at], self.fixed[at + 1]])
    }

    #[inline(always)]
    fn u32_at(&self, at: usize) -> u32 {
        let field = |ahead: usize| self.fixed[at + ahead];
        u32::from_be_bytes([field(0), field(1), field(2), field(3)])
    }
}

/// The IP options of a header as 32-bit words.
///
/// The kernel printed the words straight from memory; as on the little-endian
/// machines of its day, the first octet is the lowest byte (§6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IpOptions {
    words: [u32; Self::MAX],
    length: u8,
}

impl IpOptions {
    /// A header has room for ten words of options.
    pub const MAX: usize = 10;

    /// The words in the order of the header.
    pub fn words(&self) -> &[u32] {
        &self.words[..usize::from(self.length)]
    }

    /// Adds a word; `false` if there is no room for it.
    pub fn push(&mut self, word: u32) -> bool {
        let Some(place) = self.words.get_mut(usize::from(self.length)) else {
            return false;
        };
        *place = word;
        self.length += 1;
        true
    }
}

/// The Internet checksum over a header (RFC 1071); 0 if a header that carries
/// its checksum is intact.
#[inline]
pub fn header_checksum(header: &[u8]) -> u16 {
    // Ones' complement sums of 32-bit words fold to those of 16-bit words.
    let mut sum: u64 = 0;
    let mut words = header.chunks_exact(4);
    for word in &mut words {
        sum += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    sum += u64::from(u32::from_be_bytes(last));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 28] = [
        0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0xad, 0x23, 10, 1, 2, 3, 192, 168, 1, 1, 4, 0, 0, 80,
        0, 8, 0, 0,
    ];

    fn changed(at: usize, value: u8) -> [u8; 28] {
        let mut packet = PACKET;
        packet[at] = value;
        packet
    }

    #[test]
    fn an_intact_packet_is_received() {
        let packet = Ipv4Packet::received(&PACKET, 28).unwrap();
        assert_eq!(packet.source(), 0x0a01_0203);
        assert_eq!(packet.total_length(), 28);
        assert_eq!(packet.payload().len(), 8);
    }

    #[test]
    fn each_damage_is_named() {
        for (packet, damage) in [
            (changed(0, 0x65), Damage::Version),
            (changed(0, 0x44), Damage::HeaderLength),
            (changed(10, 0), Damage::Checksum),
            (changed(0, 0x4f), Damage::Runt),
        ] {
            let error = Ipv4Packet::received(&packet, 28).unwrap_err();
            assert_eq!(error, Unusable::Damaged(damage));
        }
        let error = Ipv4Packet::received(&PACKET[..27], 27).unwrap_err();
        assert_eq!(error, Unusable::Damaged(Damage::TotalLength));
        let error = Ipv4Packet::received(&PACKET[..19], 19).unwrap_err();
        assert_eq!(error, Unusable::Damaged(Damage::Runt));
    }

    #[test]
    fn a_cut_capture_is_not_damage() {
        assert!(Ipv4Packet::received(&PACKET[..24], 28).is_ok());
        let error = Ipv4Packet::received(&PACKET[..19], 28).unwrap_err();
        assert_eq!(error, Unusable::CutShort);
    }

    #[test]
    fn a_sent_packet_needs_no_checksum() {
        assert!(Ipv4Packet::sent(&changed(10, 0), 28).is_ok());
    }
}
