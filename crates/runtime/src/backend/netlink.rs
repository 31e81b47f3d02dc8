//! Netlink: a socket to the kernel, and messages taken apart and put together. netlink(7).
//!
//! Whatever comes is bytes: nothing is read beyond what is there, whatever a length says.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send,
    socket_with, sockopt,
};

/// The kernel says how a request ended.
const ERROR: u16 = 2;
/// Something is asked.
pub(super) const REQUEST: u16 = 1;
/// An answer is wanted in any case.
pub(super) const ACK: u16 = 4;
/// All there is.
pub(super) const DUMP: u16 = 0x300;
/// What is not there is made.
pub(super) const CREATE: u16 = 0x400;
/// Behind what is there.
pub(super) const APPEND: u16 = 0x800;
/// Nftables: a chain is asked for.
const GET_CHAIN: u16 = (10 << 8) | 4;
/// An attribute that holds others.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's kind.
const KIND: u16 = 0x3fff;
const HEADER: usize = 16;
/// How long an answer of the kernel is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket to one part of the kernel.
#[derive(Debug)]
pub(super) struct Netlink {
    fd: OwnedFd,
}

/// A message without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) body: &'a [u8],
}

/// Messages that are put together.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Where the message begins that is being written.
    start: usize,
}

impl Netlink {
    /// Opens a socket; `groups` are the kernel's announcements that are wanted.
    pub(super) fn open(protocol: Option<Protocol>, groups: u32) -> io::Result<Self> {
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        sockopt::set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE))?;
        bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd })
    }

    /// Room for so many bytes that we have not read yet.
    pub(super) fn keep(&self, bytes: usize) -> io::Result<()> {
        // More than the system's limit is for root only.
        sockopt::set_socket_recv_buffer_size_force(&self.fd, bytes)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&self.fd, bytes))?;
        Ok(())
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        send(&self.fd, bytes, SendFlags::empty())?;
        Ok(())
    }

    /// Takes what is there; `None` if that is nothing.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(&self.fd, buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for something and waits for `answers` answers.
    ///
    /// # Errors
    ///
    /// The first thing that the kernel refuses.
    pub(super) fn request(&self, bytes: &[u8], answers: usize) -> io::Result<()> {
        self.send(bytes)?;
        let mut buffer = vec![0; 1 << 14];
        let mut left = answers;
        while left > 0 {
            let (length, _) = recv(&self.fd, buffer.as_mut_slice(), RecvFlags::empty())?;
            for message in messages(&buffer[..length]) {
                if message.kind != ERROR {
                    continue;
                }
                match message.body.first_chunk() {
                    Some([0, 0, 0, 0]) => left = left.saturating_sub(1),
                    Some(code) => {
                        let code = i32::from_ne_bytes(*code).saturating_neg();
                        return Err(io::Error::from_raw_os_error(code));
                    }
                    None => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
        }
        Ok(())
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a table of nftables is there and has such a chain.
pub(super) fn has_chain(family: u8, table: &str, chain: &str) -> bool {
    let mut question = Writer::default();
    question.netfilter(GET_CHAIN, REQUEST | ACK, family, 0);
    question.text(1, table);
    question.text(3, chain);
    let socket = Netlink::open(Some(NETFILTER), 0);
    socket.is_ok_and(|socket| socket.request(question.bytes(), 1).is_ok())
}

/// The messages in what was received; what is cut short ends them.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let body = bytes.get(HEADER..length)?;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

/// The attributes in part of a message, each with its kind.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d] = *bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..length)?;
        let kind = u16::from_ne_bytes([c, d]) & KIND;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The next place where something may begin.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

impl Writer {
    /// Begins a message of netfilter: the part of it, what is asked, and of which family or queue.
    pub(super) fn netfilter(&mut self, kind: u16, flags: u16, family: u8, resource: u16) {
        self.message(kind, flags);
        self.bytes.extend_from_slice(&[family, 0]);
        self.bytes.extend_from_slice(&resource.to_be_bytes());
        self.close();
    }

    /// Begins a message, which ends where the next one begins.
    pub(super) fn message(&mut self, kind: u16, flags: u16) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.close();
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.close();
    }

    /// Adds an attribute, in pieces that follow each other.
    pub(super) fn attribute(&mut self, kind: u16, pieces: &[&[u8]]) {
        let length = 4 + pieces.iter().map(|piece| piece.len()).sum::<usize>();
        self.bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        self.close();
    }

    /// Adds text, which the kernel wants to end in zero.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]]);
    }

    /// Adds an attribute that holds others.
    pub(super) fn nested(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        inside(self);
        let length = (self.bytes.len() - at) as u16;
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Fills up and writes the message's length.
    fn close(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
        let length = (self.bytes.len() - self.start) as u32;
        self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.netfilter(7, REQUEST, 2, 0x0102);
        writer.attribute(1, &[b"ab", b"c"]);
        writer.nested(2, |inside| inside.text(3, "x"));
        writer.message(9, 0);
        let read: Vec<_> = messages(writer.bytes()).collect();
        assert_eq!((read[0].kind, read[1].kind, read.len()), (7, 9, 2));
        assert_eq!(read[0].body[..4], [2, 0, 1, 2]);
        let outer: Vec<_> = attributes(&read[0].body[4..]).collect();
        assert_eq!(outer[0], (1, b"abc".as_slice()));
        let inner: Vec<_> = attributes(outer[1].1).collect();
        assert_eq!(inner, [(3, b"x\0".as_slice())]);
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for length in [0u32, 4, 15, 17, u32::MAX] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.resize(HEADER, 0);
            assert_eq!(messages(&bytes).count(), 0);
        }
        for length in [0u16, 3, 9, u16::MAX] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.resize(8, 0);
            assert_eq!(attributes(&bytes).count(), 0);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                prop_assert!(attributes(message.body).count() <= bytes.len());
            }
        }
    }
}
