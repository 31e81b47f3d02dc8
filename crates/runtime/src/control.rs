//! The socket through which a running firewall is spoken to.
//!
//! A message is its length, four bytes with the highest first, and as many bytes of text. Who
//! connects says something and gets an answer, as often as it likes.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a message at most: 100,000 rules are 10 MB.
const LONGEST: usize = 1 << 28;
/// Who says nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a running firewall listens.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// A conversation with one program, seen from either side.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
}

impl ControlSocket {
    /// Listens at `path`, for this user only, or also for the members of a group (its number). A
    /// socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another firewall listens there.
    pub fn bind(path: &Path, group: Option<u32>) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match fs::symlink_metadata(path) {
            Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
                fs::remove_file(path)?;
            }
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        if group.is_some() {
            chown(path, None, group)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        }
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Waits for somebody to connect.
    ///
    /// # Errors
    ///
    /// Whatever `accept` says; the socket goes on listening.
    pub fn accept(&self) -> io::Result<Connection> {
        let (stream, _) = self.listener.accept()?;
        Connection::new(stream)
    }

    /// Nobody finds it any more.
    pub fn close(&self) {
        // Whoever removed it already has done this for us.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.close();
    }
}

impl Connection {
    /// Connects to the firewall that listens at `path`.
    ///
    /// # Errors
    ///
    /// `NotFound` or `ConnectionRefused` if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(UnixStream::connect(path)?)
    }

    fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// If it is too long, or the other side is gone.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        let length = u32::try_from(text.len())
            .ok()
            .filter(|length| *length as usize <= LONGEST)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.stream.write_all(&length.to_be_bytes())?;
        self.stream.write_all(text.as_bytes())
    }

    /// Waits for a message; `None` when the other side has gone.
    ///
    /// # Errors
    ///
    /// If it is too long, cut short or not text.
    pub fn receive(&mut self) -> io::Result<Option<String>> {
        read_message(&mut self.stream)
    }
}

/// Reads one message from a connection; `None` where it ends.
///
/// # Errors
///
/// If the message is too long, cut short or not text.
pub fn read_message(stream: &mut impl Read) -> io::Result<Option<String>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Memory follows what comes, not what was announced.
    let mut bytes = Vec::new();
    let taken = stream.take(length as u64).read_to_end(&mut bytes)?;
    if taken < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = ControlSocket::bind(&path, None).unwrap();
        assert!(ControlSocket::bind(&path, None).is_err(), "two firewalls");
        // Trying to bind connected once.
        drop(socket.accept().unwrap());
        let answering = thread::spawn(move || {
            let mut connection = socket.accept().unwrap();
            let heard = connection.receive().unwrap().unwrap();
            connection.send(&heard.to_uppercase()).unwrap();
            assert_eq!(connection.receive().unwrap(), None);
        });
        let mut connection = Connection::open(&path).unwrap();
        connection.send("status").unwrap();
        assert_eq!(connection.receive().unwrap().as_deref(), Some("STATUS"));
        drop(connection);
        answering.join().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_message_that_is_announced_and_does_not_come_takes_no_memory() {
        let (mut far, near) = UnixStream::pair().unwrap();
        let mut near = Connection::new(near).unwrap();
        far.write_all(&[0xff; 4]).unwrap();
        assert!(near.receive().is_err());
        far.write_all(&[0x0f, 0xff, 0xff, 0xff, b'x']).unwrap();
        drop(far);
        assert!(near.receive().is_err());
    }
}
