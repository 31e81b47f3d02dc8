//! How faithfully the command is to repeat the mistakes of ipchains 1.3.9.

/// Whether known bugs of the original are repaired (`docs/deviations.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fidelity {
    /// Rules mean what was written.
    #[default]
    Repaired,
    /// Every bug that a script could observe is there, as in 1.3.9.
    Strict,
}
