//! Rules as `ipchains-save` writes them (§12).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{
    Chain, InterfacePattern, Mark, Network, PortRange, Rule, Ruleset, Sense, Target, Test,
    TosChange,
};

/// How much of a rule is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the script did: it forgets `! 0:65535` and `-i ! +` (§12).
    Script,
    /// Everything that the command would read back: inverted full ranges as
    /// `! :`, the interface that none is as `-i ! +`, and `\` before the
    /// signs in names that a shell would not take as they are.
    Lossless,
}

/// The save text of all chains: chain lines first, then rules.
pub fn save(ruleset: &Ruleset) -> String {
    save_as(ruleset, Form::Script)
}

/// The save text of all chains in one of its forms.
pub fn save_as(ruleset: &Ruleset, form: Form) -> String {
    let mut out = String::new();
    for chain in ruleset.chains() {
        write_chain(&mut out, chain, form);
    }
    for chain in ruleset.chains() {
        write_rules(&mut out, chain, form);
    }
    out
}

/// Appends the line of a chain, `:NAME POLICY`.
pub fn write_chain(out: &mut String, chain: &Chain, form: Form) {
    let policy = chain.policy().map_or("-", |policy| policy.as_str());
    // Writing to a string cannot fail.
    let _ = writeln!(out, ":{} {policy}", form.name(chain.name().as_str()));
}

/// Appends a line for each rule of a chain, `-A NAME ...`.
pub fn write_rules(out: &mut String, chain: &Chain, form: Form) {
    let name = form.name(chain.name().as_str());
    for rule in chain.rules() {
        let _ = writeln!(out, "-A {name} {}", rule_text(rule, form));
    }
}

/// A rule as the command would be given it, without chain and command.
pub fn rule_text(rule: &Rule, form: Form) -> String {
    rule_words(rule, form).join(" ")
}

impl Form {
    /// A name that users choose.
    fn name(self, name: &str) -> Cow<'_, str> {
        let plain = |letter: char| {
            letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | '+' | ':' | '!' | '@')
        };
        if self == Self::Script || (!name.is_empty() && name.chars().all(plain)) {
            return Cow::Borrowed(name);
        }
        if name.is_empty() {
            return Cow::Borrowed("''");
        }
        let mut escaped = String::new();
        for letter in name.chars() {
            if !plain(letter) {
                escaped.push('\\');
            }
            escaped.push(letter);
        }
        Cow::Owned(escaped)
    }
}

fn rule_words(rule: &Rule, form: Form) -> Vec<String> {
    let conditions = &rule.conditions;
    let mut words = Words {
        form,
        words: Vec::new(),
    };
    words.add("-s");
    words.network(&conditions.source);
    words.ports(&conditions.source_ports);
    words.add("-d");
    words.network(&conditions.destination);
    words.ports(&conditions.destination_ports);
    match conditions.interface.value {
        InterfacePattern::Exact(name) => {
            words.option("-i", &conditions.interface, &form.name(name.as_str()));
        }
        InterfacePattern::Prefix(InterfaceName::EMPTY)
            if form == Form::Script || !conditions.interface.is_inverted() => {}
        InterfacePattern::Prefix(prefix) => {
            let prefix = match prefix.as_str() {
                "" => Cow::Borrowed(""),
                prefix => form.name(prefix),
            };
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
        words.add(&format!("-j {}", form.name(target.as_str())));
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
    words.words
}

struct Words {
    form: Form,
    words: Vec<String>,
}

impl Words {
    fn add(&mut self, word: &str) {
        self.words.push(word.to_owned());
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
        } else if ports.is_inverted() && self.form == Form::Lossless {
            // Without numbers it may stand beside any protocol.
            self.add("! :");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;
    use crate::script;

    #[test]
    fn what_the_script_forgets_is_kept_where_it_matters() {
        let source = "ipchains -N 'a b'\nipchains -N '#x'\nipchains -N ''\n\
                      ipchains -A input -p tcp --sport ! 0:65535\n\
                      ipchains -A input -p 47 --dport ! : -j '#x'\n\
                      ipchains -A input -i ! + -j DENY\n\
                      ipchains -A 'a b' -i 'wan 0+' -m +5 -t 01 10\n\
                      ipchains -A '' -i '$x'\n";
        let script = script::read(source, &Names::new());
        assert_eq!(script.mistakes, []);
        let kept = save_as(&script.ruleset, Form::Lossless);
        let again = script::read(&kept, &Names::new());
        assert_eq!(again.mistakes, [], "{kept}");
        assert_eq!(again.ruleset, script.ruleset, "{kept}");
        assert!(!save(&script.ruleset).contains("! :"));
    }
}
