//! Files that say which chains each packet of a capture meets, in the format
//! of the golden corpora: `NUMBER CHAIN:INTERFACE [CHAIN:INTERFACE ...]`.

use std::fmt;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::Step;

/// The steps of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketSteps {
    /// The record's number in the capture, from 1.
    pub record: u64,
    /// What it meets, in order; never empty.
    pub steps: Vec<Step>,
}

/// A line that does not say which packet meets what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepsError {
    /// Line number, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for StepsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column, message) = (self.line, self.column, &self.message);
        write!(f, "line {line}, column {column}: {message}")
    }
}

impl std::error::Error for StepsError {}

/// Reads a file of steps. Lines that begin with `#` and empty lines are passed
/// over; record numbers must rise, and may leave gaps.
pub fn read(source: &str) -> Result<Vec<PacketSteps>, StepsError> {
    let mut packets: Vec<PacketSteps> = Vec::new();
    for (number, line) in (1..).zip(source.lines()) {
        let text = line.trim_end();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let error = |word: &str, message: String| StepsError {
            line: number,
            // Every word is a part of the line.
            column: line[..word.as_ptr() as usize - line.as_ptr() as usize]
                .chars()
                .count()
                + 1,
            message,
        };
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let record = first
            .parse()
            .ok()
            .filter(|record| *record > packets.last().map_or(0, |last| last.record))
            .ok_or_else(|| {
                let message =
                    format!("`{first}' should be a record number, and above the one before");
                error(first, message)
            })?;
        let steps: Vec<Step> = words
            .map(|word| {
                step(word).ok_or_else(|| {
                    let message = format!("`{word}' should be CHAIN:INTERFACE, such as input:eth0");
                    error(word, message)
                })
            })
            .collect::<Result<_, _>>()?;
        if steps.is_empty() {
            return Err(error(first, "this packet meets no chain".to_owned()));
        }
        packets.push(PacketSteps { record, steps });
    }
    Ok(packets)
}

/// Reads `CHAIN:INTERFACE`.
pub fn step(word: &str) -> Option<Step> {
    let (chain, interface) = word.split_once(':').filter(|(_, name)| !name.is_empty())?;
    Some(Step {
        chain: BuiltIn::from_name(chain)?,
        interface: InterfaceName::new(interface)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_their_steps() {
        let packets = read("# k steps\n1 input:eth0\n5 input:a forward:b output:b\n").unwrap();
        assert_eq!(packets.len(), 2);
        assert_eq!((packets[1].record, packets[1].steps.len()), (5, 3));
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, line, column) in [
            ("1 input:eth0\n1 input:eth0", 2, 1),
            ("1 input", 1, 3),
            ("1 inptu:eth0", 1, 3),
            ("x", 1, 1),
            ("5 input:e 5 input:e", 1, 11),
            ("1 input:", 1, 3),
            ("99999999999999999999 input:e", 1, 1),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text}");
        }
    }
}
