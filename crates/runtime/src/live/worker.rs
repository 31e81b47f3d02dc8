//! A worker: judges the packets of one source, batch by batch.

use std::sync::Arc;
use std::time::Instant;

use portcullis_core::judge::{Effects, End, Judge, PacketState, Ruling};
use portcullis_core::matcher::{Matcher, Place, Trace};
use portcullis_core::message::{Message, NetlinkCopy};
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::ruleset::{BuiltIn, CounterTable, Ruleset, Verdict};
use portcullis_core::traversal::Step;

use super::log::Bucket;
use super::{Generation, LiveRuleset, LogChannel, LogEvent, LogLimit};
use crate::sync::MutexGuard;

/// Judges packets by the rules that are in force.
#[derive(Debug)]
pub struct Worker<M> {
    live: Arc<LiveRuleset<M>>,
    /// Which of the workers this is, from 0.
    number: usize,
    log: LogChannel,
    limit: Option<LogLimit>,
    trace: Trace,
    buckets: Buckets,
}

/// The limits of the rules of one generation.
#[derive(Debug, Default)]
struct Buckets {
    generation: u64,
    each: Vec<Bucket>,
}

/// A batch that is being judged, by one generation of rules.
pub struct Judging<'a, M: Matcher> {
    judge: Judge<&'a M>,
    effects: Noted<'a>,
}

/// What is to become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, with these fields.
    Pass(PacketState),
    /// It is dropped.
    Deny,
    /// It is dropped, and this chain sends an answer.
    Reject(BuiltIn),
    /// Its time to live ran out.
    TtlExceeded,
}

/// Counts and logs.
struct Noted<'a> {
    ruleset: &'a Ruleset,
    counters: MutexGuard<'a, CounterTable>,
    log: &'a LogChannel,
    limit: Option<LogLimit>,
    buckets: &'a mut Buckets,
    now: Instant,
    /// The rule that was counted last: messages follow their rule.
    place: Place,
    /// The chain that ruled last.
    chain: BuiltIn,
}

impl<M: Matcher> Worker<M> {
    /// Worker `number` of those that `live` was made for.
    pub fn new(
        live: Arc<LiveRuleset<M>>,
        number: usize,
        log: LogChannel,
        limit: Option<LogLimit>,
    ) -> Self {
        Self {
            live,
            number,
            log,
            limit,
            trace: Trace::new(),
            buckets: Buckets::default(),
        }
    }

    /// Judges a batch: whatever `work` asks is answered by one generation.
    pub fn batch<T>(&mut self, work: impl FnOnce(&mut Judging<'_, M>) -> T) -> T {
        let generation = self.live.current();
        let now = Instant::now();
        if self.buckets.generation != generation.number {
            self.report_suppressed();
            self.start_buckets(&generation, now);
        }
        let trace = std::mem::take(&mut self.trace);
        let mut judging = Judging {
            judge: Judge::with_trace(&generation.matcher, trace),
            effects: Noted {
                ruleset: generation.matcher.ruleset(),
                counters: generation.counted[self.number].lock(),
                log: &self.log,
                limit: self.limit,
                buckets: &mut self.buckets,
                now,
                place: Place { chain: 0, rule: 0 },
                chain: BuiltIn::Input,
            },
        };
        let result = work(&mut judging);
        self.trace = judging.judge.into_trace();
        result
    }

    fn start_buckets(&mut self, generation: &Generation<M>, now: Instant) {
        self.buckets.generation = generation.number;
        self.buckets.each.clear();
        if let Some(limit) = self.limit {
            let rules = generation.matcher.ruleset().rule_count();
            let full = Bucket::full(limit, now);
            self.buckets.each.resize(rules, full);
        }
    }
}

impl<M> Worker<M> {
    /// Says what was left out, before the rules change or the work ends: one sum.
    fn report_suppressed(&mut self) {
        let lines: u64 = self.buckets.each.iter().map(Bucket::suppressed).sum();
        if lines > 0 {
            let text = format!("portcullis: {lines} more packet log lines suppressed");
            self.log.put(LogEvent::Text(text));
        }
    }
}

impl<M> Drop for Worker<M> {
    fn drop(&mut self) {
        self.report_suppressed();
    }
}

impl<M: Matcher> Judging<'_, M> {
    /// Judges a packet on its way through these steps.
    pub fn judge(&mut self, steps: &[Step], packet: &Ipv4Packet<'_>) -> Fate {
        let end = self.judge.walk(steps, packet, &mut self.effects);
        match end {
            None => Fate::Pass(PacketState::of(packet)),
            Some(End::TtlExceeded) => Fate::TtlExceeded,
            Some(End::Ruled(ruling)) => match ruling.verdict {
                Verdict::Deny => Fate::Deny,
                Verdict::Reject => Fate::Reject(self.effects.chain),
                Verdict::Accept | Verdict::Masq | Verdict::Redirect => Fate::Pass(ruling.state),
            },
        }
    }
}

impl<M: Matcher> Judging<'_, M> {
    /// Judges a packet in one chain of its way, where it has come with this mark.
    pub fn step(&mut self, step: &Step, packet: &Ipv4Packet<'_>, mark: u32) -> Ruling {
        let before = PacketState {
            mark,
            ..PacketState::of(packet)
        };
        self.judge.step(step, packet, before, &mut self.effects)
    }
}

impl Effects for Noted<'_> {
    fn count_rule(&mut self, place: Place, bytes: u16) {
        self.place = place;
        self.counters.rule_mut(place).count(bytes);
    }

    fn count_policy(&mut self, chain: BuiltIn, bytes: u16) {
        self.counters.policy_mut(chain).count(bytes);
    }

    fn message(&mut self, message: &Message<'_>) {
        if let (Some(limit), Message::Packet(_)) = (self.limit, message) {
            let number = self.counters.index(self.place);
            if let Some(bucket) = self.buckets.each.get_mut(number) {
                match bucket.take(limit, self.now) {
                    None => return self.log.count_suppressed(),
                    Some(0) => {}
                    Some(lines) => self.log.put(LogEvent::Suppressed {
                        chain: *self.ruleset.chains()[self.place.chain as usize].name(),
                        rule: self.place.rule + 1,
                        lines,
                    }),
                }
            }
        }
        self.log.put_message(message);
    }

    /// Nobody listens on a netlink socket here.
    fn copy(&mut self, _: &NetlinkCopy<'_>) {}

    fn ruling(&mut self, step: &Step, _: &Ruling) {
        self.chain = step.chain;
    }
}
