//! Which options go with which command, and the packet that `-C` makes up.

use portcullis_core::packet::{PacketKey, protocol};
use portcullis_core::ruleset::Rule;

use super::command::Probe;
use super::error::{UsageError, UsageErrorKind as Kind};
use super::options::Opt;
use super::parse::Written;

/// The options in the order in which they are checked.
const CHECKED: [Opt; 18] = [
    Opt::Numeric,
    Opt::Source,
    Opt::Destination,
    Opt::Protocol,
    Opt::Jump,
    Opt::Syn,
    Opt::Bidirectional,
    Opt::Verbose,
    Opt::Log,
    Opt::Exact,
    Opt::Tos,
    Opt::Interface,
    Opt::Fragments,
    Opt::Mark,
    Opt::SourcePort,
    Opt::DestinationPort,
    Opt::Output,
    Opt::LineNumbers,
];

/// Refuses options that a command does not take, and commands that lack one
/// (§9, option table). Of several commands it is enough if one takes the
/// option.
pub(super) fn options(written: &Written<'_>) -> Result<(), UsageError> {
    let numbered = written.number.is_some();
    for option in CHECKED {
        let uses = written
            .commands
            .iter()
            .map(|(command, _)| allowed(*command, numbered, option));
        let (mut legal, mut required) = (false, false);
        for allowed in uses {
            legal |= allowed != Use::Illegal;
            required |= allowed == Use::Required;
        }
        let found = written.options.iter().find(|(seen, _)| *seen == option);
        match found {
            Some((_, at)) if !legal => {
                return Err(UsageError::new(Kind::IllegalOption(option.letter()), *at));
            }
            None if required => {
                return Err(UsageError::new(Kind::MissingOption(option.letter()), 0));
            }
            _ => {}
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Illegal,
    Optional,
    Required,
}

/// Whether a command is followed by the description of a rule.
pub(super) fn takes_rule(command: Opt, numbered: bool) -> bool {
    match command {
        Opt::Append | Opt::Insert | Opt::Replace => true,
        Opt::Delete => !numbered,
        _ => false,
    }
}

fn allowed(command: Opt, numbered: bool, option: Opt) -> Use {
    let takes_rule = takes_rule(command, numbered);
    let checks = command == Opt::Check;
    let legal = match option {
        Opt::Verbose => command != Opt::Masquerading,
        Opt::Numeric | Opt::Exact | Opt::LineNumbers => command == Opt::List,
        Opt::Source | Opt::Destination | Opt::Protocol | Opt::Interface if checks => {
            return Use::Required;
        }
        Opt::Syn | Opt::Fragments | Opt::SourcePort | Opt::DestinationPort => takes_rule || checks,
        Opt::Bidirectional => (takes_rule && command != Opt::Replace) || checks,
        _ => takes_rule,
    };
    if legal { Use::Optional } else { Use::Illegal }
}

/// The packet that a description given to `-C` stands for (§11). The
/// description has passed all checks.
pub(super) fn probe(described: Rule) -> Probe {
    let conditions = &described.conditions;
    let fragment = conditions.fragment.is_some();
    let number = conditions.protocol.value;
    let has_ports = [protocol::TCP, protocol::UDP, protocol::ICMP]
        .into_iter()
        .any(|it| u16::from(it) == number);
    let (source_port, destination_port) = if has_ports && !fragment {
        (
            conditions.source_ports.value.first,
            conditions.destination_ports.value.first,
        )
    } else {
        (PacketKey::NO_PORT, PacketKey::NO_PORT)
    };
    Probe {
        key: PacketKey {
            source: conditions.source.value.address(),
            destination: conditions.destination.value.address(),
            source_port,
            destination_port,
            // A packet has eight bits for it.
            protocol: number as u8,
            fragment,
            syn: conditions.syn.is_some() && !fragment,
        },
        described,
    }
}
