//! How much was compared, and what differed first.

use std::fmt;
use std::ops::AddAssign;

/// What a case compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Packets judged.
    pub packets: usize,
    /// Lines that had to be equal.
    pub lines: usize,
}

impl AddAssign for Compared {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.lines += other.lines;
    }
}

/// The first difference of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference(String);

impl Difference {
    /// A difference in words.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compares line by line; the number of lines if all are equal.
pub(super) fn same_lines(file: &str, expected: &str, got: &str) -> Result<usize, Difference> {
    let mut expected_lines = expected.lines();
    let mut got_lines = got.lines();
    for number in 1.. {
        match (expected_lines.next(), got_lines.next()) {
            (None, None) => return Ok(number - 1),
            (expected, got) if expected == got => {}
            (expected, got) => {
                let shown = |line: Option<&str>| line.unwrap_or("(end of file)").to_owned();
                let (expected, got) = (shown(expected), shown(got));
                return Err(Difference(format!(
                    "{file}, line {number}:\n  expected {expected}\n  got      {got}"
                )));
            }
        }
    }
    Ok(0)
}
