//! What a chain does with every packet at once.

use std::collections::{BTreeMap, HashMap};

use portcullis_core::matcher::{MOST_MATCHED, Place};
use portcullis_core::ruleset::{BuiltIn, Rule, Ruleset, Target, Verdict};

use crate::{Region, Space, TooLarge};

/// All packets, by what a built-in chain does with them (§5).
#[derive(Clone, Debug)]
pub struct Decided {
    /// The packets of each verdict, in the order of [`Verdict::ALL`].
    verdicts: [Region; Verdict::ALL.len()],
    /// The redirected packets of each port.
    redirects: BTreeMap<u16, Region>,
    /// Packets that met the policy.
    pub policy: Region,
    /// Packets that were denied because chains call each other in a circle.
    pub looped: Region,
    /// Packets that wrote a log line on the way.
    pub logged: Region,
    /// For each chain, for each rule.
    passages: Vec<Vec<Passage>>,
    /// For each chain, the packets that entered it.
    entered: Vec<Region>,
}

/// Which packets come to a rule, and how they leave it. A packet that comes
/// to a chain twice counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Those that are compared with it.
    pub reached: Region,
    /// Those of them that match.
    pub matched: Region,
    /// Those that go no further in this chain: decided by the rule or in the
    /// chain that it jumps to, or sent back to the caller.
    pub ended: Region,
}

impl Passage {
    const NONE: Self = Self {
        reached: Region::EMPTY,
        matched: Region::EMPTY,
        ended: Region::EMPTY,
    };
}

impl Decided {
    /// Follows all packets of a space through a built-in chain.
    ///
    /// [`TooLarge`] also if a walk could match so many rules that the matcher
    /// would cut it short.
    pub fn new(space: &mut Space, ruleset: &Ruleset, chain: BuiltIn) -> Result<Self, TooLarge> {
        let everything = space.everything();
        Self::of(space, ruleset, chain, everything)
    }

    /// Follows some packets.
    pub fn of(
        space: &mut Space,
        ruleset: &Ruleset,
        chain: BuiltIn,
        packets: Region,
    ) -> Result<Self, TooLarge> {
        let conditions = conditions(space, ruleset)?;
        Self::without(space, ruleset, &conditions, None, chain, packets)
    }

    /// Follows some packets as if rule `left_out` were not there; `conditions`
    /// are the ruleset's own.
    pub(crate) fn without(
        space: &mut Space,
        ruleset: &Ruleset,
        conditions: &[Vec<Region>],
        left_out: Option<Place>,
        chain: BuiltIn,
        packets: Region,
    ) -> Result<Self, TooLarge> {
        let start = chain.position();
        let chains = ruleset.chains();
        let mut walk = Walk {
            conditions,
            left_out: left_out.map(|place| (place.chain as usize, place.rule as usize)),
            space,
            ruleset,
            path: Vec::new(),
            known: HashMap::new(),
            decided: Self {
                verdicts: [Region::EMPTY; Verdict::ALL.len()],
                redirects: BTreeMap::new(),
                policy: Region::EMPTY,
                looped: Region::EMPTY,
                logged: Region::EMPTY,
                passages: chains
                    .iter()
                    .map(|chain| vec![Passage::NONE; chain.rules().len()])
                    .collect(),
                entered: vec![Region::EMPTY; chains.len()],
            },
        };
        let (left, _) = walk.chain(start, packets)?;
        let mut decided = walk.decided;
        decided.policy = left;
        let policy = chains[start].policy().map_or(Verdict::Deny, Into::into);
        decided.add(space, policy, left)?;
        let looped = decided.looped;
        decided.add(space, Verdict::Deny, looped)?;
        Ok(decided)
    }

    /// The packets that get a verdict.
    pub fn verdict(&self, verdict: Verdict) -> Region {
        self.verdicts[verdict as usize]
    }

    /// The packets that are redirected, by the port that the rule names.
    pub fn redirects(&self) -> impl Iterator<Item = (u16, Region)> {
        self.redirects
            .iter()
            .map(|(port, packets)| (*port, *packets))
    }

    /// What passes a rule; `place` counts from 0.
    ///
    /// # Panics
    ///
    /// If the ruleset has no such rule.
    pub fn passage(&self, place: Place) -> Passage {
        self.passages[place.chain as usize][place.rule as usize]
    }

    /// The packets that enter a chain, numbered from 0.
    ///
    /// # Panics
    ///
    /// If the ruleset has no such chain.
    pub fn entered(&self, chain: usize) -> Region {
        self.entered[chain]
    }

    fn add(&mut self, space: &mut Space, verdict: Verdict, more: Region) -> Result<(), TooLarge> {
        let known = &mut self.verdicts[verdict as usize];
        *known = space.unite(*known, more)?;
        Ok(())
    }
}

/// The packets that meet each rule's conditions, chain by chain.
pub(crate) fn conditions(
    space: &mut Space,
    ruleset: &Ruleset,
) -> Result<Vec<Vec<Region>>, TooLarge> {
    let chains = ruleset.chains().iter();
    chains
        .map(|chain| {
            let rules = chain.rules().iter();
            rules
                .map(|rule| space.conditions(&rule.conditions))
                .collect()
        })
        .collect()
}

/// What is left of a set after a chain, and how many rules one packet may have
/// matched there.
type Left = (Region, usize);

/// Chains within chains, at most: what the matcher allows is never reached by
/// rules that people write.
const DEEPEST: usize = 200;

struct Walk<'a> {
    space: &'a mut Space,
    ruleset: &'a Ruleset,
    conditions: &'a [Vec<Region>],
    /// The chain and number of a rule to pass over.
    left_out: Option<(usize, usize)>,
    /// The chains that are being walked.
    path: Vec<usize>,
    /// What came out of a chain for a set and a path.
    known: HashMap<(usize, Region, Vec<usize>), Left>,
    decided: Decided,
}

impl Walk<'_> {
    fn chain(&mut self, chain: usize, packets: Region) -> Result<Left, TooLarge> {
        // A loop depends on which chains are on the path, not on their order.
        let mut path = self.path.clone();
        path.sort_unstable();
        let question = (chain, packets, path);
        if let Some(left) = self.known.get(&question) {
            return Ok(*left);
        }
        if self.path.len() >= DEEPEST {
            return Err(TooLarge);
        }
        let entered = &mut self.decided.entered[chain];
        *entered = self.space.unite(*entered, packets)?;
        self.path.push(chain);
        let (mut going, mut back, mut longest) = (packets, Region::EMPTY, 0);
        let ruleset = self.ruleset;
        for (number, rule) in ruleset.chains()[chain].rules().iter().enumerate() {
            if going.is_empty() {
                break;
            }
            if self.left_out == Some((chain, number)) {
                continue;
            }
            let conditions = self.conditions[chain][number];
            let matched = self.space.intersect(going, conditions)?;
            let (stays, returned, matches) = self.rule(rule, matched)?;
            longest += matches;
            if longest >= MOST_MATCHED {
                return Err(TooLarge);
            }
            let ended = self.space.subtract(matched, stays)?;
            self.note(chain, number, going, matched, ended)?;
            going = self.space.subtract(going, ended)?;
            back = self.space.unite(back, returned)?;
        }
        self.path.pop();
        let left = (self.space.unite(going, back)?, longest);
        self.known.insert(question, left);
        Ok(left)
    }

    /// Which of the packets that match a rule go on to the next, and which
    /// return; and how many rules one packet may have matched.
    fn rule(&mut self, rule: &Rule, matched: Region) -> Result<(Region, Region, usize), TooLarge> {
        if matched.is_empty() {
            return Ok((Region::EMPTY, Region::EMPTY, 0));
        }
        if rule.log {
            self.decided.logged = self.space.unite(self.decided.logged, matched)?;
        }
        match rule.target {
            None => Ok((matched, Region::EMPTY, 1)),
            Some(Target::Return) => Ok((Region::EMPTY, matched, 1)),
            Some(Target::Chain(name)) => {
                let callee = self.ruleset.position(&name).ok_or(TooLarge)?;
                if self.path.contains(&callee) {
                    self.decided.looped = self.space.unite(self.decided.looped, matched)?;
                    return Ok((Region::EMPTY, Region::EMPTY, 1));
                }
                let (left, longest) = self.chain(callee, matched)?;
                Ok((left, Region::EMPTY, longest + 1))
            }
            Some(target) => {
                let verdict = target.verdict().unwrap_or(Verdict::Deny);
                self.decided.add(self.space, verdict, matched)?;
                if let Target::Redirect(port) = target {
                    let redirects = &mut self.decided.redirects;
                    let known = redirects.entry(port).or_insert(Region::EMPTY);
                    *known = self.space.unite(*known, matched)?;
                }
                Ok((Region::EMPTY, Region::EMPTY, 1))
            }
        }
    }

    fn note(
        &mut self,
        chain: usize,
        number: usize,
        reached: Region,
        matched: Region,
        ended: Region,
    ) -> Result<(), TooLarge> {
        let passage = &mut self.decided.passages[chain][number];
        passage.reached = self.space.unite(passage.reached, reached)?;
        passage.matched = self.space.unite(passage.matched, matched)?;
        passage.ended = self.space.unite(passage.ended, ended)?;
        Ok(())
    }
}
