//! Services: names of TCP and UDP ports.

use std::collections::HashMap;

use super::Transport;

const BUILT_IN: &str = include_str!("services.txt");

/// Ports by name and protocol. The first entry for a name stands.
#[derive(Debug)]
pub(super) struct ServiceTable {
    ports: HashMap<(String, Transport), u16>,
    /// The name that listings show: the first of a port's first entry.
    shown: HashMap<(u16, Transport), String>,
}

impl ServiceTable {
    pub(super) fn port(&self, name: &str, transport: Transport) -> Option<u16> {
        self.ports.get(&(name.to_owned(), transport)).copied()
    }

    pub(super) fn name(&self, port: u16, transport: Transport) -> Option<&str> {
        self.shown.get(&(port, transport)).map(String::as_str)
    }

    pub(super) fn names(&self, transport: Transport) -> impl Iterator<Item = &str> {
        let of_protocol = self.ports.keys().filter(move |(_, it)| *it == transport);
        of_protocol.map(|(name, _)| name.as_str())
    }

    /// Adds `NAME PORT/PROTOCOL ALIAS...` lines.
    pub(super) fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            if let (Some(name), Some(port)) = (words.next(), words.next()) {
                self.add_port(port, std::iter::once(name).chain(words));
            }
        }
    }

    fn add_port<'a>(&mut self, port: &str, names: impl Iterator<Item = &'a str>) {
        let Some((port, protocol)) = port.split_once('/') else {
            return;
        };
        let transport = match protocol {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return,
        };
        let Ok(port) = port.parse() else { return };
        for name in names {
            self.shown
                .entry((port, transport))
                .or_insert_with(|| name.to_owned());
            self.ports
                .entry((name.to_owned(), transport))
                .or_insert(port);
        }
    }
}

impl Default for ServiceTable {
    fn default() -> Self {
        let mut table = Self {
            ports: HashMap::new(),
            shown: HashMap::new(),
        };
        for line in BUILT_IN.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            if let Some(port) = words.next() {
                table.add_port(port, words);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_the_protocol() {
        let table = ServiceTable::default();
        assert_eq!(table.port("domain", Transport::Udp), Some(53));
        assert_eq!(table.port("www", Transport::Tcp), Some(80));
        assert_eq!(table.port("www", Transport::Udp), None);
        assert_eq!(table.port("netbios-ns", Transport::Tcp), None);
        assert_eq!(table.name(80, Transport::Tcp), Some("http"));
        assert_eq!(table.name(80, Transport::Udp), None);
    }

    #[test]
    fn a_machines_own_services_are_added_behind() {
        let mut table = ServiceTable::default();
        table.add("# ours\nsquid 3128/tcp proxy # cache\nwww 8080/tcp\nodd\nworse x/tcp\n");
        assert_eq!(table.port("proxy", Transport::Tcp), Some(3128));
        assert_eq!(table.port("www", Transport::Tcp), Some(80));
        assert_eq!(table.port("odd", Transport::Tcp), None);
    }
}
