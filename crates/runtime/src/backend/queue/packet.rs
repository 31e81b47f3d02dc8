//! What the kernel's queue says of a packet, and what it is told (linux/netfilter/nfnetlink_queue.h).

use portcullis_core::judge::PacketState;
use portcullis_core::ruleset::BuiltIn;

use crate::backend::netlink::{ACK, Message, REQUEST, Writer, attributes};

/// The queue's part of netfilter's messages.
const QUEUE: u16 = 3 << 8;
const VERDICT: u16 = QUEUE | 1;
const CONFIG: u16 = QUEUE | 2;
/// Attributes of a packet and of a verdict.
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const MARK: u16 = 3;
const IN_INTERFACE: u16 = 5;
const OUT_INTERFACE: u16 = 6;
const PAYLOAD: u16 = 10;
/// Attributes of a configuration.
const COMMAND: u16 = 1;
const PARAMETERS: u16 = 2;
const LENGTH: u16 = 3;
const MASK: u16 = 4;
const FLAGS: u16 = 5;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
/// What does not fit into the queue passes.
const FAIL_OPEN: u32 = 1;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// A packet that waits for its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queued<'a> {
    /// The queue in which it waits.
    pub(super) queue: u16,
    /// Its number there.
    pub(super) id: u32,
    /// The chain that stands where it waits.
    pub(super) chain: BuiltIn,
    pub(super) mark: u32,
    /// Numbers of interfaces, 0 if it has none.
    pub(super) arrived: u32,
    pub(super) leaves: u32,
    /// The IPv4 packet.
    pub(super) bytes: &'a [u8],
}

/// Reads a message; `Err` with queue and number of a packet that is not understood, `None` if the
/// message is of no packet.
pub(super) fn read<'a>(message: Message<'a>) -> Option<Result<Queued<'a>, (u16, u32)>> {
    if message.kind != QUEUE {
        return None;
    }
    let mut header: Option<&[u8]> = None;
    let (mut mark, mut arrived, mut leaves) = (0, 0, 0);
    let mut bytes: &[u8] = &[];
    for (kind, value) in attributes(message.body.get(4..)?) {
        match kind {
            PACKET_HEADER => header = Some(value),
            MARK => mark = number(value)?,
            IN_INTERFACE => arrived = number(value)?,
            OUT_INTERFACE => leaves = number(value)?,
            PAYLOAD => bytes = value,
            _ => {}
        }
    }
    let queue = u16::from_be_bytes(*message.body.get(2..)?.first_chunk()?);
    let id = number(header?)?;
    // Places where packets may wait: before routing, between interfaces, after routing.
    let chain = match header?.get(6) {
        Some(0) => BuiltIn::Input,
        Some(2) => BuiltIn::Forward,
        Some(4) => BuiltIn::Output,
        _ => return Some(Err((queue, id))),
    };
    Some(Ok(Queued {
        queue,
        id,
        chain,
        mark,
        arrived,
        leaves,
        bytes,
    }))
}

fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Writes that a packet is dropped.
pub(super) fn write_drop(queue: u16, id: u32, out: &mut Writer) {
    out.netfilter(VERDICT, REQUEST, 0, queue);
    out.attribute(VERDICT_HEADER, &[&DROP.to_be_bytes(), &id.to_be_bytes()]);
}

/// Writes that a packet goes on, with this mark; with `changed`, also with other header fields.
pub(super) fn write_accept(
    packet: &Queued<'_>,
    mark: u32,
    changed: Option<PacketState>,
    out: &mut Writer,
) {
    out.netfilter(VERDICT, REQUEST, 0, packet.queue);
    let header = [ACCEPT.to_be_bytes(), packet.id.to_be_bytes()];
    out.attribute(VERDICT_HEADER, &[&header[0], &header[1]]);
    if mark != packet.mark {
        out.attribute(MARK, &[&mark.to_be_bytes()]);
    }
    if let (Some(state), Some((header, rest))) = (changed, packet.bytes.split_at_checked(20)) {
        let mut new = [0; 20];
        new.copy_from_slice(header);
        new[1] = state.tos;
        new[10..12].copy_from_slice(&state.checksum.to_be_bytes());
        out.attribute(PAYLOAD, &[&new, rest]);
    }
}

/// Writes what begins a queue.
pub(super) fn write_begin(queue: u16, length: u32, fail_open: bool, out: &mut Writer) {
    let flags = if fail_open { FAIL_OPEN } else { 0 };
    let flags = flags.to_be_bytes();
    out.netfilter(CONFIG, REQUEST | ACK, 0, queue);
    out.attribute(COMMAND, &[&[BIND, 0, 0, 0]]);
    out.netfilter(CONFIG, REQUEST | ACK, 0, queue);
    let all = u32::from(u16::MAX).to_be_bytes();
    out.attribute(PARAMETERS, &[&all, &[COPY_PACKET]]);
    out.attribute(LENGTH, &[&length.to_be_bytes()]);
    out.attribute(MASK, &[&FAIL_OPEN.to_be_bytes()]);
    out.attribute(FLAGS, &[&flags]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backend::netlink::messages;

    fn message(hook: u8, bytes: &[u8]) -> Writer {
        let mut writer = Writer::default();
        writer.netfilter(QUEUE, 0, 2, 5);
        writer.attribute(PACKET_HEADER, &[&7u32.to_be_bytes(), &[8, 0, hook]]);
        writer.attribute(IN_INTERFACE, &[&3u32.to_be_bytes()]);
        writer.attribute(MARK, &[&9u32.to_be_bytes()]);
        writer.attribute(PAYLOAD, &[bytes]);
        writer
    }

    fn only(writer: &Writer) -> Message<'_> {
        messages(writer.bytes()).next().unwrap()
    }

    #[test]
    fn a_packet_is_read_where_it_waits() {
        for (hook, chain) in [
            (0, BuiltIn::Input),
            (2, BuiltIn::Forward),
            (4, BuiltIn::Output),
        ] {
            let writer = message(hook, b"packet");
            let expected = Queued {
                queue: 5,
                id: 7,
                chain,
                mark: 9,
                arrived: 3,
                leaves: 0,
                bytes: b"packet",
            };
            assert_eq!(read(only(&writer)), Some(Ok(expected)));
        }
        assert_eq!(read(only(&message(1, b""))), Some(Err((5, 7))));
    }

    #[test]
    fn a_changed_header_comes_with_the_rest_of_the_packet() {
        let bytes: Vec<u8> = (0..30).collect();
        let queued = message(2, &bytes);
        let Some(Ok(queued)) = read(only(&queued)) else {
            panic!("not read")
        };
        let state = PacketState {
            tos: 0x10,
            ttl: 8,
            checksum: 0xabcd,
            mark: 9,
        };
        let mut out = Writer::default();
        write_accept(&queued, 9, Some(state), &mut out);
        let said: Vec<_> = attributes(&only(&out).body[4..]).collect();
        assert_eq!(
            said[0],
            (VERDICT_HEADER, [0, 0, 0, 1, 0, 0, 0, 7].as_slice())
        );
        let mut expected = bytes.clone();
        expected[1] = 0x10;
        expected[10..12].copy_from_slice(&[0xab, 0xcd]);
        assert_eq!(said[1], (PAYLOAD, expected.as_slice()));
        assert_eq!(said.len(), 2);
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_not(body in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = read(Message { kind: QUEUE, body: &body });
        }
    }
}
