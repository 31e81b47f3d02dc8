//! Rulesets and packets made at random: the same seed, the same bytes,
//! everywhere.
//!
//! Values come from small alphabets, so that packets do hit rules and rules do
//! overlap; each [`Shape`] is built to hurt one way of matching.

mod packets;
mod rules;

pub use packets::{key_near, keys_near};
pub use portcullis_workload::{Random, TraceKind, trace};
pub use rules::{INTERFACES, Shape, ruleset};
