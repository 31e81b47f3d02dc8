//! Rules for what was denied and should not have been.
//!
//! ```text
//! denials ─▶ conversations ─▶ groups ─▶ rules, each in its place ─▶ certificate
//! ```
//!
//! [`groups`] puts denied packets together and names them by the known
//! [`patterns`](PATTERNS); it tells scans from services. [`plan`] finds the
//! fewest and narrowest rules that let some groups through, in both directions
//! and all chains, and proves what the ruleset with them accepts that the one
//! without did not. [`Unseen`] estimates how much has not shown up yet.

mod certificate;
mod conversation;
mod group;
mod legs;
mod pattern;
mod plan;
mod unseen;

use portcullis_core::ruleset::{BuiltIn, PortRange};
use portcullis_core::traversal::LocalAddresses;

use crate::Packet;

pub use certificate::{Certificate, Forbidden, Opened};
pub use group::{Group, Side, Stance, Way, groups};
pub use pattern::{Answers, PATTERNS, Pattern, Ports, Transport};
pub use plan::{Added, Plan, is_catch_all, plan};
pub use unseen::Unseen;

/// A packet that a chain did not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The built-in chain that it met.
    pub chain: BuiltIn,
    /// The packet.
    pub packet: Packet,
    /// How often it came.
    pub times: u64,
    /// When it came first, in any words; empty if nobody knows.
    pub when: String,
}

/// What is known about the machine and its traffic.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// The machine's own addresses; without them, chains tell the way.
    pub local: Option<LocalAddresses>,
    /// The one of them under which it masquerades.
    pub outside: Option<u32>,
    /// The ports from which its programs open connections, and from which it
    /// masquerades.
    pub port_range: OwnPorts,
    /// FTP data connections that control connections spoke of.
    pub announced: Vec<Announced>,
}

/// Ports from which a machine opens connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnPorts(pub PortRange);

/// What Linux 2.2 masquerades from.
impl Default for OwnPorts {
    fn default() -> Self {
        Self(MASQUERADED)
    }
}

/// The ports that Linux 2.2 gives to masqueraded connections.
pub const MASQUERADED: PortRange = PortRange {
    first: 61000,
    last: 65095,
};

/// A data connection that an FTP control connection announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Who has the control connection's high port.
    pub client: u32,
    /// Who has its port 21.
    pub server: u32,
    /// The port to which the data connection will be opened.
    pub port: u16,
    /// Whether the server named it (passive), or the client (active).
    pub by_server: bool,
    /// When, in any words.
    pub when: String,
}
