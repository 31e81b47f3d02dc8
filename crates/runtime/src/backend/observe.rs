//! A tap: copies of all frames on some interfaces. It stops nothing.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, IntoRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pnet::datalink::{self, Channel, DataLinkReceiver};
use pnet::ipnetwork::IpNetwork;
use portcullis_core::matcher::Matcher;
use portcullis_core::names::InterfaceName;
use portcullis_core::packet::Ipv4Packet;
use portcullis_core::ruleset::{BuiltIn, Network as Addresses};
use portcullis_core::traversal::{LocalAddresses, Route, Step};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::raw_socket::overflow;
use crate::link::{LinkType, Network, network_layer};
use crate::live::{Fate, Figure, Stats, Worker};

/// How long a worker waits before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// Frames between two questions what was lost.
const BETWEEN_QUESTIONS: u32 = 1024;
/// Larger than any frame that an interface hands over.
const BUFFER: usize = 1 << 17;

/// A tap on one interface.
pub struct Tap {
    receiver: Box<dyn DataLinkReceiver>,
    /// The receiver's socket, to be asked what it lost.
    socket: OwnedFd,
    interface: InterfaceName,
    link: LinkType,
    /// The source of frames that leave by the interface.
    mac: Option<[u8; 6]>,
    local: LocalAddresses,
}

/// The IPv4 addresses of an interface of this machine; `None` if there is no such interface.
pub fn addresses(name: &str) -> Option<Vec<Addresses>> {
    let ipv4 = all_addresses(name)?
        .into_iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) => Some(Addresses::with_prefix(address.to_bits(), 32)),
            IpAddr::V6(_) => None,
        });
    Some(ipv4.collect())
}

/// All addresses of an interface; `None` if there is no such interface.
pub fn all_addresses(name: &str) -> Option<Vec<IpAddr>> {
    let found = datalink::interfaces()
        .into_iter()
        .find(|it| it.name == name)?;
    Some(found.ips.iter().map(IpNetwork::ip).collect())
}

impl Tap {
    /// Taps the interface called `name`; `local` are this machine's addresses.
    ///
    /// # Errors
    ///
    /// Without the right to open raw sockets, or without such an interface.
    pub fn open(name: &str, local: LocalAddresses) -> io::Result<Self> {
        let found = datalink::interfaces()
            .into_iter()
            .find(|it| it.name == name);
        let interface = found.ok_or(io::ErrorKind::NotFound)?;
        // Of no protocol: nothing comes until it is bound to the interface.
        let socket = socket_with(
            AddressFamily::PACKET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let config = datalink::Config {
            read_buffer_size: BUFFER,
            read_timeout: Some(PATIENCE),
            // The channel closes its own.
            socket_fd: Some(socket.try_clone()?.into_raw_fd()),
            ..datalink::Config::default()
        };
        // Point-to-point devices such as tunnels have no link header.
        let link = match interface.mac {
            Some(_) => LinkType::ETHERNET,
            None => LinkType::RAW,
        };
        match datalink::channel(&interface, config)? {
            Channel::Ethernet(_, receiver) => Ok(Self {
                receiver,
                socket,
                interface: InterfaceName::for_device(name).0,
                link,
                mac: interface.mac.map(|mac| mac.octets()),
                local,
            }),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Judges what passes by until `stop` is set.
    ///
    /// # Errors
    ///
    /// If frames cannot be received any more.
    pub fn run<M: Matcher>(
        &mut self,
        worker: &mut Worker<M>,
        stats: &Stats,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        let mut since = 0;
        while !stop.load(Ordering::Relaxed) {
            if since == 0 {
                stats.add(Figure::Overflow, overflow(self.socket.as_fd()));
            }
            let frame = match self.receiver.next() {
                Ok(frame) => frame,
                Err(error) if is_pause(&error) => {
                    since = 0;
                    continue;
                }
                Err(error) => return Err(error),
            };
            since = (since + 1) % BETWEEN_QUESTIONS;
            stats.add(Figure::Received, 1);
            stats.add(Figure::Bytes, frame.len() as u64);
            let Network::Ipv4 { packet: bytes, .. } = network_layer(self.link, frame) else {
                stats.add(Figure::NotIpv4, 1);
                continue;
            };
            let Ok(packet) = Ipv4Packet::sent(bytes, bytes.len()) else {
                stats.add(Figure::Damaged, 1);
                continue;
            };
            let route = self.local.route(packet.source(), packet.destination());
            let leaves = self.mac.is_some_and(|mac| frame[6..12] == mac);
            let chains = chains(route, leaves);
            // Only what comes from elsewhere is checked by the kernel.
            let arrives = chains == [BuiltIn::Input];
            if arrives && Ipv4Packet::received(bytes, bytes.len()).is_err() {
                stats.add(Figure::Damaged, 1);
                continue;
            }
            let at = |chain: &BuiltIn| Step {
                chain: *chain,
                interface: self.interface,
            };
            let fate = match chains {
                [first, second] => {
                    worker.batch(|judging| judging.judge(&[at(first), at(second)], &packet))
                }
                _ => worker.batch(|judging| judging.judge(&[at(&chains[0])], &packet)),
            };
            let figure = match fate {
                Fate::Pass(_) => Figure::Passed,
                Fate::Deny => Figure::Denied,
                Fate::Reject(_) => Figure::Rejected,
                Fate::TtlExceeded => Figure::TtlExceeded,
            };
            stats.add(figure, 1);
        }
        Ok(())
    }
}

/// The chains that a packet meets where it is seen. One that passes through is seen where it
/// arrives, and again where it leaves: the interface's own address is then its frame's source.
fn chains(route: Route, leaves: bool) -> &'static [BuiltIn] {
    match route {
        Route::FromHere | Route::Within => &[BuiltIn::Output],
        Route::Through if leaves => &[BuiltIn::Forward, BuiltIn::Output],
        Route::ToHere | Route::Through => &[BuiltIn::Input],
    }
}

fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
        || error.raw_os_error() == Some(libc::ENETDOWN)
}
