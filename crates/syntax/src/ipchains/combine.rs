//! Options to a command: combinations are checked in the order of the
//! original, so that of several mistakes the same one is named (§9).

use portcullis_core::names::ChainName;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{Conditions, Network, PortRange, Rule, Sense, Test, TosChange};

use super::check;
use super::command::{
    Action, Command, ListOptions, Listed, NamedTarget, NewRule, RuleSpec, TosWarning,
};
use super::error::{UsageError, UsageErrorKind as Kind};
use super::options::Opt;
use super::parse::{Warnings, Word, Written, located, test};
use super::values::{self, IcmpKind};
use crate::names::Names;

/// Checks what was written and makes a command of it.
pub(super) fn command(written: Written<'_>, names: &Names) -> Result<Command, UsageError> {
    if written.commands.is_empty() {
        return Err(UsageError::new(Kind::NoCommand, 0));
    }
    if let Some(at) = written.inversion {
        return Err(UsageError::new(Kind::NothingInverted, at));
    }
    let mut combined = Combined {
        describes_rules: describes_rules(&written),
        written,
        names,
    };
    let addresses = combined.read_addresses_and_ports()?;
    combined.check_addresses(&addresses)?;
    combined.check_conditions()?;
    combined.check_probe()?;
    combined.check_target()?;
    if combined.written.commands(Opt::Replace) && addresses.pairs().count() != 1 {
        let at = combined.address_word();
        return Err(UsageError::new(Kind::SeveralAddressesReplace, at));
    }
    check::options(&combined.written)?;
    combined.finish(&addresses)
}

/// `-A`, `-I`, `-R`, and `-D` without a number: everything that is not said
/// is any.
fn describes_rules(written: &Written<'_>) -> bool {
    let numbered = written.number.is_some();
    [Opt::Append, Opt::Insert, Opt::Replace, Opt::Delete]
        .into_iter()
        .any(|command| written.commands(command) && check::takes_rule(command, numbered))
}

struct Combined<'a> {
    written: Written<'a>,
    describes_rules: bool,
    names: &'a Names,
}

/// The networks that a rule may name: several where a host has several
/// addresses, none where nothing was said.
struct Addresses {
    sources: Vec<Test<Network>>,
    destinations: Vec<Test<Network>>,
}

impl Addresses {
    fn pairs(&self) -> impl Iterator<Item = (Test<Network>, Test<Network>)> {
        let destinations = &self.destinations;
        self.sources
            .iter()
            .flat_map(move |source| destinations.iter().map(move |it| (*source, *it)))
    }
}

impl Combined<'_> {
    fn conditions(&mut self) -> &mut Conditions {
        &mut self.written.rule.conditions
    }

    fn protocol(&self) -> Test<u16> {
        self.written.rule.conditions.protocol
    }

    /// Whether the protocol's number is this one, inverted or not.
    fn protocol_is(&self, number: u8) -> bool {
        self.protocol().value == u16::from(number)
    }

    fn read_addresses_and_ports(&mut self) -> Result<Addresses, UsageError> {
        let icmp = self.protocol_is(protocol::ICMP);
        let (source, destination) = (self.written.source, self.written.destination);
        let sources = self.networks(source)?;
        if !icmp && !sources.is_empty() {
            self.conditions().source_ports = self.ports(self.written.source_ports)?;
        }
        let destinations = self.networks(destination)?;
        if !icmp && !destinations.is_empty() {
            self.conditions().destination_ports = self.ports(self.written.destination_ports)?;
        }
        if icmp {
            self.read_icmp()?;
        }
        Ok(Addresses {
            sources,
            destinations,
        })
    }

    fn networks(&self, word: Option<Word<'_>>) -> Result<Vec<Test<Network>>, UsageError> {
        let Some(word) = word else {
            let any = self.describes_rules.then_some(Test::is(Network::ANY));
            return Ok(any.into_iter().collect());
        };
        let networks = located(word.at, values::networks(word.text, self.names))?;
        Ok(networks.into_iter().map(|it| test(it, word)).collect())
    }

    fn ports(&self, word: Option<Word<'_>>) -> Result<Test<PortRange>, UsageError> {
        let Some(word) = word else {
            return Ok(Test::is(PortRange::ALL));
        };
        let ports = values::ports(word.text, self.protocol().value, self.names);
        Ok(test(located(word.at, ports)?, word))
    }

    fn read_icmp(&mut self) -> Result<(), UsageError> {
        let (types, codes) = (self.written.source_ports, self.written.destination_ports);
        let named = match types {
            Some(word) => located(word.at, values::icmp_name_of(word.text))?,
            None => None,
        };
        let (Some(word), Some(name)) = (types, named) else {
            self.conditions().source_ports = self.ports(types)?;
            self.conditions().destination_ports = self.ports(codes)?;
            return Ok(());
        };
        if let Some(codes) = codes {
            return Err(UsageError::new(Kind::IcmpNameAndPort, codes.at));
        }
        let IcmpKind { kind, codes, exact } = name;
        let checking = self.written.commands(Opt::Check);
        let codes = match exact {
            _ if !checking => codes,
            Some(code) => PortRange::single(code),
            None => return Err(UsageError::new(Kind::IcmpNameInexact, word.at)),
        };
        if word.inverted.into() {
            return Err(UsageError::new(Kind::InvertedIcmpName, word.at));
        }
        // The name says the code, too, as if it had been written.
        self.written.options.push((Opt::DestinationPort, word.at));
        self.conditions().source_ports = Test::is(PortRange::single(kind));
        self.conditions().destination_ports = Test::is(codes);
        Ok(())
    }

    fn check_addresses(&self, addresses: &Addresses) -> Result<(), UsageError> {
        if addresses.sources.len() <= 1 && addresses.destinations.len() <= 1 {
            return Ok(());
        }
        let words = [self.written.source, self.written.destination];
        let inverted = words.iter().flatten().any(|word| word.inverted.into());
        let at = self.address_word();
        if inverted {
            return Err(UsageError::new(Kind::SeveralAddressesInverted, at));
        }
        if self.written.has(Opt::Bidirectional) {
            return Err(UsageError::new(Kind::SeveralAddressesBidirectional, at));
        }
        Ok(())
    }

    fn address_word(&self) -> usize {
        let words = [self.written.source, self.written.destination];
        let first = words.into_iter().flatten().next();
        first.map_or(0, |word| word.at)
    }

    /// The word of the ports, or of the name that implies them.
    fn ports_word(&self) -> Option<usize> {
        let options = [Opt::SourcePort, Opt::DestinationPort];
        let written = [self.written.source_ports, self.written.destination_ports];
        let said = options.into_iter().any(|option| self.written.has(option));
        said.then(|| written.into_iter().flatten().next().map_or(0, |it| it.at))
    }

    fn check_conditions(&self) -> Result<(), UsageError> {
        let protocol = self.protocol();
        if let Some(at) = self.ports_word()
            && (protocol.value == 0 || protocol.is_inverted())
        {
            return Err(UsageError::new(Kind::PortsWithInvertedProtocol, at));
        }
        let syn = self.written.has(Opt::Syn);
        let tcp = protocol == Test::is(u16::from(protocol::TCP));
        if syn && !tcp {
            let at = self.written.word_of(Opt::Syn);
            return Err(UsageError::new(Kind::SynWithoutTcp, at));
        }
        if self.written.rule.conditions.fragment != Some(Sense::Set) {
            return Ok(());
        }
        if let Some(at) = self.ports_word() {
            return Err(UsageError::new(Kind::PortsWithFragments, at));
        }
        if syn {
            let at = self.written.word_of(Opt::Syn);
            return Err(UsageError::new(Kind::SynWithFragments, at));
        }
        Ok(())
    }

    fn check_probe(&self) -> Result<(), UsageError> {
        if !self.written.commands(Opt::Check) {
            return Ok(());
        }
        let conditions = &self.written.rule.conditions;
        let has_ports = [protocol::TCP, protocol::UDP, protocol::ICMP]
            .into_iter()
            .any(|number| self.protocol_is(number));
        // Ports without an address to go with were never read.
        let one = |option, address: Option<Word<'_>>, ports: Test<PortRange>| {
            let read = address.is_some() || self.protocol_is(protocol::ICMP);
            self.written.has(option) && (!read || ports.value.first == ports.value.last)
        };
        let both = one(
            Opt::SourcePort,
            self.written.source,
            conditions.source_ports,
        ) && one(
            Opt::DestinationPort,
            self.written.destination,
            conditions.destination_ports,
        );
        if has_ports && conditions.fragment.is_none() && !both {
            let at = self.ports_word().unwrap_or(0);
            return Err(UsageError::new(Kind::CheckPorts, at));
        }
        match self.inverted_word() {
            Some(at) => Err(UsageError::new(Kind::InvertedCheck, at)),
            None => Ok(()),
        }
    }

    /// The word of a condition that stands after `!`.
    fn inverted_word(&self) -> Option<usize> {
        let conditions = &self.written.rule.conditions;
        let words = [
            self.written.source,
            self.written.destination,
            self.written.source_ports,
            self.written.destination_ports,
        ];
        let mut inverted = words.into_iter().flatten().filter(|it| it.inverted.into());
        let flags = [
            (Opt::Protocol, conditions.protocol.is_inverted()),
            (Opt::Interface, conditions.interface.is_inverted()),
            (Opt::Syn, conditions.syn == Some(Sense::Clear)),
            (Opt::Fragments, conditions.fragment == Some(Sense::Clear)),
        ];
        let flagged = flags.into_iter().find(|(_, inverted)| *inverted);
        let flagged = flagged.map(|(option, _)| self.written.word_of(option));
        inverted.next().map(|word| word.at).or(flagged)
    }

    fn check_target(&self) -> Result<(), UsageError> {
        let Some(target) = self.written.target else {
            return Ok(());
        };
        let chain = self.written.chain.map_or("", |chain| chain.text);
        let protocol = self.protocol();
        let transport = [protocol::TCP, protocol::UDP].map(|number| Test::is(u16::from(number)));
        let kind = match (target.as_str(), chain) {
            ("REDIRECT", _) if !transport.contains(&protocol) => Kind::RedirectProtocol,
            ("MASQ", "input" | "output") => Kind::MasqChain,
            ("REDIRECT", "output" | "forward") => Kind::RedirectChain,
            _ => return Ok(()),
        };
        Err(UsageError::new(kind, self.written.word_of(Opt::Jump) + 1))
    }

    fn finish(&self, addresses: &Addresses) -> Result<Command, UsageError> {
        let written = &self.written;
        let chain = match written.chain {
            Some(chain) => Some(located(chain.at, values::chain_name(chain.text))?),
            None => None,
        };
        let target = self.named_target()?;
        let change = written.rule.tos;
        located(written.word_of(Opt::Tos), values::check_tos(change))?;
        let masquerading = written.commands(Opt::Masquerading);
        if masquerading && !written.commands(Opt::List) && !written.commands(Opt::Set) {
            let at = written.word_of(Opt::Masquerading);
            return Err(UsageError::new(Kind::MasqueradingAlone, at));
        }
        Ok(Command {
            action: self.action(chain, target, addresses)?,
            verbose: written.has(Opt::Verbose),
            fidelity: written.fidelity,
            warnings: match written.warnings {
                Warnings::Printed => tos_warnings(change),
                Warnings::Left => Vec::new(),
            },
        })
    }

    fn named_target(&self) -> Result<Option<NamedTarget>, UsageError> {
        let Some(name) = self.written.target else {
            return Ok(None);
        };
        let redirect_port = match self.written.redirect_port {
            Some(word) => {
                let port = values::port(word.text, self.protocol().value, self.names);
                located(word.at, port)?
            }
            None => 0,
        };
        Ok(Some(NamedTarget {
            name,
            redirect_port,
        }))
    }

    fn action(
        &self,
        chain: Option<ChainName>,
        target: Option<NamedTarget>,
        addresses: &Addresses,
    ) -> Result<Action, UsageError> {
        let written = &self.written;
        let no_command = UsageError::new(Kind::NoCommand, 0);
        let command = match written.commands.iter().map(|(command, _)| *command) {
            // `-L -Z` is a listing, `-M -L` and `-M -S` are about masquerading.
            mut several if written.commands.len() > 1 => {
                several.find(|it| matches!(it, Opt::List | Opt::Set))
            }
            mut one => one.next(),
        };
        let command = command.ok_or_else(|| no_command.clone())?;
        Ok(match (command, chain) {
            (Opt::List, _) if written.commands(Opt::Masquerading) => Action::ListMasquerading,
            (Opt::List, chain) => Action::List(self.listed(chain)),
            (Opt::Flush, chain) => Action::Flush(chain),
            (Opt::Zero, chain) => Action::Zero(chain),
            (Opt::DeleteChain, chain) => Action::DeleteChain(chain),
            (Opt::NewChain, Some(chain)) => Action::NewChain(chain),
            (Opt::Policy, _) => {
                let (chain, policy) = written.policy.ok_or(no_command)?;
                Action::Policy(chain, policy)
            }
            (Opt::Set, _) => Action::SetTimeouts(written.timeouts.ok_or(no_command)?),
            (Opt::Delete, Some(chain)) if let Some(number) = written.number => {
                Action::DeleteNumber(chain, number)
            }
            (Opt::Check, Some(chain)) => {
                let rules = self.rules(None, addresses);
                Action::Check(chain, rules.map(|new| check::probe(new.rule)).collect())
            }
            (command, Some(chain)) => {
                let rules = self.rules(target, addresses).collect();
                let spec = RuleSpec { chain, rules };
                let number = written.number.unwrap_or(1);
                match command {
                    Opt::Insert => Action::Insert(spec, number),
                    Opt::Replace => Action::Replace(spec, number),
                    Opt::Delete => Action::DeleteMatching(spec),
                    _ => Action::Append(spec),
                }
            }
            (_, None) => return Err(no_command),
        })
    }

    fn listed(&self, chain: Option<ChainName>) -> Listed {
        let written = &self.written;
        Listed {
            chain,
            options: ListOptions {
                numeric: written.has(Opt::Numeric),
                verbose: written.has(Opt::Verbose),
                exact: written.has(Opt::Exact),
                line_numbers: written.has(Opt::LineNumbers),
            },
            zero: written.commands(Opt::Zero),
        }
    }

    /// A rule for each pair of addresses, or with `-b` one for each direction.
    fn rules(
        &self,
        target: Option<NamedTarget>,
        addresses: &Addresses,
    ) -> impl Iterator<Item = NewRule> {
        addresses.pairs().flat_map(move |(source, destination)| {
            let mut rule = self.written.rule.clone();
            rule.conditions.source = source;
            rule.conditions.destination = destination;
            let both = self.written.has(Opt::Bidirectional);
            let reversed = both.then(|| reversed(&rule));
            let rules = std::iter::once(rule).chain(reversed);
            rules.map(move |rule| NewRule { rule, target })
        })
    }
}

/// The rule for the other direction that `-b` adds (§8). ICMP types and codes
/// stay where they are.
fn reversed(rule: &Rule) -> Rule {
    let conditions = &rule.conditions;
    let icmp = conditions.protocol == Test::is(u16::from(protocol::ICMP));
    let (source_ports, destination_ports) = if icmp {
        (conditions.source_ports, conditions.destination_ports)
    } else {
        (conditions.destination_ports, conditions.source_ports)
    };
    Rule {
        conditions: Conditions {
            source: conditions.destination,
            destination: conditions.source,
            source_ports,
            destination_ports,
            ..conditions.clone()
        },
        ..rule.clone()
    }
}

/// The TOS values for which a change may set several bits (§9).
fn tos_warnings(change: TosChange) -> Vec<TosWarning> {
    const VALUES: [(&str, u8); 5] = [
        ("Minimize Delay", 0x10),
        ("Minimize Throughput", 0x08),
        ("Maximize Reliability", 0x04),
        ("Minimize Cost", 0x02),
        ("Normal Service", 0x00),
    ];
    VALUES
        .into_iter()
        .filter(|(_, value)| (change.apply(*value) & 0x0e).count_ones() > 1)
        .map(|(name, value)| TosWarning { name, value })
        .collect()
}
