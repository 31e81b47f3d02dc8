//! A way in for the fuzz target; only fuzzing builds have it.

use portcullis_core::judge::PacketState;

use super::{links, packet};
use crate::backend::netlink::{Writer, attributes, messages};

/// Reads bytes as all that the kernel may send, and answers every packet in them.
pub fn attack(bytes: &[u8]) {
    let (mut packets, mut verdicts) = (0, Writer::default());
    for message in messages(bytes) {
        let _ = links::read(message.body);
        for (_, value) in attributes(message.body) {
            assert!(attributes(value).count() <= value.len() / 4);
        }
        match packet::read(message) {
            None => continue,
            Some(Err((queue, id))) => packet::write_drop(queue, id, &mut verdicts),
            Some(Ok(queued)) => {
                let changed = bytes.len().is_multiple_of(2).then_some(CHANGED);
                packet::write_accept(&queued, CHANGED.mark, changed, &mut verdicts);
            }
        }
        packets += 1;
    }
    assert_eq!(messages(verdicts.bytes()).count(), packets);
}

const CHANGED: PacketState = PacketState {
    tos: 1,
    ttl: 2,
    checksum: 3,
    mark: 4,
};
