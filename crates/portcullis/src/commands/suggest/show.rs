//! Groups and plans in words.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use portcullis_analysis::suggest::{
    Added, Group, Opened, Plan, Side, Stance, Transport, Unseen, Way,
};
use portcullis_core::matcher::Place;
use portcullis_core::names::ChainName;
use portcullis_core::packet::protocol;
use portcullis_core::ruleset::{Network, PortRange};
use portcullis_syntax::names;
use serde_json::{Value, json};

use super::read::Evidence;
use crate::report::rule_words::rule_words;
use crate::report::stderr::printable;
use crate::rules::{self, RuleFile};

/// Lines that describe what one chain opens, at most.
const MOST_RANGES: usize = 12;

/// Conversations from which nothing can be estimated.
const FEW: usize = 10;

/// What groups and plans are shown with.
pub(super) struct Shown<'a> {
    pub(super) rules: &'a RuleFile,
    pub(super) groups: &'a [Group],
    pub(super) evidence: &'a Evidence,
    /// The address under which this machine masquerades.
    pub(super) outside: Option<u32>,
    /// The ports that this machine opens connections from.
    pub(super) port_range: PortRange,
    /// The file of what must stay shut.
    pub(super) never: Option<&'a str>,
}

impl Shown<'_> {
    /// A group with its number: what it is, and why that is thought.
    pub(super) fn group(&self, number: usize) -> String {
        let group = &self.groups[number];
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}. {group}  [{}]", number + 1, group.service());
        for line in self.reasons(group) {
            let _ = writeln!(text, "     {line}");
        }
        text
    }

    fn reasons(&self, group: &Group) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(group.pattern.map(|it| it.words.to_owned()));
        if let Some(announced) = &group.announced {
            let [client, server] = [announced.client, announced.server].map(Ipv4Addr::from_bits);
            let at = match announced.when.as_str() {
                "" => String::new(),
                when => format!(" at {when}"),
            };
            lines.push(match announced.by_server {
                true => format!("{server} named port {} to {client}{at}", announced.port),
                false => format!("{client} sent PORT {} to {server}{at}", announced.port),
            });
        } else if group.pattern.is_some_and(|it| it.name == "ftp-active") {
            lines.push(
                "no control connection was seen: that a client asked for it is not proved"
                    .to_owned(),
            );
        }
        if group.guessed {
            lines.push(
                "no control connection was seen: that it is FTP is a guess, from the many high \
                 ports of one server"
                    .to_owned(),
            );
        }
        if group.pattern.is_none() && group.is_offered() {
            lines.extend(unknown(group));
        }
        lines.push(seen(group));
        if group.stance == Stance::Asked {
            lines.push("somebody asks this machine; let it in only if it serves that".to_owned());
        }
        if group.is_masqueraded() && self.outside.is_none() {
            lines.push(
                "masqueraded under an address that --local does not tell: the rules name none"
                    .to_owned(),
            );
        }
        let out = group.way == Way::Out && group.protocol != Transport::Icmp.number();
        if out && let Some(port) = self.outside_range(group) {
            lines.push(format!(
                "port {port} is not in --port-range: the rules follow what was seen"
            ));
        }
        lines
    }

    /// A local port that was not to be expected.
    fn outside_range(&self, group: &Group) -> Option<u16> {
        let pattern = group.pattern?;
        let chosen = pattern.opener == portcullis_analysis::suggest::Ports::Chosen;
        let range = self.port_range;
        let mut ports = group.opener.ports.iter().copied();
        ports.find(|port| chosen && !range.contains(*port))
    }

    /// The groups of a rule, for a comment.
    pub(super) fn titles(&self, groups: &[usize]) -> String {
        let titles: Vec<String> = groups
            .iter()
            .map(|it| self.groups[*it].to_string())
            .collect();
        titles.join("; ")
    }

    /// The commands, each with its place.
    pub(super) fn rules(&self, plan: &Plan) -> String {
        let mut text = String::new();
        let mut last = None;
        for (added, command) in plan.added.iter().zip(commands(&plan.added)) {
            let place = (added.chain, added.before);
            if last != Some(place) {
                let _ = writeln!(text, "  {}", self.place(added));
                last = Some(place);
            }
            let _ = writeln!(text, "    {command}");
        }
        text
    }

    fn place(&self, added: &Added) -> String {
        let chain = self.rules.script.ruleset.chain(&added.chain);
        let count = chain.map_or(0, |chain| chain.rules().len());
        let name = added.chain;
        if added.before > count {
            return format!("at the end of {name}, before its policy:");
        }
        let at = self.rules.place(&added.chain, added.before - 1);
        let command = self.rules.command(&added.chain, added.before - 1);
        format!("in {name} before rule {}, {at}: {command}", added.before)
    }

    /// What the plan opens, proved.
    pub(super) fn certificate(&self, plan: &mut Plan) -> anyhow::Result<String> {
        let mut text = String::new();
        let opened = plan.certificate.opened.clone();
        for Opened {
            chain,
            packets,
            count,
            seen,
        } in opened
        {
            let summary = plan.space.summary(packets, MOST_RANGES)?;
            for range in &summary.ranges {
                let _ = writeln!(text, "  {chain}: {range}");
            }
            if !summary.rest.is_empty() {
                let _ = writeln!(text, "  {chain}: and more");
            }
            let _ = writeln!(text, "    {}", width(count, seen));
        }
        let certificate = &plan.certificate;
        if certificate.opened.is_empty() {
            let _ = writeln!(text, "  nothing");
        }
        if !certificate.as_named || !certificate.other.is_empty() {
            let _ = writeln!(
                text,
                "  and these rules change more than that: look at them"
            );
        }
        if let Some(never) = self.never {
            if certificate.forbidden.is_empty() {
                let _ = writeln!(text, "  Nothing of it is in {never}.");
            }
            for forbidden in &certificate.forbidden {
                let (chain, example) = (forbidden.chain, forbidden.example);
                let _ = writeln!(text, "  {never} keeps shut: {chain} {example}");
            }
        }
        Ok(text)
    }

    /// Groups that the plan cannot help, and why.
    pub(super) fn not_helped(&self, plan: &Plan) -> String {
        let mut text = String::new();
        for (group, place) in &plan.on_purpose {
            let (at, command) = self.rule_at(*place);
            let _ = writeln!(
                text,
                "{}. {}: denied on purpose by {at}: {command}",
                group + 1,
                self.groups[*group]
            );
        }
        let on_purpose = |number: &usize| {
            let mut groups = plan.on_purpose.iter();
            groups.any(|(group, _)| self.groups[*group].denials.contains(number))
        };
        let left = plan.still_denied.iter().filter(|it| !on_purpose(it));
        for number in left {
            let denial = &self.evidence.denials[*number];
            let _ = writeln!(text, "still denied: {} {}", denial.chain, denial.packet);
        }
        text
    }

    pub(super) fn rule_at(&self, place: Place) -> (String, String) {
        let chain = &self.rules.script.ruleset.chains()[place.chain as usize];
        let number = place.rule as usize;
        let name: &ChainName = chain.name();
        (
            self.rules.place(name, number),
            self.rules.command(name, number),
        )
    }

    /// How much may be missing.
    pub(super) fn unseen(&self, unseen: &Unseen) -> String {
        let Some(chance) = unseen.chance() else {
            return String::new();
        };
        let Unseen {
            kinds,
            conversations,
            once,
        } = unseen;
        let plural = |count: &usize, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let (conversations, kinds) = (plural(conversations, "conversation"), plural(kinds, "kind"));
        let once = match once {
            1 => "1 was the only one of its kind".to_owned(),
            once => format!("{once} were the only ones of their kind"),
        };
        let mut text = format!(
            "What is still unseen: of {conversations}, {once} ({kinds}).\nBy Good and Turing's \
             estimate the next one is of a kind never seen before with a chance of {:.0} %.\n",
            chance * 100.0
        );
        if unseen.conversations < FEW {
            text += "With so few that says little more than: look again in a day or two.\n";
        }
        if self.evidence.logs {
            text += "A log tells only of what was denied and logged.\n";
        }
        text
    }

    pub(super) fn json(&self, plan: &mut Plan, wanted: &[usize]) -> anyhow::Result<Value> {
        let groups: Vec<Value> = (0..self.groups.len())
            .map(|number| self.group_json(number, wanted))
            .collect();
        let rules: Vec<Value> = plan
            .added
            .iter()
            .zip(commands(&plan.added))
            .map(|(added, command)| {
                let origin = self
                    .rules
                    .script
                    .origins
                    .rule(&added.chain, added.before - 1);
                json!({
                    "chain": added.chain.as_str(),
                    "before": added.before,
                    "file": self.rules.name,
                    "line": self.rules.line_of(origin),
                    "rule": rule_words(&added.rule),
                    "command": command,
                    "groups": added.groups.iter().map(|it| it + 1).collect::<Vec<_>>(),
                })
            })
            .collect();
        let mut opened = Vec::new();
        for it in plan.certificate.opened.clone() {
            let summary = plan.space.summary(it.packets, MOST_RANGES)?;
            opened.push(json!({
                "chain": it.chain.as_str(),
                "ranges": summary.ranges.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "complete": summary.rest.is_empty(),
                "packets": it.count,
                "seen": it.seen,
            }));
        }
        let certificate = &plan.certificate;
        let forbidden = certificate.forbidden.iter();
        let forbidden: Vec<String> = forbidden
            .map(|it| format!("{} {}", it.chain, it.example))
            .collect();
        let unseen = Unseen::of(self.groups);
        let evidence = self.evidence;
        Ok(json!({
            "groups": groups,
            "rules": rules,
            "opened": opened,
            "nothing_else_changed": certificate.as_named && certificate.other.is_empty(),
            "never": self.never,
            "forbidden": forbidden,
            "on_purpose": plan.on_purpose.iter().map(|(group, place)| json!({
                "group": group + 1,
                "rule": self.rule_at(*place).0,
            })).collect::<Vec<_>>(),
            "still_denied": plan.still_denied.len(),
            "unseen": {
                "kinds": unseen.kinds,
                "conversations": unseen.conversations,
                "once": unseen.once,
                "chance_of_a_new_kind": unseen.chance(),
            },
            "damaged_lines": evidence.condition.damaged.len(),
            "let_through": evidence.let_through,
            "unplaced": evidence.unplaced,
            "left_out_records": evidence.left_out,
        }))
    }

    fn group_json(&self, number: usize, wanted: &[usize]) -> Value {
        let group = &self.groups[number];
        let side = |side: &Side| match side.network == Network::ANY {
            true => Value::Null,
            false => json!(Ipv4Addr::from_bits(side.network.address()).to_string()),
        };
        json!({
            "number": number + 1,
            "service": group.service(),
            "title": group.to_string(),
            "reasons": self.reasons(group),
            "stance": match group.stance {
                Stance::Offered => "offered",
                Stance::Asked => "asked",
                Stance::Scan { .. } => "scan",
                Stance::Unwanted => "unwanted",
                Stance::Fragments => "fragments",
            },
            "way": way(group.way),
            "opener": side(&group.opener),
            "answerer": side(&group.answerer),
            "packets": group.packets,
            "conversations": group.conversations,
            "wanted": wanted.contains(&number),
        })
    }
}

/// A way's word, which --wanted knows.
pub(super) fn way(way: Way) -> &'static str {
    match way {
        Way::Out => "out",
        Way::In => "in",
        Way::Through => "through",
        Way::Within => "within",
    }
}

/// The commands of rules in the order in which they can be run one after the
/// other.
fn commands(added: &[Added]) -> Vec<String> {
    let command = |(number, it): (usize, &Added)| {
        let before = added[..number]
            .iter()
            .filter(|it| it.chain == added[number].chain);
        let (chain, place) = (it.chain, it.before + before.count());
        format!("ipchains -I {chain} {place} {}", rule_words(&it.rule))
    };
    added.iter().enumerate().map(command).collect()
}

/// What can be said of a service without a pattern.
fn unknown(group: &Group) -> Vec<String> {
    const HIGH: u16 = 1024;
    let transport = match group.protocol {
        protocol::TCP => names::Transport::Tcp,
        protocol::UDP => names::Transport::Udp,
        _ => return vec!["no known service looks like this".to_owned()],
    };
    let names = rules::names();
    let port = group.answerer.ports.first().copied();
    let name = port.and_then(|it| names.service_name(it, transport));
    let mut lines = vec![match name {
        Some(name) => format!("the port is that of {}", printable(name)),
        None => "no known service looks like this".to_owned(),
    }];
    let high = |side: &Side| side.ports.iter().all(|it| *it >= HIGH);
    let asked_here = matches!(group.way, Way::Out | Way::Through);
    let tcp = group.protocol == protocol::TCP;
    if tcp && name.is_none() && asked_here && high(&group.opener) && high(&group.answerer) {
        lines.push(
            "passive FTP data looks like this as well; then the next connection has another port"
                .to_owned(),
        );
    }
    lines
}

fn seen(group: &Group) -> String {
    let plural = |count: u64, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let packets = plural(group.packets, "packet");
    let conversations = plural(group.conversations as u64, "conversation");
    let (first, last) = &group.times;
    let times = match (first.as_str(), last.as_str()) {
        ("", _) => String::new(),
        (first, last) if first == last => format!(", {first}"),
        (first, last) => format!(", {first} to {last}"),
    };
    format!("{packets} of {conversations}{times}")
}

/// How much wider a set is than what was seen of it.
fn width(count: f64, seen: usize) -> String {
    let packets = if count < 1e7 {
        format!("{count}")
    } else {
        format!("{count:.1e}")
    };
    match seen {
        0 => format!("{packets} different packets, of which none was seen"),
        seen => format!(
            "{packets} different packets, {seen} of them seen: {:.0} times as wide",
            count / seen as f64
        ),
    }
}
