//! What fuzz targets share.

pub mod capture;
pub mod small_world;

use portcullis_core::ruleset::Ruleset;
use portcullis_testkit::generate::{self, Random, Shape};

/// The rules that the fuzzer's bytes choose: of any shape, and up to `most` of them.
pub fn ruleset(random: &mut Random, most: u32) -> Ruleset {
    let shape = random.pick(&Shape::ALL);
    let rules = random.below(most + 1) as usize;
    generate::ruleset(random, shape, rules)
}
