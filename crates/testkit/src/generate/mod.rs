//! Rulesets and packets made at random: the same seed, the same bytes,
//! everywhere.
//!
//! Values come from small alphabets, so that packets do hit rules and rules do
//! overlap; each [`Shape`] is built to hurt one way of matching.

mod packets;
mod random;
mod rules;

pub use packets::{TraceKind, key_near, keys_near, trace};
pub use random::Random;
pub use rules::{INTERFACES, Shape, ruleset};
