//! The names of the interfaces behind their numbers, as they change. rtnetlink(7).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use portcullis_core::names::InterfaceName;

use crate::backend::netlink::{DUMP, Netlink, REQUEST, Writer, attributes, messages};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
/// The kernel's announcements of changed interfaces.
const LINK_GROUP: u32 = 1;
/// The header of a link message, and where in it the number stands.
const LINK_HEADER: usize = 16;
const INDEX: usize = 4;
const NAME: u16 = 3;

/// What is known of interfaces.
pub(super) struct Links {
    socket: Netlink,
    names: HashMap<u32, InterfaceName>,
    buffer: Vec<u8>,
}

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        // Links are what netlink does unless something else is named.
        let socket = Netlink::open(None, LINK_GROUP)?;
        let mut links = Self {
            socket,
            names: HashMap::new(),
            buffer: vec![0; 1 << 16],
        };
        links.ask()?;
        Ok(links)
    }

    /// The name of an interface. One that is not known is asked for.
    pub(super) fn name(&mut self, index: u32) -> Option<InterfaceName> {
        if let Some(name) = self.names.get(&index) {
            return Some(*name);
        }
        self.update();
        if !self.names.contains_key(&index) {
            // Announcements were lost, perhaps.
            self.ask().ok()?;
        }
        self.names.get(&index).copied()
    }

    /// Reads what was announced.
    pub(super) fn update(&mut self) {
        loop {
            match self.socket.receive(&mut self.buffer) {
                Ok(Some(length)) => {
                    for message in messages(&self.buffer[..length]) {
                        if message.kind == NEW_LINK
                            && let Some((index, name)) = read(message.body)
                        {
                            self.names.insert(index, name);
                        }
                    }
                }
                Ok(None) => return,
                // Some were lost: what is not known will be asked for, and renamed ones too.
                Err(_) => self.names.clear(),
            }
        }
    }

    fn ask(&mut self) -> io::Result<()> {
        let mut writer = Writer::default();
        writer.message(GET_LINK, REQUEST | DUMP);
        writer.raw(&[0; LINK_HEADER]);
        self.socket.send(writer.bytes())?;
        // The kernel answers before sending returns; of a long answer each reading makes the next.
        self.update();
        Ok(())
    }
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The number and name in a link message.
pub(super) fn read(body: &[u8]) -> Option<(u32, InterfaceName)> {
    let header: &[u8; LINK_HEADER] = body.first_chunk()?;
    let index = u32::from_ne_bytes(*header[INDEX..].first_chunk()?);
    let (_, name) = attributes(&body[LINK_HEADER..]).find(|(kind, _)| *kind == NAME)?;
    let name = name.split(|byte| *byte == 0).next()?;
    let name = std::str::from_utf8(name).ok()?;
    Some((index, InterfaceName::for_device(name).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback() {
        let mut links = Links::open().unwrap();
        assert_eq!(links.name(1).unwrap().as_str(), "lo");
        assert_eq!(links.name(u32::MAX), None);
    }

    #[test]
    fn a_link_without_a_name_is_none() {
        assert_eq!(read(&[0; 20]), None);
        assert_eq!(read(&[0; 3]), None);
    }
}
