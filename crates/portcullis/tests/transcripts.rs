//! The console blocks of the documentation, and scenarios of the command
//! line, run as they stand there.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::path::Path;

#[test]
fn what_the_documentation_shows_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::set_current_dir(root).unwrap();
    trycmd::TestCases::new()
        .case("README.md")
        .case("docs/guide/*.md")
        .case("crates/portcullis/tests/scenarios/*.md");
}
