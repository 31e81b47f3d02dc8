//! Runs a packet case through a matcher and writes what `expected.txt` holds.

use std::fmt::Write as _;
use std::sync::Arc;

use portcullis_core::judge::{Effects, End, Judge, PacketState, Ruling};
use portcullis_core::matcher::{Matcher, Place};
use portcullis_core::message::{Message, NetlinkCopy};
use portcullis_core::packet::{Ipv4Packet, Unusable};
use portcullis_core::ruleset::{BuiltIn, CounterTable, Ruleset, Target};
use portcullis_core::traversal::Step;
use portcullis_syntax::ipchains::{ListOptions, Listed};
use portcullis_syntax::names::Names;
use portcullis_syntax::steps::{self, PacketSteps};
use portcullis_syntax::{listing, proc_files, save, script};

use super::report::same_lines;
use super::{Case, Compared, Difference};
use crate::pcap::raw_ipv4_packets;

/// Runs one case with the matcher that `prepare` makes, and compares every
/// file of results.
pub fn check_packets<M: Matcher>(
    case: &Case,
    prepare: impl FnOnce(Arc<Ruleset>) -> M,
) -> Result<Compared, Difference> {
    let script = script::read(case.text("rules.ipchains")?, &Names::new());
    if let Some(mistake) = script.mistakes.first() {
        let (command, report) = (&mistake.command, &mistake.report);
        return Err(Difference::new(format!("refused: {command}\n{report}")));
    }
    let packets = raw_ipv4_packets(case.bytes("packets.pcap")?);
    let steps = read_steps(case)?;
    let mut ruleset = script.ruleset;
    let expected = expected_text(&mut ruleset, &packets, &steps, Copies::Listed, prepare);
    let lines = same_lines("expected.txt", case.text("expected.txt")?, &expected)?
        + check_ruleset(case, &ruleset)?;
    let packets = steps.len();
    Ok(Compared { packets, lines })
}

pub(super) fn read_steps(case: &Case) -> Result<Vec<PacketSteps>, Difference> {
    steps::read(case.text("packets.txt")?)
        .map_err(|error| Difference::new(format!("packets.txt: {error}")))
}

/// Compares the three ways in which a ruleset is printed.
pub(super) fn check_ruleset(case: &Case, ruleset: &Ruleset) -> Result<usize, Difference> {
    let kernel = proc_files::ip_fwnames(ruleset) + &proc_files::ip_fwchains(ruleset);
    let mut listed = String::new();
    let options = ListOptions {
        numeric: true,
        verbose: true,
        exact: true,
        line_numbers: true,
    };
    let all = Listed {
        chain: None,
        options,
        zero: false,
    };
    let written = listing::write(&mut listed, ruleset, &all, &Names::new());
    written.map_err(|chain| Difference::new(format!("no chain {chain}")))?;
    Ok(same_lines("kernel.txt", case.text("kernel.txt")?, &kernel)?
        + same_lines("listing.txt", case.text("listing.txt")?, &listed)?
        + same_lines("save.txt", case.text("save.txt")?, &save::save(ruleset))?)
}

/// Whether a corpus lists netlink copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// With N lines.
    Listed,
    /// Without.
    Left,
}

/// Judges packets and writes the text of `expected.txt`; the counters are
/// added to `ruleset`.
pub fn expected_text<M: Matcher>(
    ruleset: &mut Ruleset,
    packets: &[&[u8]],
    steps: &[PacketSteps],
    copies: Copies,
    prepare: impl FnOnce(Arc<Ruleset>) -> M,
) -> String {
    let mut judge = Judge::new(prepare(Arc::new(ruleset.clone())));
    let mut writer = Writer {
        text: String::new(),
        record: 0,
        before: None,
        logs: String::new(),
        copies: String::new(),
        copies_wanted: copies,
        counters: CounterTable::new(ruleset),
    };
    for packet in steps {
        let bytes = packets[packet.record as usize - 1];
        writer.packet(&mut judge, packet, bytes);
    }
    ruleset.add_counters(&writer.counters);
    write_counters(&mut writer.text, ruleset);
    writer.text
}

struct Writer {
    text: String,
    record: u64,
    before: Option<PacketState>,
    logs: String,
    copies: String,
    copies_wanted: Copies,
    counters: CounterTable,
}

impl Writer {
    fn packet<M: Matcher>(&mut self, judge: &mut Judge<M>, packet: &PacketSteps, bytes: &[u8]) {
        self.record = packet.record;
        let first = &packet.steps[0];
        let read = match first.chain {
            BuiltIn::Input => Ipv4Packet::received(bytes, bytes.len()),
            BuiltIn::Forward | BuiltIn::Output => Ipv4Packet::sent(bytes, bytes.len()),
        };
        let record = packet.record;
        match read {
            Ok(ipv4) => {
                self.before = Some(PacketState::of(&ipv4));
                if let Some(End::TtlExceeded) = judge.walk(&packet.steps, &ipv4, self) {
                    self.line(format_args!("P {record} ttl - TTLEXCEEDED"));
                }
            }
            Err(Unusable::Damaged(_) | Unusable::CutShort) => {
                let Step { chain, interface } = first;
                self.line(format_args!("P {record} {chain} {interface} BADIP"));
            }
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{text}");
    }
}

impl Effects for Writer {
    fn count_rule(&mut self, place: Place, bytes: u16) {
        self.counters.rule_mut(place).count(bytes);
    }

    fn count_policy(&mut self, chain: BuiltIn, bytes: u16) {
        self.counters.policy_mut(chain).count(bytes);
    }

    fn message(&mut self, message: &Message<'_>) {
        for line in message.to_string().lines() {
            let _ = writeln!(self.logs, "L {line}");
        }
    }

    fn copy(&mut self, copy: &NetlinkCopy<'_>) {
        if self.copies_wanted == Copies::Left {
            return;
        }
        let (length, mark, interface) = (copy.message_length(), copy.mark, copy.interface);
        let _ = write!(
            self.copies,
            "N len={length} mark=0x{mark:x} dev={interface} data="
        );
        for byte in copy.bytes() {
            let _ = write!(self.copies, "{byte:02x}");
        }
        self.copies.push('\n');
    }

    fn ruling(&mut self, step: &Step, ruling: &Ruling) {
        let Step { chain, interface } = step;
        let state = ruling.state;
        let (record, verdict, tos, mark) = (self.record, ruling.verdict, state.tos, state.mark);
        let _ = write!(
            self.text,
            "P {record} {chain} {interface} {verdict} tos=0x{tos:02X} mark=0x{mark:x}"
        );
        if let Some(port) = ruling.redirect_port {
            let _ = write!(self.text, " rport={port}");
        }
        // The checksum before the chain, after the TTL has fallen.
        let before = self.before.map(|before| before.with_ttl(state.ttl));
        if before.is_some_and(|before| before.checksum != state.checksum) {
            let _ = write!(self.text, " sum=0x{:04x}", state.checksum);
        }
        self.before = Some(state);
        self.text.push('\n');
        self.text.push_str(&std::mem::take(&mut self.logs));
        self.text.push_str(&std::mem::take(&mut self.copies));
    }
}

fn write_counters(text: &mut String, ruleset: &Ruleset) {
    for (chain, references) in ruleset.chains().iter().zip(ruleset.references()) {
        let (name, counter) = (chain.name(), chain.policy_counter());
        let policy = chain.policy().map_or("-", |policy| policy.as_str());
        let _ = writeln!(
            text,
            "C {name} policy={policy} refs={references} pkts={} bytes={}",
            counter.packets, counter.bytes
        );
        for (number, rule) in (1..).zip(chain.rules()) {
            let target = rule.target.as_ref().map_or("-", Target::as_str);
            let (packets, bytes) = (rule.counter.packets, rule.counter.bytes);
            let _ = writeln!(
                text,
                "R {name} {number} pkts={packets} bytes={bytes} target={target}"
            );
        }
    }
}
