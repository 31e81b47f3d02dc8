//! Numbers as the C library reads them, which is what ipchains accepts:
//! blanks in front, a sign, and nothing behind.

/// A whole word as `strtol` reads it; `None` if anything is left over or the
/// number does not fit.
pub(super) fn signed(word: &str, radix: u32) -> Option<i64> {
    let (negative, digits) = split_sign(word);
    let digits = match radix {
        16 => without_hex_prefix(digits),
        _ => digits,
    };
    let number = i64::from_str_radix(plain(digits)?, radix).ok()?;
    Some(if negative { -number } else { number })
}

/// A whole word as `strtoul` reads it with base 0, where `0x` stands before
/// hexadecimal and `0` before octal digits. Negative numbers wrap around.
pub(super) fn unsigned(word: &str) -> Option<u64> {
    let (negative, digits) = split_sign(word);
    let hexadecimal = without_hex_prefix(digits);
    let (radix, digits) = match digits.strip_prefix('0') {
        _ if hexadecimal.len() < digits.len() => (16, hexadecimal),
        Some(octal) if !octal.is_empty() => (8, octal),
        _ => (10, digits),
    };
    let number = u64::from_str_radix(plain(digits)?, radix).ok()?;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// A decimal number within bounds.
pub(super) fn decimal(word: &str, least: u32, most: u32) -> Option<u32> {
    let number = u32::try_from(signed(word, 10)?).ok()?;
    (least..=most).contains(&number).then_some(number)
}

fn split_sign(word: &str) -> (bool, &str) {
    let word = word.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    }
}

fn without_hex_prefix(digits: &str) -> &str {
    let rest = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    rest.unwrap_or(digits)
}

/// Rust's own parsers take a sign of their own, which would be a second one.
fn plain(digits: &str) -> Option<&str> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_whole() {
        for (word, number) in [("80", 80), (" +80", 80), ("-1", -1), ("010", 10)] {
            assert_eq!(signed(word, 10), Some(number), "{word}");
        }
        for word in ["", "+", "--1", "+-1", "80 ", "0x50", "9223372036854775808"] {
            assert_eq!(signed(word, 10), None, "{word}");
        }
        assert_eq!(signed("0x1f", 16), Some(31));
        assert_eq!(signed("+1F", 16), Some(31));
        assert_eq!(signed("0x", 16), None);
    }

    #[test]
    fn base_zero_looks_at_the_first_digits() {
        for (word, number) in [("010", 8), ("0x10", 16), ("0", 0), (" 7", 7)] {
            assert_eq!(unsigned(word), Some(number), "{word}");
        }
        assert_eq!(unsigned("-1"), Some(u64::MAX));
        for word in ["08", "0x", "", "1x", "x"] {
            assert_eq!(unsigned(word), None, "{word}");
        }
    }
}
