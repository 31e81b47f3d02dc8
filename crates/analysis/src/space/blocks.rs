//! Regions as people can read them: a few blocks, each an interval of every
//! field.

use std::fmt;
use std::net::Ipv4Addr;

use portcullis_core::names::InterfaceName;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{Conditions, Network, PortRange, PortsOf, Test};

use super::diagram::{EMPTY, FULL};
use super::interfaces::Term;
use super::layout::{self, INTERFACE, KIND, Ports};
use super::{Packet, Region, Space, TooLarge};

/// Packets that a single line describes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// The interfaces.
    pub interfaces: Interfaces,
    /// The protocol; `None` is any.
    pub protocol: Option<u8>,
    /// Which packets of the protocol.
    pub parts: Parts,
    /// Source addresses.
    pub source: Network,
    /// Destination addresses.
    pub destination: Network,
    /// Source ports or ICMP types. Only packets that have ports are meant if
    /// it is not [`PortRange::ALL`].
    pub source_ports: PortRange,
    /// Destination ports or ICMP codes, likewise.
    pub destination_ports: PortRange,
}

/// Which interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interfaces {
    /// All.
    Any,
    /// Some.
    Some(Names),
}

/// Interfaces that rules tell from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names {
    /// Each stands for its class.
    classes: Vec<InterfaceName>,
    /// How they are said.
    terms: Vec<Term>,
}

/// Which packets of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parts {
    /// All.
    All,
    /// Those that are no fragments.
    Whole,
    /// Whole ones that do not open a TCP connection.
    NotOpening,
    /// Those that open a TCP connection.
    Opening,
    /// Fragments, to which short packets count (§3).
    Fragments,
}

/// A region as blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The blocks; they may overlap, and hold nothing outside the region.
    pub blocks: Vec<Block>,
    /// What they leave out, because there would have been too many.
    pub rest: Region,
}

impl Space {
    /// Covers a region with at most `most` blocks, each as wide as the region
    /// allows.
    pub fn blocks(&mut self, region: Region, most: usize) -> Result<Blocks, TooLarge> {
        self.cover(region, region, most)
    }

    /// Covers a region with at most `most` blocks that may reach out to
    /// `allowed`, which holds the region.
    pub(super) fn cover(
        &mut self,
        region: Region,
        allowed: Region,
        most: usize,
    ) -> Result<Blocks, TooLarge> {
        let mut rest = region;
        let mut blocks = Vec::new();
        while blocks.len() < most
            && let Some(packet) = self.example(rest)
        {
            let block = self.widest(&packet, allowed)?;
            let own = self.block(&block)?;
            rest = self.subtract(rest, own)?;
            blocks.push(block);
        }
        Ok(Blocks { blocks, rest })
    }

    /// The packets of a block.
    pub fn block(&mut self, block: &Block) -> Result<Region, TooLarge> {
        let fields = self.conditions(&Conditions {
            source: Test::is(block.source),
            destination: Test::is(block.destination),
            source_ports: Test::is(block.source_ports),
            destination_ports: Test::is(block.destination_ports),
            ports_of: PortsOf::EveryProtocol,
            ..Conditions::ANY
        })?;
        let limited = block.limits_ports();
        let kinds = self.diagram.choice(KIND, FULL, EMPTY, |kind| {
            let key = layout::key_of_kind(kind);
            let has_ports = layout::ports_of(kind) != Ports::None;
            block.protocol.is_none_or(|it| it == key.protocol)
                && block.parts.hold(key.fragment, key.syn)
                && (has_ports || !limited)
        })?;
        let names = self.interfaces.names().to_vec();
        let all = self.diagram.choice(INTERFACE, kinds, EMPTY, |class| {
            block.interfaces.hold(&names[usize::from(class)])
        })?;
        self.intersect(fields, Region(all))
    }

    /// The block of one packet, widened field by field while it stays inside.
    pub(super) fn widest(&mut self, packet: &Packet, region: Region) -> Result<Block, TooLarge> {
        let key = &packet.key;
        let kind = layout::kind_of(key);
        let (none, bounds) = (
            layout::ports_of(kind) == Ports::None,
            layout::ports_of(kind).bounds(),
        );
        let port = |port| {
            if none {
                PortRange::ALL
            } else {
                PortRange::single(port)
            }
        };
        let mut block = Block {
            interfaces: self.named(vec![packet.interface]),
            protocol: Some(key.protocol),
            parts: match (key.fragment, key.syn) {
                (true, _) => Parts::Fragments,
                (_, true) => Parts::Opening,
                _ => Parts::NotOpening,
            },
            source: Network::with_prefix(key.source, 32),
            destination: Network::with_prefix(key.destination, 32),
            source_ports: port(key.source_port),
            destination_ports: port(key.destination_port),
        };
        if !none {
            self.widen_ports(&mut block, region, bounds, |it| &mut it.destination_ports)?;
        }
        self.widen_network(&mut block, region, |it| &mut it.destination)?;
        if !none {
            self.widen_ports(&mut block, region, bounds, |it| &mut it.source_ports)?;
        }
        self.widen_network(&mut block, region, |it| &mut it.source)?;
        self.widen_interfaces(&mut block, region)?;
        self.widen_kind(&mut block, region)?;
        Ok(block)
    }

    /// Changes the block if it still lies inside.
    fn try_wider(
        &mut self,
        block: &mut Block,
        region: Region,
        widen: impl FnOnce(&mut Block),
    ) -> Result<bool, TooLarge> {
        let mut wider = block.clone();
        widen(&mut wider);
        let own = self.block(&wider)?;
        let inside = self.is_within(own, region)?;
        if inside {
            *block = wider;
        }
        Ok(inside)
    }

    fn widen_network(
        &mut self,
        block: &mut Block,
        region: Region,
        field: impl Fn(&mut Block) -> &mut Network,
    ) -> Result<(), TooLarge> {
        let address = field(block).address();
        // Whether a shorter prefix fits is monotonic.
        let (mut fits, mut too_short) = (32, -1);
        while fits - too_short > 1 {
            // All or nothing is the common case.
            let middle = if too_short < 0 && fits == 32 {
                0
            } else {
                (fits + too_short) / 2
            };
            let network = Network::with_prefix(address, middle as u8);
            match self.try_wider(block, region, |it| *field(it) = network)? {
                true => fits = middle,
                false => too_short = middle,
            }
        }
        Ok(())
    }

    fn widen_ports(
        &mut self,
        block: &mut Block,
        region: Region,
        (lowest, highest): (u16, u16),
        field: impl Fn(&mut Block) -> &mut PortRange,
    ) -> Result<(), TooLarge> {
        if self.try_wider(block, region, |it| *field(it) = PortRange::ALL)? {
            return Ok(());
        }
        let (mut fits, mut too_low) = (i32::from(field(block).first), i32::from(lowest) - 1);
        while fits - too_low > 1 {
            let middle = (fits + too_low).div_euclid(2);
            match self.try_wider(block, region, |it| field(it).first = middle as u16)? {
                true => fits = middle,
                false => too_low = middle,
            }
        }
        let (mut fits, mut too_high) = (i32::from(field(block).last), i32::from(highest) + 1);
        while too_high - fits > 1 {
            let middle = (fits + too_high) / 2;
            match self.try_wider(block, region, |it| field(it).last = middle as u16)? {
                true => fits = middle,
                false => too_high = middle,
            }
        }
        Ok(())
    }

    fn widen_interfaces(&mut self, block: &mut Block, region: Region) -> Result<(), TooLarge> {
        if self.try_wider(block, region, |it| it.interfaces = Interfaces::Any)? {
            return Ok(());
        }
        let mut inside = Vec::new();
        for name in self.interfaces.names().to_vec() {
            let mut wider = inside.clone();
            wider.push(name);
            let tried = Block {
                interfaces: self.named(vec![name]),
                ..block.clone()
            };
            let own = self.block(&tried)?;
            if self.is_within(own, region)? {
                inside = wider;
            }
        }
        block.interfaces = self.named(inside);
        Ok(())
    }

    /// The interfaces of some classes, given by their names.
    pub(super) fn named(&self, classes: Vec<InterfaceName>) -> Interfaces {
        match classes.len() == self.interfaces.names().len() {
            true => Interfaces::Any,
            false => Interfaces::Some(Names {
                terms: self.interfaces.terms(&classes),
                classes,
            }),
        }
    }

    fn widen_kind(&mut self, block: &mut Block, region: Region) -> Result<(), TooLarge> {
        let whole_only = block.limits_ports();
        let parts: &[Parts] = match block.parts {
            Parts::Fragments => &[Parts::All],
            _ if whole_only => &[Parts::Whole],
            _ => &[Parts::All, Parts::Whole],
        };
        let own = block.protocol;
        for parts in parts.iter().copied().chain([block.parts]) {
            // Ports mean something for single protocols only.
            let protocols = if whole_only {
                vec![own]
            } else {
                vec![None, own]
            };
            for protocol in protocols {
                let wider = |it: &mut Block| (it.parts, it.protocol) = (parts, protocol);
                if self.try_wider(block, region, wider)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Block {
    /// Every packet.
    pub const ALL: Self = Self {
        interfaces: Interfaces::Any,
        protocol: None,
        parts: Parts::All,
        source: Network::ANY,
        destination: Network::ANY,
        source_ports: PortRange::ALL,
        destination_ports: PortRange::ALL,
    };

    pub(super) fn limits_ports(&self) -> bool {
        [self.source_ports, self.destination_ports] != [PortRange::ALL; 2]
    }
}

impl Interfaces {
    pub(super) fn hold(&self, name: &InterfaceName) -> bool {
        match self {
            Self::Any => true,
            Self::Some(names) => names.classes.contains(name),
        }
    }
}

/// As `eth0,ppp+`, `!eth0` for all but that, or `eth+ except eth0 or ppp+`.
impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Some(Names { terms, .. }) = self else {
            return f.write_str("any");
        };
        let separator = match terms.iter().any(Term::is_long) {
            true => " or ",
            false => ",",
        };
        for (place, term) in terms.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { separator })?;
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl Parts {
    fn hold(self, fragment: bool, syn: bool) -> bool {
        match self {
            Self::All => true,
            Self::Whole => !fragment,
            Self::NotOpening => !fragment && !syn,
            Self::Opening => syn,
            Self::Fragments => fragment,
        }
    }
}

/// As packets are written, with `any` and ranges: `eth0 tcp 10.0.0.0/8 >
/// any:1024-65535 syn`.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.interfaces != Interfaces::Any {
            write!(f, "{} ", self.interfaces)?;
        }
        match self.protocol {
            None => f.write_str("any")?,
            Some(number) => write_protocol(f, number)?,
        }
        f.write_str(" ")?;
        write_side(f, &self.source, self.source_ports)?;
        f.write_str(" > ")?;
        write_side(f, &self.destination, self.destination_ports)?;
        let tcp = self.protocol == Some(protocol::TCP);
        let note = match self.parts {
            Parts::All => "",
            // Who names ports means packets that have them.
            Parts::Whole if self.limits_ports() => "",
            Parts::NotOpening if self.limits_ports() && !tcp => "",
            Parts::NotOpening if !tcp => " no fragments",
            Parts::Whole => " no fragments",
            Parts::NotOpening => " no syn",
            Parts::Opening => " syn",
            Parts::Fragments => " fragments",
        };
        f.write_str(note)
    }
}

/// As `eth0 tcp 192.0.2.7:1024 > 198.51.100.1:80 syn`.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        write!(f, "{} ", self.interface)?;
        write_protocol(f, key.protocol)?;
        let none = layout::ports_of(layout::kind_of(key)) == Ports::None;
        let side = |f: &mut fmt::Formatter<'_>, address, port| {
            write!(f, " {}", Ipv4Addr::from_bits(address))?;
            if none { Ok(()) } else { write!(f, ":{port}") }
        };
        side(f, key.source, key.source_port)?;
        f.write_str(" >")?;
        side(f, key.destination, key.destination_port)?;
        f.write_str(match (key.fragment, key.syn) {
            (true, _) => " fragment",
            (_, true) => " syn",
            _ => "",
        })
    }
}

pub(super) fn write_protocol(f: &mut fmt::Formatter<'_>, number: u8) -> fmt::Result {
    match number {
        protocol::TCP => f.write_str("tcp"),
        protocol::UDP => f.write_str("udp"),
        protocol::ICMP => f.write_str("icmp"),
        number => write!(f, "{number}"),
    }
}

pub(super) fn write_side(
    f: &mut fmt::Formatter<'_>,
    network: &Network,
    ports: PortRange,
) -> fmt::Result {
    let address = Ipv4Addr::from_bits(network.address());
    match network.prefix_length() {
        Some(0) => f.write_str("any")?,
        Some(32) => write!(f, "{address}")?,
        Some(length) => write!(f, "{address}/{length}")?,
        None => write!(f, "{address}/{}", Ipv4Addr::from_bits(network.mask()))?,
    }
    match ports {
        PortRange::ALL => Ok(()),
        PortRange { first, last } if first == last => write!(f, ":{first}"),
        PortRange { first, last } => write!(f, ":{first}-{last}"),
    }
}
