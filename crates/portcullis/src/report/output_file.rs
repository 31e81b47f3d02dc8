//! Files that are written in one go, at the end.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;

/// A file that was created, so that it is known early that it can be.
pub(crate) struct OutputFile {
    file: File,
    name: String,
}

impl OutputFile {
    /// Creates the file, empty.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("cannot write {name}"))?;
        Ok(Self { file, name })
    }

    /// Writes everything that it is to hold.
    pub(crate) fn write(mut self, text: &str) -> anyhow::Result<()> {
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| format!("cannot write {}", self.name))
    }
}
