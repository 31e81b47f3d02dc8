//! What can be found, and how it is said.

use std::net::Ipv4Addr;

use portcullis_core::matcher::Place;
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{BuiltIn, Policy, PortRange, Ruleset, Target};

use crate::Packet;

/// A mistake, or what looks like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// Where.
    pub subject: Subject,
    /// Other rules that take part, as the kind says.
    pub others: Vec<Place>,
    /// A packet that shows it, and the built-in chain that it meets.
    pub example: Option<(BuiltIn, Packet)>,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A rule.
    Rule(Place),
    /// A chain, numbered from 0.
    Chain(usize),
    /// All rules together.
    Ruleset,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; often meant so.
    Note,
    /// Hardly meant so.
    Warning,
    /// Never meant so.
    Error,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No packet meets the rule's conditions.
    Impossible,
    /// Rules before it, the `others`, take every packet that the rule could
    /// match; the example is one that they take.
    Shadowed {
        /// Whether all of them have the rule's own target.
        alike: bool,
    },
    /// Packets come to the chain, but none that the rule could match.
    NeverSent,
    /// Without the rule every packet meets the same verdict, and is logged if
    /// it was. The `others` are the rule that decides about the example then;
    /// none for the policy. Rules whose packets are marked, copied, or change
    /// their TOS anywhere are not asked about, nor those that only count.
    Redundant,
    /// The rule has no target, and does nothing but count.
    CountsOnly,
    /// A user chain that no rule names.
    NoJumps,
    /// A user chain that rules name, but no packet enters.
    NeverEntered,
    /// The rule jumps back into a chain that the packet is still in, which
    /// denies it. One finding for each built-in chain.
    Loop,
    /// The policy lets pass what no rule speaks of.
    OpenPolicy(Policy),
    /// What no rule speaks of is denied and leaves no trace in the log: by
    /// the policy if the subject is a chain, or by a rule for everything.
    SilentDeny,
    /// A rule denies what opens connections, and the same connections'
    /// fragments come past it and are accepted.
    SynFragments,
    /// A rule for a service's answers, from at most 1024 TCP source ports to
    /// at least 1000, lets connections be opened as well. Rules for port 20
    /// are not meant, because active FTP needs them so, nor those for `lo`.
    OpenReplies,
    /// An address 0.0.0.0 without a mask, where no packet has it: as a
    /// destination, or as a source of anything but UDP.
    ZeroAddress,
    /// `-j MASQ` for every packet.
    MasqEverything,
    /// A rule that denies on all interfaces but one takes packets on `lo`.
    LoopbackCaught,
    /// Rules (with the `others`) name local ports, but the machine opens
    /// connections from ports that they leave out.
    LocalPorts {
        /// In which direction.
        chain: BuiltIn,
        /// What the rules say.
        named: PortRange,
        /// What the machine does.
        used: PortRange,
    },
    /// Rules (with the `others`) name an interface that does not exist.
    NoInterface(InterfaceName),
    /// A rule accepts packets to an address that is not the machine's, and
    /// `forward` lets none through to it.
    NotLocal(u32),
    /// The machine's own connections share their ports with masqueraded ones.
    MasqPorts {
        /// The machine's ports.
        used: PortRange,
    },
}

/// Ports of masqueraded connections.
pub(super) const MASQ_PORTS: PortRange = PortRange {
    first: 61000,
    last: 65095,
};

impl Finding {
    pub(super) fn new(kind: Kind, subject: Subject, example: Option<(BuiltIn, Packet)>) -> Self {
        Self {
            kind,
            subject,
            others: Vec::new(),
            example,
        }
    }

    pub(super) fn with(self, others: Vec<Place>) -> Self {
        Self { others, ..self }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self.kind {
            Kind::Impossible | Kind::Loop => Severity::Error,
            Kind::OpenPolicy(_) => match self.subject {
                Subject::Chain(chain) if chain == BuiltIn::Output.position() => Severity::Note,
                _ => Severity::Warning,
            },
            Kind::Redundant
            | Kind::Shadowed { alike: true }
            | Kind::CountsOnly
            | Kind::NeverEntered
            | Kind::SilentDeny
            | Kind::SynFragments
            | Kind::NotLocal(_)
            | Kind::MasqPorts { .. } => Severity::Note,
            _ => Severity::Warning,
        }
    }

    /// A name for programs.
    pub fn code(&self) -> &'static str {
        match self.kind {
            Kind::Impossible => "impossible",
            Kind::Shadowed { .. } => "shadowed",
            Kind::NeverSent => "never-sent",
            Kind::Redundant => "redundant",
            Kind::CountsOnly => "counts-only",
            Kind::NoJumps => "no-jumps",
            Kind::NeverEntered => "never-entered",
            Kind::Loop => "loop",
            Kind::OpenPolicy(_) => "open-policy",
            Kind::SilentDeny => "silent-deny",
            Kind::SynFragments => "syn-fragments",
            Kind::OpenReplies => "open-replies",
            Kind::ZeroAddress => "zero-address",
            Kind::MasqEverything => "masq-everything",
            Kind::LoopbackCaught => "loopback-caught",
            Kind::LocalPorts { .. } => "local-ports",
            Kind::NoInterface(_) => "no-interface",
            Kind::NotLocal(_) => "not-local",
            Kind::MasqPorts { .. } => "masq-ports",
        }
    }

    /// What is wrong, as a sentence.
    pub fn message(&self, ruleset: &Ruleset) -> String {
        let subject = match self.subject {
            Subject::Rule(place) => name(ruleset, place),
            Subject::Chain(chain) => format!("chain {}", ruleset.chains()[chain].name()),
            Subject::Ruleset => "the ruleset".to_owned(),
        };
        let others = names(ruleset, &self.others);
        match &self.kind {
            Kind::Impossible => {
                format!("{subject} can never match: no packet meets its conditions")
            }
            Kind::Shadowed { .. } => {
                let take = if self.others.len() == 1 {
                    "takes"
                } else {
                    "take"
                };
                format!("{subject} can never match: {others} {take} all packets that it speaks of")
            }
            Kind::NeverSent => {
                format!("{subject} can never match: no such packet is sent to its chain")
            }
            Kind::Redundant => format!("{subject} changes nothing but its counter"),
            Kind::CountsOnly => format!("{subject} has no target: it only counts"),
            Kind::NoJumps => format!("no rule jumps to {subject}"),
            Kind::NeverEntered => format!("no packet gets to {subject}"),
            Kind::Loop => {
                format!("{subject} jumps back into a chain that the packet is still in")
            }
            Kind::OpenPolicy(Policy::Masq) => {
                format!("{subject} masquerades whatever no rule speaks of")
            }
            Kind::OpenPolicy(_) => format!("{subject} accepts whatever no rule speaks of"),
            Kind::SilentDeny => {
                format!("{subject} denies whatever no rule speaks of, and logs nothing")
            }
            Kind::SynFragments => {
                format!("{subject} does not see fragments, which are accepted further on")
            }
            Kind::OpenReplies => {
                format!("{subject} is for answers, but lets connections be opened too")
            }
            Kind::ZeroAddress => format!("{subject} speaks of the one address 0.0.0.0"),
            Kind::MasqEverything => format!("{subject} masquerades every packet"),
            Kind::LoopbackCaught => format!("{subject} takes packets on lo as well"),
            Kind::LocalPorts { chain, named, used } => {
                let more = match self.others.len() {
                    0 => String::new(),
                    1 => ", as 1 other rule does".to_owned(),
                    count => format!(", as {count} other rules do"),
                };
                let what = match chain {
                    BuiltIn::Output => "lets connections out from",
                    _ => "lets answers in to",
                };
                format!(
                    "{subject} {what} {}:{}{more}, but this machine opens connections from {}:{}",
                    named.first, named.last, used.first, used.last
                )
            }
            Kind::NoInterface(interface) => {
                format!("{subject} names interface {interface}, which does not exist here")
            }
            Kind::NotLocal(address) => {
                let address = Ipv4Addr::from_bits(*address);
                format!(
                    "{subject} accepts packets to {address}, which is not this machine, and \
                     forward lets none through to it"
                )
            }
            Kind::MasqPorts { used } => format!(
                "this machine opens connections from {}:{}, among them the masquerading ports \
                 {}:{}",
                used.first, used.last, MASQ_PORTS.first, MASQ_PORTS.last
            ),
        }
    }

    /// What to do, if there is something to do.
    pub fn advice(&self, ruleset: &Ruleset) -> Option<String> {
        let chain = match self.subject {
            Subject::Rule(place) => place.chain as usize,
            Subject::Chain(chain) => chain,
            Subject::Ruleset => 0,
        };
        let chain = ruleset.chains()[chain].name();
        Some(match &self.kind {
            Kind::Redundant => match self.others.first() {
                Some(place) => format!(
                    "without it {} does the same to the example",
                    name(ruleset, *place)
                ),
                None => "without it the policy does the same to the example".to_owned(),
            },
            Kind::CountsOnly => "add -j with a target if it is meant to decide".to_owned(),
            Kind::OpenPolicy(_) => format!("-P {chain} DENY closes it"),
            Kind::SilentDeny => format!("-A {chain} -j DENY -l as the last rule writes them down"),
            Kind::SynFragments => "a rule with -f, or a kernel that defragments (always_defrag), \
                                   takes care of them"
                .to_owned(),
            Kind::OpenReplies => "add ! -y".to_owned(),
            Kind::ZeroAddress => "every address is 0/0".to_owned(),
            Kind::MasqEverything => {
                "add -s with the network behind this machine, and -i with the way out".to_owned()
            }
            Kind::LoopbackCaught => format!("let lo pass before it: -I {chain} -i lo -j ACCEPT"),
            Kind::LocalPorts { named, .. } => {
                let count = self.others.len() + 1;
                let these = match count {
                    1 => "this rule".to_owned(),
                    _ => format!("these {count} rules"),
                };
                format!(
                    "either `sysctl -w net.ipv4.ip_local_port_range=\"{} {}\"' or change {these}",
                    named.first, named.last
                )
            }
            Kind::MasqPorts { .. } => {
                let before = MASQ_PORTS.first - 1;
                format!(
                    "`sysctl -w net.ipv4.ip_local_port_range=\"32768 {before}\"' keeps them apart"
                )
            }
            _ => return None,
        })
    }

    /// Where it belongs in a list.
    pub(super) fn order(&self) -> (usize, u32) {
        match self.subject {
            Subject::Rule(place) => (place.chain as usize, place.rule + 1),
            Subject::Chain(chain) => (chain, 0),
            Subject::Ruleset => (usize::MAX, 0),
        }
    }
}

/// `rule 7 of input`.
fn name(ruleset: &Ruleset, place: Place) -> String {
    let chain = ruleset.chains()[place.chain as usize].name();
    format!("rule {} of {chain}", place.rule + 1)
}

/// `rules 1, 2 and 7 of input`: of one chain.
fn names(ruleset: &Ruleset, places: &[Place]) -> String {
    const MOST: usize = 5;
    let [first, .., last] = places else {
        return places
            .first()
            .map_or_else(String::new, |it| name(ruleset, *it));
    };
    let chain = ruleset.chains()[first.chain as usize].name();
    let numbers: Vec<String> = places.iter().map(|it| (it.rule + 1).to_string()).collect();
    match numbers.len() {
        count if count > MOST => format!(
            "{count} rules of {chain} ({} to {})",
            numbers[0],
            last.rule + 1
        ),
        count => {
            let before = numbers[..count - 1].join(", ");
            format!("rules {before} and {} of {chain}", numbers[count - 1])
        }
    }
}

/// Whether a target denies.
pub(super) fn denies(target: Option<Target>) -> bool {
    matches!(target, Some(Target::Deny | Target::Reject))
}
