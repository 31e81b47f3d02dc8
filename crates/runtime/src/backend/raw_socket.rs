//! A raw socket on one interface, with all that frames need to cross unharmed: offload headers,
//! VLAN tags, and whole batches a call. packet(7).
//!
//! What the `pnet` crate's own channel cannot do (no offload header, VLAN tags lost, one frame a
//! call) is why this module has unsafe code.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Frames taken or given in one call at most.
pub(super) const BATCH: usize = 32;
/// The header that says what an offload has left to do (`struct virtio_net_hdr`).
pub(super) const OFFLOAD_HEADER: usize = 10;
/// Room for the largest packet that offloads make, its link header and a second tag.
const FRAME: usize = OFFLOAD_HEADER + 65_536 + 64;
/// A VLAN tag, for which room is left before each frame.
const TAG: usize = 4;
/// Where the tag stands: behind both addresses.
const TAG_AT: usize = 12;
/// The offset of `csum_start` in the offload header.
const CHECKSUM_START: usize = 6;
/// The offset of `hdr_len` there.
const HEADER_LENGTH: usize = 2;
/// Set in the first byte of the offload header if the checksum is partial.
const NEEDS_CHECKSUM: u8 = 1;
/// Bytes that the kernel keeps for us while we are busy.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;

/// A socket that takes and gives whole frames.
#[derive(Debug)]
pub struct RawSocket {
    fd: OwnedFd,
    name: CString,
    /// The interface that it is bound to.
    index: AtomicU32,
}

/// Frames that were taken together.
pub(super) struct Frames {
    slots: Vec<Slot>,
    count: usize,
}

struct Slot {
    /// Room for a tag, then the offload header and the frame.
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

/// Room for the one control message that is asked for.
#[repr(C, align(8))]
struct Control([u8; 64]);

impl RawSocket {
    /// Opens a socket on the interface called `name`: all frames that arrive there, whomever they
    /// are for, and none that leave.
    ///
    /// # Errors
    ///
    /// Without the right to open raw sockets, or without such an interface.
    pub fn open(name: &str) -> io::Result<Self> {
        let name = CString::new(name)?;
        if name.as_bytes_with_nul().len() > libc::IFNAMSIZ {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // Protocol 0 takes nothing until the socket is bound to the interface.
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let index = AtomicU32::new(0);
        let socket = Self { fd, name, index };
        socket.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
        // More than the system's limit is for root only.
        if socket
            .set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)
            .is_err()
        {
            socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &RECEIVE_BUFFER)?;
        }
        socket.follow()?;
        Ok(socket)
    }

    /// Binds to the interface that has the name now, if that is another one than before. This takes
    /// no rights.
    ///
    /// # Errors
    ///
    /// If there is no such interface.
    pub(super) fn follow(&self) -> io::Result<()> {
        let index = self.named()?;
        if index == self.index.load(Ordering::Relaxed) {
            return Ok(());
        }
        // SAFETY: all zeros is a value of this structure.
        let mut membership: libc::packet_mreq = unsafe { zeroed() };
        membership.mr_ifindex = index as i32;
        membership.mr_type = libc::PACKET_MR_PROMISC as u16;
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
        self.bind(index)?;
        self.index.store(index, Ordering::Relaxed);
        Ok(())
    }

    /// The number of the interface that has our name.
    fn named(&self) -> io::Result<u32> {
        // SAFETY: all zeros is a value of this structure.
        let mut request: libc::ifreq = unsafe { zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.as_bytes()) {
            *to = *from as libc::c_char;
        }
        // SAFETY: the structure lives as long as the call, which fills its number in.
        let result =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SIOCGIFINDEX, &raw mut request) };
        done(result)?;
        // SAFETY: a number is in every union of this structure.
        Ok(unsafe { request.ifr_ifru.ifru_ifindex } as u32)
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        // SAFETY: the value lives as long as the call and its size is right.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        done(result)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: all zeros is a value of this structure.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as i32;
        // SAFETY: the address lives as long as the call and its size is right.
        let result = unsafe {
            libc::bind(
                self.fd.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        done(result)
    }

    /// Whether frames come within this time.
    pub(super) fn wait(&self, patience: Duration) -> io::Result<bool> {
        let mut wanted = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one structure, as said.
        let ready = unsafe { libc::poll(&raw mut wanted, 1, patience) };
        match ready {
            0 => Ok(false),
            1 => Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                error => Err(error),
            },
        }
    }

    /// Takes the frames that are there, without waiting.
    pub(super) fn receive(&self, frames: &mut Frames) -> io::Result<()> {
        frames.count = 0;
        // SAFETY: all zeros is a value of these structures.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        // SAFETY: likewise.
        let mut pieces: [libc::iovec; BATCH] = unsafe { zeroed() };
        let mut controls = [const { Control([0; 64]) }; BATCH];
        for (place, slot) in frames.slots.iter_mut().enumerate() {
            let room = &mut slot.bytes[TAG..];
            pieces[place].iov_base = room.as_mut_ptr().cast();
            pieces[place].iov_len = room.len();
            let header = &mut headers[place].msg_hdr;
            header.msg_iov = &raw mut pieces[place];
            header.msg_iovlen = 1;
            header.msg_control = controls[place].0.as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>();
        }
        // SAFETY: every header points to memory of ours that outlives the call, with its size.
        let count = unsafe {
            libc::recvmmsg(
                self.fd.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                error => Err(error),
            };
        }
        frames.count = count as usize;
        for (slot, header) in frames.slots.iter_mut().zip(&headers[..frames.count]) {
            slot.start = TAG;
            slot.end = (TAG + header.msg_len as usize).min(slot.bytes.len());
            if let Some((kind, tag)) = vlan_tag(&header.msg_hdr) {
                slot.insert_tag(kind, tag);
            }
        }
        Ok(())
    }

    /// Sends frames, each after its offload header. Says how many the interface did not take.
    pub(super) fn send(&self, frames: &[&[u8]]) -> usize {
        let mut lost = 0;
        for frames in frames.chunks(BATCH) {
            // SAFETY: all zeros is a value of these structures.
            let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
            // SAFETY: likewise.
            let mut pieces: [libc::iovec; BATCH] = unsafe { zeroed() };
            for (place, frame) in frames.iter().enumerate() {
                // Sending does not write, whatever the pointer's type says.
                pieces[place].iov_base = frame.as_ptr().cast_mut().cast();
                pieces[place].iov_len = frame.len();
                headers[place].msg_hdr.msg_iov = &raw mut pieces[place];
                headers[place].msg_hdr.msg_iovlen = 1;
            }
            let mut sent = 0;
            while sent < frames.len() {
                // SAFETY: every header points to memory that outlives the call, with its size.
                let count = unsafe {
                    libc::sendmmsg(
                        self.fd.as_raw_fd(),
                        headers[sent..].as_mut_ptr(),
                        (frames.len() - sent) as u32,
                        0,
                    )
                };
                if count > 0 {
                    sent += count as usize;
                    continue;
                }
                if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                // The first one cannot be sent; the others are tried.
                sent += 1;
                lost += 1;
            }
        }
        lost
    }

    /// Frames that were lost since the last call because we were too slow.
    pub(super) fn overflow(&self) -> u64 {
        overflow(self.fd.as_fd())
    }
}

/// Frames that a packet socket lost since the last call.
pub(super) fn overflow(socket: BorrowedFd<'_>) -> u64 {
    let mut counts = [0u32; 2];
    let mut size = size_of::<[u32; 2]>() as libc::socklen_t;
    // SAFETY: the two numbers live as long as the call and their size is right.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            counts.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    if result == 0 { u64::from(counts[1]) } else { 0 }
}

/// What tells this network namespace from all others since the machine was started, also from those
/// that are gone; `None` before Linux 5.14. socket(7), `SO_NETNS_COOKIE`.
pub(super) fn namespace_cookie() -> Option<u64> {
    let socket = UnixDatagram::unbound().ok()?;
    let mut cookie = 0u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the number lives as long as the call and its size is right.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    (result == 0).then_some(cookie)
}

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The tag that the kernel took out of a frame: its protocol and itself.
fn vlan_tag(header: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: the kernel filled the control messages of this header, which point into memory that
    // is still there.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let found = &*message;
            if (found.cmsg_level, found.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
                let data: *const libc::tpacket_auxdata = libc::CMSG_DATA(message).cast();
                let data = data.read_unaligned();
                if data.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                    let known = data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
                    let kind = if known { data.tp_vlan_tpid } else { 0x8100 };
                    return Some((kind, data.tp_vlan_tci));
                }
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}

impl Frames {
    pub(super) fn new() -> Self {
        let slot = || Slot {
            bytes: vec![0; TAG + FRAME].into_boxed_slice(),
            start: TAG,
            end: TAG,
        };
        Self {
            slots: (0..BATCH).map(|_| slot()).collect(),
            count: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Offload header and frame, in order of their coming.
    pub(super) fn get(&self, place: usize) -> &[u8] {
        let slot = &self.slots[place];
        &slot.bytes[slot.start..slot.end]
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, place: usize) -> &mut [u8] {
        let slot = &mut self.slots[place];
        &mut slot.bytes[slot.start..slot.end]
    }
}

impl Slot {
    /// Puts a tag back into the frame, and moves what the offload header points to.
    fn insert_tag(&mut self, kind: u16, tag: u16) {
        let addresses = OFFLOAD_HEADER + TAG_AT;
        if self.end < TAG + addresses {
            return;
        }
        self.bytes.copy_within(TAG..TAG + addresses, 0);
        self.start = 0;
        self.bytes[addresses..][..2].copy_from_slice(&kind.to_be_bytes());
        self.bytes[addresses + 2..][..2].copy_from_slice(&tag.to_be_bytes());
        self.move_on(HEADER_LENGTH);
        if self.bytes[0] & NEEDS_CHECKSUM != 0 {
            self.move_on(CHECKSUM_START);
        }
    }

    /// Adds the length of a tag to a field of the offload header.
    fn move_on(&mut self, at: usize) {
        let field = &mut self.bytes[at..at + 2];
        let value = u16::from_ne_bytes([field[0], field[1]]).wrapping_add(TAG as u16);
        field.copy_from_slice(&value.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stands_behind_the_addresses_and_moves_the_checksum() {
        let mut bytes = vec![0; TAG];
        let mut offload = [0u8; OFFLOAD_HEADER];
        offload[0] = NEEDS_CHECKSUM;
        offload[HEADER_LENGTH..][..2].copy_from_slice(&54u16.to_ne_bytes());
        offload[CHECKSUM_START..][..2].copy_from_slice(&34u16.to_ne_bytes());
        bytes.extend(offload);
        bytes.extend([1; 6]);
        bytes.extend([2; 6]);
        bytes.extend([0x08, 0x00, 0x45]);
        let end = bytes.len();
        let mut slot = Slot {
            bytes: bytes.into_boxed_slice(),
            start: TAG,
            end,
        };
        slot.insert_tag(0x8100, 7);
        let frame = &slot.bytes[slot.start..slot.end];
        assert_eq!(frame[HEADER_LENGTH..][..2], 58u16.to_ne_bytes());
        assert_eq!(frame[CHECKSUM_START..][..2], 38u16.to_ne_bytes());
        let frame = &frame[OFFLOAD_HEADER..];
        assert_eq!(frame[..12], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(frame[12..], [0x81, 0x00, 0, 7, 0x08, 0x00, 0x45]);
    }
}
