//! What an ipchains ruleset says about a packet.
//!
//! This crate is the semantics of Linux 2.2's packet filter and nothing else:
//! no files, sockets, clocks or threads, which `no_std` lets the compiler
//! check. Everything that the other crates do rests on four ideas:
//!
//! * an [`Ipv4Packet`](packet::Ipv4Packet) is a view of bytes that the
//!   receiving kernel would not have thrown away,
//! * a [`PacketKey`](packet::PacketKey) holds exactly what rules can test,
//! * a [`Matcher`](matcher::Matcher) turns a key into a
//!   [`Verdict`](ruleset::Verdict) and a [`Trace`](matcher::Trace), the rules
//!   that matched in order,
//! * everything else (counters, log lines, mark, TOS) follows from the trace
//!   and is worked out by [`Judge`](judge::Judge).
//!
//! Section numbers in the documentation ("§4") are those of the semantics
//! reference in `docs/semantics.md`.

#![no_std]

extern crate alloc;

pub mod batch;
pub mod judge;
pub mod matcher;
pub mod message;
pub mod names;
pub mod packet;
pub mod packet_log;
pub mod reference;
pub mod ruleset;
pub mod traversal;
