//! Sees to it that only one firewall at a time has an interface, or the kernel's queue.
//!
//! A second one would replace what holds the kernel away, and at its end take it away from the
//! first, which would not notice.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::raw_socket::namespace_cookie;

/// Where locked files lie; whoever may write there is root.
const FOLDER: &str = "/run/portcullis";
/// How long one is waited for that was killed and is not quite gone.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The right to one thing of this network namespace, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    file: File,
}

impl Claim {
    /// Claims `what`: the name of an interface, or `queue`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if another firewall has it.
    pub fn take(what: &str) -> io::Result<Self> {
        let file = file(what)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(file)?;
        let start = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { file }),
                Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => {
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Where something is remembered of this network namespace: interfaces of one name are different
/// ones in each.
pub(super) fn file(what: &str) -> io::Result<PathBuf> {
    let folder = Path::new(FOLDER);
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // Inode numbers of namespaces that are gone are given out again, and then what was remembered
    // of an interface would be another's.
    let namespace = match namespace_cookie() {
        Some(cookie) => format!("c{cookie}"),
        None => fs::metadata("/proc/self/ns/net")?.ino().to_string(),
    };
    Ok(folder.join(format!("{namespace}-{what}")))
}

impl AsFd for Claim {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_claimed_once() {
        let what = format!("test{}", std::process::id());
        let first = match Claim::take(&what) {
            Ok(first) => first,
            // Only root may.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
            Err(error) => panic!("{error}"),
        };
        let second = Claim::take(&what).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        drop(Claim::take(&what).unwrap());
        fs::remove_file(file(&what).unwrap()).unwrap();
    }
}
