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

use crate::backend::reject;
use crate::live::{Figure, Stats};

/// Answers a second, and at once after a quiet time: what Linux allows for all ICMP errors together
/// (net.ipv4.icmp_msgs_per_sec, icmp_msgs_burst).
const PER_SECOND: u64 = 1000;
const BURST: u64 = 50;
/// Where an IPv4 header has its source.
const SOURCE: std::ops::Range<usize> = 12..16;

/// A way to answer.
pub(super) struct Answers {
    socket: OwnedFd,
    limit: Limit,
    packet: Vec<u8>,
}

struct Limit {
    /// Thousandths of an answer.
    left: u64,
    filled: Instant,
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
            limit: Limit {
                left: BURST * 1000,
                filled: Instant::now(),
            },
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

impl Limit {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_millis() as u64;
        if passed > 0 {
            let gained = passed.saturating_mul(PER_SECOND);
            self.left = (BURST * 1000).min(self.left.saturating_add(gained));
            self.filled = now;
        }
        let enough = self.left >= 1000;
        self.left -= if enough { 1000 } else { 0 };
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_answered_and_then_one_each_millisecond() {
        let start = Instant::now();
        let mut limit = Limit {
            left: BURST * 1000,
            filled: start,
        };
        let at_once = (0..60).filter(|_| limit.take(start)).count();
        assert_eq!(at_once, 50);
        let later = start + Duration::from_millis(3);
        assert_eq!((0..60).filter(|_| limit.take(later)).count(), 3);
    }
}
