//! What every matcher answers, and how it says which rules took part.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::batch::{BATCH, Batch};
use crate::packet::{KeyColumns, PacketKey};
use crate::ruleset::{Ruleset, Verdict};
use crate::traversal::Step;

/// Decides what a chain does with a packet.
///
/// Two matchers are equal when they give the same verdict and the same trace
/// for every key.
pub trait Matcher {
    /// The rules that this matcher was made from; places in a [`Trace`] refer
    /// to them.
    fn ruleset(&self) -> &Ruleset;

    /// Walks a built-in chain with a packet (§5). Fills `trace`, whatever was
    /// in it; allocates nothing once the trace has grown.
    fn decide(&self, step: &Step, key: &PacketKey, trace: &mut Trace) -> Verdict;

    /// Decides up to [`BATCH`] packets that meet the same chain on the same
    /// interface. Fills `batch`, whatever was in it; `scratch` is the walk's
    /// memory. The answers are those of [`decide`](Self::decide).
    ///
    /// # Panics
    ///
    /// If there are more keys.
    fn decide_batch(
        &self,
        step: &Step,
        keys: &[PacketKey],
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        batch.begin(keys.len());
        for (packet, key) in keys.iter().enumerate() {
            let verdict = self.decide(step, key, scratch);
            batch.set_trace(packet, verdict, scratch);
        }
    }

    /// The same for keys that stand field by field.
    fn decide_columns(
        &self,
        step: &Step,
        keys: &KeyColumns,
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        let rows: [PacketKey; BATCH] = core::array::from_fn(|place| keys.get(place));
        self.decide_batch(step, &rows[..keys.len()], batch, scratch);
    }
}

impl<M: Matcher + ?Sized> Matcher for Arc<M> {
    fn ruleset(&self) -> &Ruleset {
        (**self).ruleset()
    }

    fn decide(&self, step: &Step, key: &PacketKey, trace: &mut Trace) -> Verdict {
        (**self).decide(step, key, trace)
    }

    fn decide_batch(
        &self,
        step: &Step,
        keys: &[PacketKey],
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        (**self).decide_batch(step, keys, batch, scratch);
    }

    fn decide_columns(
        &self,
        step: &Step,
        keys: &KeyColumns,
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        (**self).decide_columns(step, keys, batch, scratch);
    }
}

impl<M: Matcher + ?Sized> Matcher for &M {
    fn ruleset(&self) -> &Ruleset {
        (**self).ruleset()
    }

    fn decide(&self, step: &Step, key: &PacketKey, trace: &mut Trace) -> Verdict {
        (**self).decide(step, key, trace)
    }

    fn decide_batch(
        &self,
        step: &Step,
        keys: &[PacketKey],
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        (**self).decide_batch(step, keys, batch, scratch);
    }

    fn decide_columns(
        &self,
        step: &Step,
        keys: &KeyColumns,
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        (**self).decide_columns(step, keys, batch, scratch);
    }
}

/// The rules that matched, in order, and how the walk ended; only these two
/// are compared.
#[derive(Clone, Debug)]
pub struct Trace {
    matched: Vec<Place>,
    ending: Ending,
    /// The walk's memory: the chains that wait for a return, outermost first,
    /// each with the rule to go on with. Kept so that it grows only once.
    callers: Vec<Place>,
}

/// A rule's place in a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Number of the chain in kernel order, from 0.
    pub chain: u32,
    /// Number of the rule in its chain, from 0: one less than the rule number
    /// in logs and commands.
    pub rule: u32,
}

impl Place {
    /// Stands where no rule decided but the chain's policy.
    pub const NO_RULE: u32 = u32::MAX;
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The last rule that matched gave the verdict.
    Rule,
    /// The built-in chain ran out, or a rule in it said RETURN.
    Policy,
    /// The last rule that matched jumps to a chain that is being walked
    /// already; the packet is denied.
    Loop,
    /// The walk matched [`MOST_MATCHED`] rules and jumped on; the packet is
    /// denied.
    TooLong,
}

/// Rules that one walk may match before a jump. Forty chains that each jump
/// twice to the next make a walk of 2⁴⁰ rules, on which the kernel would have
/// hung.
pub const MOST_MATCHED: usize = 1 << 18;

impl Trace {
    /// An empty trace, to be filled again and again.
    pub fn new() -> Self {
        Self {
            matched: Vec::new(),
            ending: Ending::Policy,
            callers: Vec::new(),
        }
    }

    /// The rules that matched, in order.
    pub fn matched(&self) -> &[Place] {
        &self.matched
    }

    /// How the walk ended.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// For matchers: starts over.
    pub fn clear(&mut self) {
        self.matched.clear();
        self.callers.clear();
        self.ending = Ending::Policy;
    }

    /// For matchers: notes that a rule matched.
    pub fn push(&mut self, chain: usize, rule: usize) {
        self.matched.push(Place {
            chain: chain as u32,
            rule: rule as u32,
        });
    }

    /// For matchers: notes that the walk leaves chain `from.chain` for
    /// `callee` and is to go on at `from.rule` afterwards. `Err` with the
    /// walk's end if the callee is being walked already, or the walk is too
    /// long.
    pub fn call(&mut self, from: Place, callee: usize) -> Result<(), Ending> {
        self.callers.push(from);
        let walked = |caller: &Place| caller.chain as usize == callee;
        if self.callers.iter().any(walked) {
            return Err(Ending::Loop);
        }
        if self.matched.len() >= MOST_MATCHED {
            return Err(Ending::TooLong);
        }
        Ok(())
    }

    /// For matchers: where the walk goes on after a return; `None` in the
    /// chain that it began in.
    pub fn return_to(&mut self) -> Option<Place> {
        self.callers.pop()
    }

    /// For matchers: notes the end of the walk.
    pub fn end(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        (&self.matched, self.ending) == (&other.matched, other.ending)
    }
}

impl Eq for Trace {}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}
