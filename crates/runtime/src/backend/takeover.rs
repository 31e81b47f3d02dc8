//! Takes an interface away from the machine that owns it, and puts a pair of virtual ones in its
//! place: the near end bears its addresses, MAC, MTU and routes; between the far end and the
//! interface frames cross only through us.
//!
//! What there was is not written down anywhere: the near end bears it. So giving back is taking
//! over the other way round, also after a crash, and also what changed meanwhile (a lease that was
//! renewed, say) goes back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use thiserror::Error;

/// The longest name of an interface.
const LONGEST: usize = 15;
/// Settings of the IP layers of interfaces.
const SETTINGS: [&str; 2] = ["/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"];
/// What this many seconds last lasts for ever.
const FOR_EVER: u32 = u32::MAX;
/// Words in a listing of routes that say how they are, not what they are.
const STATES: [&str; 6] = [
    "linkdown",
    "dead",
    "offload",
    "trap",
    "pervasive",
    "offload_failed",
];

/// An interface that was taken over. Nothing happens when it is dropped: the machine stays cut off
/// until [`Takeover::give_back`].
#[derive(Debug)]
pub struct Takeover {
    interface: String,
    ends: Ends,
}

/// The names of the virtual pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// What the machine uses instead of its interface.
    pub near: String,
    /// Where we take and give the machine's frames.
    pub far: String,
}

/// Why an interface cannot be taken over or given back.
#[derive(Debug, Error)]
pub enum TakeoverError {
    /// The program that changes interfaces is not there.
    #[error("ip is needed to take an interface over: install iproute2")]
    NoIp,
    /// It refused.
    #[error("`ip {command}' failed: {said}")]
    Refused {
        /// Its arguments.
        command: String,
        /// The first line of what it said.
        said: String,
    },
    /// It said something that is not understood.
    #[error("what `ip' says about {0} is not understood")]
    Strange(String),
    /// There is no such interface.
    #[error("there is no interface {0}")]
    Missing(String),
    /// It cannot be done with this one.
    #[error("{interface} cannot be taken over: {why}")]
    Unfit {
        /// Which.
        interface: String,
        /// What is in the way.
        why: &'static str,
    },
    /// A setting cannot be copied.
    #[error("cannot write {}: {error}", path.display())]
    Setting {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// What `ip -json address show` says of an interface.
#[derive(Debug, Deserialize)]
struct Link {
    ifindex: u32,
    flags: Vec<String>,
    mtu: u32,
    link_type: String,
    address: Option<String>,
    master: Option<String>,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    family: String,
    local: String,
    /// The other end of a point-to-point link.
    address: Option<String>,
    prefixlen: u8,
    broadcast: Option<String>,
    scope: String,
    label: Option<String>,
    metric: Option<u32>,
    noprefixroute: bool,
    mngtmpaddr: bool,
    nodad: bool,
    temporary: bool,
    valid_life_time: Option<u32>,
    preferred_life_time: Option<u32>,
}

impl Takeover {
    /// Takes `interface` over, or finishes what was begun before a crash.
    ///
    /// # Errors
    ///
    /// If that is not possible; the interface is as it was then.
    pub fn new(interface: &str) -> Result<Self, TakeoverError> {
        let link = Link::of(interface)?;
        link.check(interface)?;
        let ends = Ends::of(interface, link.ifindex);
        if let Some(takeover) = Self::left_over(interface)? {
            takeover.moved(interface, &ends.near)?;
            return Ok(takeover);
        }
        let takeover = Self {
            interface: interface.to_owned(),
            ends,
        };
        takeover.make_pair(&link)?;
        if let Err(error) = takeover.moved(interface, &takeover.ends.near) {
            // As it was, as far as that goes; the first error is the one to tell.
            let _ = takeover.give_back();
            return Err(error);
        }
        Ok(takeover)
    }

    /// What a run that was killed left behind; `None` if there is nothing.
    ///
    /// # Errors
    ///
    /// If the interface itself is not there.
    pub fn left_over(interface: &str) -> Result<Option<Self>, TakeoverError> {
        let link = Link::of(interface)?;
        let ends = Ends::of(interface, link.ifindex);
        match Link::of(&ends.near) {
            Err(TakeoverError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // The guard of the run before switched it off.
        copy_setting(&ends.near, interface, "disable_ipv6")?;
        Ok(Some(Self {
            interface: interface.to_owned(),
            ends,
        }))
    }

    /// The virtual pair.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Moves over what the interface was given meanwhile, by a program that only knows its name;
    /// whether that was something. The near end gets the MAC of an interface that came anew, as
    /// neighbours may have learned it.
    ///
    /// # Errors
    ///
    /// If that does not work.
    pub fn renew(&self) -> Result<bool, TakeoverError> {
        let link = Link::of(&self.interface)?;
        let near = &self.ends.near;
        if let Some(mac) = &link.address
            && link.address != Link::of(near)?.address
        {
            ip(&["link", "set", near, "address", mac])?;
        }
        let found = link.addr_info.iter().any(|it| it.family == "inet");
        if found {
            self.moved(&self.interface, &self.ends.near)?;
        }
        Ok(found)
    }

    /// Gives the interface back: addresses and routes as they are now.
    ///
    /// # Errors
    ///
    /// If that does not work; the pair stays then, with what could not be moved.
    pub fn give_back(&self) -> Result<(), TakeoverError> {
        copy_setting(&self.ends.near, &self.interface, "disable_ipv6")?;
        self.moved(&self.ends.near, &self.interface)?;
        ip(&["link", "delete", &self.ends.near]).map(drop)
    }

    fn make_pair(&self, link: &Link) -> Result<(), TakeoverError> {
        let Ends { near, far } = &self.ends;
        let mac = link.address.as_deref().unwrap_or_default();
        let mtu = link.mtu.to_string();
        let near_link = ["link", "add", near, "address", mac, "mtu", &mtu];
        let far_link = ["type", "veth", "peer", "name", far, "mtu", &mtu];
        ip(&[near_link.as_slice(), far_link.as_slice()].concat())?;
        let made = copy_settings(&self.interface, near).and_then(|()| {
            // Nobody but us is to speak there.
            write_setting(far, "disable_ipv6", "1")?;
            ip(&["link", "set", near, "up"])?;
            ip(&["link", "set", far, "up"]).map(drop)
        });
        if made.is_err() {
            let _ = ip(&["link", "delete", near]);
        }
        made
    }

    /// Moves addresses and routes. Doing it again does no harm.
    fn moved(&self, from: &str, to: &str) -> Result<(), TakeoverError> {
        let link = Link::of(from)?;
        let wanted = [routes(from, "-4")?, routes(from, "-6")?];
        let before = routes(to, "-4")?;
        for address in &link.addr_info {
            // The kernel makes its own when the interface is up.
            if address.family == "inet6" && (address.scope == "link" || address.temporary) {
                continue;
            }
            let words = address.words(from, to);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            ip(&[&["address", "replace"], words.as_slice(), &["dev", to]].concat())?;
        }
        for (family, wanted) in ["-4", "-6"].into_iter().zip(&wanted) {
            let there = routes(to, family)?;
            // A gateway must be reachable before it is named.
            let (through, direct): (Vec<_>, Vec<_>) =
                wanted.iter().partition(|route| route.contains(" via "));
            for route in direct.into_iter().chain(through) {
                let kernel_does = family == "-6" && route.contains("proto kernel");
                if there.contains(route) || kernel_does {
                    continue;
                }
                let words: Vec<&str> = route.split(' ').collect();
                ip(&[
                    &[family, "route", "replace"],
                    words.as_slice(),
                    &["dev", to],
                ]
                .concat())?;
            }
        }
        ip(&["address", "flush", "dev", from])?;
        ip(&["-4", "route", "flush", "dev", from])?;
        // What the kernel added for an address and somebody had taken away.
        for route in routes(to, "-4")? {
            if !before.contains(&route) && !wanted[0].contains(&route) {
                let words: Vec<&str> = route.split(' ').collect();
                ip(&[&["-4", "route", "delete"], words.as_slice(), &["dev", to]].concat())?;
            }
        }
        Ok(())
    }
}

impl Ends {
    /// Names for the pair of an interface: of its own name if there is room, else of its number.
    fn of(interface: &str, index: u32) -> Self {
        let far = format!("pcx-{interface}");
        match far.len() <= LONGEST {
            true => Self {
                near: format!("pc-{interface}"),
                far,
            },
            false => Self {
                near: format!("pc-{index}"),
                far: format!("pcx-{index}"),
            },
        }
    }
}

impl Link {
    fn of(interface: &str) -> Result<Self, TakeoverError> {
        if !Path::new("/sys/class/net").join(interface).exists() {
            return Err(TakeoverError::Missing(interface.to_owned()));
        }
        let text = ip(&["-json", "address", "show", "dev", interface])?;
        let links: Option<Vec<Self>> = serde_json::from_str(&text).ok();
        let strange = || TakeoverError::Strange(interface.to_owned());
        links
            .and_then(|links| links.into_iter().next())
            .ok_or_else(strange)
    }

    fn check(&self, interface: &str) -> Result<(), TakeoverError> {
        let up = self.flags.iter().any(|flag| flag == "UP");
        let why = if self.link_type != "ether" {
            "it is no Ethernet"
        } else if self.master.is_some() {
            "it belongs to a bridge or a bond"
        } else if !up {
            "it is down"
        } else if shares_routes(interface)? {
            "a route over several interfaces or a nexthop object names it"
        } else {
            return Ok(());
        };
        Err(TakeoverError::Unfit {
            interface: interface.to_owned(),
            why,
        })
    }
}

impl Address {
    /// The address as `ip address replace` takes it.
    fn words(&self, from: &str, to: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut put = |parts: &[&str]| words.extend(parts.iter().map(|part| (*part).to_owned()));
        match &self.address {
            Some(peer) => put(&[&self.local, "peer", &format!("{peer}/{}", self.prefixlen)]),
            None => put(&[&format!("{}/{}", self.local, self.prefixlen)]),
        }
        if let Some(broadcast) = &self.broadcast {
            put(&["broadcast", broadcast]);
        }
        put(&["scope", &self.scope]);
        // A label begins with the interface's name.
        let suffix = self
            .label
            .as_ref()
            .and_then(|label| label.strip_prefix(from));
        if let Some(suffix) = suffix.filter(|suffix| !suffix.is_empty()) {
            put(&["label", &format!("{to}{suffix}")]);
        }
        if let Some(metric) = self.metric {
            put(&["metric", &metric.to_string()]);
        }
        for (set, word) in [
            (self.noprefixroute, "noprefixroute"),
            (self.mngtmpaddr, "mngtmpaddr"),
            (self.nodad, "nodad"),
        ] {
            if set {
                put(&[word]);
            }
        }
        for (time, word) in [
            (self.valid_life_time, "valid_lft"),
            (self.preferred_life_time, "preferred_lft"),
        ] {
            match time {
                None | Some(FOR_EVER) => {}
                Some(seconds) => put(&[word, &seconds.to_string()]),
            }
        }
        words
    }
}

/// The routes of an interface, in the words in which they are made; without those that the kernel
/// makes for an address in its own table.
fn routes(interface: &str, family: &str) -> Result<Vec<String>, TakeoverError> {
    let text = ip(&[
        family, "-o", "route", "show", "table", "all", "dev", interface,
    ])?;
    Ok(text.lines().filter_map(route).collect())
}

fn route(line: &str) -> Option<String> {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let after_expires = words.last() == Some(&"expires");
        match word.strip_suffix("sec") {
            Some(seconds) if after_expires => words.push(seconds),
            _ if STATES.contains(&word) => {}
            _ => words.push(word),
        }
    }
    let route = words.join(" ");
    (!route.contains("table local proto kernel") && !route.is_empty()).then_some(route)
}

/// Whether a route leads over this interface and others, which cannot be moved alone.
fn shares_routes(interface: &str) -> Result<bool, TakeoverError> {
    for family in ["-4", "-6"] {
        let text = ip(&[family, "-o", "route", "show", "table", "all"])?;
        let named = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let shared = words.contains(&"nexthop") || words.contains(&"nhid");
            shared && words.windows(2).any(|pair| pair == ["dev", interface])
        };
        if text.lines().any(named) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives an interface all settings that differ from those of another one.
fn copy_settings(from: &str, to: &str) -> Result<(), TakeoverError> {
    for folder in SETTINGS {
        let Ok(entries) = fs::read_dir(Path::new(folder).join(from)) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = Path::new(folder).join(to).join(entry.file_name());
            let (Ok(wanted), Ok(there)) = (fs::read(entry.path()), fs::read(&path)) else {
                continue;
            };
            // Some can only be read, or not be given what they say (an unset secret, say).
            if wanted != there && fs::write(&path, wanted).is_err() {
                continue;
            }
        }
    }
    Ok(())
}

fn copy_setting(from: &str, to: &str, name: &str) -> Result<(), TakeoverError> {
    // A kernel without IPv6 has no such setting.
    match fs::read_to_string(Path::new(SETTINGS[1]).join(from).join(name)) {
        Ok(value) => write_setting(to, name, &value),
        Err(_) => Ok(()),
    }
}

fn write_setting(interface: &str, name: &str, value: &str) -> Result<(), TakeoverError> {
    let path = Path::new(SETTINGS[1]).join(interface).join(name);
    if !path.exists() {
        return Ok(());
    }
    fs::write(&path, value).map_err(|error| TakeoverError::Setting { path, error })
}

pub(super) fn ip(arguments: &[&str]) -> Result<String, TakeoverError> {
    let refused = |said: String| TakeoverError::Refused {
        command: arguments.join(" "),
        said,
    };
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TakeoverError::NoIp,
        _ => refused(error.to_string()),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it did not say why");
    Err(refused(first.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_leaves_room_for_a_number_only() {
        let ends = Ends::of("enx001122334455", 7);
        assert_eq!((ends.near.as_str(), ends.far.as_str()), ("pc-7", "pcx-7"));
        assert_eq!(Ends::of("eth0", 7).near, "pc-eth0");
        assert_eq!(Ends::of("enp0s31f6q7", 7).far.len(), LONGEST);
    }

    #[test]
    fn a_route_is_said_in_the_words_that_make_it() {
        let line = "default via fd00::2 metric 1024 expires 499sec pref medium linkdown ";
        let words = "default via fd00::2 metric 1024 expires 499 pref medium";
        assert_eq!(route(line).as_deref(), Some(words));
        let own = "local 10.1.0.1 table local proto kernel scope host src 10.1.0.1 ";
        assert_eq!(route(own), None);
    }

    #[test]
    fn an_address_keeps_its_label_and_times() {
        let text = r#"{"family": "inet", "local": "10.2.0.1", "address": "10.2.0.2", "prefixlen": 32,
            "scope": "global", "dynamic": true, "label": "eth0:1", "noprefixroute": true,
            "valid_life_time": 498, "preferred_life_time": 4294967295}"#;
        let address: Address = serde_json::from_str(text).unwrap();
        assert_eq!(
            address.words("eth0", "pc-eth0").join(" "),
            "10.2.0.1 peer 10.2.0.2/32 scope global label pc-eth0:1 noprefixroute valid_lft 498"
        );
    }
}
