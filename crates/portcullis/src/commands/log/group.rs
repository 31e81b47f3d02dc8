//! Sums of packets that are alike.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use clap::ValueEnum;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::{LocalAddresses, Route};
use portcullis_syntax::names::Names;
use portcullis_syntax::syslog::{Entry, Stamp};
use serde_json::{Value, json};

use crate::report::packet_words;
use crate::report::stderr::printable;

/// What a person may want to tell packets apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// What it is about, such as `tcp to http`.
    Service,
    /// The other side: the sender of what comes in, the receiver of what goes out.
    Peer,
    /// in, out, through or within.
    Direction,
    /// Chain, number and target of the rule that logged it.
    Rule,
    /// The chain of that rule.
    Chain,
    /// Its target.
    Target,
    /// The interface.
    Interface,
    /// The protocol.
    Protocol,
    /// The sender.
    Source,
    /// The receiver.
    Destination,
    /// The host that wrote the line.
    Host,
    /// The day.
    Day,
    /// The hour.
    Hour,
}

impl By {
    fn title(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Peer => "peer",
            Self::Direction => "direction",
            Self::Rule => "rule",
            Self::Chain => "chain",
            Self::Target => "target",
            Self::Interface => "interface",
            Self::Protocol => "protocol",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Host => "host",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }
}

/// Groups that grow line by line.
pub(super) struct Groups<'a> {
    by: &'a [By],
    local: Option<&'a LocalAddresses>,
    names: Names,
    places: HashMap<Vec<String>, usize>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    key: Vec<String>,
    packets: u64,
    first: Option<Stamp>,
    last: Option<Stamp>,
}

/// The groups, most packets first.
pub(super) struct Sums {
    titles: Vec<&'static str>,
    groups: Vec<Group>,
    pub(super) left_out: usize,
}

impl<'a> Groups<'a> {
    pub(super) fn new(by: &'a [By], local: Option<&'a LocalAddresses>) -> Self {
        Self {
            by,
            local,
            names: Names::new(),
            places: HashMap::new(),
            groups: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        let key: Vec<String> = self.by.iter().map(|by| self.value(*by, entry)).collect();
        let groups = &mut self.groups;
        let place = *self.places.entry(key).or_insert_with_key(|key| {
            groups.push(Group {
                key: key.clone(),
                packets: 0,
                first: entry.stamp,
                last: None,
            });
            groups.len() - 1
        });
        let group = &mut self.groups[place];
        group.packets += entry.times;
        group.last = entry.stamp.or(group.last);
    }

    pub(super) fn sums(mut self, top: Option<usize>) -> Sums {
        // Stable: what came first stands first among equals.
        self.groups
            .sort_by_key(|group| std::cmp::Reverse(group.packets));
        let shown = top.unwrap_or(usize::MAX).min(self.groups.len());
        let left_out = self.groups.len() - shown;
        self.groups.truncate(shown);
        Sums {
            titles: self.by.iter().map(|by| by.title()).collect(),
            groups: self.groups,
            left_out,
        }
    }

    fn value(&self, by: By, entry: &Entry) -> String {
        let log = &entry.log;
        let packet = &log.packet;
        let [source, destination] = [packet.source, packet.destination].map(Ipv4Addr::from_bits);
        let route = self.route(entry);
        match by {
            By::Service => packet_words::service(&log.key(), &self.names),
            By::Peer => match route {
                Some(Route::ToHere) => source.to_string(),
                Some(Route::FromHere) => destination.to_string(),
                _ => format!("{source} > {destination}"),
            },
            By::Direction => match route {
                Some(Route::ToHere) => "in",
                Some(Route::FromHere) => "out",
                Some(Route::Through) => "through",
                Some(Route::Within) => "within",
                None => "unknown",
            }
            .to_owned(),
            By::Rule => match log.rule {
                0 => format!("{} {}", log.chain, log.target),
                rule => format!("{} #{rule} {}", log.chain, log.target),
            },
            By::Chain => log.chain.to_string(),
            By::Target => log.target.to_string(),
            By::Interface => log.interface.to_string(),
            By::Protocol => packet_words::protocol_words(packet.protocol),
            By::Source => source.to_string(),
            By::Destination => destination.to_string(),
            By::Host => entry.host.clone().unwrap_or_default(),
            By::Day => stamp(entry.stamp, 3),
            By::Hour => stamp(entry.stamp, 6),
        }
    }

    /// The way of a packet, by addresses or by a built-in chain.
    fn route(&self, entry: &Entry) -> Option<Route> {
        let packet = &entry.log.packet;
        if let Some(local) = self.local {
            return Some(local.route(packet.source, packet.destination));
        }
        match BuiltIn::from_name(entry.log.chain.as_str())? {
            BuiltIn::Input => Some(Route::ToHere),
            BuiltIn::Forward => Some(Route::Through),
            BuiltIn::Output => Some(Route::FromHere),
        }
    }
}

/// A date without its last letters.
fn stamp(stamp: Option<Stamp>, cut: usize) -> String {
    let text = stamp.map_or(String::new(), |it| it.to_string());
    // `HH:MM:SS` stands at the end.
    let kept = match cut {
        3 => text.len().saturating_sub(9),
        cut => text.len().saturating_sub(cut),
    };
    text[..kept].to_owned()
}

impl Group {
    fn cells(&self) -> Vec<String> {
        let stamp = |stamp: Option<Stamp>| stamp.map_or("-".to_owned(), |it| it.to_string());
        let own = self.key.iter().map(|value| printable(value));
        [
            self.packets.to_string(),
            stamp(self.first),
            stamp(self.last),
        ]
        .into_iter()
        .chain(own)
        .collect()
    }
}

impl Sums {
    fn titles(&self) -> Vec<String> {
        ["packets", "first", "last"]
            .into_iter()
            .chain(self.titles.iter().copied())
            .map(str::to_owned)
            .collect()
    }

    /// Columns, the number to the right.
    pub(super) fn table(&self) -> String {
        let mut rows = vec![self.titles()];
        rows.extend(self.groups.iter().map(Group::cells));
        let width = |column: usize| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string cannot fail.
                let _ = match place {
                    0 => write!(line, "{cell:>width$}"),
                    _ => write!(line, "  {cell:<width$}"),
                };
            }
            text += line.trim_end();
            text.push('\n');
        }
        if self.left_out > 0 {
            let _ = writeln!(text, "and {} groups more", self.left_out);
        }
        text
    }

    /// Comma-separated values (RFC 4180) with a line of titles.
    pub(super) fn csv(&self) -> String {
        let mut text = self.titles().join(",") + "\n";
        for group in &self.groups {
            let cells: Vec<String> = group.cells().iter().map(|cell| quoted(cell)).collect();
            text += &cells.join(",");
            text.push('\n');
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let group = |group: &Group| {
            let mut object = json!({
                "packets": group.packets,
                "first": group.first.map(|it| it.to_string()),
                "last": group.last.map(|it| it.to_string()),
            });
            for (title, value) in self.titles.iter().zip(&group.key) {
                object[*title] = json!(value);
            }
            object
        };
        self.groups.iter().map(group).collect()
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}
