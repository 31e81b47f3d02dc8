//! Workloads that the benchmarks share: the example gateway's rules and
//! packets.

use std::sync::Arc;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{BuiltIn, Ruleset};
use portcullis_core::traversal::Step;
use portcullis_runtime::capture::CaptureReader;
use portcullis_runtime::link::{LinkType, Network, network_layer};
use portcullis_syntax::names::Names;
use portcullis_syntax::script;

/// The example gateway's rules as text.
pub const GATEWAY: &str = include_str!("../../examples/gateway/gateway.rules");

const DAY: &[u8] = include_bytes!("../../examples/gateway/day.pcapng");

/// The example gateway's rules.
///
/// # Panics
///
/// If the example does not parse.
pub fn gateway() -> Arc<Ruleset> {
    let script = script::read(GATEWAY, &Names::new());
    assert!(script.mistakes.is_empty());
    Arc::new(script.ruleset)
}

/// The example capture's frames with their link type.
///
/// # Panics
///
/// If the example cannot be read.
pub fn frames() -> Vec<(LinkType, Vec<u8>)> {
    let Ok(mut reader) = CaptureReader::new(DAY, "day.pcapng") else {
        panic!("the example is a capture")
    };
    let mut frames = Vec::new();
    while let Ok(Some(record)) = reader.next_record() {
        frames.push((record.interface.link_type, record.data.to_vec()));
    }
    frames
}

/// The IPv4 packets of the example capture.
pub fn packets() -> Vec<Vec<u8>> {
    let frames = frames();
    let packets = frames
        .iter()
        .filter_map(|(link, frame)| match network_layer(*link, frame) {
            Network::Ipv4 { packet, .. } => Some(packet.to_vec()),
            _ => None,
        });
    packets.collect()
}

/// Receiving on the gateway's outer interface.
pub fn input() -> Step {
    Step {
        chain: BuiltIn::Input,
        interface: InterfaceName::for_device("eth0").0,
    }
}
