//! The packet that a question is about: words, a log line, or one of a capture.

use std::fmt;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use portcullis_analysis::{Packet, explain};
use portcullis_core::packet::Suspect;
use portcullis_core::packet_log::PacketLog;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::CaptureReader;
use portcullis_syntax::packet_words;

use super::ExplainArgs;
use crate::captured::Viewpoint;
use crate::report::stderr::{printable, tell};
use crate::rules;

/// What is asked.
pub(super) struct Question {
    /// The chain to start in, numbered from 0.
    pub(super) chain: usize,
    pub(super) packet: Described,
}

/// A packet, or why rules never see it.
pub(super) enum Described {
    Packet(Packet),
    Suspect(Suspect),
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet) => packet.fmt(f),
            Self::Suspect(_) => f.write_str("a suspect fragment"),
        }
    }
}

const LOG: &str = "Packet log: ";

/// Reads whatever describes the packet: a question for each chain that it
/// meets, at least one.
pub(super) fn read(args: &ExplainArgs, reference: &Reference) -> anyhow::Result<Vec<Question>> {
    let text = args.packet.join(" ");
    if let Some(start) = text.find(LOG) {
        return Ok(vec![log_line(text[start..].trim_end(), reference)?]);
    }
    if let Some((file, number)) = text.rsplit_once('#')
        && let Ok(number) = number.parse()
    {
        return captured(Path::new(file), number, args, reference);
    }
    let words = packet_words::read(&text, &rules::names());
    let words = words.map_err(|error| {
        anyhow!(
            "{}; `portcullis explain --help' shows packets",
            printable(&error.to_string())
        )
    })?;
    Ok(vec![Question {
        chain: words.chain.position(),
        packet: Described::Packet(Packet {
            interface: words.interface,
            key: words.key,
        }),
    }])
}

fn log_line(line: &str, reference: &Reference) -> anyhow::Result<Question> {
    use portcullis_core::matcher::Matcher as _;

    let log: PacketLog = line
        .parse()
        .map_err(|error| anyhow!("this is no whole packet-log line: {error}"))?;
    let packet = Packet {
        interface: log.interface,
        key: log.key(),
    };
    let ruleset = reference.ruleset();
    let logged = ruleset.position(&log.chain);
    let number = log.rule.wrapping_sub(1);
    // A user chain was entered from a built-in one: from the one that writes
    // this line.
    let wrote = |chain: &BuiltIn| {
        let explanation = explain(reference, chain.position(), &packet, 0);
        let mut matched = explanation.matched.iter();
        matched.any(|it| Some(it.chain as usize) == logged && it.rule == number)
    };
    let own = BuiltIn::from_name(log.chain.as_str());
    let chain = own.or_else(|| BuiltIn::ALL.into_iter().find(wrote));
    let chain = match (chain, logged) {
        (Some(chain), _) => chain.position(),
        (None, Some(chain)) => chain,
        (None, None) => bail!(
            "these rules have no chain `{}'",
            printable(log.chain.as_str())
        ),
    };
    let explanation = explain(reference, chain, &packet, 0);
    let mut matched = explanation.matched.iter();
    if !matched.any(|it| Some(it.chain as usize) == logged && it.rule == number) {
        tell(format_args!(
            "these rules would not have written this line: the packet does not meet rule {} of {}",
            log.rule,
            printable(log.chain.as_str())
        ));
    }
    Ok(Question {
        chain,
        packet: Described::Packet(packet),
    })
}

fn captured(
    file: &Path,
    number: u64,
    args: &ExplainArgs,
    reference: &Reference,
) -> anyhow::Result<Vec<Question>> {
    let shown = printable(&file.display().to_string());
    let mut reader = CaptureReader::open(file)?;
    while let Some(record) = reader.next_record()? {
        if record.number != number {
            continue;
        }
        let seen = Viewpoint {
            chain: args.chain,
            interface: args.interface,
            local: (!args.local.is_empty()).then(|| LocalAddresses::new(args.local.clone())),
        }
        .see(&record, reference)
        .with_context(|| format!("packet {number} of {shown}"))?;
        for remark in seen.assumed {
            tell(format_args!("{remark}"));
        }
        let question = |step: &Step| Question {
            chain: step.chain.position(),
            packet: match seen.key {
                Ok(key) => Described::Packet(Packet {
                    interface: step.interface,
                    key,
                }),
                Err(suspect) => Described::Suspect(suspect),
            },
        };
        return Ok(seen.steps.iter().map(question).collect());
    }
    bail!(
        "{shown} has {} packets; there is no packet {number}",
        reader.records()
    );
}
