//! Two interfaces between which frames cross only through the rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_core::judge::PacketState;
use portcullis_core::matcher::Matcher;
use portcullis_core::names::InterfaceName;
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::Step;

use super::RawSocket;
use super::raw_socket::{BATCH, Frames, OFFLOAD_HEADER};
use super::reject::{self, AnswerLimit};
use crate::live::{Fate, Figure, Judging, Stats, Worker};

/// How long a worker waits before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long is waited after an error.
const PAUSE: Duration = Duration::from_millis(1);
/// The link header up to the type of an untagged frame.
const LINK: usize = 14;
const TYPE_IPV4: u16 = 0x0800;
const TYPE_ARP: u16 = 0x0806;
/// Types of VLAN tags: 802.1Q, 802.1ad.
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// What happens to frames that are neither IPv4 nor ARP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIpv4 {
    /// They are dropped and counted.
    Drop,
    /// They cross.
    Pass,
}

/// One direction of a bridge.
#[derive(Debug)]
pub struct Lane {
    /// Where frames come from, and answers go to.
    pub from: Arc<RawSocket>,
    /// Where they go.
    pub to: Arc<RawSocket>,
    /// The chains that they meet.
    pub steps: Vec<Step>,
    /// What else may cross.
    pub not_ipv4: NotIpv4,
}

/// REJECT's answers on their way back.
#[derive(Default)]
struct Answers {
    /// Room for one, offload header and all.
    frame: Vec<u8>,
    limit: AnswerLimit,
}

/// What is done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Pass,
    Rewrite {
        /// Where the IPv4 header begins.
        at: usize,
        state: PacketState,
    },
    Answer {
        at: usize,
        chain: BuiltIn,
    },
    Drop,
}

/// The chains of a bridge as seen by frames that leave through `to`: only `forward`, or all three
/// as on a router.
pub fn steps(from: InterfaceName, to: InterfaceName, routed: bool) -> Vec<Step> {
    let step = |chain, interface| Step { chain, interface };
    let forward = step(BuiltIn::Forward, to);
    match routed {
        false => vec![forward],
        true => vec![
            step(BuiltIn::Input, from),
            forward,
            step(BuiltIn::Output, to),
        ],
    }
}

impl Lane {
    /// Lets frames cross until `stop` is set.
    ///
    /// No error ends this: one frame that the kernel cannot hand over must not stop all others, and
    /// an interface that is down is waited for.
    pub fn run<M: Matcher>(&self, worker: &mut Worker<M>, stats: &Stats, stop: &AtomicBool) {
        let mut frames = Frames::new();
        let mut actions = Vec::with_capacity(BATCH);
        let mut answers = Answers::default();
        while !stop.load(Ordering::Relaxed) {
            let received = match self.from.wait(PATIENCE) {
                Ok(false) => {
                    // It may have been taken away, and come again. If not yet, frames are waited for.
                    let _ = self.from.follow();
                    continue;
                }
                Ok(true) => self.from.receive(&mut frames),
                Err(error) => Err(error),
            };
            match received {
                Ok(()) => {}
                // The interface went down; this is how a socket says so, once.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => continue,
                Err(_) => {
                    stats.add(Figure::NotReceived, 1);
                    // An error that stays must not keep a processor busy.
                    thread::sleep(PAUSE);
                    continue;
                }
            }
            actions.clear();
            worker.batch(|judging| {
                for place in 0..frames.len() {
                    let frame = &frames.get(place)[OFFLOAD_HEADER..];
                    actions.push(self.judge(frame, judging, stats));
                }
            });
            self.act(&mut frames, &actions, &mut answers, stats);
            stats.add(Figure::Overflow, self.from.overflow());
        }
    }

    /// What is to be done with a frame.
    fn judge<M: Matcher>(
        &self,
        frame: &[u8],
        judging: &mut Judging<'_, M>,
        stats: &Stats,
    ) -> Action {
        stats.add(Figure::Received, 1);
        stats.add(Figure::Bytes, frame.len() as u64);
        let (kind, at) = link(frame);
        if kind == TYPE_ARP {
            stats.add(Figure::Arp, 1);
            return Action::Pass;
        }
        if kind != TYPE_IPV4 {
            stats.add(Figure::NotIpv4, 1);
            return match self.not_ipv4 {
                NotIpv4::Drop => Action::Drop,
                NotIpv4::Pass => Action::Pass,
            };
        }
        let bytes = &frame[at..];
        let Ok(packet) = Ipv4Packet::received(bytes, bytes.len()) else {
            stats.add(Figure::Damaged, 1);
            return Action::Drop;
        };
        match judging.judge(&self.steps, &packet) {
            Fate::Pass(state) if state == PacketState::of(&packet) => {
                stats.add(Figure::Passed, 1);
                Action::Pass
            }
            Fate::Pass(state) => {
                stats.add(Figure::Passed, 1);
                Action::Rewrite { at, state }
            }
            Fate::Deny => {
                stats.add(Figure::Denied, 1);
                Action::Drop
            }
            Fate::Reject(chain) => {
                stats.add(Figure::Rejected, 1);
                Action::Answer { at, chain }
            }
            Fate::TtlExceeded => {
                stats.add(Figure::TtlExceeded, 1);
                Action::Drop
            }
        }
    }

    fn act(&self, frames: &mut Frames, actions: &[Action], answers: &mut Answers, stats: &Stats) {
        for (place, action) in actions.iter().enumerate() {
            if let Action::Rewrite { at, state } = action {
                let header = &mut frames.get_mut(place)[OFFLOAD_HEADER + at..];
                header[1] = state.tos;
                header[8] = state.ttl;
                header[10..12].copy_from_slice(&state.checksum.to_be_bytes());
            }
        }
        let mut crossing: [&[u8]; BATCH] = [&[]; BATCH];
        let mut count = 0;
        for (place, action) in actions.iter().enumerate() {
            let frame = frames.get(place);
            match action {
                Action::Pass | Action::Rewrite { .. } => {
                    crossing[count] = frame;
                    count += 1;
                }
                Action::Answer { at, chain } => {
                    let Answers {
                        frame: answer,
                        limit,
                    } = &mut *answers;
                    if !self.answer_to(&frame[OFFLOAD_HEADER..], *at, *chain, answer) {
                        continue;
                    }
                    if !limit.take(Instant::now()) {
                        stats.add(Figure::NotAnswered, 1);
                        continue;
                    }
                    let lost = self.from.send(&[answer.as_slice()]);
                    stats.add(Figure::NotSent, lost as u64);
                }
                Action::Drop => {}
            }
        }
        let lost = self.to.send(&crossing[..count]);
        stats.add(Figure::NotSent, lost as u64);
    }

    /// Makes the whole frame that answers a rejected one, offload header and all.
    fn answer_to(&self, frame: &[u8], at: usize, chain: BuiltIn, out: &mut Vec<u8>) -> bool {
        let own = self
            .steps
            .first()
            .is_some_and(|step| step.chain == BuiltIn::Output);
        let bytes = &frame[at..];
        let Ok(packet) = Ipv4Packet::received(bytes, bytes.len()) else {
            return false;
        };
        // To many at once there is no answer.
        if frame[0] & 1 != 0 {
            return false;
        }
        out.clear();
        out.extend_from_slice(&[0; OFFLOAD_HEADER]);
        out.extend_from_slice(&frame[6..12]);
        out.extend_from_slice(&frame[..6]);
        out.extend_from_slice(&frame[12..at]);
        reject::answer(&packet, chain, own, out)
    }
}

/// The type of what a frame carries, behind its tags, and where that begins.
fn link(frame: &[u8]) -> (u16, usize) {
    let mut at = LINK - 2;
    loop {
        let Some([high, low]) = frame.get(at..at + 2) else {
            return (0, frame.len());
        };
        let kind = u16::from_be_bytes([*high, *low]);
        if !TAGS.contains(&kind) {
            return (kind, at + 2);
        }
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_looked_behind() {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45]);
        assert_eq!(link(&frame), (TYPE_IPV4, 14));
        frame.splice(12..12, [0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 2]);
        assert_eq!(link(&frame), (TYPE_IPV4, 22));
        assert_eq!(link(&frame[..21]), (0, 21));
        assert_eq!(link(&[]), (0, 0));
    }

    #[test]
    fn a_bridge_has_one_chain_and_a_router_three() {
        let name = |text| InterfaceName::new(text).unwrap();
        let (a, b) = (name("a"), name("b"));
        assert_eq!(steps(a, b, false).len(), 1);
        let routed = steps(a, b, true);
        let seen: Vec<_> = routed
            .iter()
            .map(|step| (step.chain, step.interface))
            .collect();
        let expected = [
            (BuiltIn::Input, a),
            (BuiltIn::Forward, b),
            (BuiltIn::Output, b),
        ];
        assert_eq!(seen, expected);
    }
}
