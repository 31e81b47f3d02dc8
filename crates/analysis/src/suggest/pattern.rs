//! What the conversations of known services look like.
//!
//! A new service is a new entry of [`PATTERNS`]; nothing else changes.

use portcullis_core::packet::protocol;

/// A kind of conversation: one side opens it, the other answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// A short name without blanks.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// How it goes.
    pub words: &'static str,
    /// What carries it.
    pub transport: Transport,
    /// The port that it is opened from; of ICMP, the type that asks.
    pub opener: Ports,
    /// The port that it is opened to; of ICMP, the type that answers.
    pub answerer: Ports,
    /// What comes back.
    pub answers: Answers,
    /// It is this only where an FTP control connection is known.
    pub needs_ftp: bool,
    /// It may come from anyone, not just from whom it was seen.
    pub from_anyone: bool,
    /// It is not to be let in.
    pub unwanted: bool,
}

/// What carries a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
    /// Control messages.
    Icmp,
}

/// Which ports one side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// This one; of ICMP, this type.
    Exactly(u16),
    /// First and last.
    Between(u16, u16),
    /// Any that the system gave it, from 1024 on.
    Chosen,
    /// One that only root may have.
    Root,
    /// None: there is no such side.
    None,
}

/// What comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// The same ports the other way.
    Reversed,
    /// ICMP errors of any machine on the way.
    Errors,
    /// Nothing.
    Nothing,
}

impl Transport {
    /// The protocol's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => protocol::TCP,
            Self::Udp => protocol::UDP,
            Self::Icmp => protocol::ICMP,
        }
    }
}

/// ICMP types that report errors; traceroute lives on the first and the third.
pub(super) const UNREACHABLE: u16 = 3;
pub(super) const TIME_EXCEEDED: u16 = 11;

const TCP: Pattern = Pattern {
    name: "",
    title: "",
    words: "",
    transport: Transport::Tcp,
    opener: Ports::Chosen,
    answerer: Ports::None,
    answers: Answers::Reversed,
    needs_ftp: false,
    from_anyone: false,
    unwanted: false,
};
const UDP: Pattern = Pattern {
    transport: Transport::Udp,
    ..TCP
};
const ICMP: Pattern = Pattern {
    transport: Transport::Icmp,
    ..TCP
};

/// A service of TCP on one port.
const fn tcp(name: &'static str, title: &'static str, port: u16) -> Pattern {
    Pattern {
        name,
        title,
        words: "the client connects from a port that it was given",
        answerer: Ports::Exactly(port),
        ..TCP
    }
}

/// An ICMP message that nobody asks for.
const fn error(name: &'static str, title: &'static str, kind: u16) -> Pattern {
    Pattern {
        name,
        title,
        words: "a machine on the way says what is wrong with a packet; TCP and traceroute need it",
        opener: Ports::Exactly(kind),
        answers: Answers::Nothing,
        from_anyone: true,
        ..ICMP
    }
}

/// Something that knocks on other people's machines.
const fn knock(
    name: &'static str,
    title: &'static str,
    transport: Transport,
    ports: Ports,
) -> Pattern {
    Pattern {
        name,
        title,
        words: "it is sent around without being asked for; nothing of yours needs it",
        transport,
        opener: Ports::Between(0, 65535),
        answerer: ports,
        unwanted: true,
        ..TCP
    }
}

/// The known conversations. Of several that fit, the first counts.
pub const PATTERNS: [Pattern; 41] = [
    Pattern {
        name: "ftp-active",
        title: "active FTP data",
        words: "the server opens the data connection from its port 20 to a port that the client \
                told it",
        opener: Ports::Exactly(20),
        answerer: Ports::Chosen,
        ..TCP
    },
    Pattern {
        name: "ftp-passive",
        title: "passive FTP data",
        words: "the client opens the data connection to a port that the server told it",
        answerer: Ports::Chosen,
        needs_ftp: true,
        ..TCP
    },
    tcp("ftp", "FTP control", 21),
    Pattern {
        name: "dns-forwarder",
        title: "DNS between name servers",
        words: "a name server asks another from its own port 53",
        opener: Ports::Exactly(53),
        answerer: Ports::Exactly(53),
        ..UDP
    },
    Pattern {
        name: "dns",
        title: "DNS",
        words: "a question from a port that the client was given, and its answer",
        answerer: Ports::Exactly(53),
        ..UDP
    },
    Pattern {
        words: "answers that are too long for a datagram, and whole zones",
        ..tcp("dns-tcp", "DNS over TCP", 53)
    },
    Pattern {
        name: "ntp",
        title: "NTP",
        words: "both ends use port 123",
        opener: Ports::Exactly(123),
        answerer: Ports::Exactly(123),
        ..UDP
    },
    Pattern {
        name: "ntp-client",
        title: "NTP, from a client's port",
        words: "ntpdate -u and the like ask from a port that they were given",
        answerer: Ports::Exactly(123),
        ..UDP
    },
    Pattern {
        name: "dhcp",
        title: "DHCP",
        words: "a client asks from port 68 for an address, a server answers from port 67",
        opener: Ports::Exactly(68),
        answerer: Ports::Exactly(67),
        ..UDP
    },
    Pattern {
        name: "ssh-root",
        title: "SSH from a low port",
        words: "ssh and rsh of root open connections from a port below 1024",
        opener: Ports::Root,
        answerer: Ports::Exactly(22),
        ..TCP
    },
    Pattern {
        name: "rsh",
        title: "rsh and rlogin",
        words: "root's programs open connections from a port below 1024",
        opener: Ports::Root,
        answerer: Ports::Between(512, 514),
        ..TCP
    },
    tcp("ssh", "SSH", 22),
    tcp("telnet", "telnet", 23),
    tcp("smtp", "SMTP", 25),
    tcp("whois", "whois", 43),
    tcp("finger", "finger", 79),
    tcp("http", "HTTP", 80),
    tcp("https", "HTTPS", 443),
    tcp("http-proxy", "HTTP through a proxy", 3128),
    tcp("http-8080", "HTTP on port 8080", 8080),
    tcp("pop3", "POP3", 110),
    tcp("imap", "IMAP", 143),
    Pattern {
        words: "a mail or IRC server asks who is calling; REJECT instead of silence spares the wait",
        ..tcp("ident", "ident", 113)
    },
    tcp("nntp", "NNTP", 119),
    tcp("irc", "IRC", 6667),
    Pattern {
        name: "traceroute",
        title: "traceroute",
        words: "datagrams to ports where nobody listens; each machine on the way says that their \
                time is over",
        answerer: Ports::Between(33434, 33523),
        answers: Answers::Errors,
        ..UDP
    },
    Pattern {
        name: "ping",
        title: "ping",
        words: "an echo request and its reply",
        opener: Ports::Exactly(8),
        answerer: Ports::Exactly(0),
        ..ICMP
    },
    error(
        "icmp-unreachable",
        "ICMP destination-unreachable",
        UNREACHABLE,
    ),
    error("icmp-quench", "ICMP source-quench", 4),
    error("icmp-time-exceeded", "ICMP time-exceeded", TIME_EXCEEDED),
    error("icmp-parameter", "ICMP parameter-problem", 12),
    Pattern {
        words: "whoever sends it decides where your packets go",
        unwanted: true,
        ..error("icmp-redirect", "ICMP redirect", 5)
    },
    Pattern {
        words: "whoever sends it decides where your packets go",
        unwanted: true,
        ..error("icmp-router", "ICMP router-advertisement", 9)
    },
    knock(
        "netbios",
        "NetBIOS",
        Transport::Udp,
        Ports::Between(137, 138),
    ),
    knock(
        "netbios-session",
        "NetBIOS sessions",
        Transport::Tcp,
        Ports::Exactly(139),
    ),
    knock("smb", "SMB", Transport::Tcp, Ports::Exactly(445)),
    knock(
        "back-orifice",
        "Back Orifice",
        Transport::Udp,
        Ports::Exactly(31337),
    ),
    knock(
        "netbus",
        "NetBus",
        Transport::Tcp,
        Ports::Between(12345, 12346),
    ),
    knock(
        "subseven",
        "SubSeven",
        Transport::Tcp,
        Ports::Exactly(27374),
    ),
    knock(
        "sql-slammer",
        "SQL Server resolution",
        Transport::Udp,
        Ports::Exactly(1434),
    ),
    knock("ssdp", "SSDP", Transport::Udp, Ports::Exactly(1900)),
];
