//! A text file that is replaced as a whole.
//!
//! The new text goes to a file of its own beside the old one, which it then
//! replaces in one step: whoever reads sees all of the old or all of the new,
//! also after a crash. Writers hold a lock on a third file, because the lock
//! on a file that is replaced would go with it. That file stays, empty.
//!
//! Replacing needs no right to write the old file, only its folder. It is
//! asked for all the same: who made a file read-only meant it.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that is read whole and replaced whole.
#[derive(Clone, Debug)]
pub struct LockedFile {
    path: PathBuf,
}

/// The right to replace a [`LockedFile`], until dropped.
#[derive(Debug)]
pub struct FileLock<'a> {
    file: &'a LockedFile,
    /// Closing it ends the lock.
    _lock: File,
}

/// Why a file cannot be read, locked or replaced.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each kind says what it is")]
pub enum LockedFileError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// How many links are followed before they are taken for a circle.
const LINKS: usize = 40;

impl LockedFile {
    /// The file of this name. Nothing is opened yet; a symbolic link stands
    /// for the file that it names, even one that is still to be made.
    pub fn new(path: &Path) -> Self {
        Self { path: follow(path) }
    }

    /// The file's name, symbolic links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file; `None` if its folder has no such file.
    pub fn read(&self) -> Result<Option<Vec<u8>>, LockedFileError> {
        match self.metadata()? {
            Some(_) => fs::read(&self.path).map(Some).map_err(|it| self.unread(it)),
            None => Ok(None),
        }
    }

    /// Waits until no other writer holds the file.
    pub fn lock(&self) -> Result<FileLock<'_>, LockedFileError> {
        let old = self.metadata_or_nothing()?;
        if old.is_some() {
            let writable = OpenOptions::new().write(true).open(&self.path);
            writable.map_err(|source| LockedFileError::Write {
                path: self.path.clone(),
                source,
            })?;
        }
        let path = self.beside("lock");
        let locked = open_lock(&path, old.as_ref()).and_then(|lock| lock.lock().map(|()| lock));
        let lock = locked.map_err(|source| LockedFileError::Lock { path, source })?;
        Ok(FileLock {
            file: self,
            _lock: lock,
        })
    }

    /// `None` if the folder has no such file; a folder that is not there is an
    /// error, for it is more likely a slip than a machine without rules.
    fn metadata(&self) -> Result<Option<Metadata>, LockedFileError> {
        match self.metadata_or_nothing()? {
            None => {
                fs::metadata(folder(&self.path)).map_err(|it| self.unread(it))?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// Refuses what would block, never end, or lose its nature.
    fn metadata_or_nothing(&self) -> Result<Option<Metadata>, LockedFileError> {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_file() => Ok(Some(found)),
            Ok(_) => Err(LockedFileError::NotRegular(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unread(error)),
        }
    }

    fn unread(&self, source: io::Error) -> LockedFileError {
        LockedFileError::Read {
            path: self.path.clone(),
            source,
        }
    }

    /// The hidden file of this ending in the same folder.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsStr::new(".").to_owned();
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }
}

/// The name that all writers of a file agree on.
fn follow(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        // Links to pipes, as in /dev/fd, name nothing that can be followed.
        let special = fs::metadata(&path).is_ok_and(|found| !found.is_file());
        match fs::read_link(&path) {
            Ok(target) if !special => path = folder(&path).join(target),
            _ => break,
        }
    }
    match (fs::canonicalize(folder(&path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Opens the file for reading, which is enough for a lock and possible when
/// another user made it. A new one is open to whom the file is.
fn open_lock(path: &Path, file: Option<&Metadata>) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut options = OpenOptions::new();
            let lock = options
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            if let Some(file) = file {
                // Another writer may have made it; then it is theirs to set.
                let _ = lock.set_permissions(file.permissions());
            }
            Ok(lock)
        }
        opened => opened,
    }
}

impl FileLock<'_> {
    /// The bytes of the file; `None` if it does not exist.
    pub fn read(&self) -> Result<Option<Vec<u8>>, LockedFileError> {
        self.file.read()
    }

    /// Replaces the file. After an error the old text is still there.
    pub fn replace(&self, bytes: &[u8]) -> Result<(), LockedFileError> {
        let new = self.file.beside("new");
        self.write_and_rename(&new, bytes).map_err(|source| {
            // What is left of it is of no use to anyone.
            let _ = fs::remove_file(&new);
            LockedFileError::Write {
                path: self.file.path.clone(),
                source,
            }
        })
    }

    fn write_and_rename(&self, new: &Path, bytes: &[u8]) -> io::Result<()> {
        // A writer that was killed may have left one; nobody else has it open.
        match fs::remove_file(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(new)?;
        if let Ok(old) = fs::metadata(&self.file.path) {
            keep_owner(&file, &old);
            file.set_permissions(old.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        // Whatever can fail does so before the rename, which cannot be undone.
        let folder = File::open(folder(&self.file.path))?;
        fs::rename(new, &self.file.path)?;
        // The new name outlasts a crash once the folder is on the disk. The
        // change stands even where a file system cannot promise that.
        let _ = folder.sync_all();
        Ok(())
    }
}

/// Only root can give files away; others can at least keep the group.
#[cfg(unix)]
fn keep_owner(file: &File, old: &Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};

    if fchown(file, Some(old.uid()), Some(old.gid())).is_err() {
        let _ = fchown(file, None, Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _old: &Metadata) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = LockedFile::new(&folder.path().join("rules"));
        assert_eq!(file.read().unwrap(), None);
        file.lock().unwrap().replace(b"one").unwrap();
        file.lock().unwrap().replace(b"two").unwrap();
        assert_eq!(file.read().unwrap().unwrap(), b"two");
        assert!(!file.beside("new").exists());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_survive() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("rules"), folder.path().join("link"));
        fs::write(&target, "one").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&target, &link).unwrap();
        LockedFile::new(&link)
            .lock()
            .unwrap()
            .replace(b"two")
            .unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = fs::metadata(&target).unwrap().permissions().mode();
        assert_eq!(
            (fs::read(&target).unwrap(), mode & 0o777),
            (b"two".to_vec(), 0o640)
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_that_are_still_to_be_made_are_followed() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("rules"), folder.path().join("link"));
        symlink("rules", &link).unwrap();
        let file = LockedFile::new(&link);
        assert_eq!(file.path(), LockedFile::new(&target).path());
        file.lock().unwrap().replace(b"one").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"one");
    }

    #[cfg(unix)]
    #[test]
    fn special_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for path in [&path, Path::new("/dev/null"), folder.path()] {
            let file = LockedFile::new(path);
            let (read, lock) = (file.read().unwrap_err(), file.lock().unwrap_err());
            assert!(read.to_string().ends_with(" is not a regular file"));
            assert!(lock.to_string().ends_with(" is not a regular file"));
            assert!(!file.beside("lock").exists());
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_owner_and_who_may_write_stay_the_same() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        fs::write(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        // Only root can; for others the file is their own.
        let _ = chown(&path, Some(12345), Some(12345));
        let owner = fs::metadata(&path).unwrap().uid();
        let file = LockedFile::new(&path);
        file.lock().unwrap().replace(b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
        assert_eq!((mode(&path), mode(&file.beside("lock"))), (0o666, 0o666));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        if OpenOptions::new().write(true).open(&path).is_ok() {
            return; // Nothing is read-only to root.
        }
        let error = file.lock().unwrap_err();
        assert!(error.to_string().starts_with("cannot write"), "{error}");
    }

    #[test]
    fn what_a_killed_writer_left_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let file = LockedFile::new(&folder.path().join("rules"));
        fs::write(file.beside("new"), "half").unwrap();
        file.lock().unwrap().replace(b"whole").unwrap();
        assert_eq!(file.read().unwrap().unwrap(), b"whole");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let file = LockedFile::new(&folder.path().join("nowhere/rules"));
        let error = file.lock().unwrap_err();
        assert!(error.to_string().starts_with("cannot lock"), "{error}");
        let error = file.read().unwrap_err();
        assert!(error.to_string().starts_with("cannot read"), "{error}");
    }
}
