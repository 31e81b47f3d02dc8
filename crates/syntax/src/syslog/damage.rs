//! What a packet-log line lacks.

use std::fmt;
use std::net::Ipv4Addr;

use super::Stamp;

/// A packet-log line that lacks something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The line of the file where it begins, from 1.
    pub line: u64,
    /// Where in that line it goes wrong, in bytes from 1; `None` if it was
    /// put together from several.
    pub column: Option<usize>,
    /// When it was written.
    pub stamp: Option<Stamp>,
    /// The host that wrote it.
    pub host: Option<String>,
    /// What should stand there.
    pub expected: &'static str,
    /// The fields that are not there, or not legible.
    pub missing: Vec<&'static str>,
    /// The line from `Packet log:` on.
    pub text: String,
    /// How many packets this stands for.
    pub times: u64,
}

/// What is wrong, without file and line.
impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missing.is_empty() {
            write!(f, "garbled: {} should stand here", self.expected)
        } else {
            write!(f, "missing: {}", self.missing.join(", "))
        }
    }
}

/// Each field that stands behind a word of its own.
const NAMED: [(&str, &str); 6] = [
    ("PROTO=", "protocol (PROTO=)"),
    ("L=", "length (L=)"),
    ("S=0x", "TOS (S=)"),
    ("I=", "id (I=)"),
    ("F=0x", "fragment field (F=)"),
    ("T=", "TTL (T=)"),
];

/// Whether a text speaks of packet-log lines and is none: words behind words,
/// and no field that can be read.
pub(super) fn is_prose(body: &str) -> bool {
    let fields = NAMED.len() + 3;
    let missing = missing(body);
    let absent = missing.iter().filter(|it| !it.ends_with("(masked)"));
    let masked = body.split_whitespace().skip(2).filter_map(endpoint).count();
    let illegible = absent.count() + masked.min(2);
    illegible >= fields && body.split_whitespace().count() > 2 + 3
}

/// Where a packet begins whose line lacks `Packet log:`: with chain, target and
/// interface before the fields.
pub(super) fn unnamed(text: &str) -> Option<usize> {
    const TARGETS: [&str; 7] = [
        "ACCEPT", "DENY", "REJECT", "MASQ", "REDIRECT", "RETURN", "-",
    ];
    let (before, after) = text.split_once(" PROTO=")?;
    let mut words = before.rsplit(' ');
    let (interface, target, chain) = (words.next()?, words.next()?, words.next()?);
    let is_packet = TARGETS.contains(&target)
        && !chain.is_empty()
        && after.split(' ').skip(1).filter_map(endpoint).count() >= 2
        && after.contains(" L=");
    let length = chain.len() + target.len() + interface.len() + 2;
    is_packet.then(|| before.len() - length)
}

/// The fields that a line does not have, in its order.
pub(super) fn missing(body: &str) -> Vec<&'static str> {
    let words: Vec<&str> = body.split_whitespace().skip(2).collect();
    let named = |beginning: &str| {
        let mut values = words.iter().filter_map(|word| word.strip_prefix(beginning));
        values.any(|value| !value.is_empty() && value.bytes().all(|it| it.is_ascii_hexdigit()))
    };
    let is_field = |word: &str| word.contains('=') || endpoint(word).is_some();
    let plain = words.iter().take_while(|word| !is_field(word)).count();
    let mut missing = Vec::new();
    let names = ["chain", "target", "interface"];
    missing.extend(names.iter().skip(plain));
    let ends: Vec<End> = words.iter().filter_map(|word| endpoint(word)).collect();
    for (place, (beginning, name)) in NAMED.into_iter().enumerate() {
        if !named(beginning) {
            missing.push(name);
        }
        if place == 0 {
            match ends.first() {
                Some(End::Legible) => {}
                Some(End::Masked) => missing.push("source (masked)"),
                None => missing.push("source"),
            }
            match ends.get(1) {
                Some(End::Legible) => {}
                Some(End::Masked) => missing.push("destination (masked)"),
                None => missing.push("destination"),
            }
        }
    }
    let number = |word: &str| word.starts_with("(#") && word.ends_with(')');
    if !words.iter().any(|word| number(word)) {
        missing.push("rule number");
    }
    missing
}

enum End {
    Legible,
    /// Somebody put letters there.
    Masked,
}

/// `ADDRESS:PORT`, or something in its place.
fn endpoint(word: &str) -> Option<End> {
    let (address, port) = word.split_once(':').unwrap_or((word, ""));
    let legible = address.parse::<Ipv4Addr>().is_ok() && port.parse::<u16>().is_ok();
    match address.matches('.').count() {
        _ if legible => Some(End::Legible),
        3 => Some(End::Masked),
        _ => None,
    }
}
