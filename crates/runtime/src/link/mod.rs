//! Finds the IPv4 packet inside a captured frame.
//!
//! [`network_layer`] is total: whatever the bytes, it says where the packet is, what is there
//! instead, or that the captured bytes end too early to tell.

mod cooked;
mod ethernet;
mod foreign;
mod link_type;
mod null;
mod ppp;

pub use foreign::Foreign;
pub use link_type::LinkType;

use portcullis_core::packet::PlainPackets;

use crate::Direction;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network<'a> {
    /// An IPv4 packet, which may itself be cut short or damaged.
    Ipv4 {
        /// From the first header byte to the end of the captured bytes, link padding included;
        /// never empty.
        packet: &'a [u8],
        /// The link layer destination is a broadcast or multicast address. False where the link
        /// layer has no addresses.
        group: bool,
        /// Which way the frame went, where the link layer records it (Linux cooked captures).
        direction: Option<Direction>,
        /// Captured on the loopback device, where the link layer records it.
        loopback: bool,
    },
    /// Something else.
    NotIpv4(Foreign),
    /// The captured bytes end inside the link headers, or before the first network byte.
    CutShort,
    /// The link type is not one of those [`LinkType::is_supported`] lists.
    Unsupported,
}

/// Finds the IPv4 packet in a frame captured on a link of the given type.
///
/// The layouts are those of the [link-type list](https://www.tcpdump.org/linktypes.html).
///
/// ```
/// use portcullis_runtime::link::{LinkType, Network, network_layer};
///
/// let frame = [&[0xff; 12][..], &[0x08, 0x00], &[0x45, 0x00]].concat();
/// let network = network_layer(LinkType::ETHERNET, &frame);
/// assert!(matches!(network, Network::Ipv4 { packet: [0x45, 0x00], group: true, .. }));
/// ```
#[must_use]
pub fn network_layer(link: LinkType, frame: &[u8]) -> Network<'_> {
    match link {
        LinkType::ETHERNET => ethernet::network_layer(frame),
        LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::RAW => raw(frame),
        LinkType::IPV4 => Addressing::NONE.ipv4(frame),
        LinkType::IPV6 if frame.is_empty() => Network::CutShort,
        LinkType::IPV6 => Network::NotIpv4(Foreign::Ipv6),
        LinkType::NULL => null::network_layer(null::ByteOrder::OfTheCapturingMachine, frame),
        LinkType::LOOP => null::network_layer(null::ByteOrder::Network, frame),
        LinkType::PPP => ppp::network_layer(frame),
        LinkType::PPP_HDLC => ppp::hdlc_network_layer(frame),
        LinkType::C_HDLC => ppp::cisco_network_layer(frame),
        LinkType::LINUX_SLL => cooked::network_layer(frame),
        LinkType::LINUX_SLL2 => cooked::network_layer_v2(frame),
        _ => Network::Unsupported,
    }
}

/// The beginning of a frame of which the link layer tells no more than whether it went to many.
pub(crate) struct PlainFrame<'a> {
    pub(crate) packet: &'a [u8; PlainPackets::HEAD],
    pub(crate) group: bool,
}

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;

/// Bytes of an Ethernet frame that [`plain_ethernet`] looks at.
pub(crate) const ETHERNET_HEAD: usize = ETHERNET + PlainPackets::HEAD;

/// What [`network_layer`] says of IPv4 right in an Ethernet frame; `None` where that takes a
/// closer look.
#[inline(always)]
pub(crate) fn plain_ethernet(frame: &[u8; ETHERNET_HEAD]) -> Option<PlainFrame<'_>> {
    let packet = frame.last_chunk()?;
    let ether_type = u16::from_be_bytes([frame[12], frame[13]]);
    let group = frame[0] & 1 == 1;
    (ether_type == Foreign::IPV4_ETHER_TYPE).then_some(PlainFrame { packet, group })
}

/// The same of IPv4 right in an Ethernet frame or without a link header, and the length of the
/// link header.
#[inline(always)]
pub(crate) fn plain_frame(link: LinkType, frame: &[u8]) -> Option<(PlainFrame<'_>, usize)> {
    if link == LinkType::ETHERNET {
        return Some((plain_ethernet(frame.first_chunk()?)?, ETHERNET));
    }
    let raw = matches!(link, LinkType::RAW | LinkType::IPV4);
    let packet = frame.first_chunk()?;
    let group = false;
    (raw && packet[0] >> 4 == 4).then_some((PlainFrame { packet, group }, 0))
}

/// Raw IP of either version. A nibble that is neither counts as IPv4: the receive check of the
/// packet layer then calls the packet damaged, as a kernel would.
fn raw(frame: &[u8]) -> Network<'_> {
    match frame.first() {
        Some(first) if first >> 4 == 6 => Network::NotIpv4(Foreign::Ipv6),
        _ => Addressing::NONE.ipv4(frame),
    }
}

/// What the link header said besides the protocol.
#[derive(Clone, Copy)]
struct Addressing {
    group: bool,
    direction: Option<Direction>,
    loopback: bool,
}

impl Addressing {
    const NONE: Self = Self {
        group: false,
        direction: None,
        loopback: false,
    };

    const fn group(group: bool) -> Self {
        Self {
            group,
            ..Self::NONE
        }
    }

    fn ipv4(self, packet: &[u8]) -> Network<'_> {
        if packet.is_empty() {
            return Network::CutShort;
        }
        let Self {
            group,
            direction,
            loopback,
        } = self;
        Network::Ipv4 {
            packet,
            group,
            direction,
            loopback,
        }
    }
}

/// The big-endian number at `at`, where the bytes reach that far.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([field[0], field[1]]))
}

#[cfg(test)]
mod tests {
    use super::{Foreign, LinkType, Network, network_layer, plain_frame};

    #[test]
    fn raw_goes_by_the_version_nibble() {
        for link in [LinkType::RAW_BSD, LinkType::RAW_OPENBSD, LinkType::RAW] {
            assert!(matches!(
                network_layer(link, &[0x45]),
                Network::Ipv4 { packet: [0x45], .. }
            ));
            assert!(matches!(
                network_layer(link, &[0x75]),
                Network::Ipv4 { packet: [0x75], .. }
            ));
            assert_eq!(
                network_layer(link, &[0x60]),
                Network::NotIpv4(Foreign::Ipv6)
            );
            assert_eq!(network_layer(link, &[]), Network::CutShort);
        }
    }

    #[test]
    fn link_types_of_one_version_ignore_the_nibble() {
        assert!(matches!(
            network_layer(LinkType::IPV4, &[0x60]),
            Network::Ipv4 { .. }
        ));
        assert_eq!(network_layer(LinkType::IPV4, &[]), Network::CutShort);
        assert_eq!(
            network_layer(LinkType::IPV6, &[0x45]),
            Network::NotIpv4(Foreign::Ipv6)
        );
    }

    #[test]
    fn plain_frames_are_what_the_closer_look_says() {
        let mut plain = 0;
        for link in (0..300).map(LinkType) {
            for (first, version) in (0..=255).flat_map(|it| [(it, 0x45), (0x45, it)]) {
                for ether_type in [[8, 0], [0x81, 0], [0x86, 0xdd]] {
                    let mut frame = [0; 60];
                    (frame[0], frame[14]) = (first, version);
                    frame[12..14].copy_from_slice(&ether_type);
                    for length in [60, 48, 47, 34, 33, 14, 13, 0] {
                        let frame = &frame[..length];
                        let Some((quick, header)) = plain_frame(link, frame) else {
                            continue;
                        };
                        assert_eq!(frame[header..].first_chunk(), Some(quick.packet));
                        let closer = Network::Ipv4 {
                            packet: &frame[header..],
                            group: quick.group,
                            direction: None,
                            loopback: false,
                        };
                        assert_eq!(network_layer(link, frame), closer, "{link} {frame:02x?}");
                        plain += 1;
                    }
                }
            }
        }
        assert!(plain > 1000, "only {plain} plain frames");
    }

    #[test]
    fn supported_types_are_exactly_those_that_are_read() {
        for number in 0..=u16::MAX {
            let link = LinkType(number);
            let unsupported = network_layer(link, &[]) == Network::Unsupported;
            assert_eq!(unsupported, !link.is_supported(), "{link}");
        }
    }
}
