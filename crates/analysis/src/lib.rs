//! Questions about rulesets, answered on sets of packets.
//!
//! * a [`Space`] makes and compares [`Region`]s: exact sets of packets,
//! * [`Decided`] says which packets a chain accepts, denies and logs, and
//!   which of them each rule sees,
//! * [`explain`] follows one packet past every rule,
//! * [`compare`] says which packets two rulesets treat differently,
//! * [`suggest`] finds rules for what was denied, and proves what they open,
//! * [`check`] finds the mistakes in a ruleset, each with a packet that shows it,
//! * [`Coverage`] says what traffic tries of each rule, and [`Probes`] make a
//!   packet for it,
//! * every answer that is a set has an example in it, and every comparison is
//!   a proof: equal regions hold the same packets.
//!
//! Nothing here does I/O. Work is bounded: what cannot be decided with it ends
//! in [`TooLarge`], never in a guess. Section numbers ("§4") are those of the
//! semantics reference in `docs/semantics.md`.

mod check;
mod compare;
mod cover;
mod decided;
mod explain;
mod space;
pub mod suggest;

pub use check::{
    Checked, Finding, Kind, Machine, Question, Severity, Subject, check, places_in_words,
};
pub use compare::{Change, ChangeKind, compare};
pub use cover::{Coverage, Probe, Probes, Tried};
pub use decided::{Decided, Passage};
pub use explain::{Considered, Explanation, explain, reason};
pub use space::{
    Block, Blocks, Interfaces, Names, Packet, Parts, Range, Region, Space, Summary, TooLarge,
};
