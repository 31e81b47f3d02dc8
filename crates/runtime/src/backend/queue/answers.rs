//! Sends REJECT's answers as this machine, not more of them than the kernel would.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Instant;

use portcullis_core::packet::Ipv4Packet;
use portcullis_core::ruleset::BuiltIn;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};

use crate::backend::reject::{self, AnswerLimit};
use crate::live::{Figure, Stats};

/// Where an IPv4 header has its source.
const SOURCE: std::ops::Range<usize> = 12..16;

/// A way to answer.
pub(super) struct Answers {
    socket: OwnedFd,
    limit: AnswerLimit,
    packet: Vec<u8>,
}

impl Answers {
    pub(super) fn open() -> io::Result<Self> {
        // Of this protocol a socket takes whole packets to be sent, and receives none.
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(ipproto::RAW),
        )?;
        Ok(Self {
            socket,
            limit: AnswerLimit::default(),
            packet: Vec::new(),
        })
    }

    /// Answers a packet that `chain` rejects. `own`: this machine sent it.
    pub(super) fn send(
        &mut self,
        packet: &Ipv4Packet<'_>,
        chain: BuiltIn,
        own: bool,
        stats: &Stats,
    ) {
        self.packet.clear();
        if !reject::answer(packet, chain, own, &mut self.packet) {
            return;
        }
        if !self.limit.take(Instant::now()) {
            return stats.add(Figure::NotAnswered, 1);
        }
        // The kernel fills in the address that it has on this way, and the checksum.
        self.packet[SOURCE].fill(0);
        let to = SocketAddrV4::new(Ipv4Addr::from_bits(packet.source()), 0);
        if sendto(&self.socket, &self.packet, SendFlags::empty(), &to).is_err() {
            stats.add(Figure::NotSent, 1);
        }
    }
}
