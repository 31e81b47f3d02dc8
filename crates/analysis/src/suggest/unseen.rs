//! How much has not shown up yet.

use super::group::{Group, Stance};

/// What the groups tell about what is still missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unseen {
    /// Groups that are no scans.
    pub kinds: usize,
    /// Conversations in them.
    pub conversations: usize,
    /// Groups with one conversation only.
    pub once: usize,
}

impl Unseen {
    /// Counts groups.
    pub fn of(groups: &[Group]) -> Self {
        let services = || {
            let no_scan = |group: &&Group| !matches!(group.stance, Stance::Scan { .. });
            groups.iter().filter(no_scan)
        };
        Self {
            kinds: services().count(),
            conversations: services().map(|it| it.conversations).sum(),
            once: services().filter(|it| it.conversations == 1).count(),
        }
    }

    /// How likely the next denied conversation is of a kind that was never
    /// seen: the share of conversations whose kind was seen once (Good 1953,
    /// Turing). `None` if there were no conversations.
    pub fn chance(&self) -> Option<f64> {
        (self.conversations > 0).then(|| self.once as f64 / self.conversations as f64)
    }
}
