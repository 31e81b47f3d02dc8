//! The answers of REJECT (§2): ICMP destination unreachable, RFC 792.

use std::time::Instant;

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{Icmpv4Header, Icmpv4Type, IpNumber, Ipv4Header};
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::packet::protocol::ICMP;
use portcullis_core::ruleset::{BuiltIn, Network};
use portcullis_core::traversal::is_group;

/// Time to live of an answer.
const TTL: u8 = 64;
/// Bytes of the payload that an answer quotes behind the header.
const QUOTED: usize = 8;
/// ICMP types that are errors themselves.
const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];

/// Answers a second, and at once after a quiet time: what Linux allows for all ICMP errors together
/// (net.ipv4.icmp_msgs_per_sec, icmp_msgs_burst).
const PER_SECOND: u64 = 1000;
const BURST: u64 = 50;

/// How many answers may still be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerLimit {
    /// Thousandths of an answer.
    left: u64,
    filled: Instant,
}

/// Writes the answer to a packet that `chain` rejects, as an IPv4 packet at the end of `out`;
/// `false`, with nothing written, if there must be none: to ICMP errors, to fragments but the
/// first, and where either address is nobody's in particular. `own`: this machine itself wanted to
/// send the packet.
pub(super) fn answer(
    packet: &Ipv4Packet<'_>,
    chain: BuiltIn,
    own: bool,
    out: &mut Vec<u8>,
) -> bool {
    let (source, destination) = (packet.source(), packet.destination());
    let is_error = packet.protocol() == ICMP
        && packet
            .payload()
            .first()
            .is_none_or(|kind| ERRORS.contains(kind));
    if is_error || packet.fragment_offset() != 0 || is_group(destination) || !is_host(source) {
        return false;
    }
    let reason = match (chain, own) {
        (BuiltIn::Input, _) | (BuiltIn::Output, true) => DestUnreachableHeader::Port,
        (BuiltIn::Forward | BuiltIn::Output, _) => DestUnreachableHeader::Host,
    };
    let payload = packet.payload();
    let trimmed = usize::from(packet.total_length()).saturating_sub(packet.header().len());
    let payload = &payload[..payload.len().min(trimmed).min(QUOTED)];
    let quoted = [packet.header(), payload].concat();
    let icmp = Icmpv4Header::with_checksum(Icmpv4Type::DestinationUnreachable(reason), &quoted);
    let length = (icmp.header_len() + quoted.len()) as u16;
    // Nobody has an address on a bridge: the answer comes from who was asked.
    let header = Ipv4Header::new(
        length,
        TTL,
        IpNumber::ICMP,
        destination.to_be_bytes(),
        source.to_be_bytes(),
    );
    let Ok(mut header) = header else { return false };
    header.header_checksum = header.calc_header_checksum();
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(&icmp.to_bytes());
    out.extend_from_slice(&quoted);
    true
}

impl Default for AnswerLimit {
    fn default() -> Self {
        Self {
            left: BURST * 1000,
            filled: Instant::now(),
        }
    }
}

impl AnswerLimit {
    /// Whether an answer may be sent now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_millis() as u64;
        if passed > 0 {
            let gained = passed.saturating_mul(PER_SECOND);
            self.left = (BURST * 1000).min(self.left.saturating_add(gained));
            self.filled = now;
        }
        let enough = self.left >= 1000;
        self.left -= if enough { 1000 } else { 0 };
        enough
    }
}

/// Whether an address is one machine's.
fn is_host(address: u32) -> bool {
    const NOBODY: Network = Network::with_prefix(0, 8);
    const LOOPBACK: Network = Network::with_prefix(0x7f00_0000, 8);
    !is_group(address) && !NOBODY.contains(address) && !LOOPBACK.contains(address)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use etherparse::PacketBuilder;

    use super::*;

    fn udp(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4(source, destination, 9).udp(1000, 53);
        builder.write(&mut bytes, b"question").unwrap();
        bytes
    }

    fn answered(bytes: &[u8], chain: BuiltIn) -> Option<Vec<u8>> {
        let packet = Ipv4Packet::received(bytes, bytes.len()).unwrap();
        let mut out = Vec::new();
        answer(&packet, chain, false, &mut out).then_some(out)
    }

    #[test]
    fn input_says_port_and_forward_says_host_unreachable() {
        let bytes = udp([10, 0, 0, 1], [10, 0, 0, 2]);
        for (chain, code) in [(BuiltIn::Input, 3), (BuiltIn::Forward, 1)] {
            let out = answered(&bytes, chain).unwrap();
            // A reader that checks both checksums and lengths is content.
            let packet = Ipv4Packet::received(&out, out.len()).unwrap();
            assert_eq!(packet.source(), 0x0a00_0002);
            assert_eq!(packet.destination(), 0x0a00_0001);
            let icmp = Icmpv4Header::from_slice(packet.payload()).unwrap().0;
            assert_eq!(packet.payload()[..2], [3, code]);
            assert_eq!(packet.payload()[8..], bytes[..28]);
            assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(&bytes[..28]));
        }
    }

    #[test]
    fn a_burst_is_answered_and_then_one_each_millisecond() {
        let mut limit = AnswerLimit::default();
        let start = limit.filled;
        let at_once = (0..60).filter(|_| limit.take(start)).count();
        assert_eq!(at_once, 50);
        let later = start + Duration::from_millis(3);
        assert_eq!((0..60).filter(|_| limit.take(later)).count(), 3);
    }

    #[test]
    fn errors_fragments_and_groups_get_no_answer() {
        let bytes = udp([10, 0, 0, 1], [10, 0, 0, 2]);
        let error = answered(&bytes, BuiltIn::Input).unwrap();
        assert_eq!(answered(&error, BuiltIn::Input), None);
        for (source, destination) in [
            ([10, 0, 0, 1], [224, 0, 0, 1]),
            ([10, 0, 0, 1], [255; 4]),
            ([0; 4], [10, 0, 0, 2]),
            ([127, 0, 0, 1], [10, 0, 0, 2]),
        ] {
            assert_eq!(answered(&udp(source, destination), BuiltIn::Input), None);
        }
        let mut fragment = udp([10, 0, 0, 1], [10, 0, 0, 2]);
        fragment[7] = 2;
        fragment[10..12].fill(0);
        let sum = portcullis_core::packet::header_checksum(&fragment[..20]);
        fragment[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(answered(&fragment, BuiltIn::Input), None);
    }
}
