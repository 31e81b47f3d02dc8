//! Packets from and to the world: the only I/O in portcullis.
//!
//! Everything that opens a file, a socket or a clock lives in this crate, so that the others stay
//! functions of their arguments.
//!
//! - [`capture`] reads and writes capture files (pcap and pcapng, gzip and zstd).
//! - [`link`] finds the IPv4 packet inside a captured frame.
//! - [`replay`] judges the records of captures.

pub mod capture;
mod direction;
pub mod link;
pub mod replay;

pub use direction::Direction;
