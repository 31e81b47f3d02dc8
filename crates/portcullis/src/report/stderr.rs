//! Messages for people.

use std::fmt;
use std::io::{self, Write as _};

/// Writes a line to standard error. Where nobody listens there, nobody is to
/// be told.
pub(crate) fn tell(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Text from a file, with control characters made visible: it must not steer
/// the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && letter != '\t' {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\n\tb"), "a\\u{1b}[31m\\n\tb");
    }
}
