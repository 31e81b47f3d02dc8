//! `portcullis suggest`.

mod ask;
mod ftp;
mod read;
mod show;
mod write;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use portcullis_analysis::suggest::{Group, OwnPorts, Plan, Setting, Stance, Unseen, groups, plan};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{Network, PortRange};
use portcullis_core::traversal::LocalAddresses;

use crate::args::{NamedInterface, named_interface, network};
use crate::report::stderr::{printable, tell};
use crate::report::stdout;
use crate::rules::{self, Hosts, OnMistake, RuleFile};
use crate::{DONE, FINDINGS, USAGE};
use read::{Evidence, Reading};
use show::Shown;

/// Find the rules that are missing, from what was denied, and prove what they open.
///
/// Denied packets are put together to conversations and named. Rules are proposed for those that
/// this machine or one behind it asked for: the fewest and narrowest, in every chain and both
/// directions, each with its place. On a terminal, one group is asked about at a time.
#[derive(Debug, Args)]
#[command(
    after_help = "SPEC is words that must all fit a group: its name in brackets, its number, a \
    part of its title, an address, or in, out, through. `all' is every group that is offered. \
    Scans are never let in.\n\n\
    Exit status: 0 done; 1 something was refused: --never forbids it, or a rule denies it on \
    purpose; or a log is damaged; 2 the command line, a file or a rule is wrong."
)]
pub(crate) struct SuggestArgs {
    /// Logs and captures: syslog files, pcap or pcapng, also compressed.
    #[arg(required = true, value_name = "LOG|CAPTURE")]
    files: Vec<PathBuf>,

    /// Rules: a script of ipchains commands, or what ipchains-save wrote.
    #[arg(short, long, value_name = "FILE")]
    rules: PathBuf,

    /// Go on without commands that fail, as a shell does.
    #[arg(long)]
    keep_going: bool,

    /// Let these groups through, without asking. May be given several times.
    #[arg(long, value_name = "SPEC")]
    wanted: Vec<String>,

    /// Rules that describe what must stay shut: whatever one of them denies or rejects.
    #[arg(long, value_name = "FILE")]
    never: Option<PathBuf>,

    /// This machine's own addresses, which tell the chains of captured packets.
    #[arg(long, value_name = "ADDRESS[/LENGTH]", value_parser = network, value_delimiter = ',')]
    local: Vec<Network>,

    /// The interface of captured packets, in all chains or in one: `forward=eth0'.
    #[arg(long, value_name = "[CHAIN=]NAME", value_parser = named_interface)]
    interface: Vec<NamedInterface>,

    /// The ports that this machine opens connections from, and masquerades from.
    #[arg(long, value_name = "FIRST:LAST", value_parser = port_range, default_value = "61000:65095")]
    port_range: PortRange,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,

    /// Write the rules with those that were added to this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Runs the command; the result is the exit status.
pub(crate) fn run(args: &SuggestArgs) -> anyhow::Result<u8> {
    let on_mistake = match args.keep_going {
        true => OnMistake::KeepGoing,
        false => OnMistake::Refuse,
    };
    let load = |path| rules::load_file(path, on_mistake, Hosts::Refused, "nothing was suggested");
    let Some(rules) = load(&args.rules)? else {
        return Ok(USAGE);
    };
    let never = match &args.never {
        None => None,
        Some(path) => match load(path)? {
            Some(never) => Some(never),
            None => return Ok(USAGE),
        },
    };
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let asks = terminal && args.wanted.is_empty() && !args.json;
    if args.write.is_some() && args.wanted.is_empty() && !asks {
        bail!("say with --wanted what to let through before it is written");
    }
    let local = (!args.local.is_empty()).then(|| LocalAddresses::new(args.local.clone()));
    let reference = Reference::new(Arc::new(rules.script.ruleset.clone()));
    let reading = Reading {
        reference: &reference,
        local: local.as_ref(),
        interfaces: &args.interface,
    };
    let mut evidence = reading.read(&args.files)?;
    let setting = Setting {
        local,
        outside: outside(&args.local),
        port_range: OwnPorts(args.port_range),
        announced: std::mem::take(&mut evidence.announced),
    };
    tell_remarks(&evidence);
    let session = Session {
        args,
        rules: &rules,
        never: never.as_ref(),
        groups: groups(&evidence.denials, &setting),
        evidence,
        setting,
    };
    session.run(asks)
}

/// The only one of the machine's addresses that may be seen outside.
fn outside(local: &[Network]) -> Option<u32> {
    let whole = local.iter().filter(|it| it.prefix_length() == Some(32));
    let mut public = whole
        .map(Network::address)
        .filter(|it| !std::net::Ipv4Addr::from_bits(*it).is_private());
    public.next().filter(|_| public.next().is_none())
}

/// What nobody should be surprised by later.
fn tell_remarks(evidence: &Evidence) {
    evidence.condition.tell();
    for file in &evidence.empty {
        tell(format_args!("{file}: there is no packet-log line in it"));
    }
    for remark in &evidence.assumed {
        tell(format_args!("{remark}"));
    }
    let counts = [
        (
            evidence.let_through,
            "packet",
            "denied in the log and let through by these rules",
        ),
        (
            evidence.unplaced,
            "packet",
            "logged by chains that these rules do not lead to",
        ),
        (
            evidence.left_out,
            "record",
            "left out: no IPv4, damaged or cut",
        ),
        (
            evidence.no_way_out,
            "forwarded packet",
            "not followed: say with --interface forward=NAME and --interface output=NAME where \
             they leave",
        ),
    ];
    for (count, what, became) in counts {
        match count {
            0 => {}
            1 => tell(format_args!("1 {what} was {became}")),
            _ => tell(format_args!("{count} {what}s were {became}")),
        }
    }
}

struct Session<'a> {
    args: &'a SuggestArgs,
    rules: &'a RuleFile,
    never: Option<&'a RuleFile>,
    groups: Vec<Group>,
    evidence: Evidence,
    setting: Setting,
}

impl Session<'_> {
    fn shown(&self) -> Shown<'_> {
        Shown {
            rules: self.rules,
            groups: &self.groups,
            evidence: &self.evidence,
            outside: self.setting.outside,
            port_range: self.setting.port_range.0,
            never: self.never.map(|it| it.name.as_str()),
        }
    }

    fn plan(&self, wanted: &[usize]) -> anyhow::Result<Plan> {
        let never = self.never.map(|it| &it.script.ruleset);
        let (ruleset, denials) = (&self.rules.script.ruleset, &self.evidence.denials);
        plan(ruleset, never, &self.groups, wanted, denials, &self.setting)
            .context("nothing can be proved about these rules")
    }

    fn run(&self, asks: bool) -> anyhow::Result<u8> {
        let wanted = match (asks, self.args.wanted.as_slice()) {
            (true, _) => match self.ask()? {
                Some(wanted) => wanted,
                None => return Ok(DONE),
            },
            (false, []) => self.proposed(),
            (false, specs) => self.chosen(specs)?,
        };
        let mut plan = self.plan(&wanted)?;
        let shown = self.shown();
        let text = match self.args.json {
            true => format!("{:#}\n", shown.json(&mut plan, &wanted)?),
            false => self.report(&mut plan, &wanted, asks)?,
        };
        stdout::write(text.as_bytes())?;
        let forbidden = !plan.certificate.forbidden.is_empty();
        let refused = forbidden || !plan.on_purpose.is_empty() || !plan.still_denied.is_empty();
        if let Some(path) = &self.args.write {
            if forbidden {
                tell(format_args!(
                    "{} was not written: something must stay shut that these rules would open",
                    printable(&path.display().to_string())
                ));
            } else {
                write::replace(path, &write::text(self.rules, &plan, &shown))?;
            }
        }
        let damaged = !self.evidence.condition.damaged.is_empty();
        Ok(match refused || damaged {
            true => FINDINGS,
            false => DONE,
        })
    }

    /// What nobody has to be asked about.
    fn proposed(&self) -> Vec<usize> {
        let offered = |it: &usize| self.groups[*it].stance == Stance::Offered;
        (0..self.groups.len()).filter(offered).collect()
    }

    fn offered(&self) -> Vec<usize> {
        let offered = |it: &usize| self.groups[*it].is_offered();
        (0..self.groups.len()).filter(offered).collect()
    }

    /// The groups that --wanted means.
    fn chosen(&self, specs: &[String]) -> anyhow::Result<Vec<usize>> {
        let mut chosen = Vec::new();
        for spec in specs {
            let fitting: Vec<usize> = (0..self.groups.len())
                .filter(|it| spec == "all" || self.fits(*it, spec))
                .collect();
            let offered = |it: &&usize| self.groups[**it].is_offered();
            let before = chosen.len();
            chosen.extend(fitting.iter().filter(offered));
            if chosen.len() == before {
                let known: Vec<String> = self
                    .offered()
                    .iter()
                    .map(|it| format!("{} ({})", self.groups[*it].service(), self.groups[*it]))
                    .collect();
                let why = match fitting.first() {
                    Some(group) => format!("{} is not let in", self.groups[*group]),
                    None => "nothing that was denied is that".to_owned(),
                };
                let known = match known.is_empty() {
                    true => "nothing is offered".to_owned(),
                    false => format!("there is {}", known.join(", ")),
                };
                bail!("--wanted `{}': {why}; {known}", printable(spec));
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }

    fn fits(&self, number: usize, spec: &str) -> bool {
        let group = &self.groups[number];
        let title = group.to_string().to_lowercase();
        let service = group.service();
        let has_address = |word: &str| {
            let address = word.parse().map(std::net::Ipv4Addr::to_bits);
            let sides = [&group.opener, &group.answerer];
            address.is_ok_and(|it| {
                let same = |network: &Network| *network == Network::with_prefix(it, 32);
                sides.iter().any(|side| same(&side.network))
            })
        };
        let fits = |word: &str| {
            let bare = word.trim_start_matches('#');
            word == service
                || word == show::way(group.way)
                || bare == (number + 1).to_string()
                || has_address(word)
        };
        let words = || spec.split_whitespace();
        words().next().is_some() && (title.contains(&spec.to_lowercase()) || words().all(fits))
    }

    fn ask(&self) -> anyhow::Result<ask::Answer> {
        let shown = self.shown();
        let offered = self.offered();
        if offered.is_empty() {
            return Ok(Some(offered));
        }
        let describe = |group: usize| -> anyhow::Result<String> {
            let mut plan = self.plan(&[group])?;
            Ok(format!(
                "\n{}{}{}opens\n{}",
                shown.group(group),
                shown.rules(&plan),
                shown.not_helped(&plan),
                shown.certificate(&mut plan)?,
            ))
        };
        ask::ask(
            &offered,
            &mut io::stdin().lock(),
            &mut io::stdout().lock(),
            describe,
        )
    }

    fn report(&self, plan: &mut Plan, wanted: &[usize], asked: bool) -> anyhow::Result<String> {
        let shown = self.shown();
        let mut text = String::new();
        if self.groups.is_empty() {
            return Ok(match self.evidence.condition.damaged.is_empty() {
                true => "Nothing was denied.\n".to_owned(),
                false => "What was denied cannot be read.\n".to_owned(),
            });
        }
        if !asked {
            text += &self.listed(&shown, wanted);
        }
        if wanted.is_empty() {
            text += "No rule is proposed.\n";
        } else {
            text += "Rules to add\n";
            text += &match plan.added.is_empty() {
                true => "  none\n".to_owned(),
                false => shown.rules(plan),
            };
            text += "\nThey open this and nothing else, proved on all packets\n";
            text += &shown.certificate(plan)?;
            let not_helped = shown.not_helped(plan);
            if !not_helped.is_empty() {
                text += &format!("\nNot helped\n{not_helped}");
            }
        }
        let unseen = shown.unseen(&Unseen::of(&self.groups));
        Ok(text + "\n" + &unseen)
    }

    /// All groups: what is let through, what could be, and what is not.
    fn listed(&self, shown: &Shown<'_>, wanted: &[usize]) -> String {
        let mut text = String::new();
        let could = |it: &usize| self.groups[*it].is_offered() && !wanted.contains(it);
        let all = 0..self.groups.len();
        let (could, not): (Vec<usize>, Vec<usize>) =
            all.filter(|it| !wanted.contains(it)).partition(could);
        let sections = [
            ("Let through", wanted.to_vec()),
            ("Kept shut; --wanted lets it through", could),
            ("Not offered", not),
        ];
        for (title, groups) in sections {
            if !groups.is_empty() {
                text += &format!("{title}\n");
                text.extend(groups.iter().map(|it| shown.group(*it)));
                text.push('\n');
            }
        }
        text
    }
}

/// `FIRST:LAST`.
fn port_range(text: &str) -> Result<PortRange, String> {
    let wrong = || "write the first and the last port, such as 61000:65095".to_owned();
    let (first, last) = text.split_once([':', '-']).ok_or_else(wrong)?;
    let number = |word: &str| word.trim().parse::<u16>().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    match first <= last {
        true => Ok(PortRange { first, last }),
        false => Err(wrong()),
    }
}
