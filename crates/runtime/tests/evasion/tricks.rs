//! The tricks, each with the rules that it tries to get past.

use super::frames::{
    ACK, BEHIND_US, FIN, MORE, PUSH, Packet, RST, SYN, URGENT, ethernet, ipv6, tcp, udp,
};

/// A capture to be judged by some rules; every policy is DENY.
pub(crate) struct Trick {
    pub(crate) name: &'static str,
    pub(crate) rules: &'static [&'static str],
    pub(crate) frames: Vec<Frame>,
}

/// A frame, what it is, and where it must end.
pub(crate) struct Frame {
    pub(crate) about: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: &'static str,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const OFFSET_1: &str = "fragment rules: TCP fragment at offset 1";
const SHORT: &str = "fragment rules: first fragment without its ports";
/// Lets answers in, and fragments behind first ones.
const ANSWERS: &[&str] = &[
    "-A input -p tcp ! -y -j ACCEPT",
    "-A input -p tcp -f -j ACCEPT",
];
/// Lets connections to a web server in.
const WEB: &[&str] = &["-A input -p tcp -d 10.0.0.1 80 -j ACCEPT"];

fn frame(about: &'static str, bytes: Vec<u8>, end: &'static str) -> Frame {
    Frame { about, bytes, end }
}

pub(crate) fn tricks() -> Vec<Trick> {
    [fragments(), flags(), fields(), wrapping(), damage()]
        .into_iter()
        .flatten()
        .collect()
}

fn fragments() -> Vec<Trick> {
    let syn = tcp(40000, 23, SYN);
    let ack = tcp(40000, 23, ACK);
    let whole_udp = udp(53, 2049);
    vec![
        Trick {
            name: "tiny-fragments",
            rules: ANSWERS,
            frames: vec![
                frame(
                    "TCP to port 23 as far as the sequence number; more follows",
                    Packet::fragment(TCP, MORE, &syn[..8]).frame(),
                    SHORT,
                ),
                frame(
                    "its rest, with the SYN",
                    Packet::fragment(TCP, 1, &syn[8..]).frame(),
                    OFFSET_1,
                ),
            ],
        },
        Trick {
            name: "overlapping-flags",
            rules: ANSWERS,
            frames: vec![
                frame(
                    "a whole header with ACK; more follows",
                    Packet::fragment(TCP, MORE, &ack).frame(),
                    "ACCEPT",
                ),
                frame(
                    "offset 1: SYN in the place of ACK",
                    Packet::fragment(TCP, 1, &syn[8..]).frame(),
                    OFFSET_1,
                ),
            ],
        },
        Trick {
            name: "overlapping-ports",
            rules: WEB,
            frames: vec![
                frame(
                    "a first fragment to port 80",
                    Packet::fragment(TCP, MORE, &tcp(40000, 80, SYN)).frame(),
                    "ACCEPT",
                ),
                frame(
                    "another first fragment, to port 23",
                    Packet::fragment(TCP, MORE, &syn).frame(),
                    "DENY",
                ),
            ],
        },
        Trick {
            name: "overlapping-behind-the-flags",
            rules: ANSWERS,
            frames: vec![frame(
                "offset 2: checksum and data, which no rule asks for",
                Packet::fragment(TCP, 2, &[0; 24]).frame(),
                "ACCEPT",
            )],
        },
        Trick {
            name: "short-header",
            rules: &[
                "-A input -p tcp ! -y -j ACCEPT",
                "-A input -p udp -d 10.0.0.1 53 -j ACCEPT",
            ],
            frames: vec![
                frame(
                    "TCP of 15 bytes, nothing follows: no flags to be seen",
                    Packet::new(TCP, ack[..15].to_vec()).frame(),
                    "DENY",
                ),
                frame(
                    "UDP of 7 bytes, nothing follows",
                    Packet::new(UDP, udp(40000, 53)[..7].to_vec()).frame(),
                    "DENY",
                ),
                frame(
                    "the same with more to follow",
                    Packet::fragment(UDP, MORE, &udp(40000, 53)[..7]).frame(),
                    SHORT,
                ),
            ],
        },
        Trick {
            name: "fragments-without-a-first",
            rules: &["-A input -p udp -s 0.0.0.0/0 53 -j ACCEPT"],
            frames: vec![
                frame(
                    "UDP at offset 1: no ports, so no rule with ports",
                    Packet::fragment(UDP, 1, &whole_udp[8..]).frame(),
                    "DENY",
                ),
                frame(
                    "ICMP at the last offset, over 65,535 bytes in all",
                    Packet::fragment(1, 0x1fff, &[0; 64]).frame(),
                    "DENY",
                ),
            ],
        },
    ]
}

fn flags() -> Vec<Trick> {
    let probe = |flags| Packet::new(TCP, tcp(40000, 23, flags)).frame();
    vec![
        Trick {
            name: "syn-and-others",
            rules: &["-A input -p tcp ! -y -j ACCEPT"],
            frames: vec![
                frame("SYN", probe(SYN), "DENY"),
                frame("SYN FIN", probe(SYN | FIN), "DENY"),
                frame("SYN FIN PSH URG", probe(SYN | FIN | PUSH | URGENT), "DENY"),
                frame("SYN and both reserved bits", probe(SYN | 0xc0), "DENY"),
                frame("SYN RST opens nothing", probe(SYN | RST), "ACCEPT"),
                frame("SYN ACK is an answer", probe(SYN | ACK), "ACCEPT"),
            ],
        },
        Trick {
            name: "scans-without-syn",
            rules: &["-A input -p tcp ! -y -j ACCEPT"],
            frames: vec![
                frame("ACK", probe(ACK), "ACCEPT"),
                frame("FIN", probe(FIN), "ACCEPT"),
                frame("no flag at all", probe(0), "ACCEPT"),
                frame("FIN PSH URG", probe(FIN | PUSH | URGENT), "ACCEPT"),
            ],
        },
    ]
}

fn fields() -> Vec<Trick> {
    let route = [&[131, 11, 4][..], &[192, 0, 2, 1, 0, 23, 0, 80, 0]].concat();
    let through = |ttl| Packet {
        destination: BEHIND_US,
        ttl,
        ..Packet::new(TCP, tcp(40000, 80, SYN))
    };
    vec![
        Trick {
            name: "source-port-20",
            rules: &["-A input -p tcp -s 0.0.0.0/0 20 -d 10.0.0.1 61000:65095 -j ACCEPT"],
            frames: vec![
                frame(
                    "from port 20 to where FTP data goes",
                    Packet::new(TCP, tcp(20, 61811, SYN)).frame(),
                    "ACCEPT",
                ),
                frame(
                    "from port 20 to X11",
                    Packet::new(TCP, tcp(20, 6000, SYN)).frame(),
                    "DENY",
                ),
            ],
        },
        Trick {
            name: "source-port-53",
            rules: &["-A input -p udp -s 0.0.0.0/0 53 -d 10.0.0.1 1024:65535 -j ACCEPT"],
            frames: vec![
                frame(
                    "from port 53 to NFS, which is above 1023",
                    Packet::new(UDP, udp(53, 2049)).frame(),
                    "ACCEPT",
                ),
                frame(
                    "from port 53 to the port mapper",
                    Packet::new(UDP, udp(53, 111)).frame(),
                    "DENY",
                ),
            ],
        },
        Trick {
            name: "options",
            rules: WEB,
            frames: vec![
                frame(
                    "a source route whose bytes look like port 80",
                    Packet {
                        options: route,
                        ..Packet::new(TCP, tcp(40000, 23, SYN))
                    }
                    .frame(),
                    "DENY",
                ),
                frame(
                    "40 bytes of options before port 80",
                    Packet {
                        options: vec![1; 40],
                        ..Packet::new(TCP, tcp(40000, 80, SYN))
                    }
                    .frame(),
                    "ACCEPT",
                ),
            ],
        },
        Trick {
            name: "time-to-live",
            rules: &[
                "-A input -p tcp -d 10.0.0.7 80 -j ACCEPT",
                "-A forward -p tcp -d 10.0.0.7 80 -j ACCEPT",
                "-A output -p tcp -d 10.0.0.7 80 -j ACCEPT",
            ],
            frames: vec![
                frame("2 to go", through(2).frame(), "ACCEPT"),
                frame(
                    "1 to go: it ends here and nobody behind sees it",
                    through(1).frame(),
                    "TTL exceeded",
                ),
            ],
        },
    ]
}

fn wrapping() -> Vec<Trick> {
    let inside = Packet::new(TCP, tcp(40000, 23, SYN)).bytes();
    let web = Packet::new(TCP, tcp(40000, 80, SYN)).bytes();
    let gre = [&[0, 0, 8, 0][..], &web].concat();
    let ppp = |packet: &[u8]| {
        let length = (packet.len() as u16 + 2).to_be_bytes();
        [&[0x11, 0, 0, 1], &length[..], &[0, 0x21], packet].concat()
    };
    vec![
        Trick {
            name: "tags",
            rules: WEB,
            frames: vec![
                frame(
                    "port 23 in a VLAN",
                    ethernet(&[(0x8100, 5)], 0x0800, &inside),
                    "DENY",
                ),
                frame(
                    "port 23 in five tags",
                    ethernet(&[(0x88a8, 1); 5], 0x0800, &inside),
                    "DENY",
                ),
                frame(
                    "port 23 in PPPoE",
                    ethernet(&[], 0x8864, &ppp(&inside)),
                    "DENY",
                ),
                frame(
                    "port 80 in a VLAN",
                    ethernet(&[(0x8100, 5)], 0x0800, &web),
                    "ACCEPT",
                ),
                frame(
                    "a tag and nothing behind it",
                    ethernet(&[(0x8100, 5)], 0x8100, &[]),
                    "cut short by the capture",
                ),
            ],
        },
        Trick {
            name: "tunnels",
            rules: WEB,
            frames: vec![
                frame(
                    "port 80 in GRE: a packet of protocol 47",
                    Packet::new(47, gre).frame(),
                    "DENY",
                ),
                frame(
                    "port 80 in IPv4: a packet of protocol 4",
                    Packet::new(4, web).frame(),
                    "DENY",
                ),
                frame(
                    "port 80 in IPv6 in IPv4: a packet of protocol 41",
                    Packet::new(41, ipv6()).frame(),
                    "DENY",
                ),
                frame(
                    "port 80 in IPv6",
                    ethernet(&[], 0x86dd, &ipv6()),
                    "not IPv4: IPv6",
                ),
                frame(
                    "IPv6 under the number of IPv4",
                    ethernet(&[], 0x0800, &ipv6()),
                    "damaged: version is not 4",
                ),
            ],
        },
    ]
}

fn damage() -> Vec<Trick> {
    let packet = Packet::new(TCP, tcp(40000, 80, SYN));
    vec![
        Trick {
            name: "lengths",
            rules: &["-A input -j ACCEPT"],
            frames: vec![
                frame(
                    "a total length beyond its end",
                    packet.changed(|bytes| bytes[3] += 1),
                    "damaged: wrong total length",
                ),
                frame(
                    "a total length that ends in the header",
                    packet.changed(|bytes| bytes[3] = 19),
                    "damaged: wrong total length",
                ),
                frame(
                    "a header of 16 bytes",
                    packet.changed(|bytes| bytes[0] = 0x44),
                    "damaged: header length below 20",
                ),
                frame(
                    "a header of 60 bytes in a packet of 40",
                    packet.changed(|bytes| bytes[0] = 0x4f),
                    "damaged: shorter than its header",
                ),
                frame(
                    "bytes behind its end: padding, and not looked at",
                    packet.changed(|bytes| bytes.extend([0; 6])),
                    "ACCEPT",
                ),
            ],
        },
        Trick {
            name: "ports-behind-the-end",
            rules: &["-A input -p tcp -d 10.0.0.1 80 -j ACCEPT"],
            frames: vec![frame(
                "port 80, but the packet ends before its ports",
                packet.changed(|bytes| bytes[3] = 20),
                "DENY",
            )],
        },
        Trick {
            name: "checksums",
            rules: &["-A input -j ACCEPT"],
            frames: vec![
                frame(
                    "a wrong one of the header",
                    {
                        let mut frame = packet.frame();
                        frame[14 + 10] ^= 1;
                        frame
                    },
                    "damaged: wrong header checksum",
                ),
                frame(
                    "a wrong one of TCP, which is for the receiver",
                    packet.frame(),
                    "ACCEPT",
                ),
            ],
        },
    ]
}
