//! A file that grows, and is put aside for a new one now and then.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use portcullis_syntax::syslog::{Event, Reader};

use super::text;

/// Reads what is appended to a file. A rotated file is read to its end before
/// the new one is begun; one that was cut is begun again.
pub(crate) struct Followed {
    path: PathBuf,
    file: File,
    /// Where the next byte is read.
    at: u64,
    /// A line without its end.
    rest: Vec<u8>,
    reader: Reader,
}

impl Followed {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: File::open(path)?,
            at: 0,
            rest: Vec::new(),
            reader: Reader::new(),
        })
    }

    /// Reads what there is now.
    pub(crate) fn poll(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        self.drain(events)?;
        let own = self.file.metadata()?;
        let there = match self.path.metadata() {
            Ok(there) => there,
            // Between the two steps of a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if (own.dev(), own.ino()) != (there.dev(), there.ino()) {
            // Whoever had it open may have written on after the last look.
            self.drain(events)?;
            self.begin(File::open(&self.path)?, events)?;
        } else if own.len() < self.at {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            self.begin(file, events)?;
        }
        Ok(())
    }

    fn begin(&mut self, file: File, events: &mut Vec<Event>) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.reader.push(&text(&rest), events);
        }
        self.reader.finish(events);
        self.reader = Reader::new();
        self.file = file;
        self.at = 0;
        self.drain(events)
    }

    fn drain(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.at += self.file.read_to_end(&mut bytes)? as u64;
        self.rest.extend(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.reader.push(&text(&line), events);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn line(port: u16) -> String {
        format!(
            "Oct 17 00:32:46 server kernel: Packet log: input DENY eth0 PROTO=6 192.0.2.7:20 \
             198.51.100.1:{port} L=44 S=0x00 I=1 F=0x4000 T=250 SYN (#28)\n"
        )
    }

    fn ports(followed: &mut Followed) -> Vec<u16> {
        let mut events = Vec::new();
        followed.poll(&mut events).unwrap();
        let port = |event| match event {
            Event::Entry(entry) => entry.log.packet.destination_port,
            other => panic!("{other:?}"),
        };
        events.into_iter().map(port).collect()
    }

    #[test]
    fn nothing_is_lost_in_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages");
        let mut file = File::create(&path).unwrap();
        file.write_all(line(1).as_bytes()).unwrap();
        let mut followed = Followed::open(&path).unwrap();
        assert_eq!(ports(&mut followed), [1]);
        let two = line(2);
        file.write_all(&two.as_bytes()[..50]).unwrap();
        assert_eq!(ports(&mut followed), [0_u16; 0]);
        file.write_all(&two.as_bytes()[50..]).unwrap();
        // Rotated: the writer goes on with the old file for a moment.
        fs::rename(&path, folder.path().join("messages.1")).unwrap();
        assert_eq!(ports(&mut followed), [2]);
        file.write_all(line(3).as_bytes()).unwrap();
        fs::write(&path, line(4)).unwrap();
        assert_eq!(ports(&mut followed), [3, 4]);
        // Cut and begun again.
        fs::write(&path, "").unwrap();
        assert_eq!(ports(&mut followed), [0_u16; 0]);
        fs::write(&path, line(5)).unwrap();
        assert_eq!(ports(&mut followed), [5]);
    }
}
