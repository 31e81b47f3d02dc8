//! Single packets of captures, as the chains of one machine see them.

use std::path::Path;

use anyhow::anyhow;
use portcullis_core::names::InterfaceName;
use portcullis_core::packet::{Ipv4Packet, Missing, PacketKey, Suspect};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::{LocalAddresses, Step};
use portcullis_runtime::Direction;
use portcullis_runtime::capture::{CaptureReader, Record};
use portcullis_runtime::link::{Network, network_layer};

/// What the user says about where packets were captured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Viewpoint {
    /// The one chain that packets meet.
    pub(crate) chain: Option<BuiltIn>,
    /// The interface that rules see.
    pub(crate) interface: Option<InterfaceName>,
    /// This machine's own addresses.
    pub(crate) local: Option<LocalAddresses>,
}

/// A packet of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The chains that it meets, at least one.
    pub(crate) steps: Vec<Step>,
    /// What rules see of it, or why they do not.
    pub(crate) key: Result<PacketKey, Suspect>,
    /// What neither the capture nor the user said.
    pub(crate) assumed: Vec<&'static str>,
}

impl Viewpoint {
    /// The packet of a record. Fails if it is no IPv4, damaged, or cut short
    /// before something that the rules ask for.
    pub(crate) fn see(&self, record: &Record<'_>, reference: &Reference) -> anyhow::Result<Seen> {
        let network = network_layer(record.interface.link_type, record.data);
        let Network::Ipv4 {
            packet, direction, ..
        } = network
        else {
            return Err(anyhow!("it carries no IPv4"));
        };
        let link_header = record.data.len() - packet.len();
        let wire_length = (record.original_length as usize).saturating_sub(link_header);
        let packet = Ipv4Packet::sent(packet, wire_length.max(packet.len()))
            .map_err(|_| anyhow!("its IPv4 header is damaged or cut short"))?;
        let mut assumed = Vec::new();
        let local = self.local.as_ref();
        let route = local.map(|local| local.route(packet.source(), packet.destination()));
        let chains = match (self.chain, route, record.direction.or(direction)) {
            (Some(chain), ..) => vec![chain],
            (None, Some(route), _) => route.chains().to_vec(),
            (None, None, Some(Direction::Outbound)) => vec![BuiltIn::Output],
            (None, None, Some(Direction::Inbound)) => vec![BuiltIn::Input],
            (None, None, None) => {
                assumed.push("the capture does not say which way packets went, nor does --local: input is assumed");
                vec![BuiltIn::Input]
            }
        };
        let named = record.interface.name.as_deref();
        let interface = match (self.interface, named.map(InterfaceName::for_device)) {
            (Some(interface), _) | (None, Some((interface, _))) => interface,
            (None, None) => {
                assumed.push("the capture does not name its interface: eth0 is assumed");
                InterfaceName::for_device("eth0").0
            }
        };
        let step = |chain| Step { chain, interface };
        let steps: Vec<Step> = chains.into_iter().map(step).collect();
        let key = packet.key();
        let missing = packet.missing();
        if let Ok(key) = &key
            && missing != Missing::Nothing
            && steps.iter().any(|step| reference.needs(missing, step, key))
        {
            return Err(anyhow!("the capture cut off fields that the rules ask for"));
        }
        Ok(Seen {
            steps,
            key,
            assumed,
        })
    }
}

/// What became of the records of captures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// Records that rules can see.
    pub(crate) seen: u64,
    /// Records that carry no IPv4, or are damaged or cut.
    pub(crate) left_out: u64,
    /// What was assumed about some.
    pub(crate) assumed: Vec<&'static str>,
}

/// Shows every packet of a capture to `use_packet`, and counts the others.
pub(crate) fn each(
    file: &Path,
    viewpoint: &Viewpoint,
    reference: &Reference,
    counted: &mut Counted,
    mut use_packet: impl FnMut(&Step, &PacketKey),
) -> anyhow::Result<()> {
    let mut reader = CaptureReader::open(file)?;
    while let Some(record) = reader.next_record()? {
        match viewpoint.see(&record, reference) {
            Ok(Seen {
                steps,
                key: Ok(key),
                assumed,
            }) => {
                counted.seen += 1;
                for step in &steps {
                    use_packet(step, &key);
                }
                for remark in assumed {
                    if !counted.assumed.contains(&remark) {
                        counted.assumed.push(remark);
                    }
                }
            }
            _ => counted.left_out += 1,
        }
    }
    Ok(())
}
