//! What rules can test of a packet: the quick reading, the slow one and etherparse's are one.

#![no_main]

use etherparse::{Icmpv4Slice, Ipv4HeaderSlice, TcpHeaderSlice, UdpHeaderSlice};
use libfuzzer_sys::fuzz_target;
use portcullis_core::packet::{Ipv4Packet, Missing, PacketKey, PlainPackets, header_checksum};

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (mend, beyond, bytes) = input;
    let mut bytes = bytes.to_vec();
    if mend {
        mend_checksum(&mut bytes);
    }
    let wire_length = bytes.len() + usize::from(beyond);
    let mut packets = PlainPackets::new();
    packets.push(bytes.first_chunk(), wire_length as u32);
    packets.read();
    let quick = (packets.plain()[0] != 0).then(|| {
        let (length, ttl) = (packets.total_lengths()[0], packets.ttls()[0]);
        (packets.keys().get(0), length as u16, ttl as u8)
    });
    let Ok(packet) = Ipv4Packet::received(&bytes, wire_length) else {
        assert_eq!(quick, None);
        return;
    };
    assert_eq!(packet.header().len() + packet.payload().len(), bytes.len());
    assert_eq!(
        packet.options().words().len() * 4 + 20,
        packet.header().len()
    );
    let key = match packet.key() {
        Ok(key) => key,
        Err(_) => {
            assert_eq!(quick, None);
            return;
        }
    };
    if let Some(quick) = quick {
        assert_eq!(quick, (key, packet.total_length(), packet.ttl()));
        assert_eq!(packet.missing(), Missing::Nothing);
    }
    if let Some(theirs) = by_etherparse(&bytes) {
        if packet.missing() == Missing::Nothing {
            assert_eq!(key, theirs);
        }
    }
});

fn mend_checksum(bytes: &mut [u8]) {
    let length = bytes.first().map_or(0, |first| usize::from(first & 15) * 4);
    if length >= 20
        && let Some(header) = bytes.get_mut(..length)
    {
        header[10..12].fill(0);
        let sum = header_checksum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The key as etherparse's readings make it.
fn by_etherparse(bytes: &[u8]) -> Option<PacketKey> {
    let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
    let total = usize::from(header.total_len());
    let header_length = header.slice().len();
    // What is stated, and of that what was captured: link padding is not part of it.
    let stated = total.checked_sub(header_length)?;
    let payload = &bytes[header_length..];
    let mut key = PacketKey {
        source: u32::from(header.source_addr()),
        destination: u32::from(header.destination_addr()),
        source_port: PacketKey::NO_PORT,
        destination_port: PacketKey::NO_PORT,
        protocol: header.protocol().0,
        fragment: header.fragments_offset().value() != 0,
        syn: false,
    };
    if key.fragment {
        return Some(key);
    }
    match key.protocol {
        // The kernel asks for 16 bytes, so that the flags are there; etherparse for 20.
        6 if stated < 16 => key.fragment = true,
        6 => {
            let mut head = [0; 20];
            let captured = payload.len().min(20);
            head[..captured].copy_from_slice(&payload[..captured]);
            // Whatever the offset of the data says, the ports stand where they do.
            head[12] = 0x50;
            let tcp = TcpHeaderSlice::from_slice(&head).ok()?;
            (key.source_port, key.destination_port) = (tcp.source_port(), tcp.destination_port());
            // The flags are the byte as it was.
            key.syn = tcp.syn() && !tcp.ack() && !tcp.rst();
        }
        17 if stated < 8 => key.fragment = true,
        17 => {
            let mut head = [0; 8];
            let captured = payload.len().min(8);
            head[..captured].copy_from_slice(&payload[..captured]);
            head[4..6].copy_from_slice(&8u16.to_be_bytes());
            let udp = UdpHeaderSlice::from_slice(&head).ok()?;
            (key.source_port, key.destination_port) = (udp.source_port(), udp.destination_port());
        }
        1 if stated < 8 => key.fragment = true,
        1 => {
            let mut head = [0; 20];
            let captured = payload.len().min(20);
            head[..captured].copy_from_slice(&payload[..captured]);
            let icmp = Icmpv4Slice::from_slice(&head).ok()?;
            key.source_port = u16::from(icmp.type_u8());
            key.destination_port = u16::from(icmp.code_u8());
        }
        _ => {}
    }
    Some(key)
}
