//! Host names, looked up as the system does; only with `--resolve`.

use std::net::{IpAddr, ToSocketAddrs};

use portcullis_syntax::names::Resolver;

pub(crate) struct SystemResolver;

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
        // Listings here are numeric.
        None
    }
}
