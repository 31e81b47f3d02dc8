//! Conversations that are alike, and which of them are services.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use portcullis_core::names::InterfaceName;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{BuiltIn, Network};

use super::conversation::{self, Conversation};
use super::pattern::{Pattern, Ports};
use super::{Announced, Denial, Setting};

/// Which way a conversation is opened, seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From here to elsewhere.
    Out,
    /// From elsewhere to here.
    In,
    /// From elsewhere to elsewhere.
    Through,
    /// From here to here.
    Within,
}

/// One side of a group's conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its addresses: one, or all if there were too many.
    pub network: Network,
    /// The ports that it had; of ICMP, the types.
    pub ports: BTreeSet<u16>,
}

/// What to think of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// This machine, or one behind it, asked for it.
    Offered,
    /// Somebody asks for a service here: to be let in only if there is one.
    Asked,
    /// One peer tried many ports or addresses.
    Scan {
        /// Different ports.
        ports: usize,
        /// Different addresses.
        addresses: usize,
    },
    /// A pattern that nobody wants to let in.
    Unwanted,
    /// Fragments, which show no ports.
    Fragments,
}

/// Conversations that the same rules would let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is, if it is known.
    pub pattern: Option<&'static Pattern>,
    /// The protocol.
    pub protocol: u8,
    /// Which way it is opened.
    pub way: Way,
    /// Who opens.
    pub opener: Side,
    /// Who answers.
    pub answerer: Side,
    /// The interface to the opener's side, where it is known.
    pub near_opener: Option<InterfaceName>,
    /// The interface to the answerer's side.
    pub near_answerer: Option<InterfaceName>,
    /// What to think of it.
    pub stance: Stance,
    /// Conversations.
    pub conversations: usize,
    /// Packets that were denied.
    pub packets: u64,
    /// Which, by place among the denials.
    pub denials: Vec<usize>,
    /// When the first and the last came.
    pub times: (String, String),
    /// What an FTP control connection said about it.
    pub announced: Option<Announced>,
    /// Nothing but its ports speaks for the pattern.
    pub guessed: bool,
}

/// Services of one machine that one peer may ask for before it is a scan.
const MOST_ASKED: usize = 8;
/// Peers to which the same service is asked from here, each a group; more are
/// all the world.
const MOST_PEERS: usize = 8;

/// Puts denied packets together. Groups come in the order of their first
/// packet, scans last.
pub fn groups(denials: &[Denial], setting: &Setting) -> Vec<Group> {
    let conversations = conversation::conversations(denials, setting);
    let scanners = scanners(&conversations, setting);
    let many = popular(&conversations);
    let mut places = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for conversation in &conversations {
        let scan = match conversation.way {
            Way::In | Way::Through => scanners.get(&conversation.flow.opener.address),
            Way::Out | Way::Within => None,
        };
        let key = Key::of(conversation, denials, &many, scan.is_some());
        let place = *places.entry(key).or_insert_with(|| {
            groups.push(Group::of(conversation, denials, scan));
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.add(conversation, denials);
        if many.contains(&asked(conversation)) && scan.is_none() {
            group.answerer.network = Network::ANY;
        }
    }
    groups.sort_by_key(|group| matches!(group.stance, Stance::Scan { .. }));
    groups
}

/// What makes two conversations one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: &'static str,
    service: (u8, u16),
    way: Way,
    fragments: bool,
    opener: u32,
    answerer: u32,
    interface: Option<InterfaceName>,
    scan: bool,
}

impl Key {
    fn of(
        conversation: &Conversation,
        denials: &[Denial],
        many: &BTreeSet<Asked>,
        scan: bool,
    ) -> Self {
        let flow = &conversation.flow;
        let pattern = conversation.pattern;
        let interface = denials[conversation.denials[0]].packet.interface;
        let anyone = many.contains(&asked(conversation));
        let from_anyone = pattern.is_some_and(|it| it.from_anyone);
        if scan {
            return Self {
                name: "",
                service: (0, 0),
                way: Way::In,
                fragments: false,
                opener: flow.opener.address,
                answerer: 0,
                interface: None,
                scan,
            };
        }
        Self {
            name: pattern.map_or("", |it| it.name),
            service: match pattern {
                Some(_) => (0, 0),
                None => (flow.protocol, flow.answerer.port),
            },
            way: conversation.way,
            fragments: flow.fragments,
            opener: if from_anyone { 0 } else { flow.opener.address },
            answerer: if anyone { 0 } else { flow.answerer.address },
            interface: (conversation.way != Way::Through).then_some(interface),
            scan,
        }
    }
}

/// A service that somebody uses: its pattern, and who.
type Asked = (&'static str, u32);

fn asked(conversation: &Conversation) -> Asked {
    let name = conversation.pattern.map_or("", |it| it.name);
    (name, conversation.flow.opener.address)
}

/// Services that one machine asks so many peers for that naming them makes no
/// sense.
fn popular(conversations: &[Conversation]) -> BTreeSet<Asked> {
    let mut peers: BTreeMap<Asked, BTreeSet<u32>> = BTreeMap::new();
    for it in conversations {
        if it.pattern.is_some() && it.way == Way::Out {
            let known = peers.entry(asked(it)).or_default();
            known.insert(it.flow.answerer.address);
        }
    }
    let many = peers.into_iter().filter(|(_, it)| it.len() > MOST_PEERS);
    many.map(|(asked, _)| asked).collect()
}

/// Peers that tried too much, with the numbers of ports and addresses.
fn scanners(conversations: &[Conversation], setting: &Setting) -> BTreeMap<u32, (usize, usize)> {
    let mut tried: BTreeMap<u32, BTreeSet<(u8, u32, u16)>> = BTreeMap::new();
    for it in conversations {
        let flow = &it.flow;
        let own = setting.port_range.0.contains(flow.answerer.port);
        // The data connections of one session go to one port each.
        let is_data = it.pattern.is_some_and(|it| it.answerer == Ports::Chosen) && own;
        let from_within = it.way == Way::Through && is_private(flow.opener.address);
        let is_error = it.pattern.is_some_and(|it| it.from_anyone);
        if matches!(it.way, Way::In | Way::Through)
            && !from_within
            && !is_error
            && !is_data
            && it.announced.is_none()
        {
            let known = tried.entry(flow.opener.address).or_default();
            known.insert((flow.protocol, flow.answerer.address, flow.answerer.port));
        }
    }
    let many = tried.into_iter().filter(|(_, it)| it.len() > MOST_ASKED);
    many.map(|(peer, tried)| {
        let ports: BTreeSet<_> = tried.iter().map(|(kind, _, port)| (kind, port)).collect();
        let addresses: BTreeSet<_> = tried.iter().map(|(_, address, _)| address).collect();
        (peer, (ports.len(), addresses.len()))
    })
    .collect()
}

/// Addresses that nobody has outside (RFC 1918).
fn is_private(address: u32) -> bool {
    Ipv4Addr::from_bits(address).is_private()
}

impl Group {
    fn of(conversation: &Conversation, denials: &[Denial], scan: Option<&(usize, usize)>) -> Self {
        let flow = &conversation.flow;
        let pattern = conversation.pattern;
        let side = |address| Side {
            network: Network::with_prefix(address, 32),
            ports: BTreeSet::new(),
        };
        let mut opener = side(flow.opener.address);
        if pattern.is_some_and(|it| it.from_anyone) {
            opener.network = Network::ANY;
        }
        let serves_here = !pattern.is_some_and(|it| it.answerer == Ports::Chosen || it.from_anyone);
        Self {
            pattern: pattern.filter(|_| scan.is_none()),
            protocol: flow.protocol,
            way: conversation.way,
            opener,
            answerer: side(flow.answerer.address),
            near_opener: None,
            near_answerer: None,
            stance: match (scan, pattern) {
                (Some((ports, addresses)), _) => Stance::Scan {
                    ports: *ports,
                    addresses: *addresses,
                },
                (None, Some(pattern)) if pattern.unwanted => Stance::Unwanted,
                (None, _) if flow.fragments => Stance::Fragments,
                (None, _) => match conversation.way {
                    Way::In if serves_here => Stance::Asked,
                    Way::Through if serves_here && !is_private(flow.opener.address) => {
                        Stance::Asked
                    }
                    _ => Stance::Offered,
                },
            },
            conversations: 0,
            packets: 0,
            denials: Vec::new(),
            times: (denials[conversation.denials[0]].when.clone(), String::new()),
            announced: conversation.announced.clone(),
            guessed: conversation.guessed,
        }
    }

    fn add(&mut self, conversation: &Conversation, denials: &[Denial]) {
        let flow = &conversation.flow;
        self.conversations += 1;
        self.opener.ports.insert(flow.opener.port);
        self.answerer.ports.insert(flow.answerer.port);
        self.announced = conversation.announced.clone().or(self.announced.take());
        for number in &conversation.denials {
            let denial = &denials[*number];
            let asks = denial.packet.key.source == flow.opener.address;
            self.packets += denial.times;
            self.denials.push(*number);
            self.times.1.clone_from(&denial.when);
            // A packet that asks comes in where the opener is.
            let at_opener = match (denial.chain, asks) {
                (BuiltIn::Input, asks) => asks,
                (BuiltIn::Forward | BuiltIn::Output, asks) => !asks,
            };
            let near = match at_opener {
                true => &mut self.near_opener,
                false => &mut self.near_answerer,
            };
            near.get_or_insert(denial.packet.interface);
        }
    }

    /// Whether Linux would masquerade it: from an address that nobody has
    /// outside to one that somebody has.
    pub fn is_masqueraded(&self) -> bool {
        self.way == Way::Through
            && is_private(self.opener.network.address())
            && !is_private(self.answerer.network.address())
    }

    /// Whether rules for it may be proposed.
    pub fn is_offered(&self) -> bool {
        matches!(self.stance, Stance::Offered | Stance::Asked)
    }

    /// A short name of the service: the pattern's, or `tcp/6346`.
    pub fn service(&self) -> String {
        if matches!(self.stance, Stance::Scan { .. }) {
            return "scan".to_owned();
        }
        let protocol = match self.protocol {
            protocol::ICMP => "icmp".to_owned(),
            protocol::TCP => "tcp".to_owned(),
            protocol::UDP => "udp".to_owned(),
            number => return format!("protocol-{number}"),
        };
        match (self.stance, self.pattern, self.answerer.ports.first()) {
            (Stance::Fragments, ..) => format!("{protocol}-fragments"),
            (_, Some(pattern), _) => pattern.name.to_owned(),
            (_, None, Some(port)) => format!("{protocol}/{port}"),
            (_, None, None) => protocol,
        }
    }
}

/// What it is and between whom: `active FTP data from 192.0.2.7`.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opener = Peer(&self.opener.network);
        let answerer = Peer(&self.answerer.network);
        if let Stance::Scan { ports, addresses } = self.stance {
            let plural = |count: usize, one, many| if count == 1 { one } else { many };
            write!(f, "a scan by {opener}: {ports} ")?;
            f.write_str(plural(ports, "port", "ports"))?;
            write!(f, " of {addresses} ")?;
            return f.write_str(plural(addresses, "address", "addresses"));
        }
        match self.pattern {
            Some(pattern) => f.write_str(pattern.title)?,
            None => f.write_str(&self.service())?,
        }
        match self.way {
            Way::Out => write!(f, " to {answerer}"),
            Way::In => write!(f, " from {opener}"),
            Way::Through => write!(f, " from {opener} to {answerer}"),
            Way::Within => write!(f, " within this machine"),
        }
    }
}

struct Peer<'a>(&'a Network);

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.0 == Network::ANY {
            true => f.write_str("anyone"),
            false => Ipv4Addr::from_bits(self.0.address()).fmt(f),
        }
    }
}
