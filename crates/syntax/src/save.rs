//! Rules as `ipchains-save` writes them (§12).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{
    Chain, InterfacePattern, Mark, Network, PortRange, Rule, Ruleset, Sense, Target, Test,
    TosChange,
};

/// The save text of all chains: chain lines first, then rules.
pub fn save(ruleset: &Ruleset) -> String {
    let mut out = String::new();
    for chain in ruleset.chains() {
        write_chain(&mut out, chain);
    }
    for chain in ruleset.chains() {
        write_rules(&mut out, chain);
    }
    out
}

/// Appends the line of a chain, `:NAME POLICY`.
pub fn write_chain(out: &mut String, chain: &Chain) {
    let policy = chain.policy().map_or("-", |policy| policy.as_str());
    // Writing to a string cannot fail.
    let _ = writeln!(out, ":{} {policy}", chain.name());
}

/// Appends a line for each rule of a chain, `-A NAME ...`.
pub fn write_rules(out: &mut String, chain: &Chain) {
    for rule in chain.rules() {
        let _ = writeln!(out, "-A {} {}", chain.name(), rule_text(rule));
    }
}

/// A rule as the command would be given it, without chain and command.
pub fn rule_text(rule: &Rule) -> String {
    rule_words(rule).join(" ")
}

fn rule_words(rule: &Rule) -> Vec<String> {
    let conditions = &rule.conditions;
    let mut words = Words::default();
    words.add("-s");
    words.network(&conditions.source);
    words.ports(&conditions.source_ports);
    words.add("-d");
    words.network(&conditions.destination);
    words.ports(&conditions.destination_ports);
    match conditions.interface.value {
        InterfacePattern::Exact(name) => words.option("-i", &conditions.interface, &name),
        InterfacePattern::Prefix(InterfaceName::EMPTY) => {}
        InterfacePattern::Prefix(prefix) => {
            words.option("-i", &conditions.interface, &format!("{prefix}+"));
        }
    }
    if conditions.protocol.value != 0 {
        words.option("-p", &conditions.protocol, &conditions.protocol.value);
    }
    if rule.tos != TosChange::NONE {
        let TosChange { and, xor } = rule.tos;
        words.add(&format!("-t {and:02X} {xor:02X}"));
    }
    if let Some(target) = &rule.target {
        words.add(&format!("-j {}", target.as_str()));
        if let Target::Redirect(port) = target {
            words.add(&port.to_string());
        }
    }
    if rule.log {
        words.add("-l");
    }
    words.flag("-y", conditions.syn);
    words.flag("-f", conditions.fragment);
    match rule.mark {
        Mark::NONE => {}
        Mark::Set(value) => words.add(&format!("-m {value}")),
        Mark::Add(value) => words.add(&format!("-m +{value}")),
    }
    if let Some(size) = rule.copy {
        words.add(&format!("-o {size}"));
    }
    words.0
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add(&mut self, word: &str) {
        self.0.push(word.to_owned());
    }

    fn inversion<T>(&mut self, test: &Test<T>) {
        if test.is_inverted() {
            self.add("!");
        }
    }

    fn network(&mut self, network: &Test<Network>) {
        self.inversion(network);
        let [address, mask] =
            [network.value.address(), network.value.mask()].map(Ipv4Addr::from_bits);
        self.add(&format!("{address}/{mask}"));
    }

    fn ports(&mut self, ports: &Test<PortRange>) {
        if ports.value != PortRange::ALL {
            self.inversion(ports);
            self.add(&format!("{}:{}", ports.value.first, ports.value.last));
        }
    }

    fn option<T>(&mut self, option: &str, test: &Test<T>, value: &impl ToString) {
        self.add(option);
        self.inversion(test);
        self.add(&value.to_string());
    }

    fn flag(&mut self, option: &str, sense: Option<Sense>) {
        match sense {
            None => {}
            Some(Sense::Set) => self.add(option),
            Some(Sense::Clear) => self.add(&format!("! {option}")),
        }
    }
}
