//! Which rules traffic tries, and packets for those that it does not.

use portcullis_core::matcher::{Place, Trace};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Conditions, Field, Ruleset, Target};

use crate::{Decided, Packet, Space, TooLarge};

/// What packets have tried of each rule.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<Vec<Tried>>);

/// What packets have tried of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Packets that were compared with it.
    pub compared: u64,
    /// Those that matched.
    pub matched: u64,
    /// For each of [`Field::ALL`], those that failed this condition and no
    /// other.
    decisive: [u64; Field::ALL.len()],
}

impl Coverage {
    /// No packet yet.
    pub fn new(ruleset: &Ruleset) -> Self {
        let chains = ruleset.chains().iter();
        Self(
            chains
                .map(|chain| vec![Tried::default(); chain.rules().len()])
                .collect(),
        )
    }

    /// Adds a packet that enters a built-in chain of the reference's rules,
    /// which must be those that this was made for.
    pub fn add(&mut self, reference: &Reference, chain: BuiltIn, packet: &Packet) {
        use portcullis_core::matcher::Matcher as _;

        let Packet { interface, key } = packet;
        let chains = reference.ruleset().chains();
        let note = |place: Place, failed: Option<Field>| {
            let (chain, rule) = (place.chain as usize, place.rule as usize);
            let tried = &mut self.0[chain][rule];
            tried.compared += 1;
            let Some(failed) = failed else {
                tried.matched += 1;
                return;
            };
            let conditions = &chains[chain].rules()[rule].conditions;
            let mut others = Field::ALL.into_iter().filter(|field| *field != failed);
            if others.all(|field| conditions.holds(field, key, interface)) {
                tried.decisive[failed as usize] += 1;
            }
        };
        reference.walk_noting(chain.position(), interface, key, &mut Trace::new(), note);
    }

    /// What was tried of a rule.
    ///
    /// # Panics
    ///
    /// If the ruleset has no such rule.
    pub fn of(&self, place: Place) -> &Tried {
        &self.0[place.chain as usize][place.rule as usize]
    }
}

impl Tried {
    /// The conditions that a rule states and that made no difference: no
    /// packet failed this one only.
    pub fn idle(&self, conditions: &Conditions) -> Vec<Field> {
        let fields = Field::ALL.into_iter();
        fields
            .filter(|field| conditions.tests(*field) && self.decisive[*field as usize] == 0)
            .collect()
    }
}

/// Packets for rules, out of the sets of those that match.
#[derive(Clone, Debug)]
pub struct Probes<'a> {
    ruleset: &'a Ruleset,
    decided: [Decided; 3],
}

/// A packet that matches a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The chain that it enters.
    pub chain: BuiltIn,
    /// The packet.
    pub packet: Packet,
    /// Whether it matches no other rule, but for jumps on its way.
    pub alone: bool,
}

impl<'a> Probes<'a> {
    /// Follows all packets; `space` must have been made for the rules.
    pub fn new(space: &mut Space, ruleset: &'a Ruleset) -> Result<Self, TooLarge> {
        let mut follow = |chain| Decided::new(space, ruleset, chain);
        let decided = [
            follow(BuiltIn::Input)?,
            follow(BuiltIn::Forward)?,
            follow(BuiltIn::Output)?,
        ];
        Ok(Self { ruleset, decided })
    }

    /// A packet for a rule: one that matches no other, if there is such a
    /// packet; `None` if no packet matches the rule.
    pub fn find(&self, space: &mut Space, place: Place) -> Result<Option<Probe>, TooLarge> {
        let mut any = None;
        for (chain, decided) in BuiltIn::ALL.into_iter().zip(&self.decided) {
            let matched = decided.passage(place).matched;
            let Some(packet) = space.example(matched) else {
                continue;
            };
            let mut alone = matched;
            for other in self.others(place) {
                alone = space.subtract(alone, decided.passage(other).matched)?;
            }
            if let Some(packet) = space.example(alone) {
                let alone = true;
                return Ok(Some(Probe {
                    chain,
                    packet,
                    alone,
                }));
            }
            any = any.or(Some(Probe {
                chain,
                packet,
                alone: false,
            }));
        }
        Ok(any)
    }

    /// All other rules but jumps.
    fn others(&self, place: Place) -> impl Iterator<Item = Place> {
        let chains = self.ruleset.chains().iter().zip(0..);
        let rules = chains.flat_map(|(it, chain)| {
            let rules = it.rules().iter().zip(0..);
            rules.map(move |(it, rule)| (it.target, Place { chain, rule }))
        });
        rules
            .filter(move |(target, it)| *it != place && !matches!(target, Some(Target::Chain(_))))
            .map(|(_, it)| it)
    }
}
