//! A running firewall, as its control socket sees it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::bail;
use parking_lot::{Mutex, MutexGuard};
use portcullis_core::ruleset::Ruleset;
use portcullis_runtime::confine::Confinement;
use portcullis_runtime::live::{Carry, Figure, LiveRuleset, Stats};

use super::beyond_a_bridge;
use super::compiled::Classifier;
use super::messages::Status;

/// How long somebody else's change is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plane {
    Observe,
    Bridge,
    Host,
    Queue,
}

/// The rules, the figures and who changes them.
pub(super) struct Firewall {
    pub(super) plane: Plane,
    pub(super) live: Arc<LiveRuleset<Classifier>>,
    /// One for each worker.
    pub(super) stats: Vec<Arc<Stats>>,
    pub(super) stop: Arc<AtomicBool>,
    rules_file: PathBuf,
    started: Instant,
    confinement: OnceLock<Confinement>,
    /// Held by whoever changes the rules.
    turn: Mutex<Turn>,
}

/// What the next change must know.
#[derive(Default)]
pub(super) struct Turn {
    /// Rules that come back unless the new ones are confirmed until then.
    fall_back: Option<(Ruleset, Instant)>,
    /// When all ends unless the start is confirmed.
    ends: Option<Instant>,
}

impl Plane {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Queue => "queue",
        }
    }

    /// Whether MASQ and REDIRECT mean something there. A tap only says what would be.
    pub(super) fn translates(self) -> bool {
        matches!(self, Self::Queue | Self::Observe)
    }

    /// Whether it stops packets.
    pub(super) fn enforces(self) -> bool {
        self != Self::Observe
    }
}

impl Firewall {
    pub(super) fn new(
        plane: Plane,
        rules_file: &Path,
        classifier: Classifier,
        workers: usize,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            plane,
            live: Arc::new(LiveRuleset::new(classifier, workers)),
            stats: (0..workers).map(|_| Arc::default()).collect(),
            stop,
            rules_file: rules_file.canonicalize().unwrap_or(rules_file.to_owned()),
            started: Instant::now(),
            confinement: OnceLock::new(),
            turn: Mutex::default(),
        }
    }

    /// What was given up after the start.
    pub(super) fn is_confined(&self, confinement: Confinement) {
        // Once is enough.
        let _ = self.confinement.set(confinement);
    }

    /// The right to change the rules; `None` if somebody else keeps it.
    pub(super) fn turn(&self) -> Option<MutexGuard<'_, Turn>> {
        self.turn.try_lock_for(PATIENCE)
    }

    /// Puts rules in force that do not know what was counted.
    pub(super) fn reload(
        &self,
        ruleset: Ruleset,
        zero: bool,
        confirm: Option<Duration>,
    ) -> anyhow::Result<u64> {
        let Some(mut turn) = self.turn() else {
            bail!("somebody else is changing the rules");
        };
        let before = self.live.current().ruleset();
        let carry = if zero {
            Carry::Nothing
        } else {
            Carry::Unchanged
        };
        let number = self.replace(ruleset, carry)?;
        turn.fall_back = match (confirm, turn.fall_back.take()) {
            (None, _) => None,
            // What was never confirmed is nothing to come back to.
            (Some(wait), Some((older, _))) => Some((older, Instant::now() + wait)),
            (Some(wait), None) => Some((before, Instant::now() + wait)),
        };
        Ok(number)
    }

    /// Puts edited rules in force; `read` is what the editor began with. For who has the turn.
    pub(super) fn keep(&self, edited: Ruleset, read: &Ruleset) -> anyhow::Result<u64> {
        self.replace(edited, Carry::Since(read))
    }

    fn replace(&self, ruleset: Ruleset, carry: Carry<'_>) -> anyhow::Result<u64> {
        if !self.plane.translates()
            && let Some((chain, number)) = beyond_a_bridge(&ruleset)
        {
            let what = match number {
                Some(number) => format!("rule {} of {}", number + 1, chain.name()),
                None => format!("the policy of {}", chain.name()),
            };
            bail!(
                "{what}: --{} cannot masquerade or redirect",
                self.plane.as_str()
            );
        }
        let classifier = Classifier::compile(Arc::new(ruleset))?;
        Ok(self.live.replace(classifier, carry))
    }

    /// The firewall ends after this time unless it is confirmed.
    pub(super) fn must_be_confirmed(&self, within: Duration) {
        self.turn.lock().ends = Some(Instant::now() + within);
    }

    /// Whether the time to confirm the start is over.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let ends = self.turn.try_lock().and_then(|turn| turn.ends);
        ends.is_some_and(|ends| ends <= now)
    }

    /// The new rules stay, and so does the firewall; `false` if neither waits for that.
    pub(super) fn confirm(&self) -> bool {
        self.turn().is_some_and(|mut turn| {
            let rules = turn.fall_back.take().is_some();
            turn.ends.take().is_some() || rules
        })
    }

    /// Goes back to the rules before if the time to confirm is over.
    pub(super) fn fall_back(&self, now: Instant) -> bool {
        let Some(mut turn) = self.turn.try_lock() else {
            return false;
        };
        match turn.fall_back.take() {
            Some((mut ruleset, until)) if until <= now => {
                ruleset.zero_counters();
                self.replace(ruleset, Carry::Unchanged).is_ok()
            }
            waiting => {
                turn.fall_back = waiting;
                false
            }
        }
    }

    pub(super) fn status(&self) -> Status {
        let generation = self.live.current();
        let sum = |figure| self.stats.iter().map(|stats| stats.get(figure)).sum();
        let enforces = self.plane.enforces();
        let figures = Figure::ALL.map(|figure| {
            let name = figure.as_str();
            let judged = matches!(figure, Figure::Passed | Figure::Denied | Figure::Rejected);
            let name = match judged && !enforces {
                true => format!("would_be_{name}"),
                false => name.to_owned(),
            };
            (name, sum(figure))
        });
        let description = generation.matcher.describe();
        Status {
            plane: self.plane.as_str().to_owned(),
            enforces,
            generation: generation.number,
            rules: generation.matcher_rules(),
            rules_file: self.rules_file.display().to_string(),
            uptime_seconds: self.started.elapsed().as_secs(),
            simd: description.instruction_set.as_str().to_owned(),
            memory_bytes: description.memory_bytes,
            chains: description.chains.iter().map(ToString::to_string).collect(),
            confinement: self
                .confinement
                .get()
                .map(Confinement::describe)
                .unwrap_or_default(),
            figures: figures.into_iter().collect(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plane = &self.plane;
        let does = if self.enforces {
            "enforces"
        } else {
            "enforces nothing"
        };
        writeln!(f, "{plane}, {does}; up {} s", self.uptime_seconds)?;
        let (rules, number, file) = (self.rules, self.generation, &self.rules_file);
        writeln!(f, "{rules} rules, generation {number}, from {file}")?;
        writeln!(f, "compiled for {}, {} bytes", self.simd, self.memory_bytes)?;
        for chain in &self.chains {
            writeln!(f, "  {chain}")?;
        }
        for (name, value) in &self.confinement {
            writeln!(f, "  {}: {value}", name.replace('_', " "))?;
        }
        for (place, (name, count)) in self.figures.iter().enumerate() {
            let end = if place + 1 < self.figures.len() {
                "\n"
            } else {
                ""
            };
            write!(f, "{count:>12} {}{end}", name.replace('_', " "))?;
        }
        Ok(())
    }
}
