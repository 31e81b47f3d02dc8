//! Rules as `ipchains -L` shows them (§10).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use portcullis_core::names::{ChainName, InterfaceName};
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{
    Chain, Conditions, InterfacePattern, Mark, Network, PortRange, Rule, Ruleset, Sense, Target,
    Test,
};

use crate::ipchains::{ListOptions, Listed, NamedTarget};
use crate::names::{Names, Transport, icmp_name_for, protocol_name};

/// Appends the listing to `out`; the error is the name of a chain that does
/// not exist.
pub fn write(
    out: &mut String,
    ruleset: &Ruleset,
    listed: &Listed,
    names: &Names,
) -> Result<(), ChainName> {
    if let Some(name) = listed.chain
        && ruleset.position(&name).is_none()
    {
        return Err(name);
    }
    let references = ruleset.references();
    let listing = Listing {
        options: listed.options,
        names,
    };
    for (chain, references) in ruleset.chains().iter().zip(references) {
        if listed.chain.is_none_or(|name| name == *chain.name()) {
            listing.chain(out, chain, references);
        }
    }
    Ok(())
}

/// Appends the line that `-v` prints about a rule that is being edited.
pub fn write_rule_line(out: &mut String, rule: &Rule, target: Option<&NamedTarget>) {
    let conditions = &rule.conditions;
    // The port of a REDIRECT follows without a sign between.
    let redirect = target
        .filter(|target| target.name.as_str() == "REDIRECT")
        .map(|target| target.redirect_port);
    let target = target.map_or("-", |target| target.name.as_str());
    line(out, format_args!("{target} "));
    line(
        out,
        format_args!("{}{}", bang(&conditions.protocol, " "), protocol_text(rule)),
    );
    line(out, format_args!(" opt    {}", flags(rule)));
    line(
        out,
        format_args!(" tos 0x{:02X} 0x{:02X} ", rule.tos.and, rule.tos.xor),
    );
    let interface = interface_text(&conditions.interface.value, true);
    line(
        out,
        format_args!("{}via {interface} ", bang(&conditions.interface, " ")),
    );
    match rule.mark {
        Mark::NONE => {}
        Mark::Set(mark) | Mark::Add(mark) => line(out, format_args!("mark 0x{mark:x} ")),
    }
    if let Some(size) = shown_size(rule) {
        line(out, format_args!("outsize {size} "));
    }
    let source = numeric_network(&conditions.source.value);
    let destination = numeric_network(&conditions.destination.value);
    line(
        out,
        format_args!("  {}{source} -> ", bang(&conditions.source, " ")),
    );
    line(
        out,
        format_args!("{}{destination}  ", bang(&conditions.destination, "")),
    );
    let ports = PortNames::Numeric.ports(conditions, redirect, "");
    line(out, format_args!("{ports}\n"));
}

/// Appends so many `+` to the prefix of a wildcard interface, as far as the
/// kernel's field has room.
pub(crate) fn append_pluses(rule: &mut Rule, times: usize) {
    for _ in 0..times {
        if let InterfacePattern::Prefix(prefix) = rule.conditions.interface.value
            && prefix != InterfaceName::EMPTY
            && let Some(longer) = InterfaceName::new(&format!("{prefix}+"))
        {
            rule.conditions.interface.value = InterfacePattern::Prefix(longer);
        }
    }
}

struct Listing<'a> {
    options: ListOptions,
    names: &'a Names,
}

impl Listing<'_> {
    fn chain(&self, out: &mut String, chain: &Chain, references: usize) {
        let name = chain.name();
        match chain.policy() {
            None => line(
                out,
                format_args!("Chain {name} ({references} references):\n"),
            ),
            Some(policy) if !self.options.verbose => {
                line(out, format_args!("Chain {name} (policy {policy}):\n"));
            }
            Some(policy) => {
                let counter = chain.policy_counter();
                let (packets, bytes) = (counter.packets, counter.bytes);
                line(
                    out,
                    format_args!(
                        "Chain {name} (policy {policy}: {packets} packets, {bytes} bytes):\n"
                    ),
                );
            }
        }
        if !chain.rules().is_empty() {
            self.header(out);
        }
        for (number, rule) in (1..).zip(chain.rules()) {
            self.rule(out, number, rule);
        }
    }

    fn header(&self, out: &mut String) {
        let options = &self.options;
        if options.line_numbers {
            out.push_str("num  ");
        }
        if options.verbose {
            out.push_str(if options.exact {
                "    pkts      bytes "
            } else {
                " pkts bytes "
            });
        }
        line(out, format_args!("{:<9}  prot opt    ", "target"));
        if options.verbose {
            line(
                out,
                format_args!(
                    "tosa tosx  {:<10} {:<10} {:<7} ",
                    "ifname", "mark", "outsize"
                ),
            );
        }
        line(
            out,
            format_args!(" {:<20}  {:<20}  ports\n", "source", "destination"),
        );
    }

    fn rule(&self, out: &mut String, number: usize, rule: &Rule) {
        let options = &self.options;
        let conditions = &rule.conditions;
        if options.line_numbers {
            line(out, format_args!("{number:<4} "));
        }
        if options.verbose {
            let (packets, bytes) = (rule.counter.packets, rule.counter.bytes);
            if options.exact {
                line(out, format_args!("{packets:>8} {bytes:>10} "));
            } else {
                line(out, format_args!("{} {} ", short(packets), short(bytes)));
            }
        }
        let target = rule.target.as_ref().map_or("-", Target::as_str);
        let protocol = bang(&conditions.protocol, " ");
        line(
            out,
            format_args!(
                "{target:<9} {protocol}{:<5}{} ",
                protocol_text(rule),
                flags(rule)
            ),
        );
        if options.verbose {
            self.verbose_columns(out, rule);
        }
        let source = self.network(&conditions.source.value);
        let destination = self.network(&conditions.destination.value);
        line(
            out,
            format_args!("{}{source:<20} ", bang(&conditions.source, " ")),
        );
        line(
            out,
            format_args!("{}{destination:<20}", bang(&conditions.destination, "")),
        );
        let ports = if options.numeric {
            PortNames::Numeric
        } else {
            PortNames::Services(self.names)
        };
        let redirect = match rule.target {
            Some(Target::Redirect(port)) => Some(port),
            _ => None,
        };
        out.push_str(&ports.ports(conditions, redirect, " => "));
        out.push('\n');
    }

    fn verbose_columns(&self, out: &mut String, rule: &Rule) {
        let interface = &rule.conditions.interface;
        line(
            out,
            format_args!("0x{:02X} 0x{:02X} ", rule.tos.and, rule.tos.xor),
        );
        let name = interface_text(&interface.value, self.options.numeric);
        line(out, format_args!("{}{name:<10.16} ", bang(interface, " ")));
        match rule.mark {
            Mark::NONE => line(out, format_args!("{:11}", "")),
            Mark::Set(mark) | Mark::Add(mark) => line(out, format_args!("0x{mark:<10x} ")),
        }
        match shown_size(rule) {
            Some(size) => line(out, format_args!("{size:<7} ")),
            None => line(out, format_args!("{:8}", "")),
        }
    }

    fn network(&self, network: &Network) -> String {
        if self.options.numeric {
            return numeric_network(network);
        }
        if network.mask() == 0 {
            return "anywhere".to_owned();
        }
        let host = self.names.host_name(network.address());
        match host {
            Some(host) => host + &mask_text(network),
            None => numeric_network(network),
        }
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

fn bang<T>(test: &Test<T>, otherwise: &'static str) -> &'static str {
    if test.is_inverted() { "!" } else { otherwise }
}

fn protocol_text(rule: &Rule) -> String {
    let number = rule.conditions.protocol.value;
    protocol_name(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The six option characters.
fn flags(rule: &Rule) -> String {
    let sense = |sense, letter| match sense {
        None => ['-', '-'],
        Some(Sense::Set) => ['-', letter],
        Some(Sense::Clear) => ['!', letter],
    };
    let flag = |set: bool, letter| if set { letter } else { '-' };
    let mut text = String::new();
    text.extend(sense(rule.conditions.syn, 'y'));
    text.extend(sense(rule.conditions.fragment, 'f'));
    text.push(flag(rule.log, 'l'));
    text.push(flag(rule.copy.is_some(), 'o'));
    text
}

fn interface_text(interface: &InterfacePattern, numeric: bool) -> String {
    match interface {
        InterfacePattern::Exact(name) => name.to_string(),
        InterfacePattern::Prefix(prefix) if *prefix == InterfaceName::EMPTY => {
            if numeric { "*" } else { "any" }.to_owned()
        }
        InterfacePattern::Prefix(prefix) => format!("{prefix}+"),
    }
}

/// The size of a copy, unless it is the whole packet.
fn shown_size(rule: &Rule) -> Option<u16> {
    rule.copy.filter(|size| *size != u16::MAX)
}

fn numeric_network(network: &Network) -> String {
    format!(
        "{}{}",
        Ipv4Addr::from_bits(network.address()),
        mask_text(network)
    )
}

fn mask_text(network: &Network) -> String {
    match network.prefix_length() {
        Some(32) => String::new(),
        Some(length) => format!("/{length}"),
        None => format!("/{}", Ipv4Addr::from_bits(network.mask())),
    }
}

/// How ports are written: as numbers, or with the names of services.
#[derive(Clone, Copy)]
enum PortNames<'a> {
    Numeric,
    Services(&'a Names),
}

impl PortNames<'_> {
    /// The column of ports; `arrow` stands before the port of a REDIRECT.
    fn ports(self, conditions: &Conditions, redirect: Option<u16>, arrow: &str) -> String {
        let number = u8::try_from(conditions.protocol.value).unwrap_or(0);
        if !matches!(number, protocol::TCP | protocol::UDP | protocol::ICMP) {
            return "  n/a".to_owned();
        }
        let (source, destination) = (&conditions.source_ports, &conditions.destination_ports);
        let inverted = source.is_inverted() || destination.is_inverted();
        if number == protocol::ICMP
            && let Self::Services(_) = self
            && !inverted
            && let Some(name) = icmp_name_for(source.value, destination.value)
        {
            return format!("  {name}");
        }
        let range = |ports: &Test<PortRange>| {
            let text = match ports.value {
                PortRange::ALL => self.all().to_owned(),
                PortRange { first, last } if first == last => self.port(first, number),
                PortRange { first, last } => {
                    format!("{}:{}", self.port(first, number), self.port(last, number))
                }
            };
            format!(" {}{text}", bang(ports, " "))
        };
        let ports = format!("{} -> {}", range(source), range(destination));
        match redirect {
            None => ports,
            Some(0) => format!("{ports}{arrow} {}", self.all()),
            Some(port) => format!("{ports}{arrow}{}", self.port(port, number)),
        }
    }

    fn all(self) -> &'static str {
        match self {
            Self::Numeric => "*",
            Self::Services(_) => "any",
        }
    }

    fn port(self, port: u16, protocol: u8) -> String {
        let transport = match protocol {
            protocol::TCP => Some(Transport::Tcp),
            protocol::UDP => Some(Transport::Udp),
            _ => None,
        };
        let name = match (self, transport) {
            (Self::Services(names), Some(transport)) => names.service_name(port, transport),
            _ => None,
        };
        name.map_or_else(|| port.to_string(), str::to_owned)
    }
}

/// A counter in five characters: thousands and millions are rounded.
fn short(number: u64) -> String {
    if number <= 99_999 {
        return format!("{number:>5}");
    }
    let kilo = (number + 500) / 1000;
    if kilo <= 9999 {
        return format!("{kilo:>4}K");
    }
    let mega = (number + 500_000) / 1_000_000;
    if mega <= 9999 {
        return format!("{mega:>4}M");
    }
    format!("{:>4}G", (mega + 500) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_fit_five_characters() {
        for (number, text) in [
            (0, "    0"),
            (99_999, "99999"),
            (100_000, " 100K"),
            (9_999_499, "9999K"),
            (9_999_500, "  10M"),
            (12_345_678_901, "  12G"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
