//! A parsed command as plain words again, for somebody who has no names to look up.

use super::command::{Action, Command, NewRule, RuleSpec};
use super::parse::parse;
use crate::names::Names;
use crate::save::{Form, rule_text};

impl Command {
    /// Words that mean this command wherever they are parsed with the same fidelity, without names
    /// of hosts, services or protocols; word 0 is the program. `None` if it prints something, makes
    /// several rules, or cannot be said so.
    pub fn plain_words(&self) -> Option<Vec<String>> {
        if self.verbose || !self.warnings.is_empty() {
            return None;
        }
        let text = match &self.action {
            Action::Append(spec) => format!("-A {} {}", spec.chain, only(spec)?),
            Action::Insert(spec, number) => format!("-I {} {number} {}", spec.chain, only(spec)?),
            Action::Replace(spec, number) => format!("-R {} {number} {}", spec.chain, only(spec)?),
            Action::DeleteMatching(spec) => format!("-D {} {}", spec.chain, only(spec)?),
            Action::DeleteNumber(chain, number) => format!("-D {chain} {number}"),
            Action::Flush(Some(chain)) => format!("-F {chain}"),
            Action::Flush(None) => "-F".to_owned(),
            Action::Zero(Some(chain)) => format!("-Z {chain}"),
            Action::Zero(None) => "-Z".to_owned(),
            Action::NewChain(chain) => format!("-N {chain}"),
            Action::DeleteChain(Some(chain)) => format!("-X {chain}"),
            Action::DeleteChain(None) => "-X".to_owned(),
            Action::Policy(chain, policy) => format!("-P {chain} {}", policy.as_str()),
            _ => return None,
        };
        let words = text.split(' ').filter(|word| !word.is_empty());
        let words: Vec<String> = ["ipchains"]
            .into_iter()
            .chain(words)
            .map(str::to_owned)
            .collect();
        // Names with blanks, and whatever else the words do not tell.
        let understood = parse(&words, &Names::new(), self.fidelity);
        (understood.as_ref() == Ok(self)).then_some(words)
    }
}

/// The only rule of several.
fn only(spec: &RuleSpec) -> Option<String> {
    let [NewRule { rule, target }] = spec.rules.as_slice() else {
        return None;
    };
    let mut text = rule_text(rule, Form::Lossless);
    if let Some(target) = target {
        text += &format!(" -j {}", target.name);
        if target.redirect_port != 0 {
            text += &format!(" {}", target.redirect_port);
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::Fidelity;
    use super::*;

    fn plain(line: &str) -> Option<String> {
        let words: Vec<String> = line.split('|').map(str::to_owned).collect();
        let command = parse(&words, &Names::new(), Fidelity::Repaired).unwrap();
        command.plain_words().map(|words| words.join(" "))
    }

    #[test]
    fn commands_are_said_in_numbers() {
        for (line, said) in [
            (
                "ipchains|-A|input|-p|tcp|-s|10.1.2.3|-d|0/0|www|-y|-j|DENY|-l",
                "ipchains -A input -s 10.1.2.3/255.255.255.255 -d 0.0.0.0/0.0.0.0 80:80 -p 6 -l \
                 -y -j DENY",
            ),
            (
                "ipchains|-I|input|3|-p|udp|-d|0/0|53|-j|REDIRECT|5353",
                "ipchains -I input 3 -s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 53:53 -p 17 -j \
                 REDIRECT 5353",
            ),
            ("ipchains|-D|forward|17", "ipchains -D forward 17"),
            ("ipchains|-P|output|DENY", "ipchains -P output DENY"),
            ("ipchains|-F", "ipchains -F"),
            ("ipchains|-N|mine", "ipchains -N mine"),
        ] {
            assert_eq!(plain(line).as_deref(), Some(said));
        }
    }

    #[test]
    fn what_cannot_be_said_plainly_is_not() {
        for line in [
            "ipchains|-A|input|-v|-j|DENY",
            "ipchains|-A|input|-b|-s|10.1.2.3|-j|DENY",
            "ipchains|-N|a b",
            "ipchains|-L",
        ] {
            assert_eq!(plain(line), None, "{line}");
        }
    }
}
