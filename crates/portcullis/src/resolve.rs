//! Host names, looked up as the system does; in `replay` only on request.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use portcullis_syntax::names::Resolver;

/// The system's names, for commands whose listings are numeric.
pub(crate) struct SystemResolver;

/// The system's names both ways. Addresses are turned into names with the
/// files of this machine alone; the standard library has no reverse look-up.
pub(crate) struct SystemNames;

const HOSTS: &str = "/etc/hosts";
const NETWORKS: &str = "/etc/networks";

impl Resolver for SystemResolver {
    fn addresses(&self, name: &str) -> Vec<u32> {
        let found = (name, 0).to_socket_addrs().into_iter().flatten();
        found
            .filter_map(|address| match address.ip() {
                IpAddr::V4(address) => Some(address.to_bits()),
                IpAddr::V6(_) => None,
            })
            .collect()
    }

    fn name(&self, _address: u32) -> Option<String> {
        None
    }
}

impl Resolver for SystemNames {
    fn addresses(&self, name: &str) -> Vec<u32> {
        let entries = networks();
        let network = entries
            .iter()
            .find(|(_, names)| names.iter().any(|it| it == name));
        match network {
            Some((address, _)) => vec![*address],
            None => SystemResolver.addresses(name),
        }
    }

    fn name(&self, address: u32) -> Option<String> {
        let mut entries = hosts().into_iter().chain(networks());
        let (_, names) = entries.find(|(entry, _)| *entry == address)?;
        names.into_iter().next()
    }
}

/// Addresses and names, the first of which is the one to show.
type Entries = Vec<(u32, Vec<String>)>;

/// Lines `ADDRESS NAME ALIAS...`.
fn hosts() -> Entries {
    entries(HOSTS, |words| {
        let (address, names) = words.split_first()?;
        Some((address.parse::<Ipv4Addr>().ok()?, names.to_vec()))
    })
}

/// Lines `NAME ADDRESS ALIAS...`.
fn networks() -> Entries {
    entries(NETWORKS, |words| {
        let [name, address, aliases @ ..] = words else {
            return None;
        };
        let names = std::iter::once(name).chain(aliases).copied().collect();
        Some((address.parse::<Ipv4Addr>().ok()?, names))
    })
}

fn entries(
    file: &str,
    read: impl for<'a> Fn(&[&'a str]) -> Option<(Ipv4Addr, Vec<&'a str>)>,
) -> Entries {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let (address, names) = read(&words)?;
            let names = names.into_iter().map(str::to_owned).collect();
            Some((address.to_bits(), names))
        })
        .collect()
}
