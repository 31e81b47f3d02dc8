//! From a matcher's answer to everything that follows from it: counters, log
//! lines, TOS, mark, copies, and the way from chain to chain.

use crate::matcher::{Ending, Matcher, Place, Trace};
use crate::message::{Message, NetlinkCopy};
use crate::names::ChainName;
use crate::packet::{Ipv4Packet, PacketKey, Suspect, header_checksum};
use crate::packet_log::{LoggedPacket, PacketLog};
use crate::ruleset::{BuiltIn, Rule, Ruleset, Target, Verdict};
use crate::traversal::Step;

/// Judges packets with one matcher, reusing one trace: after the first packets
/// nothing is allocated any more.
#[derive(Clone, Debug)]
pub struct Judge<M> {
    matcher: M,
    trace: Trace,
}

/// What becomes of a packet in one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The chain's answer.
    pub verdict: Verdict,
    /// What gave it.
    pub decided: Decided,
    /// For REDIRECT in `input`: the local port.
    pub redirect_port: Option<u16>,
    /// The packet's changeable fields afterwards.
    pub state: PacketState,
}

/// What gave a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decided {
    /// A rule.
    ByRule(Place),
    /// The chain's policy.
    ByPolicy,
    /// The loop that this rule closed.
    ByLoop(Place),
    /// The length of the walk, at this rule.
    ByLength(Place),
    /// A pre-check; no rule saw the packet (§3).
    ByCheck(Suspect),
}

/// The fields of a packet that change on its way (§2, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketState {
    /// Type of service.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Header checksum.
    pub checksum: u16,
    /// Mark, 0 at first.
    pub mark: u32,
}

/// How a packet's way through several chains ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The ruling of the last chain it met.
    Ruled(Ruling),
    /// It was to be forwarded, and its time to live ran out.
    TtlExceeded,
}

/// What follows from judging. Every method is called in the order in which
/// the kernel acts.
pub trait Effects {
    /// A rule matched a packet of this total length.
    fn count_rule(&mut self, place: Place, bytes: u16);
    /// A packet got the policy of a built-in chain.
    fn count_policy(&mut self, chain: BuiltIn, bytes: u16);
    /// The kernel prints.
    fn message(&mut self, message: &Message<'_>);
    /// The kernel copies a packet to user space.
    fn copy(&mut self, copy: &NetlinkCopy<'_>);
    /// A chain has ruled; called after everything else it causes.
    fn ruling(&mut self, step: &Step, ruling: &Ruling);
}

impl PacketState {
    /// The state of a packet that no chain has seen yet.
    pub fn of(packet: &Ipv4Packet<'_>) -> Self {
        Self {
            tos: packet.tos(),
            ttl: packet.ttl(),
            checksum: packet.checksum(),
            mark: 0,
        }
    }

    /// The same state with a lower time to live and the checksum updated for
    /// it, as forwarding does (RFC 1624).
    #[must_use]
    pub fn with_ttl(self, ttl: u8) -> Self {
        // The TTL is the high byte of its 16-bit word: as it falls, the
        // checksum rises.
        let fall = u16::from(self.ttl.wrapping_sub(ttl)) << 8;
        let (sum, carry) = self.checksum.overflowing_add(fall);
        Self {
            ttl,
            checksum: sum + u16::from(carry),
            ..self
        }
    }

    /// The right checksum for the header with this TOS and TTL.
    fn recomputed_checksum(&self, packet: &Ipv4Packet<'_>) -> u16 {
        let mut header = [0; 60];
        let header = &mut header[..packet.header().len()];
        header.copy_from_slice(packet.header());
        header[1] = self.tos;
        header[8] = self.ttl;
        header[10..12].fill(0);
        header_checksum(header)
    }
}

impl<M: Matcher> Judge<M> {
    /// Judges with this matcher.
    pub fn new(matcher: M) -> Self {
        Self {
            matcher,
            trace: Trace::new(),
        }
    }

    /// Judges with this matcher, using the memory of another judge.
    pub fn with_trace(matcher: M, trace: Trace) -> Self {
        Self { matcher, trace }
    }

    /// The memory of the walk, for the next judge.
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    /// The matcher.
    pub fn matcher(&self) -> &M {
        &self.matcher
    }

    /// Sends a packet along its way: every step is met until one does not let
    /// it through. Between `input` and `forward` the TTL falls (§2). `None` if
    /// there are no steps.
    pub fn walk(
        &mut self,
        steps: &[Step],
        packet: &Ipv4Packet<'_>,
        effects: &mut impl Effects,
    ) -> Option<End> {
        let mut state = PacketState::of(packet);
        let mut last: Option<(&Step, Ruling)> = None;
        let key = packet.key();
        for step in steps {
            if let Some((before, ruling)) = last {
                if !before.lets_through(ruling.verdict) {
                    break;
                }
                if (before.chain, step.chain) == (BuiltIn::Input, BuiltIn::Forward) {
                    if state.ttl <= 1 {
                        return Some(End::TtlExceeded);
                    }
                    state = state.with_ttl(state.ttl - 1);
                }
            }
            let ruling = self.judge(step, packet, key, state, effects);
            state = ruling.state;
            last = Some((step, ruling));
        }
        last.map(|(_, ruling)| End::Ruled(ruling))
    }

    /// Judges a packet in one chain only, where it has come in this state.
    pub fn step(
        &mut self,
        step: &Step,
        packet: &Ipv4Packet<'_>,
        before: PacketState,
        effects: &mut impl Effects,
    ) -> Ruling {
        self.judge(step, packet, packet.key(), before, effects)
    }

    fn judge(
        &mut self,
        step: &Step,
        packet: &Ipv4Packet<'_>,
        key: Result<PacketKey, Suspect>,
        state: PacketState,
        effects: &mut impl Effects,
    ) -> Ruling {
        let ruling = match key {
            Ok(key) => self.judge_key(step, packet, &key, state, effects),
            Err(kind) => {
                effects.message(&Message::Suspect {
                    kind,
                    interface: step.interface,
                    packet: logged(packet, 0, 0, &state),
                });
                Ruling {
                    verdict: Verdict::Deny,
                    decided: Decided::ByCheck(kind),
                    redirect_port: None,
                    state,
                }
            }
        };
        effects.ruling(step, &ruling);
        ruling
    }

    fn judge_key(
        &mut self,
        step: &Step,
        packet: &Ipv4Packet<'_>,
        key: &PacketKey,
        state: PacketState,
        effects: &mut impl Effects,
    ) -> Ruling {
        let verdict = self.matcher.decide(step, key, &mut self.trace);
        let answer = Answer {
            verdict,
            matched: self.trace.matched(),
            ending: self.trace.ending(),
        };
        apply(
            self.matcher.ruleset(),
            step,
            packet,
            key,
            answer,
            state,
            effects,
        )
    }
}

/// What a matcher answered about a packet.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// The rules that matched, in order.
    pub matched: &'a [Place],
    /// How the walk ended.
    pub ending: Ending,
}

/// Does everything that follows from a matcher's answer (§5), for a packet in
/// the given state.
pub fn apply(
    ruleset: &Ruleset,
    step: &Step,
    packet: &Ipv4Packet<'_>,
    key: &PacketKey,
    answer: Answer<'_>,
    before: PacketState,
    effects: &mut impl Effects,
) -> Ruling {
    let Answer {
        verdict,
        matched,
        ending,
    } = answer;
    let bytes = packet.total_length();
    let mut state = before;
    for place in matched {
        let rule = rule_at(ruleset, *place);
        effects.count_rule(*place, bytes);
        if rule.log {
            let line = log_line(ruleset, *place, step, packet, key, &state);
            effects.message(&Message::Packet(line));
        }
        state.tos = rule.tos.apply(state.tos);
        state.mark = rule.mark.apply(state.mark);
        if let Some(limit) = rule.copy {
            effects.copy(&NetlinkCopy {
                mark: state.mark,
                interface: step.interface,
                packet: *packet,
                tos: state.tos,
                ttl: state.ttl,
                checksum: state.checksum,
                limit,
            });
        }
    }
    let decided = match (ending, matched.last()) {
        (Ending::Rule, Some(place)) => Decided::ByRule(*place),
        (Ending::TooLong, Some(place)) => Decided::ByLength(*place),
        (Ending::Loop, Some(place)) => {
            effects.message(&Message::Loop { ruleset, matched });
            Decided::ByLoop(*place)
        }
        _ => {
            effects.count_policy(step.chain, bytes);
            Decided::ByPolicy
        }
    };
    if state.tos != before.tos && !matches!(verdict, Verdict::Deny | Verdict::Reject) {
        state.checksum = state.recomputed_checksum(packet);
    }
    Ruling {
        verdict,
        decided,
        redirect_port: redirect_port(ruleset, step, decided, key),
        state,
    }
}

/// The local port of a REDIRECT in `input` (§5).
fn redirect_port(ruleset: &Ruleset, step: &Step, decided: Decided, key: &PacketKey) -> Option<u16> {
    let Decided::ByRule(place) = decided else {
        return None;
    };
    match rule_at(ruleset, place).target {
        Some(Target::Redirect(port)) if step.chain == BuiltIn::Input => Some(match port {
            0 => key.destination_port,
            port => port,
        }),
        _ => None,
    }
}

fn rule_at(ruleset: &Ruleset, place: Place) -> &Rule {
    &ruleset.chains()[place.chain as usize].rules()[place.rule as usize]
}

fn log_line(
    ruleset: &Ruleset,
    place: Place,
    step: &Step,
    packet: &Ipv4Packet<'_>,
    key: &PacketKey,
    state: &PacketState,
) -> PacketLog {
    let target = rule_at(ruleset, place).target;
    let name = target.as_ref().map_or("-", Target::as_str);
    PacketLog {
        chain: *ruleset.chains()[place.chain as usize].name(),
        target: ChainName::new(name).unwrap_or(ChainName::EMPTY),
        redirect_port: match target {
            Some(Target::Redirect(port)) => Some(port),
            _ => None,
        },
        interface: step.interface,
        packet: logged(packet, key.source_port, key.destination_port, state),
        syn: key.syn,
        rule: place.rule + 1,
    }
}

fn logged(
    packet: &Ipv4Packet<'_>,
    source_port: u16,
    destination_port: u16,
    state: &PacketState,
) -> LoggedPacket {
    LoggedPacket {
        protocol: packet.protocol(),
        source: packet.source(),
        source_port,
        destination: packet.destination(),
        destination_port,
        length: packet.total_length(),
        tos: state.tos,
        id: packet.id(),
        fragment: packet.fragment_field(),
        ttl: state.ttl,
        options: packet.options(),
    }
}
