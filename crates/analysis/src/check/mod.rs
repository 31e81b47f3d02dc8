//! Mistakes in a ruleset, each proved on sets of packets.

mod finding;
mod habits;
mod machine;
mod names;
mod reach;
mod redundant;
mod trust;
mod words;

pub use finding::{Finding, Kind, Severity, Subject};
pub use machine::Machine;
pub use words::names as places_in_words;

use portcullis_core::matcher::Place;
use portcullis_core::ruleset::{BuiltIn, Rule, Ruleset};

use crate::decided::conditions;
use crate::{Decided, Packet, Region, Space, TooLarge};

/// What became of all questions about a ruleset.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What is wrong: in the order of chains and rules.
    pub findings: Vec<Finding>,
    /// Questions that took more work than the space may do: nothing is known
    /// about them.
    pub undecided: Vec<Question>,
}

/// What can be too large to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Which packets come to which rule of a built-in chain. Nothing else is
    /// known then of packets.
    Packets(BuiltIn),
    /// Which rules never match.
    Reach,
    /// Policies, logs, replies and fragments.
    Habits,
    /// Names of interfaces and networks.
    Names,
    /// Senders that are believed, and `lo`.
    Trust,
    /// What the machine contradicts.
    Machine,
    /// Whether a rule could be left out.
    Redundant(Place),
}

/// Looks for mistakes in a ruleset; `space` must have been made for it.
///
/// Each finding is proved, and what is found is all there is of its
/// [`Kind`]; what that means stands there.
pub fn check(space: &mut Space, ruleset: &Ruleset, machine: &Machine) -> Checked {
    let mut checked = Checked {
        findings: Vec::new(),
        undecided: Vec::new(),
    };
    let views = match views(space, ruleset) {
        Ok(views) => views,
        Err(chain) => {
            checked.findings = machine.interfaces_missing(ruleset);
            checked.undecided.push(Question::Packets(chain));
            return checked;
        }
    };
    let questions: [(Question, Ask); 5] = [
        (Question::Reach, reach::ask),
        (Question::Habits, habits::ask),
        (Question::Names, names::ask),
        (Question::Trust, trust::ask),
        (Question::Machine, machine::ask),
    ];
    for (question, ask) in questions {
        match ask(space, &views, machine) {
            Ok(found) => checked.findings.extend(found),
            Err(TooLarge) => checked.undecided.push(question),
        }
    }
    for place in views.places() {
        match redundant::ask(space, &views, place) {
            Ok(found) => checked.findings.extend(found),
            Err(TooLarge) => checked.undecided.push(Question::Redundant(place)),
        }
    }
    checked.findings.sort_by_key(Finding::order);
    checked
}

type Ask = fn(&mut Space, &Views<'_>, &Machine) -> Result<Vec<Finding>, TooLarge>;

/// What all built-in chains do with all packets.
struct Views<'a> {
    ruleset: &'a Ruleset,
    /// In the order of [`BuiltIn::ALL`].
    decided: [Decided; 3],
    /// For each chain, for each rule.
    conditions: Vec<Vec<Region>>,
}

/// Fails with the chain that is too large.
fn views<'a>(space: &mut Space, ruleset: &'a Ruleset) -> Result<Views<'a>, BuiltIn> {
    let conditions = conditions(space, ruleset).map_err(|TooLarge| BuiltIn::Input)?;
    let mut follow = |chain| {
        let everything = space.everything();
        Decided::without(space, ruleset, &conditions, None, chain, everything)
            .map_err(|TooLarge| chain)
    };
    let decided = [
        follow(BuiltIn::Input)?,
        follow(BuiltIn::Forward)?,
        follow(BuiltIn::Output)?,
    ];
    Ok(Views {
        ruleset,
        decided,
        conditions,
    })
}

impl Views<'_> {
    fn each(&self) -> impl Iterator<Item = (BuiltIn, &Decided)> {
        BuiltIn::ALL.into_iter().zip(&self.decided)
    }

    fn of(&self, chain: BuiltIn) -> &Decided {
        &self.decided[chain.position()]
    }

    fn places(&self) -> impl Iterator<Item = Place> + use<> {
        places(self.ruleset)
    }

    fn rule(&self, place: Place) -> &Rule {
        &self.ruleset.chains()[place.chain as usize].rules()[place.rule as usize]
    }

    fn region(&self, place: Place) -> Region {
        self.conditions[place.chain as usize][place.rule as usize]
    }

    /// A packet that matches a rule.
    fn shown(&self, space: &Space, place: Place) -> Option<(BuiltIn, Packet)> {
        let mut each = self.each();
        each.find_map(|(chain, it)| example(space, chain, it.passage(place).matched))
    }

    /// Whether some packet matches a rule.
    fn matches(&self, place: Place) -> bool {
        let mut each = self.decided.iter();
        each.any(|it| !it.passage(place).matched.is_empty())
    }
}

/// All rules, in the order of chains.
fn places(ruleset: &Ruleset) -> impl Iterator<Item = Place> + use<> {
    let lengths: Vec<usize> = ruleset.chains().iter().map(|it| it.rules().len()).collect();
    let chains = lengths.into_iter().zip(0..);
    chains.flat_map(|(rules, chain)| (0..rules as u32).map(move |rule| Place { chain, rule }))
}

/// A packet to show for a chain.
fn example(space: &Space, chain: BuiltIn, packets: Region) -> Option<(BuiltIn, Packet)> {
    space.example(packets).map(|packet| (chain, packet))
}
