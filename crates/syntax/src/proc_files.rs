//! Rules as the kernel shows them under `/proc/net` (§10).

use std::fmt::Write as _;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Conditions, InterfacePattern, Mark, Rule, Ruleset, Sense, Target};

/// The text of `ip_fwnames`: one line a chain.
pub fn ip_fwnames(ruleset: &Ruleset) -> String {
    let mut out = String::new();
    for (chain, references) in ruleset.chains().iter().zip(ruleset.references()) {
        let policy = chain.policy().map_or("-", |policy| policy.as_str());
        let counter = chain.policy_counter();
        let (packets, bytes) = (halves(counter.packets), halves(counter.bytes));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{} {policy} {references} {} {} {} {}",
            chain.name(),
            packets.0,
            packets.1,
            bytes.0,
            bytes.1
        );
    }
    out
}

/// The text of `ip_fwchains`: one line a rule.
pub fn ip_fwchains(ruleset: &Ruleset) -> String {
    let mut out = String::new();
    for chain in ruleset.chains() {
        for rule in chain.rules() {
            write_rule(&mut out, chain.name().as_str(), rule);
        }
    }
    out
}

fn write_rule(out: &mut String, chain: &str, rule: &Rule) {
    let conditions = &rule.conditions;
    let (source, destination) = (conditions.source.value, conditions.destination.value);
    let (packets, bytes) = (halves(rule.counter.packets), halves(rule.counter.bytes));
    let interface = match *conditions.interface.value.name() {
        InterfaceName::EMPTY => "-".to_owned(),
        name => name.to_string(),
    };
    let redirect_port = match rule.target {
        Some(Target::Redirect(port)) => port,
        _ => 0,
    };
    let (Mark::Set(mark) | Mark::Add(mark)) = rule.mark;
    let _ = writeln!(
        out,
        "{chain:>9} {:08X}/{:08X}->{:08X}/{:08X} {interface} {:X} {:X} {} \
         {:<9} {:<9} {:<9} {:<9} {}-{} {}-{} A{:02X} X{:02X} {redirect_port:08X} {mark} {} {:>9}",
        source.address(),
        source.mask(),
        destination.address(),
        destination.mask(),
        flags(rule),
        inversions(conditions),
        conditions.protocol.value,
        packets.0,
        packets.1,
        bytes.0,
        bytes.1,
        conditions.source_ports.value.first,
        conditions.source_ports.value.last,
        conditions.destination_ports.value.first,
        conditions.destination_ports.value.last,
        rule.tos.and,
        rule.tos.xor,
        rule.copy.unwrap_or(0),
        rule.target.as_ref().map_or("-", Target::as_str),
    );
}

fn flags(rule: &Rule) -> u32 {
    let conditions = &rule.conditions;
    let wildcard = matches!(conditions.interface.value, InterfacePattern::Prefix(_));
    bits([
        (rule.log, 0x01),
        (conditions.syn.is_some(), 0x02),
        (conditions.fragment.is_some(), 0x04),
        (matches!(rule.mark, Mark::Set(_)), 0x08),
        (wildcard, 0x10),
        (rule.copy.is_some(), 0x20),
    ])
}

fn inversions(conditions: &Conditions) -> u32 {
    bits([
        (conditions.source.is_inverted(), 0x01),
        (conditions.destination.is_inverted(), 0x02),
        (conditions.protocol.is_inverted(), 0x04),
        (conditions.source_ports.is_inverted(), 0x08),
        (conditions.destination_ports.is_inverted(), 0x10),
        (conditions.interface.is_inverted(), 0x20),
        (conditions.syn == Some(Sense::Clear), 0x40),
        (conditions.fragment == Some(Sense::Clear), 0x80),
    ])
}

fn bits<const N: usize>(flags: [(bool, u32); N]) -> u32 {
    let set = flags.into_iter().filter(|(set, _)| *set);
    set.map(|(_, bit)| bit).sum()
}

/// High and low 32 bits, as the kernel prints 64-bit counters.
fn halves(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}
