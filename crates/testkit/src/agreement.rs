//! Whether two matchers say the same about the same packets.

use std::fmt;

use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::matcher::{Matcher, Trace};
use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::Verdict;
use portcullis_core::traversal::Step;

/// Where two matchers part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The chain and interface.
    pub step: Step,
    /// The packet.
    pub key: PacketKey,
    /// What was expected.
    pub expected: (Verdict, Trace),
    /// What was said.
    pub found: (Verdict, Trace),
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { chain, interface } = &self.step;
        let (key, expected, found) = (&self.key, &self.expected, &self.found);
        writeln!(f, "{chain} {interface} {key:?}")?;
        writeln!(f, "expected {expected:?}")?;
        write!(f, "found    {found:?}")
    }
}

/// Compares verdict and trace of every key. Returns how many were compared.
pub fn compare(
    expected: &impl Matcher,
    found: &impl Matcher,
    step: &Step,
    keys: &[PacketKey],
) -> Result<usize, Box<Disagreement>> {
    let (mut expected_trace, mut found_trace) = (Trace::new(), Trace::new());
    for key in keys {
        let expected_verdict = expected.decide(step, key, &mut expected_trace);
        let found_verdict = found.decide(step, key, &mut found_trace);
        if (expected_verdict, &expected_trace) != (found_verdict, &found_trace) {
            return Err(Box::new(Disagreement {
                step: *step,
                key: *key,
                expected: (expected_verdict, expected_trace),
                found: (found_verdict, found_trace),
            }));
        }
    }
    Ok(keys.len())
}

/// Compares verdict and trace of every key, decided in batches of either form. Returns how many
/// were compared.
pub fn compare_batches(
    expected: &impl Matcher,
    found: &impl Matcher,
    step: &Step,
    keys: &[PacketKey],
) -> Result<usize, Box<Disagreement>> {
    let (mut batch, mut scratch, mut trace) = (Batch::new(), Trace::new(), Trace::new());
    let forms = keys
        .chunks(BATCH)
        .flat_map(|keys| [false, true].map(|columns| (keys, columns)));
    for (keys, columns) in forms {
        match columns {
            true => {
                let keys = keys.iter().collect();
                found.decide_columns(step, &keys, &mut batch, &mut scratch);
            }
            false => found.decide_batch(step, keys, &mut batch, &mut scratch),
        }
        assert_eq!(batch.len(), keys.len());
        for (packet, key) in keys.iter().enumerate() {
            let verdict = expected.decide(step, key, &mut trace);
            let mut said = Trace::new();
            for place in batch.matched(packet) {
                said.push(place.chain as usize, place.rule as usize);
            }
            said.end(batch.ending(packet));
            if (verdict, &trace) != (batch.verdict(packet), &said) {
                return Err(Box::new(Disagreement {
                    step: *step,
                    key: *key,
                    expected: (verdict, trace),
                    found: (batch.verdict(packet), said),
                }));
            }
        }
    }
    Ok(keys.len())
}
