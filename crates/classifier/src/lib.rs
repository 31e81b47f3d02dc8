//! The compiled matcher: what the reference says, fast.
//!
//! [`Classifier::compile`] gives each chain a form that suits its size and
//! shape (few rules side by side, bit vectors, cut trees); all forms answer one
//! question, "the first rule from number k on that matches", and the walk
//! through jumps, RETURN and rules without target is built on it. Verdict and
//! trace are exactly those of [`Reference`](portcullis_core::reference::Reference),
//! which `tests/agreement.rs` holds on millions of packets.
//!
//! The hot path is [`Matcher::decide_batch`]; [`Matcher::decide`] is the
//! same for one packet. Neither allocates, locks or writes anything shared.

mod bit_vector;
mod block;
mod chain;
mod description;
mod interfaces;
mod intervals;
mod lookup;
mod plain_rule;
mod probes;
mod simd;
mod tree;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::matcher::{Ending, Matcher, Place, Trace};
use portcullis_core::packet::{KeyColumns, PacketKey};
use portcullis_core::ruleset::{Ruleset, Verdict};
use portcullis_core::traversal::Step;
use thiserror::Error;

pub use description::{ChainDescription, Description, Form};
pub use lookup::Preference;
use portcullis_simd::Unit;
pub use portcullis_simd::{INSTRUCTION_SET_VARIABLE, InstructionSet, InstructionSetError};

use chain::{CompiledChain, Next};
use interfaces::Interfaces;
use lookup::Interface;
use plain_rule::Probe;
use probes::ToProbes;
use simd::{Column, Simd, Work};

/// A ruleset, compiled.
#[derive(Debug)]
pub struct Classifier {
    ruleset: Arc<Ruleset>,
    chains: Vec<CompiledChain>,
    interfaces: Interfaces,
    instruction_set: InstructionSet,
    unit: Unit,
    compile_time: Duration,
}

/// Why a ruleset cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// The instruction set that was asked for cannot be used.
    #[error(transparent)]
    InstructionSet(#[from] InstructionSetError),
    /// More distinct interface tests than can be numbered.
    #[error("{0} different interface tests; at most 65535 can be compiled")]
    TooManyInterfaces(usize),
    /// A chain longer than rules can be numbered.
    #[error("a chain of {0} rules; at most 16777216 can be compiled")]
    TooManyRules(usize),
}

/// How to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The instruction set to use.
    pub instruction_set: InstructionSet,
    /// The form of the chains.
    pub preference: Preference,
}

/// Rules in a chain, at most.
const MAX_RULES: usize = 1 << 24;

impl Options {
    /// The best for this machine, or what `PORTCULLIS_SIMD` asks for.
    pub fn from_environment() -> Result<Self, CompileError> {
        Ok(Self {
            instruction_set: InstructionSet::from_environment()?,
            preference: Preference::Auto,
        })
    }
}

impl Classifier {
    /// Compiles a ruleset, every chain in the form that suits it.
    pub fn compile(ruleset: Arc<Ruleset>) -> Result<Self, CompileError> {
        Self::compile_with(ruleset, Options::from_environment()?)
    }

    /// Compiles a ruleset as the options say.
    pub fn compile_with(ruleset: Arc<Ruleset>, options: Options) -> Result<Self, CompileError> {
        let start = Instant::now();
        let instruction_set = options.instruction_set.available()?;
        let interfaces = Interfaces::new(&ruleset);
        if interfaces.test_count() > usize::from(u16::MAX) {
            let count = interfaces.test_count();
            return Err(CompileError::TooManyInterfaces(count));
        }
        let positions = chain::positions(&ruleset);
        let mut chains = Vec::with_capacity(ruleset.chains().len());
        for chain in ruleset.chains() {
            if chain.rules().len() > MAX_RULES {
                return Err(CompileError::TooManyRules(chain.rules().len()));
            }
            let preference = options.preference;
            chains.push(CompiledChain::new(
                chain,
                &positions,
                &interfaces,
                preference,
            ));
        }
        Ok(Self {
            ruleset,
            chains,
            interfaces,
            instruction_set,
            unit: instruction_set.unit(),
            compile_time: start.elapsed(),
        })
    }

    /// The instruction set it uses.
    pub fn instruction_set(&self) -> InstructionSet {
        self.instruction_set
    }

    /// What the ruleset was compiled to.
    pub fn describe(&self) -> Description {
        let chains: Vec<ChainDescription> = self
            .ruleset
            .chains()
            .iter()
            .zip(&self.chains)
            .map(|(chain, compiled)| compiled.describe(*chain.name()))
            .collect();
        Description {
            instruction_set: self.instruction_set,
            memory_bytes: chains.iter().map(|chain| chain.memory_bytes).sum(),
            chains,
            compile_time: self.compile_time,
        }
    }

    /// Decides keys in either form.
    #[inline]
    fn decide_each(
        &self,
        step: &Step,
        keys: impl ToProbes,
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        let work = DecideBatch {
            classifier: self,
            step,
            keys,
            batch,
            scratch,
        };
        simd::run(self.unit, work);
    }

    #[inline]
    fn interface(&self, step: &Step) -> Interface<'_> {
        let class = self.interfaces.class(&step.interface);
        Interface {
            class,
            holding: self.interfaces.holding(class),
        }
    }

    /// Walks on from a lookup in `chain` that found the rule `found`, as far as
    /// the verdict (§5).
    #[inline(always)]
    fn walk<S: Simd>(
        &self,
        simd: S,
        start: usize,
        found: Option<u32>,
        probe: &Probe,
        interface: Interface<'_>,
        trace: &mut Trace,
    ) -> Verdict {
        let (mut chain, mut next) = (start, 0);
        let mut found = found;
        trace.clear();
        loop {
            let then = match found {
                None => Next::Return,
                Some(number) => {
                    trace.push(chain, number as usize);
                    next = number + 1;
                    self.chains[chain].next(number)
                }
            };
            match then {
                Next::Verdict(verdict) => {
                    trace.end(Ending::Rule);
                    return verdict;
                }
                Next::Continue => {}
                Next::Return => match trace.return_to() {
                    Some(caller) => (chain, next) = (caller.chain as usize, caller.rule),
                    None => {
                        trace.end(Ending::Policy);
                        return self.chains[chain].policy;
                    }
                },
                Next::Jump(callee) => {
                    let from = Place {
                        chain: chain as u32,
                        rule: next,
                    };
                    if let Err(ending) = trace.call(from, callee as usize) {
                        trace.end(ending);
                        return Verdict::Deny;
                    }
                    (chain, next) = (callee as usize, 0);
                }
            }
            let lookup = &self.chains[chain].lookup;
            found = lookup.first(simd, probe, interface, next);
        }
    }
}

impl Matcher for Classifier {
    fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    fn decide(&self, step: &Step, key: &PacketKey, trace: &mut Trace) -> Verdict {
        let work = Decide {
            classifier: self,
            step,
            key,
            trace,
        };
        simd::run(self.unit, work)
    }

    fn decide_batch(
        &self,
        step: &Step,
        keys: &[PacketKey],
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        assert!(keys.len() <= BATCH, "{} keys in one batch", keys.len());
        self.decide_each(step, keys, batch, scratch);
    }

    fn decide_columns(
        &self,
        step: &Step,
        keys: &KeyColumns,
        batch: &mut Batch,
        scratch: &mut Trace,
    ) {
        self.decide_each(step, keys, batch, scratch);
    }
}

struct Decide<'a> {
    classifier: &'a Classifier,
    step: &'a Step,
    key: &'a PacketKey,
    trace: &'a mut Trace,
}

impl Work for Decide<'_> {
    type Output = Verdict;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Verdict {
        let classifier = self.classifier;
        let interface = classifier.interface(self.step);
        let chain = self.step.chain.position();
        let probe = Probe::new(self.key);
        let lookup = &classifier.chains[chain].lookup;
        let found = lookup.first(simd, &probe, interface, 0);
        classifier.walk(simd, chain, found, &probe, interface, self.trace)
    }
}

struct DecideBatch<'a, K> {
    classifier: &'a Classifier,
    step: &'a Step,
    keys: K,
    batch: &'a mut Batch,
    scratch: &'a mut Trace,
}

impl<K: ToProbes> Work for DecideBatch<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (classifier, batch, trace) = (self.classifier, self.batch, self.scratch);
        let interface = classifier.interface(self.step);
        let start = self.step.chain.position();
        let chain = &classifier.chains[start];
        let probes = self.keys.probes(simd);
        let mut firsts = Column::ZERO;
        chain
            .lookup
            .first_batch(simd, &probes, interface, &mut firsts);
        batch.begin(probes.count);
        let outcomes = chain.outcomes(simd, &firsts, probes.count);
        let mut walks = batch.set_firsts(start as u32, &firsts.0, &outcomes.0);
        while walks != 0 {
            let packet = walks.trailing_zeros() as usize;
            walks &= walks - 1;
            let (probe, first) = (probes.get(packet), Some(firsts.0[packet]));
            let verdict = classifier.walk(simd, start, first, &probe, interface, trace);
            batch.set_trace(packet, verdict, trace);
        }
    }
}
