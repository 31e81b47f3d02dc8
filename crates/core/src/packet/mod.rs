//! Packets as the kernel's IP layer hands them to the filter, and the key
//! that rules see of them.

mod columns;
mod ipv4;
mod key;
mod plain;

pub use columns::{Column, KeyColumns};
pub use ipv4::{Damage, IpOptions, Ipv4Packet, Unusable, header_checksum};
pub use key::{Missing, PacketKey, Suspect, protocol};
pub use plain::{PlainPackets, RawColumns};
