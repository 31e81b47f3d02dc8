use std::fmt;

/// What a frame carries when it is not an IPv4 packet: small and hashable, for counting by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Foreign {
    /// IPv6, however the link layer names it.
    Ipv6,
    /// IEEE 802.2: the frame has a length in place of an EtherType.
    Llc,
    /// Any other EtherType.
    EtherType(u16),
    /// Any other PPP protocol number.
    Ppp(u16),
    /// Any other BSD address family (null and loop link types).
    AddressFamily(u32),
    /// A Linux cooked frame of a device whose protocol field is no EtherType; the number is the
    /// ARPHRD type of the device.
    Device(u16),
}

impl Foreign {
    pub(crate) const IPV4_ETHER_TYPE: u16 = 0x0800;
    pub(super) const IPV6_ETHER_TYPE: u16 = 0x86dd;

    pub(super) fn of_ether_type(ether_type: u16) -> Self {
        match ether_type {
            Self::IPV6_ETHER_TYPE => Self::Ipv6,
            // Below 0x0600 the field is the length of an 802.3 frame.
            0..0x0600 => Self::Llc,
            _ => Self::EtherType(ether_type),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ipv6 => f.write_str("IPv6"),
            Self::Llc => f.write_str("802.2 LLC"),
            Self::EtherType(number) => match ether_type_name(number) {
                Some(name) => f.write_str(name),
                None => write!(f, "EtherType 0x{number:04x}"),
            },
            Self::Ppp(number) => match ppp_name(number) {
                Some(name) => f.write_str(name),
                None => write!(f, "PPP protocol 0x{number:04x}"),
            },
            Self::AddressFamily(family) => write!(f, "address family {family}"),
            Self::Device(arphrd) => write!(f, "device type {arphrd}"),
        }
    }
}

fn ether_type_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0806 => "ARP",
        // Cisco HDLC has its address resolution under the same number.
        0x8035 => "RARP or SLARP",
        0x8137 => "IPX",
        0x8847 => "MPLS",
        0x8848 => "MPLS multicast",
        0x8863 => "PPPoE discovery",
        0x8864 => "PPPoE session control",
        0x888e => "EAPOL",
        0x88cc => "LLDP",
        0x88e5 => "MACsec",
        _ => return None,
    })
}

fn ppp_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0281 => "PPP MPLS",
        0x8021 => "PPP IPCP",
        0x8057 => "PPP IPV6CP",
        0x80fd => "PPP CCP",
        0xc021 => "PPP LCP",
        0xc023 => "PPP PAP",
        0xc223 => "PPP CHAP",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Foreign;

    #[test]
    fn names() {
        let named = [
            (Foreign::of_ether_type(0x86dd), "IPv6"),
            (Foreign::of_ether_type(0x0806), "ARP"),
            (Foreign::of_ether_type(0x05ff), "802.2 LLC"),
            (Foreign::of_ether_type(0x0600), "EtherType 0x0600"),
            (Foreign::Ppp(0xc021), "PPP LCP"),
            (Foreign::Ppp(0x002b), "PPP protocol 0x002b"),
            (Foreign::AddressFamily(7), "address family 7"),
            (Foreign::Device(824), "device type 824"),
        ];
        for (foreign, name) in named {
            assert_eq!(foreign.to_string(), name);
        }
    }
}
