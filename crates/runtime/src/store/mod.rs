//! Where a ruleset is kept that commands read and change.
//!
//! [`RulesetStore`] is what the ipchains command sees, whatever is behind it:
//! a file now, a running firewall behind its control socket later.
//! [`LockedFile`] is the file: readers see the old text or the new, writers
//! take turns.

mod locked_file;

pub use locked_file::{FileLock, LockedFile, LockedFileError};

use portcullis_core::ruleset::Ruleset;

/// A ruleset that commands read and change.
///
/// A change is a transaction: between the ruleset that `edit` is lent and the
/// one that is kept, nobody else changes it. A running firewall judges packets
/// by the old ruleset until then, and carries the counters over.
pub trait RulesetStore {
    /// Why a ruleset cannot be had or kept.
    type Error;

    /// The ruleset as it is now.
    fn read(&self) -> Result<Ruleset, Self::Error>;

    /// Lends the ruleset to `edit`, which says whether to keep what it made
    /// of it. Returns what else `edit` returned.
    fn change<T>(&self, edit: impl FnOnce(&mut Ruleset) -> (Change, T)) -> Result<T, Self::Error>;
}

/// What to do with a changed ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is the ruleset from now on.
    Keep,
    /// Everything stays as it was.
    Discard,
}
