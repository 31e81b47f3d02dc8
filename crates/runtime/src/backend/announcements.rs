//! What the kernel says of changes that concern a keeper: interfaces and addresses that come, and
//! tables of nftables that somebody takes away.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::netlink::NETFILTER;

use super::netlink::{Message, Netlink, attributes, messages};

/// The kernel's announcements of changed interfaces, of IPv4 addresses, and of changed tables.
const LINKS: u32 = 1;
const ADDRESSES: u32 = 1 << 4;
const TABLES: u32 = 1 << 6;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NFTABLES: u16 = 10 << 8;
/// A table, a chain, a rule is deleted.
const DELETED: [u16; 3] = [NFTABLES | 2, NFTABLES | 5, NFTABLES | 8];
/// The name of the table that a message is about.
const TABLE: u16 = 1;

/// Both sources of news.
#[derive(Debug)]
pub struct Announcements {
    links: Netlink,
    tables: Netlink,
    buffer: Vec<u8>,
}

/// What ended the waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The other file can be read.
    Other,
    /// Something of ours may have changed.
    Changed,
}

impl Announcements {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// If the kernel has no netlink.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            links: Netlink::open(None, LINKS | ADDRESSES)?,
            tables: Netlink::open(Some(NETFILTER), TABLES)?,
            buffer: vec![0; 1 << 16],
        })
    }

    /// Waits until `other` can be read or has ended, an interface or an address comes or changes, or
    /// something is deleted from a table whose name begins with `prefix`.
    ///
    /// # Errors
    ///
    /// If the kernel cannot be waited for.
    pub fn wait(&mut self, other: BorrowedFd<'_>, prefix: &str) -> io::Result<News> {
        loop {
            let mut all = [
                PollFd::from_borrowed_fd(other, PollFlags::IN),
                PollFd::from_borrowed_fd(self.links.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.tables.as_fd(), PollFlags::IN),
            ];
            match poll(&mut all, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !all[0].revents().is_empty() {
                return Ok(News::Other);
            }
            let concerns = |message: Message<'_>| {
                [NEW_LINK, NEW_ADDRESS].contains(&message.kind)
                    || DELETED.contains(&message.kind)
                        && table(message.body).is_some_and(|name| name.starts_with(prefix))
            };
            let links = drain(&self.links, &mut self.buffer, concerns);
            let tables = drain(&self.tables, &mut self.buffer, concerns);
            if links || tables {
                return Ok(News::Changed);
            }
        }
    }
}

/// Reads what there is; whether something concerns us. What was lost may have done so.
fn drain(socket: &Netlink, buffer: &mut [u8], concerns: impl Fn(Message<'_>) -> bool) -> bool {
    let mut found = false;
    loop {
        match socket.receive(buffer) {
            Ok(Some(length)) => found |= messages(&buffer[..length]).any(&concerns),
            Ok(None) => return found,
            Err(_) => found = true,
        }
    }
}

fn table(body: &[u8]) -> Option<&str> {
    let (_, name) = attributes(body.get(4..)?).find(|(kind, _)| *kind == TABLE)?;
    std::str::from_utf8(name.split(|byte| *byte == 0).next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::netlink::Writer;
    use super::*;

    #[test]
    fn a_deleted_chain_names_its_table() {
        let mut writer = Writer::default();
        writer.netfilter(DELETED[1], 0, 2, 0);
        writer.text(TABLE, "portcullis_queue");
        writer.text(3, "input");
        let message = messages(writer.bytes()).next().unwrap();
        assert_eq!(table(message.body), Some("portcullis_queue"));
        assert_eq!(table(&[]), None);
    }
}
