//! What to write instead of what is wrong.

use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{EditError, Ruleset, Verdict};

use super::words::Word;
use crate::ipchains::{KernelError, OPTIONS, RunError, UsageError, UsageErrorKind as Kind};
use crate::names::{ICMP_NAMES, Names, Transport};

/// A refusal in words that name the thing, where ipchains' own do not.
pub(super) fn plain_words(error: &KernelError) -> String {
    let chain = error.chain;
    match error.error {
        EditError::NoSuchChain => format!("there is no chain `{chain}'"),
        EditError::NoSuchTarget => {
            let target = error.target.unwrap_or(ChainName::EMPTY);
            format!("there is no target `{target}'")
        }
        EditError::NoSuchRule => match error.number {
            Some(number) => format!("chain `{chain}' has no rule {number}"),
            None => format!("chain `{chain}' has no such rule"),
        },
        EditError::BadPosition => match error.number {
            Some(number) => format!("chain `{chain}' has no place {number}"),
            None => format!("chain `{chain}' has no such place"),
        },
        EditError::NoMatchingRule => format!("chain `{chain}' has no rule like this"),
        EditError::ChainExists => format!("chain `{chain}' exists already"),
        EditError::ChainNotEmpty => format!("chain `{chain}' still has rules"),
        EditError::ChainInUse => {
            format!("chain `{chain}' is built in, or a rule still jumps to it")
        }
    }
}

/// The word that made the kernel refuse.
pub(super) fn culprit(error: &KernelError, words: &[Word]) -> Option<usize> {
    let stands = |text: &str| words.iter().position(|word| word.text == text);
    match (error.error, error.number) {
        (EditError::NoSuchTarget, _) => {
            let target = error.target?;
            words.iter().rposition(|word| word.text == target.as_str())
        }
        (EditError::NoSuchRule | EditError::BadPosition, Some(number)) => {
            stands(&number.to_string()).or_else(|| stands(error.chain.as_str()))
        }
        _ => stands(error.chain.as_str()),
    }
}

/// Advice about a mistake, where there is any.
pub(super) fn hint(
    error: &RunError,
    words: &[Word],
    shift: usize,
    ruleset: &Ruleset,
    names: &Names,
) -> Option<String> {
    match error {
        RunError::Usage(error) => usage_hint(error, words, shift, names),
        RunError::Kernel(error) => kernel_hint(error, ruleset),
    }
}

/// Advice about a line that runs something else.
pub(super) fn other_program(program: &str) -> String {
    let advice = match program {
        "iptables" | "ip6tables" | "nft" | "ipfwadm" => "this file must speak ipchains",
        "if" | "then" | "else" | "elif" | "fi" | "for" | "while" | "until" | "do" | "done"
        | "case" | "esac" | "function" => "write the commands that the shell would run, one a line",
        _ => "take the line out",
    };
    format!("{advice}; --keep-going skips such lines")
}

fn usage_hint(error: &UsageError, words: &[Word], shift: usize, names: &Names) -> Option<String> {
    Some(match &error.kind {
        Kind::InvalidOption('a') => "commands are capital letters: write -A".to_owned(),
        Kind::UnrecognizedOption(name) => {
            let all = OPTIONS.iter().flat_map(|spec| spec.long.iter().copied());
            format!("did you mean --{}?", closest(name, all)?)
        }
        Kind::Port(written) => port_hint(written, words, names)?,
        Kind::IcmpType(written) => {
            let all = ICMP_NAMES.iter().map(|entry| entry.name);
            match closest(written, all) {
                Some(name) => format!("did you mean `{name}'?"),
                None => "write a number, or a name that `ipchains -h icmp' lists".to_owned(),
            }
        }
        Kind::AmbiguousIcmp { .. } => "write more of the name".to_owned(),
        Kind::HostNotLookedUp(_) => {
            "write the address, or give --resolve to look host names up".to_owned()
        }
        Kind::Host(_) => "write four numbers up to 255, such as 192.0.2.7".to_owned(),
        Kind::Mask(_) => "write 0 to 32, or four numbers such as 255.255.255.0".to_owned(),
        Kind::Protocol(_) => "write a number, tcp, udp, icmp or all".to_owned(),
        Kind::StrayWord(word) => stray_hint(error.word, word, words, shift),
        Kind::PortsWithoutProtocol => "add -p tcp, -p udp or -p icmp".to_owned(),
        Kind::PortsWithInvertedProtocol => "name the protocol without `!'".to_owned(),
        Kind::SynWithoutTcp => "add -p tcp".to_owned(),
        Kind::PolicyName(name) => policy_hint(name),
        Kind::PolicyOfUserChain => {
            "only input, forward and output have a policy; end your own chain with a rule that \
             has no conditions"
                .to_owned()
        }
        Kind::ChainNameTooLong(_) | Kind::TargetTooLong(_) => {
            "names have at most 8 characters".to_owned()
        }
        Kind::RuleNumber(_) => "rules are numbered from 1".to_owned(),
        Kind::Interface(_) => "interface names have at most 15 characters".to_owned(),
        Kind::MasqChain => "masquerade in the forward chain".to_owned(),
        Kind::RedirectChain => "redirect in the input chain".to_owned(),
        Kind::RedirectProtocol => "add -p tcp or -p udp".to_owned(),
        Kind::MissingOption(letter) => format!("add -{letter}"),
        Kind::IllegalOption(_) => match words.get(error.word.checked_sub(shift)?) {
            Some(word) => format!("leave {} out", word.text),
            None => return None,
        },
        Kind::RepeatedOption(letter) => match letter {
            's' | 'd' => format!("give -{letter} once, with at most one port or range"),
            letter => format!("give -{letter} once"),
        },
        Kind::TwoCommands { .. } => "write two lines".to_owned(),
        Kind::IcmpNameAndPort => "the name stands for type and code: leave the code out".to_owned(),
        Kind::NothingInverted => "write what is not to match after `!'".to_owned(),
        Kind::NoCommand => "begin with -A, -I, -D, -R, -P, -N, -F, -X, -Z".to_owned(),
        _ => return None,
    })
}

fn port_hint(written: &str, words: &[Word], names: &Names) -> Option<String> {
    if let Some((option, value)) = written.split_once('=') {
        return Some(format!(
            "ipchains 1.3.9 takes the whole word: write {option} {value}"
        ));
    }
    let known = |transport| names.service(written, transport);
    if let Some(port) = known(Transport::Tcp).or_else(|| known(Transport::Udp)) {
        let protocol = match known(Transport::Tcp) {
            Some(_) => "tcp",
            None => "udp",
        };
        return Some(format!(
            "`{written}' is known as a {protocol} service only: write {port}"
        ));
    }
    let udp = words
        .iter()
        .any(|word| word.text.eq_ignore_ascii_case("udp"));
    let transport = if udp { Transport::Udp } else { Transport::Tcp };
    let candidate = match written {
        "dns" => Some("domain"),
        _ => closest(written, names.service_names(transport)),
    };
    Some(match candidate {
        Some(name) => format!("did you mean `{name}'?"),
        None => "write a number from 0 to 65535 or a service".to_owned(),
    })
}

fn stray_hint(at: usize, word: &str, words: &[Word], shift: usize) -> String {
    let before = at
        .checked_sub(shift + 1)
        .and_then(|before| words.get(before))
        .map(|word| word.text.as_str());
    if word.trim().is_empty() {
        return "a blank after the backslash makes a word of its own: take it out".to_owned();
    }
    if before.is_some_and(|before| before.ends_with("-j")) {
        return "write a blank before -j".to_owned();
    }
    "an address takes one port or one range; everything else needs its option".to_owned()
}

fn policy_hint(name: &str) -> String {
    match capital(name) {
        Some(verdict) => format!("write {verdict}"),
        None => "a policy is ACCEPT, DENY, REJECT, or for forward also MASQ".to_owned(),
    }
}

fn kernel_hint(error: &KernelError, ruleset: &Ruleset) -> Option<String> {
    let chains = || ruleset.chains().iter().map(|chain| chain.name().as_str());
    Some(match error.error {
        EditError::NoSuchChain => match closest(error.chain.as_str(), chains()) {
            Some(name) => format!("did you mean `{name}'?"),
            None => format!("make it first: ipchains -N {}", error.chain),
        },
        EditError::NoSuchTarget => {
            let target = error.target?;
            if let Some(verdict) = capital(target.as_str()) {
                return Some(format!("write {verdict}"));
            }
            let user = ruleset
                .chains()
                .iter()
                .filter(|chain| chain.policy().is_none());
            let user = user.map(|chain| chain.name().as_str());
            match closest(target.as_str(), user) {
                Some(name) => format!("did you mean `{name}'?"),
                None => format!(
                    "write ACCEPT, DENY, REJECT, MASQ, REDIRECT or RETURN, or make the chain \
                     first: ipchains -N {target}"
                ),
            }
        }
        EditError::NoSuchRule | EditError::BadPosition => {
            let rules = ruleset.chain(&error.chain)?.rules().len();
            format!("`{}' has {rules} rules at this point", error.chain)
        }
        EditError::NoMatchingRule => {
            "all conditions, the target, -l and -o must be as in the rule".to_owned()
        }
        EditError::ChainExists => format!("flush it instead: ipchains -F {}", error.chain),
        EditError::ChainNotEmpty => format!("flush it first: ipchains -F {}", error.chain),
        EditError::ChainInUse => "delete the rules that jump to it first".to_owned(),
    })
}

/// The verdict that a word means: lower case, or the word of a later tool.
fn capital(word: &str) -> Option<&'static str> {
    let upper = word.to_ascii_uppercase();
    match upper.as_str() {
        "DROP" => Some("DENY"),
        "MASQUERADE" => Some("MASQ"),
        "RETURN" => Some("RETURN"),
        upper => Verdict::from_name(upper).map(Verdict::as_str),
    }
}

/// The candidate that is at most a third of its letters away.
fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance > 0 && distance * 3 <= candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}
