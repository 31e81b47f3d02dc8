//! What syslog puts before a message: a date, a host and a program.

use std::fmt;

/// A date as syslog writes it: mostly without a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The year, if it says.
    pub year: Option<u16>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// As syslog writes it; a year that is known stands first.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(year) = self.year {
            write!(f, "{year} ")?;
        }
        let month = MONTHS[usize::from(self.month.clamp(1, 12)) - 1];
        let (day, hour, minute, second) = (self.day, self.hour, self.minute, self.second);
        write!(f, "{month} {day:>2} {hour:02}:{minute:02}:{second:02}")
    }
}

/// What stands before a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) stamp: Option<Stamp>,
    pub(super) host: Option<String>,
    /// `message repeated N times: [`.
    pub(super) repeated: Option<u64>,
}

/// Words among which a date is looked for.
const MOST_WORDS: usize = 40;

impl Prefix {
    pub(super) fn read(text: &str) -> Self {
        let text = text.trim_start_matches(['>', '|', ' ', '\t']);
        let text = match text.strip_prefix('<').and_then(|it| it.split_once('>')) {
            Some((level, rest)) if level.parse::<u8>().is_ok() => rest,
            _ => text,
        };
        let repeated = text.split_once("message repeated ").and_then(|(_, rest)| {
            let (number, _) = rest.split_once(" times: [")?;
            number.parse().ok()
        });
        let words: Vec<&str> = text.split_whitespace().take(MOST_WORDS).collect();
        // Whoever collected the line may have put something before it.
        let found = date(&words).or_else(|| {
            (1..words.len()).find_map(|start| {
                let stamp = plain(words.get(start..start + 3)?)?;
                Some((stamp, start + 3))
            })
        });
        let stamp = found.map(|(stamp, _)| stamp);
        let host = found.and_then(|(_, end)| words.get(end));
        let host = host.map(|host| (*host).to_owned());
        Self {
            stamp,
            host,
            repeated,
        }
    }
}

/// A date at the beginning, and how many words it takes.
fn date(words: &[&str]) -> Option<(Stamp, usize)> {
    let first = words.first()?;
    if let Some(stamp) = iso(first) {
        return Some((stamp, 1));
    }
    if let Ok(year @ 1970..=9999) = first.parse::<u16>() {
        let stamp = plain(words.get(1..4)?)?;
        let year = Some(year);
        return Some((Stamp { year, ..stamp }, 4));
    }
    Some((plain(words.get(..3)?)?, 3))
}

/// `Oct 17 00:32:46`; what searched several files put their name before it.
fn plain(words: &[&str]) -> Option<Stamp> {
    let name = words[0].rsplit(':').next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u8 + 1;
    let day = number(words[1], 1..=31)?;
    let (hour, minute, second) = time(words[2])?;
    Some(Stamp {
        year: None,
        month,
        day,
        hour,
        minute,
        second,
    })
}

/// `2001-10-17T00:32:46`, whatever follows.
fn iso(word: &str) -> Option<Stamp> {
    let (date, clock) = word.split_once('T')?;
    let mut parts = date.split('-');
    let year = parts.next().filter(|it| it.len() == 4)?.parse().ok()?;
    let month = number(parts.next()?, 1..=12)?;
    let day = number(parts.next()?, 1..=31)?;
    let (hour, minute, second) = time(clock.get(..8)?)?;
    parts.next().is_none().then_some(Stamp {
        year: Some(year),
        month,
        day,
        hour,
        minute,
        second,
    })
}

fn time(word: &str) -> Option<(u8, u8, u8)> {
    let mut parts = word.split(':');
    let hour = number(parts.next()?, 0..=23)?;
    let minute = number(parts.next()?, 0..=59)?;
    let second = number(parts.next()?, 0..=60)?;
    parts.next().is_none().then_some((hour, minute, second))
}

fn number(word: &str, allowed: std::ops::RangeInclusive<u8>) -> Option<u8> {
    word.parse().ok().filter(|number| allowed.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_kinds() {
        for (text, stamp, host) in [
            (
                "Oct  7 00:32:46 server kernel: ",
                "Oct  7 00:32:46",
                "server",
            ),
            ("<6>Oct 17 00:32:46 gw kernel: ", "Oct 17 00:32:46", "gw"),
            (
                "2001 Apr 18 06:26:18 x kernel: ",
                "2001 Apr 18 06:26:18",
                "x",
            ),
            (
                "2001-10-17T00:32:46+02:00 y kernel: ",
                "2001 Oct 17 00:32:46",
                "y",
            ),
            (
                "7\tno\tlist 2001\tOct 17 00:32:46 w ",
                "Oct 17 00:32:46",
                "w",
            ),
            ("> messages.1:Oct 17 00:32:46 z ", "Oct 17 00:32:46", "z"),
        ] {
            let prefix = Prefix::read(text);
            assert_eq!(prefix.stamp.unwrap().to_string(), stamp);
            assert_eq!(prefix.host.as_deref(), Some(host), "{text}");
        }
        for text in [
            "",
            "<6>",
            "Okt 17 00:32:46 a",
            "Oct 32 00:32:46 a",
            "Oct 17 24:00:00 a",
        ] {
            assert_eq!(Prefix::read(text).stamp, None, "{text}");
        }
    }
}
