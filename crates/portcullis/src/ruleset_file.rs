//! The ruleset file: save text that a person can read and edit.
//!
//! A file that does not exist stands for a machine after boot. The text is
//! what ipchains-save writes, plus what that forgets in a spelling that
//! ipchains reads, too; counters are not kept. Whoever edits by hand may write
//! whatever a file of rules may hold, but the next change writes the file
//! anew, without comments.

use std::fmt;
use std::path::Path;

use portcullis_core::ruleset::{Chain, Ruleset};
use portcullis_runtime::store::{Change, LockedFile, LockedFileError, RulesetStore};
use portcullis_syntax::ipchains::Fidelity;
use portcullis_syntax::names::Names;
use portcullis_syntax::save::{Form, save_as};
use portcullis_syntax::script::{self, Script};
use thiserror::Error;

use crate::rules;

/// How the first line begins; a number follows.
const VERSION_LINE: &str = "# portcullis ruleset ";
/// The number that this program writes, and the highest that it reads.
const VERSION: u32 = 1;

/// A ruleset in a file.
pub(crate) struct RulesetFile {
    file: LockedFile,
    names: Names,
}

/// Why a ruleset file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum RulesetFileError {
    #[error(transparent)]
    File(#[from] LockedFileError),
    #[error("{0} is not a text file of rules")]
    NotText(String),
    #[error("{file} has version {version} of the ruleset format, this portcullis knows {VERSION}")]
    Version { file: String, version: String },
    #[error("the name {0:?} has a character that no line of a ruleset file can hold")]
    Name(String),
    #[error("{0}")]
    Mistakes(Box<Mistakes>),
}

/// Lines of a ruleset file that are wrong. `Display` quotes them.
#[derive(Debug)]
pub(crate) struct Mistakes {
    file: String,
    source: String,
    script: Script,
}

impl RulesetFile {
    pub(crate) fn new(path: &Path) -> Self {
        let mut names = Names::new();
        rules::add_services(&mut names);
        Self {
            file: LockedFile::new(path),
            names,
        }
    }

    fn parse(&self, bytes: Option<Vec<u8>>) -> Result<Ruleset, RulesetFileError> {
        let Some(bytes) = bytes else {
            return Ok(Ruleset::new());
        };
        let file = self.file.path().display().to_string();
        let source = rules::decode(bytes);
        if source.contains('\0') {
            return Err(RulesetFileError::NotText(file));
        }
        if let Some(version) = version(&source)
            && version.parse() != Ok(VERSION)
        {
            let version = version.to_owned();
            return Err(RulesetFileError::Version { file, version });
        }
        // Strict, because what strict commands wrote must be read back.
        let script = script::read_as(&source, &self.names, Fidelity::Strict);
        if script.mistakes.is_empty() {
            return Ok(script.ruleset);
        }
        Err(RulesetFileError::Mistakes(Box::new(Mistakes {
            file,
            source,
            script,
        })))
    }
}

impl RulesetStore for RulesetFile {
    type Error = RulesetFileError;

    fn read(&self) -> Result<Ruleset, RulesetFileError> {
        self.parse(self.file.read()?)
    }

    fn change<T>(
        &self,
        edit: impl FnOnce(&mut Ruleset) -> (Change, T),
    ) -> Result<T, RulesetFileError> {
        let lock = self.file.lock()?;
        let before = self.parse(lock.read()?)?;
        let mut after = before.clone();
        let (change, result) = edit(&mut after);
        if change == Change::Keep && after != before {
            lock.replace(text(&after)?.as_bytes())?;
        }
        Ok(result)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, source, script) = (&self.file, &self.source, &self.script);
        let text = rules::explain(file, source, script, "nothing was done");
        f.write_str(text.trim_end())
    }
}

/// The version that the first line names, whatever it says.
fn version(source: &str) -> Option<&str> {
    let first = source.lines().next()?;
    first.strip_prefix(VERSION_LINE).map(str::trim)
}

/// Reads text that [`text`] wrote, wherever it was meanwhile.
pub(crate) fn parse_text(source: &str) -> anyhow::Result<Ruleset> {
    let script = script::read_as(source, &Names::new(), Fidelity::Strict);
    match script.mistakes.first() {
        None => Ok(script.ruleset),
        Some(mistake) => anyhow::bail!("{}: {}", mistake.command.trim(), mistake.message),
    }
}

/// The text of a ruleset, counters aside.
pub(crate) fn text(ruleset: &Ruleset) -> Result<String, RulesetFileError> {
    let chains = ruleset.chains().iter();
    let interfaces = chains
        .clone()
        .flat_map(Chain::rules)
        .map(|rule| rule.conditions.interface.value.name().as_str());
    let mut names = chains.map(|chain| chain.name().as_str()).chain(interfaces);
    match names.find(|name| name.chars().any(char::is_control)) {
        Some(name) => Err(RulesetFileError::Name(name.to_owned())),
        None => Ok(format!(
            "{VERSION_LINE}{VERSION}\n{}",
            save_as(ruleset, Form::Lossless)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules");
        for version in ["2", "99999999999", "x", "1 x", ""] {
            let text = format!("# portcullis ruleset {version}\n:input DENY\n");
            std::fs::write(&path, text).unwrap();
            let error = RulesetFile::new(&path).read().unwrap_err().to_string();
            assert!(error.contains(&format!("has version {version}")), "{error}");
        }
    }
}
