//! Denied packets, out of logs and captures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;
use portcullis_analysis::suggest::{Announced, Denial};
use portcullis_analysis::{Packet, explain};
use portcullis_core::packet_log::PacketLog;
use portcullis_core::reference::{Outcome, Reference};
use portcullis_core::ruleset::{BuiltIn, Verdict};
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::capture::{CaptureReader, Record, Timestamp};

use super::ftp;
use crate::args::NamedInterface;
use crate::captured::Viewpoint;
use crate::log_text::{self, Condition};
use crate::report::stderr::printable;

/// Everything that the files tell.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) denials: Vec<Denial>,
    places: HashMap<(BuiltIn, Packet), usize>,
    pub(super) announced: Vec<Announced>,
    /// What is wrong with the logs.
    pub(super) condition: Condition,
    /// Logs without a packet-log line.
    pub(super) empty: Vec<String>,
    /// Whether there was a log, or a capture.
    pub(super) logs: bool,
    pub(super) captures: bool,
    /// Packets of captures that were judged.
    pub(super) judged: u64,
    /// Packets that the logs call denied and these rules let through.
    pub(super) let_through: u64,
    /// Packets of user chains that no built-in chain leads to.
    pub(super) unplaced: u64,
    /// Records without IPv4, damaged or cut.
    pub(super) left_out: u64,
    /// Forwarded packets whose way out nobody named.
    pub(super) no_way_out: u64,
    pub(super) assumed: Vec<&'static str>,
}

/// How files are to be read.
pub(super) struct Reading<'a> {
    pub(super) reference: &'a Reference,
    pub(super) local: Option<&'a LocalAddresses>,
    pub(super) interfaces: &'a [NamedInterface],
}

impl Reading<'_> {
    pub(super) fn read(&self, files: &[PathBuf]) -> anyhow::Result<Evidence> {
        let mut evidence = Evidence::default();
        for file in files {
            if log_text::is_capture(file)? {
                evidence.captures = true;
                self.capture(file, &mut evidence)?;
            } else {
                evidence.logs = true;
                let mut condition = std::mem::take(&mut evidence.condition);
                let before = condition.lines();
                log_text::read(file, &mut condition, |entry| {
                    let when = entry.stamp.map_or(String::new(), |it| it.to_string());
                    self.logged(&entry.log, entry.times, when, &mut evidence);
                })?;
                if condition.lines() == before {
                    evidence.empty.push(printable(&file.display().to_string()));
                }
                evidence.condition = condition;
            }
        }
        Ok(evidence)
    }

    /// A packet that a rule logged while denying it.
    fn logged(&self, log: &PacketLog, times: u64, when: String, evidence: &mut Evidence) {
        if !matches!(log.target.as_str(), "DENY" | "REJECT") {
            return;
        }
        let packet = Packet {
            interface: log.interface,
            key: log.key(),
        };
        let Some(chain) = self.entered(log, &packet) else {
            evidence.unplaced += times;
            return;
        };
        match self.denies(chain, &packet) {
            true => evidence.add(chain, packet, times, when),
            false => evidence.let_through += times,
        }
    }

    /// The built-in chain through which a packet came to the chain that
    /// logged it.
    fn entered(&self, log: &PacketLog, packet: &Packet) -> Option<BuiltIn> {
        use portcullis_core::matcher::Matcher as _;

        if let Some(chain) = BuiltIn::from_name(log.chain.as_str()) {
            return Some(chain);
        }
        let logged = self.reference.ruleset().position(&log.chain)?;
        let passes = |chain: &BuiltIn| {
            let explanation = explain(self.reference, chain.position(), packet, 0);
            let mut matched = explanation.matched.iter();
            matched.any(|place| place.chain as usize == logged)
        };
        BuiltIn::ALL.into_iter().find(passes)
    }

    fn denies(&self, chain: BuiltIn, packet: &Packet) -> bool {
        let outcome = explain(self.reference, chain.position(), packet, 0).outcome;
        !matches!(
            outcome,
            Outcome::Verdict(Verdict::Accept | Verdict::Masq | Verdict::Redirect)
        )
    }

    fn capture(&self, file: &Path, evidence: &mut Evidence) -> anyhow::Result<()> {
        let named = |chain: Option<BuiltIn>| {
            let mut named = self.interfaces.iter().rev();
            named.find(|it| it.chain == chain).map(|it| it.name)
        };
        let viewpoint = Viewpoint {
            chain: None,
            interface: named(None),
            local: self.local.cloned(),
        };
        let mut reader = CaptureReader::open(file)?;
        while let Some(record) = reader.next_record()? {
            evidence.announced.extend(ftp::announced(&record));
            let Ok(seen) = viewpoint.see(&record, self.reference) else {
                evidence.left_out += 1;
                continue;
            };
            for remark in seen.assumed {
                if !evidence.assumed.contains(&remark) {
                    evidence.assumed.push(remark);
                }
            }
            let Ok(key) = seen.key else {
                evidence.left_out += 1;
                continue;
            };
            evidence.judged += 1;
            for (number, step) in seen.steps.iter().enumerate() {
                let told = named(Some(step.chain)).or_else(|| named(None));
                // It leaves by another interface than the one it came in by.
                let leaves = number > 0 && step.chain != BuiltIn::Input;
                let Some(interface) = told.or((!leaves).then_some(step.interface)) else {
                    evidence.no_way_out += 1;
                    break;
                };
                let packet = Packet { interface, key };
                if self.denies(step.chain, &packet) {
                    evidence.add(step.chain, packet, 1, when(record.time));
                    break;
                }
                if self.changes(step, &packet) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether another packet goes on from here.
    fn changes(&self, step: &Step, packet: &Packet) -> bool {
        let outcome = explain(self.reference, step.chain.position(), packet, 0).outcome;
        matches!(outcome, Outcome::Verdict(verdict) if !step.lets_through(verdict))
    }
}

impl Evidence {
    fn add(&mut self, chain: BuiltIn, packet: Packet, times: u64, when: String) {
        let denials = &mut self.denials;
        let place = *self.places.entry((chain, packet)).or_insert_with(|| {
            denials.push(Denial {
                chain,
                packet,
                times: 0,
                when,
            });
            denials.len() - 1
        });
        self.denials[place].times += times;
    }
}

/// A time as syslog writes it, in UTC.
pub(super) fn when(time: Option<Timestamp>) -> String {
    let Some(time) = time else {
        return String::new();
    };
    let instant = Instant::from_second(time.seconds()).unwrap_or_default();
    let zoned = instant.to_zoned(TimeZone::UTC);
    zoned.strftime("%b %e %H:%M:%S").to_string()
}

/// The record's time.
pub(super) fn when_of(record: &Record<'_>) -> String {
    when(record.time)
}
