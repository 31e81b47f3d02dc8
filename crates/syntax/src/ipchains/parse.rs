//! Arguments to a command: the options, one by one. What is wrong with one of
//! them is reported at once; combinations are checked afterwards, as ipchains
//! does, so that of several mistakes the same one is named.

use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{BuiltIn, Inverted, Policy, Rule, Sense, Test, TosChange};

use super::combine;
use super::command::{Action, Command, MasqTimeouts};
use super::error::{UsageError, UsageErrorKind as Kind};
use super::fidelity::Fidelity;
use super::getopt::{Arguments, Item};
use super::options::Opt;
use super::values;
use crate::names::Names;

/// Parses a command line; word 0 is the program.
pub fn parse(words: &[String], names: &Names, fidelity: Fidelity) -> Result<Command, UsageError> {
    let mut parser = Parser::new(words, fidelity);
    if let Some(action) = parser.read_options()? {
        return Ok(Command {
            action,
            verbose: false,
            fidelity,
            warnings: Vec::new(),
        });
    }
    combine::command(parser.written, names)
}

/// Where a word stands and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
    pub(super) inverted: Inverted,
}

/// Everything that the options said, each checked by itself.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) fidelity: Fidelity,
    /// Commands seen; several go together.
    pub(super) commands: Vec<(Opt, usize)>,
    /// Options seen, each with its word.
    pub(super) options: Vec<(Opt, usize)>,
    /// The word of a `!` that waits for its option.
    pub(super) inversion: Option<usize>,
    pub(super) warnings: Warnings,
    pub(super) chain: Option<Word<'a>>,
    pub(super) number: Option<usize>,
    pub(super) policy: Option<(BuiltIn, Policy)>,
    pub(super) timeouts: Option<MasqTimeouts>,
    /// Without addresses, ports and target, which need more than their words.
    pub(super) rule: Rule,
    pub(super) target: Option<ChainName>,
    pub(super) redirect_port: Option<Word<'a>>,
    pub(super) source: Option<Word<'a>>,
    pub(super) destination: Option<Word<'a>>,
    pub(super) source_ports: Option<Word<'a>>,
    pub(super) destination_ports: Option<Word<'a>>,
}

/// Whether remarks about TOS values are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warnings {
    Printed,
    Left,
}

impl Written<'_> {
    pub(super) fn has(&self, option: Opt) -> bool {
        self.options.iter().any(|(seen, _)| *seen == option)
    }

    pub(super) fn commands(&self, command: Opt) -> bool {
        self.commands.iter().any(|(seen, _)| *seen == command)
    }

    /// The word of an option, for error messages.
    pub(super) fn word_of(&self, option: Opt) -> usize {
        let seen = self.options.iter().chain(&self.commands);
        let found = seen.into_iter().find(|(seen, _)| *seen == option);
        found.map_or(0, |(_, at)| *at)
    }
}

struct Parser<'a> {
    arguments: Arguments<'a>,
    written: Written<'a>,
}

/// The commands in the order of their bits in the original, which decides
/// which of two is named in an error message.
const COMMANDS: [Opt; 13] = [
    Opt::Insert,
    Opt::Delete,
    Opt::Replace,
    Opt::Append,
    Opt::List,
    Opt::Flush,
    Opt::Zero,
    Opt::NewChain,
    Opt::DeleteChain,
    Opt::Policy,
    Opt::Masquerading,
    Opt::Set,
    Opt::Check,
];

impl<'a> Parser<'a> {
    fn new(words: &'a [String], fidelity: Fidelity) -> Self {
        Self {
            arguments: Arguments::new(words),
            written: Written {
                fidelity,
                commands: Vec::new(),
                options: Vec::new(),
                inversion: None,
                warnings: Warnings::Printed,
                chain: None,
                number: None,
                policy: None,
                timeouts: None,
                rule: Rule::ANY,
                target: None,
                redirect_port: None,
                source: None,
                destination: None,
                source_ports: None,
                destination_ports: None,
            },
        }
    }

    /// Reads everything. `-h` and `-V` answer at once, whatever follows.
    fn read_options(&mut self) -> Result<Option<Action>, UsageError> {
        while let Some(item) = self.arguments.item()? {
            match item {
                Item::Word("!") => {
                    if self.written.inversion.is_some() {
                        return Err(self.error(Kind::ConsecutiveInversions));
                    }
                    self.written.inversion = Some(self.arguments.item_at());
                }
                Item::Word(word) => return Err(self.error(Kind::StrayWord(word.to_owned()))),
                Item::Option(Opt::Help, topic) => return Ok(Some(self.help(topic))),
                Item::Option(Opt::Version, _) => {
                    return Ok(Some(match self.written.inversion {
                        Some(_) => Action::NotVersion,
                        None => Action::Version,
                    }));
                }
                Item::Option(option, argument) => {
                    if COMMANDS.contains(&option) {
                        self.command(option, argument)?;
                    } else {
                        self.option(option, argument)?;
                    }
                    self.written.inversion = None;
                }
            }
        }
        match self.arguments.peek(0) {
            Some(_) => Err(UsageError::new(
                Kind::UnknownArguments,
                self.arguments.position(),
            )),
            None => Ok(None),
        }
    }

    fn help(&self, topic: Option<&str>) -> Action {
        let topics = [topic, self.arguments.peek(0)];
        let icmp = |topic: &str| topic.eq_ignore_ascii_case("icmp");
        if topics.into_iter().flatten().any(icmp) {
            Action::HelpIcmp
        } else {
            Action::Help
        }
    }

    fn command(&mut self, command: Opt, argument: Option<&'a str>) -> Result<(), UsageError> {
        self.add_command(command)?;
        let named = match command {
            Opt::Set => None,
            Opt::List | Opt::Flush | Opt::Zero | Opt::DeleteChain => {
                argument.or_else(|| self.arguments.take_value())
            }
            _ => argument,
        };
        if let Some(name) = named {
            self.written.chain = Some(self.word_before(name));
        }
        match command {
            Opt::Delete | Opt::Insert => {
                if let Some(number) = self.arguments.take_value() {
                    let number = self.at_previous(values::rule_number(number))?;
                    self.written.number = Some(number);
                }
            }
            Opt::Replace => {
                let Some(number) = self.arguments.take_value() else {
                    return Err(self.error(Kind::ReplaceWithoutNumber));
                };
                let number = self.at_previous(values::rule_number(number))?;
                self.written.number = Some(number);
            }
            Opt::Policy => self.written.policy = Some(self.read_policy()?),
            Opt::Set => {
                let timeouts = self.read_timeouts(argument.unwrap_or_default())?;
                self.written.timeouts = Some(timeouts);
            }
            Opt::List | Opt::Zero => self.refuse_chain_to_zero()?,
            _ => {}
        }
        Ok(())
    }

    fn add_command(&mut self, command: Opt) -> Result<(), UsageError> {
        if self.written.inversion.is_some() {
            return Err(self.error(Kind::UnexpectedInversion));
        }
        let company: &[Opt] = match command {
            Opt::List => &[Opt::Zero, Opt::Masquerading],
            Opt::Zero => &[Opt::List],
            Opt::Masquerading => &[Opt::List, Opt::Set],
            Opt::Set => &[Opt::Masquerading],
            _ => &[],
        };
        let mut others = COMMANDS.into_iter().rev();
        let other = others.find(|other| self.written.commands(*other) && !company.contains(other));
        if let Some(first) = other {
            return Err(self.error(Kind::TwoCommands {
                first: first.letter(),
                second: command.letter(),
            }));
        }
        self.written
            .commands
            .push((command, self.arguments.item_at()));
        Ok(())
    }

    fn refuse_chain_to_zero(&self) -> Result<(), UsageError> {
        let both = self.written.commands(Opt::List) && self.written.commands(Opt::Zero);
        match self.written.chain {
            Some(chain) if both => Err(UsageError::new(Kind::ListZeroChain, chain.at)),
            _ => Ok(()),
        }
    }

    fn read_policy(&mut self) -> Result<(BuiltIn, Policy), UsageError> {
        let Some(word) = self.arguments.take_value() else {
            return Err(self.error(Kind::PolicyWithoutWord));
        };
        let chain = self.written.chain;
        let built_in = chain.and_then(|chain| BuiltIn::from_name(chain.text));
        if word == Policy::Masq.as_str() && built_in != Some(BuiltIn::Forward) {
            return self.at_previous(Err(Kind::MasqPolicy));
        }
        let Some(built_in) = built_in else {
            let at = chain.map_or(0, |chain| chain.at);
            return Err(UsageError::new(Kind::PolicyOfUserChain, at));
        };
        Ok((built_in, self.at_previous(values::policy(word))?))
    }

    /// `-S` looks at the two words behind its argument before it reads any.
    fn read_timeouts(&mut self, tcp: &str) -> Result<MasqTimeouts, UsageError> {
        let value = |word: &&str| !word.starts_with(['-', '!']);
        let next = [0, 1].map(|ahead| self.arguments.peek(ahead).filter(value));
        let [Some(tcp_fin), Some(udp)] = next else {
            return Err(self.error(Kind::TimeoutsMissing));
        };
        let tcp = self.at_previous(values::timeout(tcp))?;
        self.arguments.take();
        let tcp_fin = self.at_previous(values::timeout(tcp_fin))?;
        self.arguments.take();
        let udp = self.at_previous(values::timeout(udp))?;
        Ok(MasqTimeouts { tcp, tcp_fin, udp })
    }

    fn option(&mut self, option: Opt, argument: Option<&'a str>) -> Result<(), UsageError> {
        let word = argument.unwrap_or_default();
        match option {
            Opt::Source => {
                let (address, ports) = self.address(word, option, Opt::SourcePort)?;
                self.written.source = Some(address);
                self.written.source_ports = ports.or(self.written.source_ports);
            }
            Opt::Destination => {
                let (address, ports) = self.address(word, option, Opt::DestinationPort)?;
                self.written.destination = Some(address);
                self.written.destination_ports = ports.or(self.written.destination_ports);
            }
            Opt::SourcePort => {
                self.written.source_ports = Some(self.invertible(word, option)?);
            }
            Opt::DestinationPort => {
                self.written.destination_ports = Some(self.invertible(word, option)?);
            }
            Opt::Protocol => {
                let word = self.invertible(word, option)?;
                let value = located(word.at, values::protocol(word.text))?;
                if value == 0 && word.inverted == Inverted::Yes {
                    return Err(UsageError::new(Kind::ProtocolNever, word.at));
                }
                self.written.rule.conditions.protocol = test(value, word);
            }
            Opt::Interface => {
                let word = self.invertible(word, option)?;
                let value = values::interface(word.text, self.written.fidelity);
                self.written.rule.conditions.interface = test(located(word.at, value)?, word);
            }
            Opt::Fragments => self.written.rule.conditions.fragment = Some(self.flag(option)?),
            Opt::Syn => self.written.rule.conditions.syn = Some(self.flag(option)?),
            _ => self.plain_option(option, argument)?,
        }
        Ok(())
    }

    /// Options that `!` may not stand before.
    fn plain_option(&mut self, option: Opt, argument: Option<&'a str>) -> Result<(), UsageError> {
        if matches!(option, Opt::LineNumbers | Opt::NoWarnings) && self.written.inversion.is_some()
        {
            let name = option.spec().long[0];
            return Err(self.error(Kind::InvertedLongOption(name)));
        }
        if option == Opt::NoWarnings {
            self.written.warnings = Warnings::Left;
            return Ok(());
        }
        self.note(option)?;
        if self.written.inversion.is_some() {
            return Err(self.error(Kind::InvertedOption(option.letter())));
        }
        let word = argument.unwrap_or_default();
        match option {
            Opt::Jump => {
                let name = self.at_previous(values::target_name(word))?;
                self.written.target = Some(name);
                if name.as_str() == "REDIRECT" {
                    let port = self.arguments.take_value();
                    self.written.redirect_port = port.map(|port| self.word_before(port));
                }
            }
            Opt::Tos => self.written.rule.tos = self.read_tos(word)?,
            Opt::Mark => self.written.rule.mark = self.at_previous(values::mark(word))?,
            Opt::Output => {
                let size = argument.or_else(|| self.arguments.take_value());
                self.written.rule.copy = Some(match size {
                    Some(size) => self.at_previous(values::output_size(size))?,
                    None => u16::MAX,
                });
            }
            Opt::Log => self.written.rule.log = true,
            _ => {}
        }
        Ok(())
    }

    fn read_tos(&mut self, and: &str) -> Result<TosChange, UsageError> {
        let and_at = self.arguments.previous().0;
        let Some(xor) = self.arguments.take_value() else {
            return Err(self.error(Kind::TosTooFewBytes));
        };
        Ok(TosChange {
            and: located(and_at, values::hex_byte(and))?,
            xor: self.at_previous(values::hex_byte(xor))?,
        })
    }

    /// An address and, unless the next word is an option, its ports.
    fn address(
        &mut self,
        argument: &'a str,
        option: Opt,
        ports_option: Opt,
    ) -> Result<(Word<'a>, Option<Word<'a>>), UsageError> {
        let address = self.invertible(argument, option)?;
        let value = |word: &&str| !word.starts_with(['-', '!']);
        let inverted = self.arguments.peek(0) == Some("!");
        if self
            .arguments
            .peek(usize::from(inverted))
            .filter(value)
            .is_none()
        {
            return Ok((address, None));
        }
        if inverted {
            self.arguments.take();
        }
        let text = self.arguments.take().unwrap_or_default();
        self.note(ports_option)?;
        let ports = Word {
            inverted: inversion(inverted),
            ..self.word_before(text)
        };
        Ok((address, Some(ports)))
    }

    /// The value of an option that `!` may stand before or behind.
    fn invertible(&mut self, argument: &'a str, option: Opt) -> Result<Word<'a>, UsageError> {
        let mut inverted = self.written.inversion.is_some();
        if argument == "!" {
            if inverted {
                return Err(self.error(Kind::TwoInversions));
            }
            inverted = true;
            if self.arguments.take().is_none() {
                return Err(self.nothing_behind(option));
            }
        }
        self.note(option)?;
        let (at, text) = self.arguments.previous();
        let inverted = inversion(inverted);
        Ok(Word { at, text, inverted })
    }

    /// `-s !` at the very end: the original read on behind its arguments, took
    /// the first variable of its environment for a stray word, and said so.
    /// Where it crashed instead, there is nothing to repeat.
    fn nothing_behind(&self, option: Opt) -> UsageError {
        let crashed = matches!(option, Opt::Protocol | Opt::Interface);
        let kind = match self.written.fidelity {
            Fidelity::Strict if !crashed => Kind::StrayWord("!".to_owned()),
            _ => Kind::NothingInverted,
        };
        UsageError::new(kind, self.arguments.previous().0)
    }

    fn flag(&mut self, option: Opt) -> Result<Sense, UsageError> {
        self.note(option)?;
        Ok(match self.written.inversion {
            Some(_) => Sense::Clear,
            None => Sense::Set,
        })
    }

    /// Notes that an option stood here; none may stand twice.
    fn note(&mut self, option: Opt) -> Result<(), UsageError> {
        if self.written.has(option) {
            return Err(self.error(Kind::RepeatedOption(option.letter())));
        }
        self.written
            .options
            .push((option, self.arguments.item_at()));
        Ok(())
    }

    fn error(&self, kind: Kind) -> UsageError {
        UsageError::new(kind, self.arguments.item_at())
    }

    /// Blames the word before the cursor.
    fn at_previous<T>(&self, result: Result<T, Kind>) -> Result<T, UsageError> {
        located(self.arguments.previous().0, result)
    }

    fn word_before(&self, text: &'a str) -> Word<'a> {
        Word {
            at: self.arguments.previous().0,
            text,
            inverted: Inverted::No,
        }
    }
}

pub(super) fn located<T>(at: usize, result: Result<T, Kind>) -> Result<T, UsageError> {
    result.map_err(|kind| UsageError::new(kind, at))
}

pub(super) fn test<T>(value: T, word: Word<'_>) -> Test<T> {
    Test {
        value,
        inverted: word.inverted,
    }
}

fn inversion(inverted: bool) -> Inverted {
    if inverted {
        Inverted::Yes
    } else {
        Inverted::No
    }
}
