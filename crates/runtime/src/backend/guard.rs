//! Keeps the kernel's own network stack away from interfaces: a table of nftables that drops what
//! arrives there after our raw socket has seen it, and no IPv6 on them.
//!
//! The table stays when this program is killed: nothing passes then. Whoever starts again replaces
//! it, and whoever ends in order removes it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use thiserror::Error;

use super::claim;
use super::netlink::has_chain;

/// The family of tables that stand at an interface.
const NETDEV: u8 = 5;

/// The guard of some interfaces; dropping it lets the kernel have them again.
#[derive(Debug)]
pub struct Guard {
    table: String,
    interfaces: Vec<String>,
    /// Their numbers, 0 for one that is not there.
    numbers: Vec<u32>,
    /// Put back after the table is gone.
    _settings: Settings,
}

/// Settings to be put back, with what they were; that happens when they are dropped.
#[derive(Debug)]
struct Settings(Vec<(PathBuf, Before)>);

/// What a setting was before the first run that changed it: a file remembers it for the run after
/// one that was killed.
#[derive(Debug)]
struct Before {
    value: String,
    file: Option<PathBuf>,
}

impl Before {
    fn of(interface: &str, now: &str) -> Self {
        let file = claim::file(&format!("{interface}.ipv6")).ok();
        let known = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        if let (Some(file), None) = (&file, &known) {
            // Without it the setting stays off after a kill, which is safe.
            let _ = fs::write(file, now);
        }
        Self {
            value: known.unwrap_or_else(|| now.to_owned()),
            file,
        }
    }
}

/// Why interfaces cannot be guarded.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The program that makes the table is not there.
    #[error("nft is needed to keep the kernel away from the interfaces: install nftables")]
    NoNft,
    /// It refused.
    #[error("nft refused to guard the interfaces: {0}")]
    Refused(String),
    /// A setting cannot be changed.
    #[error("cannot switch IPv6 off on {interface}: {error}")]
    Setting {
        /// Whose.
        interface: String,
        /// Why.
        error: io::Error,
    },
}

impl Guard {
    /// Guards these interfaces; a guard that a killed run left is replaced.
    ///
    /// # Errors
    ///
    /// If that is not possible; all is as it was then.
    pub fn new(interfaces: &[&str]) -> Result<Self, GuardError> {
        let table = table(interfaces);
        let mut settings = Settings(Vec::new());
        for interface in interfaces {
            // A kernel without IPv6 has no such setting.
            let setting = ipv6_setting(interface);
            if let Ok(now) = fs::read_to_string(&setting) {
                // First of all what puts it back, also where it cannot be changed.
                settings.0.push((setting, Before::of(interface, &now)));
                switch_ipv6_off(interface)?;
            }
        }
        nft(&rules(&table, interfaces))?;
        Ok(Self {
            table,
            interfaces: interfaces.iter().copied().map(str::to_owned).collect(),
            numbers: interfaces.iter().map(|name| number(name)).collect(),
            _settings: settings,
        })
    }

    /// Whether a run that was killed left a guard of these interfaces.
    pub fn is_left_over(interfaces: &[&str]) -> bool {
        nft(&format!("list table netdev {}\n", table(interfaces))).is_ok()
    }

    /// Guards the interfaces again if somebody took the table away, or if there are others of the
    /// same names now; `true` if that was so.
    ///
    /// # Errors
    ///
    /// If that is not possible.
    pub fn renew(&mut self) -> Result<bool, GuardError> {
        let numbers: Vec<_> = self.interfaces.iter().map(|name| number(name)).collect();
        let is_there = |port| has_chain(NETDEV, &self.table, &format!("port{port}"));
        if numbers == self.numbers && (0..numbers.len()).all(is_there) {
            return Ok(false);
        }
        // One that is gone will be heard of when it comes back.
        let there = |(name, number): (&String, &u32)| (*number != 0).then(|| name.clone());
        let there: Vec<String> = self
            .interfaces
            .iter()
            .zip(&numbers)
            .filter_map(there)
            .collect();
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        nft(&rules(&self.table, &there))?;
        for interface in there {
            if ipv6_setting(interface).exists() {
                switch_ipv6_off(interface)?;
            }
        }
        self.numbers = numbers;
        Ok(true)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // There is nobody left to whom a failure would matter; the guard then stays.
        let _ = nft(&format!("delete table netdev {}\n", self.table));
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (setting, before) in &self.0 {
            let _ = fs::write(setting, &before.value);
            if let Some(file) = &before.file {
                let _ = fs::remove_file(file);
            }
        }
    }
}

fn ipv6_setting(interface: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net/ipv6/conf")
        .join(interface)
        .join("disable_ipv6")
}

fn switch_ipv6_off(interface: &str) -> Result<(), GuardError> {
    fs::write(ipv6_setting(interface), "1").map_err(|error| GuardError::Setting {
        interface: interface.to_owned(),
        error,
    })
}

/// The number that an interface has now, 0 if it is not there.
fn number(interface: &str) -> u32 {
    let path = PathBuf::from("/sys/class/net")
        .join(interface)
        .join("ifindex");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The table's name: those of its interfaces, in letters that nft takes, and the same in any order.
/// No interface has a slash in its name.
fn table(interfaces: &[&str]) -> String {
    let mut interfaces = interfaces.to_vec();
    interfaces.sort_unstable();
    let letter = |letter: char| match letter {
        '-' | '.' | '/' => letter,
        _ if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    };
    let name: String = interfaces.join("/").chars().map(letter).collect();
    format!("portcullis/{name}")
}

fn rules(table: &str, interfaces: &[&str]) -> String {
    // Adding before deleting makes the deletion possible in any case.
    let mut text = format!("add table netdev {table}\ndelete table netdev {table}\n");
    let _ = writeln!(text, "add table netdev {table}");
    for (number, interface) in interfaces.iter().enumerate() {
        let _ = writeln!(
            text,
            "add chain netdev {table} port{number} {{ type filter hook ingress device \
             \"{interface}\" priority -500; policy drop; }}"
        );
    }
    text
}

pub(super) fn nft(rules: &str) -> Result<(), GuardError> {
    let child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let refused = |error: io::Error| GuardError::Refused(error.to_string());
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(GuardError::NoNft),
        Err(error) => return Err(refused(error)),
    };
    if let Some(mut input) = child.stdin.take() {
        input.write_all(rules.as_bytes()).map_err(refused)?;
    }
    let output = child.wait_with_output().map_err(refused)?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().next().unwrap_or("it did not say why");
            Err(GuardError::Refused(first.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_chain_for_each_port() {
        let interfaces = ["wan.7", "eth0"];
        let text = rules(&table(&interfaces), &interfaces);
        assert!(text.contains("add table netdev portcullis/eth0/wan.7"));
        assert!(text.contains("device \"wan.7\" priority -500; policy drop;"));
    }
}
