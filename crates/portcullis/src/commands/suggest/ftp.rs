//! What FTP control connections say about data connections (RFC 959, RFC 2428).

use std::net::Ipv4Addr;

use portcullis_analysis::suggest::Announced;
use portcullis_core::packet::{Ipv4Packet, protocol};
use portcullis_runtime::capture::Record;
use portcullis_runtime::link::{Network, network_layer};

use super::read::when_of;

const CONTROL: u16 = 21;

/// The data connection that a captured packet announces.
pub(super) fn announced(record: &Record<'_>) -> Option<Announced> {
    let network = network_layer(record.interface.link_type, record.data);
    let Network::Ipv4 { packet, .. } = network else {
        return None;
    };
    let packet = Ipv4Packet::sent(packet, packet.len()).ok()?;
    if packet.protocol() != protocol::TCP {
        return None;
    }
    let segment = packet.payload();
    let key = packet.key().ok()?;
    let header = usize::from(segment.get(12)? >> 4) * 4;
    let text = std::str::from_utf8(segment.get(header..)?).ok()?;
    let (from, to) = (packet.source(), packet.destination());
    let when = || when_of(record);
    if key.destination_port == CONTROL {
        let port = asked(text)?;
        return Some(Announced {
            client: from,
            server: to,
            port,
            by_server: false,
            when: when(),
        });
    }
    if key.source_port == CONTROL {
        let port = answered(text)?;
        return Some(Announced {
            client: to,
            server: from,
            port,
            by_server: true,
            when: when(),
        });
    }
    None
}

/// `PORT 192,0,2,1,240,18` or `EPRT |1|192.0.2.1|61458|`.
fn asked(text: &str) -> Option<u16> {
    let line = text.lines().next()?;
    let (command, rest) = line.split_once(' ')?;
    match command.to_ascii_uppercase().as_str() {
        "PORT" => six(rest),
        "EPRT" => {
            let separator = rest.chars().next()?;
            let mut parts = rest.split(separator).skip(2);
            parts.next()?.parse::<Ipv4Addr>().ok()?;
            parts.next()?.parse().ok()
        }
        _ => None,
    }
}

/// `227 Entering Passive Mode (192,0,2,7,4,1)` or `229 ... (|||1025|)`.
fn answered(text: &str) -> Option<u16> {
    let line = text.lines().find(|line| line.starts_with("22"))?;
    let inside = line.split_once('(')?.1.split_once(')')?.0;
    match line.get(..4)? {
        "227 " => six(inside),
        "229 " => inside.split('|').nth(3)?.parse().ok(),
        _ => None,
    }
}

/// Four numbers of an address and two of a port.
fn six(text: &str) -> Option<u16> {
    let numbers: Option<Vec<u8>> = text.split(',').map(|it| it.trim().parse().ok()).collect();
    match numbers?.as_slice() {
        [_, _, _, _, high, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_commands_and_both_answers() {
        assert_eq!(asked("PORT 198,51,100,1,239,210\r\n"), Some(61394));
        assert_eq!(asked("eprt |1|198.51.100.1|61394|\r\n"), Some(61394));
        assert_eq!(asked("RETR PORT 1,2,3,4,5,6"), None);
        assert_eq!(asked("PORT 1,2,3,4,5,600"), None);
        let text = "227 Entering Passive Mode (192,0,2,7,4,1)\r\n";
        assert_eq!(answered(text), Some(1025));
        assert_eq!(answered("229 Extended (|||1025|)\r\n"), Some(1025));
        assert_eq!(answered("220 hello (1,2,3,4,5,6)"), None);
    }
}
