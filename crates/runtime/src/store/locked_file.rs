//! A text file that is replaced as a whole.
//!
//! The new text goes to a file of its own beside the old one, which it then
//! replaces in one step: whoever reads sees all of the old or all of the new,
//! also after a crash. Writers hold a lock on a third file, because the lock
//! on a file that is replaced would go with it. That file stays, empty.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
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
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl LockedFile {
    /// The file of this name. Nothing is opened yet; a symbolic link stands
    /// for the file that it names, so that the link survives a replacement.
    pub fn new(path: &Path) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self { path }
    }

    /// The file's name, symbolic links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file; `None` if it does not exist.
    pub fn read(&self) -> Result<Option<Vec<u8>>, LockedFileError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LockedFileError::Read {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Waits until no other writer holds the file.
    pub fn lock(&self) -> Result<FileLock<'_>, LockedFileError> {
        let path = self.beside("lock");
        let open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let locked = open.and_then(|lock| lock.lock().map(|()| lock));
        let lock = locked.map_err(|source| LockedFileError::Lock { path, source })?;
        Ok(FileLock {
            file: self,
            _lock: lock,
        })
    }

    /// The hidden file of this ending in the same folder.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsStr::new(".").to_owned();
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }
}

impl FileLock<'_> {
    /// The bytes of the file; `None` if it does not exist.
    pub fn read(&self) -> Result<Option<Vec<u8>>, LockedFileError> {
        self.file.read()
    }

    /// Replaces the file. When this returns, the new text is on the disk.
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
            file.set_permissions(old.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(new, &self.file.path)?;
        // The new name is safe only once the folder is.
        File::open(self.file.folder())?.sync_all()
    }
}

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
    }
}
