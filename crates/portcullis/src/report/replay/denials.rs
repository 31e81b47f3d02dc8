//! What was denied most.

use std::collections::HashMap;

use portcullis_core::judge::{Decided, Ruling};
use portcullis_core::packet::protocol::{ICMP, TCP, UDP};
use portcullis_core::packet::{Ipv4Packet, Missing, PacketKey};
use portcullis_core::ruleset::{Counter, Verdict};
use portcullis_core::traversal::Step;
use portcullis_runtime::capture::{Record, Timestamp};

/// Conversations that are kept when there are too many.
const KEPT: usize = 10_000;

/// A packet that was denied or rejected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denial {
    /// The record's number in its capture.
    pub(crate) number: u64,
    time: Option<Timestamp>,
    bytes: u16,
    conversation: Conversation,
}

/// Packets that look alike and met the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Conversation {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) protocol: u8,
    /// Destination port, or type and code of ICMP.
    pub(crate) service: Option<Service>,
    pub(crate) step: Step,
    pub(crate) verdict: Verdict,
    pub(crate) decided: Decided,
}

/// What a packet asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    /// A port of TCP or UDP.
    Port(u16),
    /// Type and code.
    Icmp(u8, u8),
}

/// How much of a conversation was denied, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denied {
    pub(crate) counter: Counter,
    /// First and last time.
    pub(crate) times: Option<(Timestamp, Timestamp)>,
    /// Place of its last packet among all that were denied.
    last: u64,
}

/// The conversations that were denied most. Fed in the order of the captures,
/// so that what is forgotten does not depend on the number of threads.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    all: Counter,
    kept: HashMap<Conversation, Denied>,
    forgot: bool,
}

impl Denial {
    /// `None` if the packet got further.
    pub(crate) fn new(
        record: &Record<'_>,
        packet: &Ipv4Packet<'_>,
        step: &Step,
        ruling: &Ruling,
    ) -> Option<Self> {
        let Ruling {
            verdict, decided, ..
        } = *ruling;
        if !matches!(verdict, Verdict::Deny | Verdict::Reject) {
            return None;
        }
        Some(Self {
            number: record.number,
            time: record.time,
            bytes: packet.total_length(),
            conversation: Conversation {
                source: packet.source(),
                destination: packet.destination(),
                protocol: packet.protocol(),
                service: service(packet),
                step: *step,
                verdict,
                decided,
            },
        })
    }
}

impl Denials {
    /// Counts a packet.
    pub(crate) fn add(&mut self, denial: &Denial) {
        self.all.count(denial.bytes);
        let entry = self.kept.entry(denial.conversation);
        let denied = entry.or_insert_with(|| Denied {
            counter: Counter::default(),
            times: None,
            last: 0,
        });
        denied.counter.count(denial.bytes);
        denied.last = self.all.packets;
        if let Some(time) = denial.time {
            let (first, last) = denied.times.unwrap_or((time, time));
            denied.times = Some((first.min(time), last.max(time)));
        }
        if self.kept.len() == 2 * KEPT {
            self.forget();
        }
    }

    /// All packets that were denied.
    pub(crate) fn all(&self) -> Counter {
        self.all
    }

    /// The conversations that are known, by packets, the most first.
    pub(crate) fn most(&self) -> Vec<(Conversation, Denied)> {
        let mut most: Vec<_> = self.kept.iter().map(|(of, it)| (*of, *it)).collect();
        most.sort_unstable_by_key(|(_, denied)| denied.rank());
        most
    }

    /// Whether small conversations were forgotten on the way: what is known
    /// of the others may then be too little.
    pub(crate) fn forgot(&self) -> bool {
        self.forgot
    }

    /// Forgets the smaller half. It takes as many new conversations to come
    /// here again, so a packet costs the same however many there are.
    fn forget(&mut self) {
        let mut ranks: Vec<_> = self.kept.values().map(Denied::rank).collect();
        let (_, worst, _) = ranks.select_nth_unstable(KEPT - 1);
        let worst = *worst;
        self.kept.retain(|_, denied| denied.rank() <= worst);
        self.forgot = true;
    }
}

impl Denied {
    /// Sorts the most packets first; of as many, those seen last. No two are
    /// equal.
    fn rank(&self) -> (u64, u64) {
        (u64::MAX - self.counter.packets, u64::MAX - self.last)
    }
}

fn service(packet: &Ipv4Packet<'_>) -> Option<Service> {
    let key: PacketKey = packet.key().ok()?;
    if key.fragment || packet.missing() == Missing::PortsAndFlags {
        return None;
    }
    match packet.protocol() {
        TCP | UDP => Some(Service::Port(key.destination_port)),
        // Both are single octets in the packet.
        ICMP => Some(Service::Icmp(
            key.source_port as u8,
            key.destination_port as u8,
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::names::InterfaceName;
    use portcullis_core::ruleset::BuiltIn;

    use super::*;

    fn denial(source: u32, seconds: i64) -> Denial {
        let (interface, _) = InterfaceName::for_device("eth0");
        Denial {
            number: 1,
            time: Some(Timestamp::from_nanos(seconds * 1_000_000_000)),
            bytes: 40,
            conversation: Conversation {
                source,
                destination: 7,
                protocol: TCP,
                service: Some(Service::Port(23)),
                step: Step {
                    chain: BuiltIn::Input,
                    interface,
                },
                verdict: Verdict::Deny,
                decided: Decided::ByPolicy,
            },
        }
    }

    #[test]
    fn the_most_come_first() {
        let mut denials = Denials::default();
        for (source, seconds) in [(1, 5), (2, 6), (2, 4)] {
            denials.add(&denial(source, seconds));
        }
        let most = denials.most();
        assert_eq!(most[0].0.source, 2);
        let seconds = most[0].1.times.map(|(a, b)| (a.seconds(), b.seconds()));
        assert_eq!(seconds, Some((4, 6)));
        assert!(!denials.forgot());
    }

    #[test]
    fn a_scan_does_not_hide_who_comes_after_it() {
        let mut denials = Denials::default();
        for source in 0..100_000 {
            denials.add(&denial(source, 0));
            assert!(denials.kept.len() < 2 * KEPT);
        }
        for _ in 0..50 {
            denials.add(&denial(1_000_000, 1));
        }
        let most = denials.most();
        assert_eq!(
            (most[0].0.source, most[0].1.counter.packets),
            (1_000_000, 50)
        );
        assert_eq!(denials.all().packets, 100_050);
        assert!(denials.forgot());
    }
}
