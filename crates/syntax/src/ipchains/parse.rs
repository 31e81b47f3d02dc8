//! Arguments to a command. Options are read in order, and what is wrong with
//! one of them is reported at once; combinations are checked afterwards, as
//! ipchains does, so that of several mistakes the same one is named.

use portcullis_core::names::ChainName;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, Inverted, Network, Policy, PortRange, Rule, Sense, Test, TosChange,
};

use super::check;
use super::command::{
    Action, Command, ListOptions, Listed, MasqTimeouts, NamedTarget, NewRule, RuleSpec, TosWarning,
};
use super::error::{UsageError, UsageErrorKind as Kind};
use super::getopt::{Arguments, Item};
use super::options::Opt;
use super::values::{self, IcmpKind};
use crate::names::Names;

/// Parses a command line; word 0 is the program.
pub fn parse(words: &[String], names: &Names) -> Result<Command, UsageError> {
    let mut parser = Parser::new(words, names);
    if let Some(immediate) = parser.read_options()? {
        return Ok(immediate);
    }
    parser.finish()
}

/// Where a word stands and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
    pub(super) inverted: Inverted,
}

struct Parser<'a> {
    arguments: Arguments<'a>,
    names: &'a Names,
    /// The word of a `!` that waits for its option.
    inversion: Option<usize>,
    /// Options seen, each with its word.
    seen: Vec<(Opt, usize)>,
    command: Option<Opt>,
    masquerading: Option<usize>,
    chain: Option<Written<'a>>,
    number: Option<usize>,
    policy: Option<(BuiltIn, Policy)>,
    timeouts: Option<MasqTimeouts>,
    rule: Rule,
    target: Option<(ChainName, Option<Written<'a>>)>,
    source: Option<Written<'a>>,
    destination: Option<Written<'a>>,
    source_ports: Option<Written<'a>>,
    destination_ports: Option<Written<'a>>,
}

impl<'a> Parser<'a> {
    fn new(words: &'a [String], names: &'a Names) -> Self {
        Self {
            arguments: Arguments::new(words),
            names,
            inversion: None,
            seen: Vec::new(),
            command: None,
            masquerading: None,
            chain: None,
            number: None,
            policy: None,
            timeouts: None,
            rule: Rule::ANY,
            target: None,
            source: None,
            destination: None,
            source_ports: None,
            destination_ports: None,
        }
    }

    /// Reads everything. `-h` and `-V` answer at once, whatever follows.
    fn read_options(&mut self) -> Result<Option<Command>, UsageError> {
        while let Some(item) = self.arguments.item()? {
            match item {
                Item::Word("!") => {
                    if self.inversion.is_some() {
                        return Err(self.error(Kind::ConsecutiveInversions));
                    }
                    self.inversion = Some(self.arguments.item_at());
                }
                Item::Word(word) => return Err(self.error(Kind::StrayWord(word.to_owned()))),
                Item::Option(option, argument) => {
                    if let Some(action) = self.option(option, argument)? {
                        return Ok(Some(Command {
                            action,
                            verbose: false,
                            warnings: Vec::new(),
                        }));
                    }
                    self.inversion = None;
                }
            }
        }
        if self.arguments.peek(0).is_some() {
            return Err(UsageError::new(
                Kind::UnknownArguments,
                self.arguments.position(),
            ));
        }
        Ok(None)
    }

    fn option(
        &mut self,
        option: Opt,
        argument: Option<&'a str>,
    ) -> Result<Option<Action>, UsageError> {
        match option {
            Opt::Help => {
                let topic = argument.or_else(|| self.arguments.peek(0));
                return Ok(Some(match topic {
                    Some("icmp") => Action::HelpIcmp,
                    _ => Action::Help,
                }));
            }
            Opt::Version => {
                return Ok(Some(match self.inversion {
                    Some(_) => Action::NotVersion,
                    None => Action::Version,
                }));
            }
            Opt::Append
            | Opt::Delete
            | Opt::Check
            | Opt::Replace
            | Opt::Insert
            | Opt::List
            | Opt::Flush
            | Opt::Zero
            | Opt::NewChain
            | Opt::DeleteChain
            | Opt::Policy
            | Opt::Masquerading
            | Opt::Set => self.command_option(option, argument)?,
            _ => self.rule_option(option, argument.unwrap_or_default())?,
        }
        Ok(None)
    }

    fn command_option(&mut self, option: Opt, argument: Option<&'a str>) -> Result<(), UsageError> {
        if self.inversion.is_some() {
            return Err(self.error(Kind::UnexpectedInversion));
        }
        if option == Opt::Masquerading {
            self.masquerading = Some(self.arguments.item_at());
            return Ok(());
        }
        self.command = Some(match (self.command, option) {
            (None, _) => option,
            (Some(Opt::List), Opt::Zero) | (Some(Opt::Zero), Opt::List) => {
                self.seen.push((Opt::Zero, self.arguments.item_at()));
                Opt::List
            }
            (Some(first), second) => {
                return Err(self.error(Kind::TwoCommands {
                    first: first.letter(),
                    second: second.letter(),
                }));
            }
        });
        let named = match option {
            Opt::List | Opt::Flush | Opt::Zero | Opt::DeleteChain => {
                argument.or_else(|| self.arguments.take_value())
            }
            _ => argument,
        };
        if let Some(name) = named {
            self.chain = Some(self.written_before(name));
        }
        match option {
            Opt::Delete | Opt::Insert => {
                if let Some(number) = self.arguments.take_value() {
                    self.number = Some(self.at_previous(values::rule_number(number))?);
                }
            }
            Opt::Replace => match self.arguments.take_value() {
                Some(number) => self.number = Some(self.at_previous(values::rule_number(number))?),
                None => return Err(self.error(Kind::ReplaceWithoutNumber)),
            },
            Opt::Policy => self.policy = Some(self.read_policy()?),
            Opt::Set => self.timeouts = Some(self.read_timeouts()?),
            _ => {}
        }
        Ok(())
    }

    fn read_policy(&mut self) -> Result<(BuiltIn, Policy), UsageError> {
        let Some(word) = self.arguments.take_value() else {
            return Err(self.error(Kind::PolicyWithoutWord));
        };
        let chain = self.chain.and_then(|chain| BuiltIn::from_name(chain.text));
        let Some(chain) = chain else {
            let at = self.chain.map_or(0, |chain| chain.at);
            return Err(UsageError::new(Kind::PolicyOfUserChain, at));
        };
        let policy = self.at_previous(values::policy(word))?;
        if policy == Policy::Masq && chain != BuiltIn::Forward {
            return self.at_previous(Err(Kind::MasqPolicy));
        }
        Ok((chain, policy))
    }

    fn read_timeouts(&mut self) -> Result<MasqTimeouts, UsageError> {
        let mut seconds = [0; 3];
        for value in &mut seconds {
            let Some(word) = self.arguments.take_value() else {
                return Err(self.error(Kind::TimeoutsMissing));
            };
            *value = self.at_previous(values::timeout(word))?;
        }
        let [tcp, tcp_fin, udp] = seconds;
        Ok(MasqTimeouts { tcp, tcp_fin, udp })
    }

    fn rule_option(&mut self, option: Opt, argument: &'a str) -> Result<(), UsageError> {
        match option {
            Opt::Source => {
                let (address, ports) = self.address_option(argument, option, Opt::SourcePort)?;
                self.source = Some(address);
                self.source_ports = ports.or(self.source_ports);
            }
            Opt::Destination => {
                let (address, ports) =
                    self.address_option(argument, option, Opt::DestinationPort)?;
                self.destination = Some(address);
                self.destination_ports = ports.or(self.destination_ports);
            }
            Opt::SourcePort => {
                self.source_ports = Some(self.invertible(argument, option)?);
            }
            Opt::DestinationPort => {
                self.destination_ports = Some(self.invertible(argument, option)?);
            }
            Opt::Protocol => {
                let word = self.invertible(argument, option)?;
                let value = located(word.at, values::protocol(word.text))?;
                if value == 0 && word.inverted == Inverted::Yes {
                    return Err(UsageError::new(Kind::ProtocolNever, word.at));
                }
                self.rule.conditions.protocol = test(value, word);
            }
            Opt::Interface => {
                let word = self.invertible(argument, option)?;
                let value = located(word.at, values::interface(word.text))?;
                self.rule.conditions.interface = test(value, word);
            }
            Opt::Fragments => self.rule.conditions.fragment = Some(self.flag(option)?),
            Opt::Syn => self.rule.conditions.syn = Some(self.flag(option)?),
            _ => self.plain_option(option, argument)?,
        }
        Ok(())
    }

    /// Options that `!` may not stand before.
    fn plain_option(&mut self, option: Opt, argument: &'a str) -> Result<(), UsageError> {
        self.note(option)?;
        if self.inversion.is_some() {
            return Err(self.error(Kind::InvertedOption(option.letter())));
        }
        match option {
            Opt::Jump => {
                let name = self.at_previous(values::target_name(argument))?;
                let port = (name.as_str() == "REDIRECT")
                    .then(|| self.arguments.take_value())
                    .flatten()
                    .map(|port| self.written_before(port));
                self.target = Some((name, port));
            }
            Opt::Tos => {
                let and_at = self.arguments.previous().0;
                let Some(xor) = self.arguments.take_value() else {
                    return Err(self.error(Kind::TosTooFewBytes));
                };
                let change = values::tos(argument, xor);
                // The second word is wrong only if the first is not.
                let at = match &change {
                    Err(Kind::HexByte(byte)) if byte == argument => and_at,
                    _ => self.arguments.previous().0,
                };
                self.rule.tos = located(at, change)?;
            }
            Opt::Mark => self.rule.mark = self.at_previous(values::mark(argument))?,
            Opt::Output => {
                let size = (!argument.is_empty())
                    .then_some(argument)
                    .or_else(|| self.arguments.take_value());
                self.rule.copy = Some(match size {
                    Some(size) => self.at_previous(values::output_size(size))?,
                    None => u16::MAX,
                });
            }
            Opt::Log => self.rule.log = true,
            _ => {}
        }
        Ok(())
    }

    /// An address and, unless the next word is an option, its ports.
    #[allow(clippy::type_complexity)]
    fn address_option(
        &mut self,
        argument: &'a str,
        option: Opt,
        ports_option: Opt,
    ) -> Result<(Written<'a>, Option<Written<'a>>), UsageError> {
        let address = self.invertible(argument, option)?;
        let inverted_ports = self.arguments.peek(0) == Some("!")
            && self
                .arguments
                .peek(1)
                .is_some_and(|it| !it.starts_with('-'));
        let inverted = if inverted_ports {
            self.arguments.take();
            Inverted::Yes
        } else {
            Inverted::No
        };
        let word = if inverted_ports {
            self.arguments.take()
        } else {
            self.arguments.take_value()
        };
        let Some(text) = word else {
            return Ok((address, None));
        };
        self.note(ports_option)?;
        let ports = Written {
            inverted,
            ..self.written_before(text)
        };
        Ok((address, Some(ports)))
    }

    /// The value of an option that `!` may stand before or behind.
    fn invertible(&mut self, argument: &'a str, option: Opt) -> Result<Written<'a>, UsageError> {
        let mut inverted = self.inversion.is_some();
        if argument == "!" {
            if inverted {
                return Err(self.error(Kind::TwoInversions));
            }
            inverted = true;
            if self.arguments.take().is_none() {
                return self.at_previous(Err(Kind::NothingInverted));
            }
        }
        self.note(option)?;
        let (at, text) = self.arguments.previous();
        let inverted = if inverted {
            Inverted::Yes
        } else {
            Inverted::No
        };
        Ok(Written { at, text, inverted })
    }

    fn flag(&mut self, option: Opt) -> Result<Sense, UsageError> {
        self.note(option)?;
        Ok(match self.inversion {
            Some(_) => Sense::Clear,
            None => Sense::Set,
        })
    }

    /// Notes that an option stood here; none may stand twice.
    fn note(&mut self, option: Opt) -> Result<(), UsageError> {
        if self.has(option) {
            return Err(self.error(Kind::RepeatedOption(option.letter())));
        }
        self.seen.push((option, self.arguments.item_at()));
        Ok(())
    }

    fn has(&self, option: Opt) -> bool {
        self.seen.iter().any(|(seen, _)| *seen == option)
    }

    fn word_of(&self, option: Opt) -> usize {
        let found = self.seen.iter().find(|(seen, _)| *seen == option);
        found.map_or(0, |(_, at)| *at)
    }

    fn error(&self, kind: Kind) -> UsageError {
        UsageError::new(kind, self.arguments.item_at())
    }

    /// Blames the word before the cursor.
    fn at_previous<T>(&self, result: Result<T, Kind>) -> Result<T, UsageError> {
        located(self.arguments.previous().0, result)
    }

    fn written_before(&self, text: &'a str) -> Written<'a> {
        Written {
            at: self.arguments.previous().0,
            text,
            inverted: Inverted::No,
        }
    }

    /// Everything is read: checks combinations and builds the command.
    fn finish(mut self) -> Result<Command, UsageError> {
        if let Some(at) = self.masquerading
            && !matches!(self.command, Some(Opt::List | Opt::Set))
        {
            return Err(UsageError::new(Kind::MasqueradingAlone, at));
        }
        let command = self.command.ok_or(UsageError::new(Kind::NoCommand, 0))?;
        if let Some(at) = self.inversion {
            return Err(UsageError::new(Kind::NothingInverted, at));
        }
        check::options(command, self.number.is_some(), &self.seen)?;
        let chain = match self.chain {
            Some(chain) => Some(located(chain.at, values::chain_name(chain.text))?),
            None => None,
        };
        let verbose = self.has(Opt::Verbose);
        let mut warnings = Vec::new();
        let action = match (command, chain) {
            (Opt::List, _) if self.masquerading.is_some() => Action::ListMasquerading,
            (Opt::List, chain) => {
                let zero = self.has(Opt::Zero);
                if let (true, Some(named)) = (zero, self.chain) {
                    return Err(UsageError::new(Kind::ListZeroChain, named.at));
                }
                Action::List(Listed {
                    chain,
                    options: ListOptions {
                        numeric: self.has(Opt::Numeric),
                        verbose,
                        exact: self.has(Opt::Exact),
                        line_numbers: self.has(Opt::LineNumbers),
                    },
                    zero,
                })
            }
            (Opt::Flush, chain) => Action::Flush(chain),
            (Opt::Zero, chain) => Action::Zero(chain),
            (Opt::DeleteChain, chain) => Action::DeleteChain(chain),
            (Opt::NewChain, Some(chain)) => Action::NewChain(chain),
            (Opt::Policy, _) => {
                let (chain, policy) = self.policy.ok_or(self.error(Kind::PolicyWithoutWord))?;
                Action::Policy(chain, policy)
            }
            (Opt::Set, _) => {
                let timeouts = self.timeouts.ok_or(self.error(Kind::TimeoutsMissing))?;
                Action::SetTimeouts(timeouts)
            }
            (Opt::Delete, Some(chain)) if let Some(number) = self.number => {
                Action::DeleteNumber(chain, number)
            }
            (_, Some(chain)) => {
                if !self.has(Opt::NoWarnings) {
                    warnings = tos_warnings(self.rule.tos);
                }
                self.rule_action(command, chain)?
            }
            (_, None) => return Err(UsageError::new(Kind::NoCommand, 0)),
        };
        Ok(Command {
            action,
            verbose,
            warnings,
        })
    }

    fn rule_action(&mut self, command: Opt, chain: ChainName) -> Result<Action, UsageError> {
        self.check_flags()?;
        let pairs = self.read_addresses(command)?;
        self.read_ports(command)?;
        let target = self.read_target(&chain)?;
        let rules = pairs
            .into_iter()
            .flat_map(|(source, destination)| {
                let mut rule = self.rule.clone();
                rule.conditions.source = source;
                rule.conditions.destination = destination;
                let reversed = self.has(Opt::Bidirectional).then(|| reversed(&rule));
                std::iter::once(rule).chain(reversed)
            })
            .map(|rule| NewRule { rule, target })
            .collect();
        if command == Opt::Check {
            let probes = self.probes(rules)?;
            return Ok(Action::Check(chain, probes));
        }
        let spec = RuleSpec { chain, rules };
        Ok(match command {
            Opt::Insert => Action::Insert(spec, self.number.unwrap_or(1)),
            Opt::Replace => Action::Replace(spec, self.number.unwrap_or(1)),
            Opt::Delete => Action::DeleteMatching(spec),
            _ => Action::Append(spec),
        })
    }

    fn probes(&self, rules: Vec<NewRule>) -> Result<Vec<super::command::Probe>, UsageError> {
        let named = self.named_icmp_type();
        let ports = [&self.source_ports, &self.destination_ports].map(|it| it.map(|it| it.at));
        rules
            .into_iter()
            .map(|new| check::probe(new.rule, named, ports))
            .collect()
    }

    fn named_icmp_type(&self) -> bool {
        self.source_ports.is_some_and(|word| {
            !word
                .text
                .starts_with(|it: char| it.is_ascii_digit() || it == ':')
        })
    }

    fn check_flags(&self) -> Result<(), UsageError> {
        let conditions = &self.rule.conditions;
        let tcp = conditions.protocol == Test::is(u16::from(protocol::TCP));
        if conditions.syn.is_some() && !tcp {
            let at = self.word_of(Opt::Syn);
            return Err(UsageError::new(Kind::SynWithoutTcp, at));
        }
        if conditions.fragment != Some(Sense::Set) {
            return Ok(());
        }
        if conditions.syn.is_some() {
            let at = self.word_of(Opt::Syn);
            return Err(UsageError::new(Kind::SynWithFragments, at));
        }
        match self.source_ports.or(self.destination_ports) {
            Some(ports) => Err(UsageError::new(Kind::PortsWithFragments, ports.at)),
            None => Ok(()),
        }
    }

    /// Every pair of a source and a destination.
    #[allow(clippy::type_complexity)]
    fn read_addresses(
        &self,
        command: Opt,
    ) -> Result<Vec<(Test<Network>, Test<Network>)>, UsageError> {
        let read = |word: Option<Written<'a>>| match word {
            None => Ok(vec![Test::is(Network::ANY)]),
            Some(word) => located(word.at, values::networks(word.text, self.names))
                .map(|all| all.into_iter().map(|it| test(it, word)).collect()),
        };
        let sources: Vec<_> = read(self.source)?;
        let destinations: Vec<_> = read(self.destination)?;
        let pairs: Vec<_> = sources
            .iter()
            .flat_map(|source| destinations.iter().map(move |it| (*source, *it)))
            .collect();
        if pairs.len() > 1 {
            let at = [self.source, self.destination].into_iter().flatten().next();
            let at = at.map_or(0, |word| word.at);
            let inverted = pairs[0].0.is_inverted() || pairs[0].1.is_inverted();
            if inverted {
                return Err(UsageError::new(Kind::SeveralAddressesInverted, at));
            }
            if self.has(Opt::Bidirectional) {
                return Err(UsageError::new(Kind::SeveralAddressesBidirectional, at));
            }
            if command == Opt::Replace {
                return Err(UsageError::new(Kind::SeveralAddressesReplace, at));
            }
        }
        Ok(pairs)
    }

    fn read_ports(&mut self, command: Opt) -> Result<(), UsageError> {
        let Some(first) = self.source_ports.or(self.destination_ports) else {
            return Ok(());
        };
        let protocol = self.rule.conditions.protocol;
        if protocol.is_inverted() {
            return Err(UsageError::new(Kind::PortsWithInvertedProtocol, first.at));
        }
        let number = u8::try_from(protocol.value).unwrap_or(0);
        match number {
            protocol::TCP | protocol::UDP => {
                self.rule.conditions.source_ports = self.port_test(self.source_ports)?;
                self.rule.conditions.destination_ports = self.port_test(self.destination_ports)?;
                Ok(())
            }
            protocol::ICMP => self.read_icmp(command),
            _ => Err(UsageError::new(Kind::PortsWithoutProtocol, first.at)),
        }
    }

    fn port_test(&self, word: Option<Written<'a>>) -> Result<Test<PortRange>, UsageError> {
        let Some(word) = word else {
            return Ok(Test::is(PortRange::ALL));
        };
        let protocol = self.rule.conditions.protocol.value;
        let ports = located(word.at, values::ports(word.text, protocol, self.names))?;
        Ok(test(ports, word))
    }

    fn read_icmp(&mut self, _command: Opt) -> Result<(), UsageError> {
        let codes = self.port_test(self.destination_ports)?;
        self.rule.conditions.destination_ports = codes;
        let Some(word) = self.source_ports else {
            return Ok(());
        };
        let types = match located(word.at, values::icmp_kind(word.text, self.names))? {
            IcmpKind::Types(types) => types,
            IcmpKind::Named(types, codes) => {
                if word.inverted == Inverted::Yes {
                    return Err(UsageError::new(Kind::InvertedIcmpName, word.at));
                }
                if let Some(written) = self.destination_ports {
                    return Err(UsageError::new(Kind::IcmpNameAndPort, written.at));
                }
                self.rule.conditions.destination_ports = Test::is(codes);
                types
            }
        };
        self.rule.conditions.source_ports = test(types, word);
        Ok(())
    }

    fn read_target(&self, chain: &ChainName) -> Result<Option<NamedTarget>, UsageError> {
        let Some((name, port)) = self.target else {
            return Ok(None);
        };
        let at = self.word_of(Opt::Jump) + 1;
        let protocol = self.rule.conditions.protocol;
        let transport = [protocol::TCP, protocol::UDP].map(u16::from);
        let mut redirect_port = 0;
        if name.as_str() == "REDIRECT" {
            if protocol.is_inverted() || !transport.contains(&protocol.value) {
                return Err(UsageError::new(Kind::RedirectProtocol, at));
            }
            if matches!(chain.as_str(), "output" | "forward") {
                return Err(UsageError::new(Kind::RedirectChain, at));
            }
            if let Some(port) = port {
                let found = values::port(port.text, protocol.value, self.names);
                redirect_port = located(port.at, found)?;
            }
        }
        if name.as_str() == "MASQ" && matches!(chain.as_str(), "input" | "output") {
            return Err(UsageError::new(Kind::MasqChain, at));
        }
        Ok(Some(NamedTarget {
            name,
            redirect_port,
        }))
    }
}

fn located<T>(at: usize, result: Result<T, Kind>) -> Result<T, UsageError> {
    result.map_err(|kind| UsageError::new(kind, at))
}

fn test<T>(value: T, word: Written<'_>) -> Test<T> {
    Test {
        value,
        inverted: word.inverted,
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
