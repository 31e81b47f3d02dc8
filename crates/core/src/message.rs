//! What the kernel says about packets, and the copies it hands out (§6).

use alloc::vec::Vec;
use core::fmt;

use crate::matcher::Place;
use crate::names::{ChainName, InterfaceName};
use crate::packet::{Ipv4Packet, Suspect};
use crate::packet_log::{LoggedPacket, PacketLog};
use crate::ruleset::{Ruleset, Target};

/// A message to the kernel log. `Display` writes its lines, separated by line
/// feeds, without the last line's end.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// A rule with `-l` matched.
    Packet(PacketLog),
    /// A pre-check dropped a fragment; the kernel limits the rate of these
    /// two lines (§6.3), this type does not.
    Suspect {
        /// Which check.
        kind: Suspect,
        /// Interface of the chain.
        interface: InterfaceName,
        /// The packet with its ports as zero.
        packet: LoggedPacket,
    },
    /// A chain was entered again while it was being walked.
    Loop {
        /// The rules.
        ruleset: &'a Ruleset,
        /// The rules that matched, in order; the last one closes the loop.
        matched: &'a [Place],
    },
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(line) => line.fmt(f),
            Self::Suspect {
                kind,
                interface,
                packet,
            } => {
                let title = match kind {
                    Suspect::TcpFragment => "Suspect TCP fragment.",
                    Suspect::ShortFirstFragment => "Suspect short first fragment.",
                };
                write!(f, "{title}\n{interface} {packet} (#0)")
            }
            Self::Loop { ruleset, matched } => write_loop(f, ruleset, matched),
        }
    }
}

/// The two lines about a loop (§6.4).
fn write_loop(f: &mut fmt::Formatter<'_>, ruleset: &Ruleset, matched: &[Place]) -> fmt::Result {
    let reentered = matched
        .last()
        .and_then(|last| {
            ruleset
                .chains()
                .get(last.chain as usize)?
                .rules()
                .get(last.rule as usize)
        })
        .and_then(|rule| rule.target);
    if let Some(Target::Chain(name)) = reentered {
        writeln!(f, "IP firewall: Loop detected at `{name}'.")?;
    }
    f.write_str("Chain backtrace: ")?;
    for (depth, name) in call_path(ruleset, matched).iter().rev().enumerate() {
        let arrow = if depth == 0 { "" } else { "<-" };
        write!(f, "{arrow}{name}")?;
    }
    Ok(())
}

/// The chains that were being walked at the last rule that matched, outermost
/// first. No chain is on the path twice, so a rule that matched in a chain on
/// the path means that all chains after it have returned.
fn call_path(ruleset: &Ruleset, matched: &[Place]) -> Vec<ChainName> {
    let mut path: Vec<ChainName> = Vec::new();
    for place in matched {
        let name = *ruleset.chains()[place.chain as usize].name();
        if let Some(depth) = path.iter().position(|other| *other == name) {
            path.truncate(depth);
        }
        path.push(name);
    }
    path
}

/// What a rule with `-o` sends to user space (§6.5).
#[derive(Clone, Copy, Debug)]
pub struct NetlinkCopy<'a> {
    /// The mark after the rule's own change.
    pub mark: u32,
    /// Interface of the chain.
    pub interface: InterfaceName,
    /// The packet as it was captured.
    pub packet: Ipv4Packet<'a>,
    /// TOS after the rule's own change.
    pub tos: u8,
    /// TTL at this point of the path.
    pub ttl: u8,
    /// Header checksum, without this chain's TOS changes.
    pub checksum: u16,
    /// The rule's limit in bytes.
    pub limit: u16,
}

impl NetlinkCopy<'_> {
    /// How many bytes of the packet the copy holds.
    pub fn packet_length(&self) -> u16 {
        self.limit.min(self.packet.total_length())
    }

    /// Value of the message's length field: its own 24 bytes and the packet's.
    pub fn message_length(&self) -> u32 {
        24 + u32::from(self.packet_length())
    }

    /// The packet's bytes in the state of this moment; fewer than
    /// [`packet_length`](Self::packet_length) if the capture was cut.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        let checksum = self.checksum.to_be_bytes();
        let (tos, ttl) = (self.tos, self.ttl);
        let captured = self.packet.header().iter().chain(self.packet.payload());
        captured
            .enumerate()
            .take(usize::from(self.packet_length()))
            .map(move |(at, byte)| match at {
                1 => tos,
                8 => ttl,
                10 => checksum[0],
                11 => checksum[1],
                _ => *byte,
            })
    }
}
