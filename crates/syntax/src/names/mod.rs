//! The names that commands may use instead of numbers.
//!
//! The tables are built in, so that a ruleset means the same on every
//! machine; [`Names::add_services`] adds a machine's own.

mod icmp;
mod protocols;
mod services;

use std::fmt;

use services::ServiceTable;

pub use icmp::{AmbiguousIcmpName, ICMP_NAMES, IcmpName, icmp_name, icmp_name_for};
pub use protocols::{protocol_name, protocol_number};

/// The two protocols with services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Protocol 6.
    Tcp,
    /// Protocol 17.
    Udp,
}

/// Looks up host names; only where the user asked for it.
pub trait Resolver {
    /// All IPv4 addresses of a host, first octet in the highest byte; empty if
    /// there is no such host.
    fn addresses(&self, name: &str) -> Vec<u32>;
    /// The name of an address, for listings.
    fn name(&self, address: u32) -> Option<String>;
}

/// Everything that turns names into numbers and back.
#[derive(Default)]
pub struct Names {
    services: ServiceTable,
    resolver: Option<Box<dyn Resolver>>,
}

impl Names {
    /// The built-in tables, and no host names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds services in the format of `/etc/services`. What is built in stays;
    /// lines in another format are passed over, as the C library does.
    pub fn add_services(&mut self, text: &str) {
        self.services.add(text);
    }

    /// Looks host names up with `resolver`.
    pub fn resolve_with(&mut self, resolver: Box<dyn Resolver>) {
        self.resolver = Some(resolver);
    }

    /// The port of a service.
    pub fn service(&self, name: &str, transport: Transport) -> Option<u16> {
        self.services.port(name, transport)
    }

    /// The name of a port, for listings without `-n`.
    pub fn service_name(&self, port: u16, transport: Transport) -> Option<&str> {
        self.services.name(port, transport)
    }

    /// The names of all services of a protocol, in no order.
    pub fn service_names(&self, transport: Transport) -> impl Iterator<Item = &str> {
        self.services.names(transport)
    }

    /// All addresses of a host; empty if it is unknown or not to be looked up.
    pub fn host(&self, name: &str) -> Vec<u32> {
        self.resolver
            .as_ref()
            .map(|resolver| resolver.addresses(name))
            .unwrap_or_default()
    }

    /// The name of a host, for listings without `-n`.
    pub fn host_name(&self, address: u32) -> Option<String> {
        match &self.resolver {
            Some(resolver) => resolver.name(address),
            // Every machine knows itself, whether or not it asks others.
            None => (address == 0x7f00_0001).then(|| "localhost".to_owned()),
        }
    }

    /// Whether host names are looked up at all.
    pub fn looks_up_hosts(&self) -> bool {
        self.resolver.is_some()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("services", &self.services)
            .field("looks_up_hosts", &self.looks_up_hosts())
            .finish()
    }
}
