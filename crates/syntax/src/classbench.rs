//! The files of ClassBench (D. Taylor, J. Turner), with which packet
//! classifiers are compared: filters as text, packet headers and expected
//! results in binary.

use std::fmt;

use portcullis_core::names::ChainName;
use portcullis_core::packet::PacketKey;
use portcullis_core::ruleset::{
    Conditions, Network, PortRange, PortsOf, Rule, Ruleset, Target, Test,
};

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassBenchError {
    /// A line of a filter file is no filter.
    NotAFilter {
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A binary file has another size than its count of records says.
    WrongSize {
        /// Bytes that the count asks for.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
}

impl fmt::Display for ClassBenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFilter { line, text } => {
                write!(f, "line {line}: not a ClassBench filter: {text}")
            }
            Self::WrongSize { expected, found } => {
                write!(f, "{expected} bytes expected by its count, {found} found")
            }
        }
    }
}

impl std::error::Error for ClassBenchError {}

/// Whether a text looks like filters: their first letter is `@`.
pub fn looks_like_filters(text: &str) -> bool {
    text.trim_start().starts_with('@')
}

/// Reads filters, one a line, as rules that accept:
/// `@SRC/LEN DST/LEN LO : HI LO : HI 0xPP/0xMM`, then TCP flags, which are
/// ignored. Ports count whatever the protocol is.
pub fn read_filters(text: &str) -> Result<Vec<Rule>, ClassBenchError> {
    let lines = text.lines().zip(1..);
    lines
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(text, line)| {
            let conditions = filter(text).ok_or_else(|| ClassBenchError::NotAFilter {
                line,
                text: text.trim_end().to_owned(),
            })?;
            Ok(Rule {
                conditions,
                target: Some(Target::Accept),
                ..Rule::ANY
            })
        })
        .collect()
}

/// A ruleset whose `input` chain holds these rules.
pub fn input_ruleset(rules: impl IntoIterator<Item = Rule>) -> Ruleset {
    let mut ruleset = Ruleset::new();
    let input = ChainName::new("input").unwrap_or(ChainName::EMPTY);
    for rule in rules {
        // Only an unknown chain or target could be refused.
        let _ = ruleset.append(&input, rule);
    }
    ruleset
}

/// Reads packet headers: a count, then for each 16 bytes, all numbers with
/// their lowest byte first: addresses, ports, protocol, three zeros.
pub fn read_trace(bytes: &[u8]) -> Result<Vec<PacketKey>, ClassBenchError> {
    let records = records::<16>(bytes)?;
    let header = |record: &[u8; 16]| {
        let [a, b, c, d, e, f, g, h, i, j, k, l, protocol, ..] = *record;
        PacketKey {
            source: u32::from_le_bytes([a, b, c, d]),
            destination: u32::from_le_bytes([e, f, g, h]),
            source_port: u16::from_le_bytes([i, j]),
            destination_port: u16::from_le_bytes([k, l]),
            protocol,
            fragment: false,
            syn: false,
        }
    };
    Ok(records.iter().map(header).collect())
}

/// Reads expected results: a count, then for each header the first matching
/// rule, from 0, or -1.
pub fn read_first_matches(bytes: &[u8]) -> Result<Vec<Option<u32>>, ClassBenchError> {
    let records = records::<4>(bytes)?;
    let first = |record: &[u8; 4]| u32::try_from(i32::from_le_bytes(*record)).ok();
    Ok(records.iter().map(first).collect())
}

fn records<const N: usize>(bytes: &[u8]) -> Result<&[[u8; N]], ClassBenchError> {
    let wrong_size = |expected| ClassBenchError::WrongSize {
        expected,
        found: bytes.len() as u64,
    };
    let (count, rest) = bytes.split_first_chunk().ok_or_else(|| wrong_size(4))?;
    let count = u64::from(u32::from_le_bytes(*count));
    let (records, left) = rest.as_chunks();
    if records.len() as u64 != count || !left.is_empty() {
        return Err(wrong_size(4 + count * N as u64));
    }
    Ok(records)
}

fn filter(line: &str) -> Option<Conditions> {
    let mut words = line.trim().strip_prefix('@')?.split_ascii_whitespace();
    let source = network(words.next()?)?;
    let destination = network(words.next()?)?;
    let mut ports = || -> Option<PortRange> {
        let first = words.next()?.parse().ok()?;
        let colon = words.next()? == ":";
        let last = words.next()?.parse().ok()?;
        (colon && first <= last).then_some(PortRange { first, last })
    };
    let (source_ports, destination_ports) = (ports()?, ports()?);
    let (protocol, mask) = words.next()?.split_once('/')?;
    let hexadecimal = |word: &str| u8::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let (protocol, mask) = (hexadecimal(protocol)?, hexadecimal(mask)?);
    Some(Conditions {
        source: Test::is(source),
        destination: Test::is(destination),
        protocol: match mask {
            0 => Test::is(0),
            // Protocol 0 by name would be any: no packet bears it.
            0xff if protocol != 0 => Test::is(u16::from(protocol)),
            _ => return None,
        },
        source_ports: Test::is(source_ports),
        destination_ports: Test::is(destination_ports),
        ports_of: PortsOf::EveryProtocol,
        ..Conditions::ANY
    })
}

fn network(word: &str) -> Option<Network> {
    let (address, length) = word.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let length = length.parse().ok().filter(|length| *length <= 32)?;
    Some(Network::with_prefix(address.into(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTER: &str =
        "@10.1.2.3/8\t1.2.3.4/32\t0 : 65535\t1024 : 2000\t0x06/0xFF\t0x0200/0x1200\t\n";

    #[test]
    fn a_filter_becomes_a_rule() {
        let rules = read_filters(FILTER).unwrap();
        let conditions = &rules[0].conditions;
        assert_eq!(
            conditions.source,
            Test::is(Network::with_prefix(0x0a00_0000, 8))
        );
        let ports = PortRange {
            first: 1024,
            last: 2000,
        };
        assert_eq!(conditions.destination_ports, Test::is(ports));
        assert_eq!(conditions.protocol, Test::is(6));
        assert!(conditions.looks_at_ports());
    }

    #[test]
    fn what_is_no_filter_is_named() {
        for wrong in ["@1.2.3.4/33 ", "@1.2.3.4/8 1.2.3.4/8 5 : 4", "hello"] {
            let text = format!("{FILTER}{wrong}\n");
            let error = read_filters(&text).unwrap_err();
            assert!(matches!(error, ClassBenchError::NotAFilter { line: 2, .. }));
        }
    }

    #[test]
    fn binary_files_are_checked_against_their_count() {
        let mut trace = vec![1, 0, 0, 0];
        trace.extend([1, 0, 0, 10, 2, 0, 0, 10, 80, 0, 0, 1, 17, 0, 0, 0]);
        let keys = read_trace(&trace).unwrap();
        assert_eq!(keys[0].source, 0x0a00_0001);
        assert_eq!((keys[0].source_port, keys[0].destination_port), (80, 256));
        let error = read_trace(&trace[..19]).unwrap_err();
        assert_eq!(
            error,
            ClassBenchError::WrongSize {
                expected: 20,
                found: 19
            }
        );
        let first = [2, 0, 0, 0, 7, 0, 0, 0, 255, 255, 255, 255];
        assert_eq!(read_first_matches(&first).unwrap(), [Some(7), None]);
    }
}
