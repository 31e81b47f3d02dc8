//! Rules and packets made up for measuring and testing: the same seed gives
//! the same workload, everywhere.
//!
//! The `bench` command, the benchmarks and the test generators share this.

mod random;
mod synthetic;
mod trace;

pub use random::Random;
pub use synthetic::{RuleKind, rules};
pub use trace::{TraceKind, trace};
