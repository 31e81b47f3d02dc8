//! The golden corpora: what the original kernel and command did, recorded.
//!
//! `packets` and `sessions` travel with this crate, compressed. Other corpora
//! of the same layout are read where an environment variable names a folder.

mod judge;
mod real;
mod report;
mod sessions;
mod shell;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::{env, fs};

pub use judge::{Copies, check_packets, expected_text};
pub use real::{RealCorpus, check_real};
pub use report::{Compared, Difference};
pub use sessions::{Session, SessionCompared, check_session, sessions};

const PACKETS: &[u8] = include_bytes!("../../golden/packets.tar.zst");

/// A folder of files, by name.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the folder.
    pub name: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Case {
    /// A file's bytes.
    pub fn bytes(&self, file: &str) -> Result<&[u8], Difference> {
        let found = self.files.get(file).map(Vec::as_slice);
        found.ok_or_else(|| Difference::new(format!("there is no {file}")))
    }

    /// A file as text.
    pub fn text(&self, file: &str) -> Result<&str, Difference> {
        std::str::from_utf8(self.bytes(file)?)
            .map_err(|error| Difference::new(format!("{file}: {error}")))
    }
}

/// The packet cases: those of `PORTCULLIS_GOLDEN_PACKETS`, or the shipped ones.
pub fn packet_cases() -> io::Result<Vec<Case>> {
    match env::var_os("PORTCULLIS_GOLDEN_PACKETS") {
        Some(folder) => cases_in(Path::new(&folder)),
        None => cases_in_archive(PACKETS),
    }
}

/// Where the folder beside the project lies that holds what may be tested
/// against but not shipped.
pub fn shared_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared")
}

/// Every folder below `folder` as a case.
fn cases_in(folder: &Path) -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            cases.push(read_case(&path)?);
        }
    }
    cases.sort_by(|a: &Case, b| a.name.cmp(&b.name));
    Ok(cases)
}

fn read_case(folder: &Path) -> io::Result<Case> {
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            files.insert(name(&path), fs::read(&path)?);
        }
    }
    let name = name(folder);
    Ok(Case { name, files })
}

fn cases_in_archive(archive: &[u8]) -> io::Result<Vec<Case>> {
    let mut decoder = zstd::Decoder::new(archive)?;
    // The archives are packed with a window of 128 MiB.
    decoder.window_log_max(27)?;
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for entry in tar::Archive::new(decoder).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let path = path.trim_start_matches("./");
        // The archive of sessions has no folders.
        let (folder, file) = path.split_once('/').unwrap_or(("", path));
        let (folder, file) = (folder.to_owned(), file.to_owned());
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut entry, &mut bytes)?;
        let case = cases.entry(folder.clone()).or_insert_with(|| Case {
            name: folder,
            files: BTreeMap::new(),
        });
        case.files.insert(file, bytes);
    }
    Ok(cases.into_values().collect())
}
