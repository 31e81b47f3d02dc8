//! Rulesets of a thousand rules of other people's, in reasonable time.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::time::Instant;

use portcullis_analysis::{Decided, Space};
use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{BuiltIn, Ruleset};
use portcullis_syntax::classbench::read_filters;

#[test]
fn a_thousand_filters_are_decided() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/classbench");
    if !fs::exists(folder).unwrap() {
        assert!(std::env::var_os("CI").is_none(), "no {folder}");
        eprintln!("skipped: no {folder}");
        return;
    }
    for name in ["acl1_1k", "acl3_1k", "fw1_1k", "fw3_1k", "ipc1_1k"] {
        let packed = fs::read(format!("{folder}/{name}.rules.zst")).unwrap();
        let text = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
        let mut ruleset = Ruleset::new();
        for rule in read_filters(&text).unwrap() {
            ruleset
                .append(&ChainName::new("input").unwrap(), rule)
                .unwrap();
        }
        let start = Instant::now();
        let mut space = Space::new(&[&ruleset]);
        Decided::new(&mut space, &ruleset, BuiltIn::Input).unwrap();
        let (took, rules) = (start.elapsed(), ruleset.rule_count());
        assert!(took.as_secs() < 10, "{name}: {rules} rules took {took:?}");
    }
}
