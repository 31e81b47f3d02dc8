//! What can be found, and how it is said.

use portcullis_core::matcher::Place;
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{BuiltIn, Network, Policy, PortRange, Target};

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
    /// Packets come to the chain, but none that the rule could match. The
    /// example is one that it could, and the `others` are the rule that
    /// decides about it before; none for the policy.
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
    /// A rule of input lets connections be opened from any port of anyone to
    /// these, of which none is that of a service; not on `lo`.
    OpenPorts(PortRange),
    /// Rules (with the `others`) name an address 0.0.0.0 without a mask, where
    /// no packet has it: as a destination, or as a source of anything but UDP.
    /// Not those that deny it whatever the protocol.
    ZeroAddress,
    /// The chain denies packets from 127.0.0.1 to 127.0.0.1 on `lo` of which
    /// nothing but its policy or a rule for everything speaks.
    LoopbackShut,
    /// A rule accepts whatever comes from a private network (RFC 1918) or
    /// from 127.0.0.0/8, and takes such packets on every interface.
    Believed {
        /// Which network.
        network: Network,
        /// Whether the machine forwards anything.
        gateway: bool,
    },
    /// Rules (with the `others`) name an interface with a `!` before or a `*`
    /// in it.
    OddInterface(InterfaceName),
    /// Rules (with the `others`) name an address that is in none of the
    /// networks that rules name, but would be in one with another digit, or
    /// with two of them the other way round; and no other address is near it.
    /// Private networks (RFC 1918) are not asked about, for people number them
    /// as they like. For rules about `lo`, 127.0.0.0/8 is such a network.
    NearMiss {
        /// The address, or a small network.
        written: Network,
        /// The network.
        meant: Network,
    },
    /// Rules (with the `others`) speak of the beginning of the multicast
    /// addresses 224.0.0.0/4: of an eighth of them or less.
    PartOfMulticast(Network),
    /// Rules (with the `others`) deny blocks of addresses that were reserved
    /// once and have been handed out since.
    HandedOut,
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
    /// Rules (with the `others`) let connections to a service out that root's
    /// programs ask from ports below 1024, but none from there.
    RootPorts,
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
            | Kind::RootPorts
            | Kind::NearMiss { .. }
            | Kind::PartOfMulticast(_)
            | Kind::Believed { gateway: false, .. }
            | Kind::MasqPorts { .. } => Severity::Note,
            // One may be a grudge, many are a list of that time.
            Kind::HandedOut if self.others.len() < 2 => Severity::Note,
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
            Kind::OpenPorts(_) => "open-ports",
            Kind::ZeroAddress => "zero-address",
            Kind::LoopbackShut => "loopback-shut",
            Kind::Believed { .. } => "believed",
            Kind::OddInterface(_) => "odd-interface",
            Kind::NearMiss { .. } => "near-miss",
            Kind::PartOfMulticast(_) => "part-of-multicast",
            Kind::HandedOut => "handed-out",
            Kind::RootPorts => "root-ports",
            Kind::MasqEverything => "masq-everything",
            Kind::LoopbackCaught => "loopback-caught",
            Kind::LocalPorts { .. } => "local-ports",
            Kind::NoInterface(_) => "no-interface",
            Kind::NotLocal(_) => "not-local",
            Kind::MasqPorts { .. } => "masq-ports",
        }
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

/// Adds a rule to the finding of its kind.
pub(super) fn add(
    findings: &mut Vec<Finding>,
    kind: Kind,
    place: Place,
    shown: Option<(BuiltIn, Packet)>,
) {
    match findings.iter_mut().find(|it| it.kind == kind) {
        Some(finding) => finding.others.push(place),
        None => findings.push(Finding::new(kind, Subject::Rule(place), shown)),
    }
}

/// Whether a target denies.
pub(super) fn denies(target: Option<Target>) -> bool {
    matches!(target, Some(Target::Deny | Target::Reject))
}
