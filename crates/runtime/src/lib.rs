//! Packets from and to the world: the only I/O in portcullis.
//!
//! Everything that opens a file, a socket or a clock lives in this crate, so that the others stay
//! functions of their arguments.
//!
//! - [`capture`] reads and writes capture files (pcap and pcapng, gzip and zstd).
//! - [`link`] finds the IPv4 packet inside a captured frame.
//! - [`replay`] judges the records of captures.
//! - [`live`] judges packets as they come, by rules that change meanwhile.
//! - [`backend`] takes frames from interfaces and carries out what was decided.
//! - [`control`] is the socket through which a running firewall is spoken to.
//! - [`confine`] gives up what a running firewall does not need.
//! - [`store`] keeps the ruleset that commands read and change.

pub mod backend;
pub mod capture;
pub mod confine;
pub mod control;
mod direction;
pub mod link;
pub mod live;
pub mod replay;
pub mod store;
mod sync;

pub use direction::Direction;
