//! Findings in words.

use std::net::Ipv4Addr;

use portcullis_core::matcher::Place;
use portcullis_core::ruleset::{BuiltIn, Network, Policy, Ruleset};

use super::finding::{Finding, Kind, MASQ_PORTS, Subject};

impl Finding {
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
            Kind::OpenPorts(to) => format!(
                "{subject} lets anyone open connections to ports {}:{}, from any port",
                to.first, to.last
            ),
            Kind::ZeroAddress => {
                let more = self.more();
                format!("{subject} speaks of the one address 0.0.0.0{more}")
            }
            Kind::LoopbackShut => {
                format!(
                    "{subject} denies what no rule speaks of, also what this machine says to \
                     itself (127.0.0.1 on lo)"
                )
            }
            Kind::Believed { network, .. } => format!(
                "{subject} accepts on every interface whatever claims to come from {}",
                network_words(network)
            ),
            Kind::OddInterface(interface) => format!(
                "{subject} names an interface {interface}{}, which hardly exists",
                self.more()
            ),
            Kind::NearMiss { written, meant } => format!(
                "{subject} names {}{}: one slip away from {}",
                network_words(written),
                self.more(),
                network_words(meant)
            ),
            Kind::PartOfMulticast(network) => format!(
                "{subject} names {}{}: a part of the multicast addresses 224.0.0.0/4",
                network_words(network),
                self.more()
            ),
            Kind::HandedOut => format!(
                "{subject} denies addresses that were reserved once and are in use today{}",
                self.more()
            ),
            Kind::RootPorts => format!(
                "{subject} lets no connection out from a port below 1024, where root's programs \
                 open such ones{}",
                self.more()
            ),
            Kind::MasqEverything => format!("{subject} masquerades every packet"),
            Kind::LoopbackCaught => format!("{subject} takes packets on lo as well"),
            Kind::LocalPorts { chain, named, used } => {
                let more = self.more();
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
                let more = self.more();
                format!("{subject} names interface {interface}{more}, which does not exist here")
            }
            Kind::NotLocal(address) => {
                let address = Ipv4Addr::from_bits(*address);
                format!(
                    "{subject} accepts packets to {address}, which is not this machine, and \
                     forward lets none through to it{}",
                    self.more()
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
            Kind::NeverSent => match self.others.first() {
                Some(place) => format!("{} decides about the example", name(ruleset, *place)),
                None => "the policy decides about the example".to_owned(),
            },
            Kind::CountsOnly => "add -j with a target if it is meant to decide".to_owned(),
            Kind::OpenPolicy(_) => format!("-P {chain} DENY closes it"),
            Kind::SilentDeny => format!("-A {chain} -j DENY -l as the last rule writes them down"),
            Kind::SynFragments => "a rule with -f, or a kernel that defragments (always_defrag), \
                                   takes care of them"
                .to_owned(),
            Kind::OpenReplies => "add ! -y".to_owned(),
            Kind::OpenPorts(_) => {
                "add ! -y if it is for answers; active FTP needs its own rule, from port 20"
                    .to_owned()
            }
            Kind::LoopbackShut => format!("-I {chain} -i lo -j ACCEPT lets it"),
            Kind::Believed { .. } => "add -i with the interface where such senders are".to_owned(),
            Kind::OddInterface(interface) => match interface.as_str().strip_prefix('!') {
                Some(name) => format!("write `! {name}', with a blank, for every other one"),
                None => {
                    let first = interface.as_str().split('*').next().unwrap_or_default();
                    format!("write {first}+ for every one whose name begins so")
                }
            },
            Kind::NearMiss { .. } => "is it a slip?".to_owned(),
            Kind::PartOfMulticast(_) => "write 224.0.0.0/4 for all of them".to_owned(),
            Kind::HandedOut => "leave it out, or hosts there cannot be reached".to_owned(),
            Kind::RootPorts => "let 512:1023 out as well if root uses it".to_owned(),
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

    /// `, as 8 other rules do`.
    fn more(&self) -> String {
        match self.others.len() {
            0 => String::new(),
            1 => ", as 1 other rule does".to_owned(),
            count => format!(", as {count} other rules do"),
        }
    }

    /// The other rules that are found with it, if it is about several.
    pub fn with_it(&self, ruleset: &Ruleset) -> Option<String> {
        let takes_part = matches!(
            self.kind,
            Kind::Shadowed { .. } | Kind::Redundant | Kind::NeverSent
        );
        let is_one_of_many = !takes_part && !self.others.is_empty();
        is_one_of_many.then(|| format!("also {}", names(ruleset, &self.others)))
    }
}

/// `192.168.1.0/24`; a host without its length.
fn network_words(network: &Network) -> String {
    let address = Ipv4Addr::from_bits(network.address());
    match network.prefix_length() {
        Some(32) => address.to_string(),
        Some(length) => format!("{address}/{length}"),
        None => format!("{address}/{}", Ipv4Addr::from_bits(network.mask())),
    }
}

/// `rule 7 of input`.
fn name(ruleset: &Ruleset, place: Place) -> String {
    names(ruleset, &[place])
}

/// Rules in words, numbered as in the log: `rules 1, 2 and 7 to 9 of input, rule
/// 1 of dmz`.
pub fn names(ruleset: &Ruleset, places: &[Place]) -> String {
    let chains = places.chunk_by(|one, next| one.chain == next.chain);
    let of_chain = |places: &[Place]| {
        let name = ruleset.chains()[places[0].chain as usize].name();
        let runs = places.chunk_by(|one, next| one.rule + 1 == next.rule);
        let mut runs: Vec<String> = runs
            .flat_map(|run| match run {
                [first, .., last] if run.len() > 2 => {
                    vec![format!("{} to {}", first.rule + 1, last.rule + 1)]
                }
                few => few.iter().map(|it| (it.rule + 1).to_string()).collect(),
            })
            .collect();
        let rules = if places.len() == 1 { "rule" } else { "rules" };
        let last = runs.pop().unwrap_or_default();
        match runs.is_empty() {
            true => format!("{rules} {last} of {name}"),
            false => format!("{rules} {} and {last} of {name}", runs.join(", ")),
        }
    };
    chains.map(of_chain).collect::<Vec<_>>().join(", ")
}
