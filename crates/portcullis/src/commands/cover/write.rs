//! Writes a packet for each rule, and which chain each is for.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::anyhow;
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::ruleset::{BuiltIn, Ruleset};
use portcullis_runtime::Direction;
use portcullis_runtime::capture::{CaptureInterface, CaptureWriter, Record, Timestamp};
use portcullis_runtime::link::LinkType;

use super::{Row, frame};
use crate::report::output_file::OutputFile;
use crate::report::stderr::{printable, tell};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Writes the capture, and its steps beside it.
pub(super) fn write(file: &Path, ruleset: &Ruleset, rows: &[Row]) -> anyhow::Result<()> {
    let mut writer = CaptureWriter::create(file)?;
    let steps_file = file.with_added_extension("steps");
    let steps_output = OutputFile::create(&steps_file)?;
    let mut steps = String::from("# NUMBER CHAIN:INTERFACE, and the rule that the packet is for\n");
    let mut number = 0;
    for row in rows {
        let Ok(Some(probe)) = &row.probe else {
            continue;
        };
        number += 1;
        let key = &probe.packet.key;
        let data = frame::frame(key, number as u16);
        let seen = Ipv4Packet::sent(&data, data.len()).map(|packet| packet.key());
        if seen != Ok(Ok(*key)) {
            return Err(anyhow!("{} cannot be made a packet", probe.packet));
        }
        let interface = CaptureInterface {
            capture: "generated".into(),
            index: 0,
            name: Some(probe.packet.interface.to_string()),
            link_type: LinkType::RAW,
            snaplen: 0,
        };
        let chain = ruleset.chains()[row.place.chain as usize].name();
        let rule = format!("rule {} of {chain}", row.place.rule + 1);
        let record = Record {
            number,
            offset: 0,
            time: Some(Timestamp::from_nanos(number as i64 * NANOS_PER_SECOND)),
            interface: &interface,
            direction: match probe.chain {
                BuiltIn::Input => Some(Direction::Inbound),
                BuiltIn::Output => Some(Direction::Outbound),
                BuiltIn::Forward => None,
            },
            original_length: data.len() as u32,
            data: &data,
        };
        writer.write(&record, Some(&rule))?;
        // Writing to a string cannot fail.
        let _ = writeln!(steps, "# {}", printable(&rule));
        let _ = writeln!(steps, "{number} {}:{}", probe.chain, probe.packet.interface);
    }
    writer.finish()?;
    steps_output.write(&steps)?;
    tell(format_args!(
        "{number} packets written to {}; for `portcullis replay --steps' see {}",
        file.display(),
        steps_file.display()
    ));
    Ok(())
}
