//! Which options go with which command, and the packet that `-C` makes up.

use portcullis_core::packet::{PacketKey, protocol};
use portcullis_core::ruleset::{InterfacePattern, PortRange, Rule, Sense};

use super::command::Probe;
use super::error::{UsageError, UsageErrorKind as Kind};
use super::options::Opt;

/// The options in the order in which they are checked.
const CHECKED: [Opt; 18] = [
    Opt::Numeric,
    Opt::Source,
    Opt::Destination,
    Opt::Protocol,
    Opt::Jump,
    Opt::Verbose,
    Opt::Exact,
    Opt::Tos,
    Opt::Interface,
    Opt::Fragments,
    Opt::Syn,
    Opt::Log,
    Opt::Bidirectional,
    Opt::Mark,
    Opt::Output,
    Opt::SourcePort,
    Opt::DestinationPort,
    Opt::LineNumbers,
];

/// Refuses options that a command does not take, and commands that lack one
/// (§9, option table).
pub(super) fn options(
    command: Opt,
    numbered: bool,
    seen: &[(Opt, usize)],
) -> Result<(), UsageError> {
    for option in CHECKED {
        let found = seen.iter().find(|(seen, _)| *seen == option);
        match (found, allowed(command, numbered, option)) {
            (Some((_, at)), Use::Illegal) => {
                return Err(UsageError::new(Kind::IllegalOption(option.letter()), *at));
            }
            (None, Use::Required) => {
                return Err(UsageError::new(Kind::MissingOption(option.letter()), 0));
            }
            _ => {}
        }
    }
    Ok(())
}

enum Use {
    Illegal,
    Optional,
    Required,
}

fn allowed(command: Opt, numbered: bool, option: Opt) -> Use {
    let takes_rule = match command {
        Opt::Append | Opt::Insert | Opt::Replace => true,
        Opt::Delete => !numbered,
        _ => false,
    };
    let legal = match option {
        Opt::Verbose => true,
        Opt::Numeric | Opt::Exact | Opt::LineNumbers => command == Opt::List,
        Opt::Source | Opt::Destination | Opt::Protocol | Opt::Interface
            if command == Opt::Check =>
        {
            return Use::Required;
        }
        Opt::Syn | Opt::Fragments | Opt::SourcePort | Opt::DestinationPort
            if command == Opt::Check =>
        {
            true
        }
        Opt::Bidirectional => (takes_rule && command != Opt::Replace) || command == Opt::Check,
        _ => takes_rule,
    };
    if legal { Use::Optional } else { Use::Illegal }
}

/// Makes the packet that a description given to `-C` stands for (§11).
/// `named` says whether the ICMP type was given by name; `ports` are the words
/// of the ports.
pub(super) fn probe(
    described: Rule,
    named: bool,
    ports: [Option<usize>; 2],
) -> Result<Probe, UsageError> {
    let conditions = &described.conditions;
    let inverted = conditions.source.is_inverted()
        || conditions.destination.is_inverted()
        || conditions.interface.is_inverted()
        || conditions.protocol.is_inverted()
        || conditions.source_ports.is_inverted()
        || conditions.destination_ports.is_inverted()
        || conditions.syn == Some(Sense::Clear)
        || conditions.fragment == Some(Sense::Clear);
    if inverted {
        return Err(UsageError::new(Kind::InvertedCheck, 0));
    }
    let fragment = conditions.fragment.is_some();
    let number = u8::try_from(conditions.protocol.value).unwrap_or(u8::MAX);
    let has_ports = matches!(number, protocol::TCP | protocol::UDP | protocol::ICMP);
    let by_name = named && number == protocol::ICMP;
    let (mut source_port, mut destination_port) = (PacketKey::NO_PORT, PacketKey::NO_PORT);
    if has_ports && !fragment {
        let codes = conditions.destination_ports.value;
        if by_name && codes == PortRange::ALL && has_several_codes(conditions.source_ports.value) {
            let at = ports[0].unwrap_or(0);
            return Err(UsageError::new(Kind::IcmpNameInexact, at));
        }
        for (range, written) in [
            (conditions.source_ports.value, ports[0].is_some()),
            (codes, ports[1].is_some() || by_name),
        ] {
            let one = range.first == range.last || by_name;
            if !one || !written {
                let at = ports.into_iter().flatten().next().unwrap_or(0);
                return Err(UsageError::new(Kind::CheckPorts, at));
            }
        }
        (source_port, destination_port) = (conditions.source_ports.value.first, codes.first);
    }
    Ok(Probe {
        key: PacketKey {
            source: conditions.source.value.address(),
            destination: conditions.destination.value.address(),
            source_port,
            destination_port,
            protocol: number,
            fragment,
            syn: conditions.syn.is_some() && !fragment,
        },
        interface: match conditions.interface.value {
            InterfacePattern::Exact(name) | InterfacePattern::Prefix(name) => name,
        },
        described,
    })
}

/// Whether an ICMP type that was named as a whole has codes with names of
/// their own, so that the name does not say which packet is meant.
fn has_several_codes(types: PortRange) -> bool {
    crate::names::ICMP_NAMES
        .iter()
        .any(|entry| entry.kind == types.first && entry.codes != PortRange::ALL)
}
