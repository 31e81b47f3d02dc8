//! What this machine is like.

use std::fs;

use anyhow::{Context, anyhow};
use nix::ifaddrs::getifaddrs;
use portcullis_analysis::Machine;
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Network, PortRange};

const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Asks the kernel.
pub(super) fn machine() -> anyhow::Result<Machine> {
    let text = fs::read_to_string(LOCAL_PORTS).context(LOCAL_PORTS)?;
    let local_ports = local_ports(&text)
        .ok_or_else(|| anyhow!("{LOCAL_PORTS} holds no range of ports: {text:?}"))?;
    let (mut interfaces, mut addresses) = (Vec::new(), Vec::new());
    for entry in getifaddrs().context("its interfaces")? {
        let (name, _) = InterfaceName::for_device(&entry.interface_name);
        if !interfaces.contains(&name) {
            interfaces.push(name);
        }
        let address = entry.address.as_ref().and_then(|it| it.as_sockaddr_in());
        addresses.extend(address.map(|it| Network::with_prefix(it.ip().to_bits(), 32)));
    }
    Ok(Machine {
        local_ports: Some(local_ports),
        interfaces: Some(interfaces),
        addresses: Some(addresses),
    })
}

/// Two numbers with blanks between.
fn local_ports(text: &str) -> Option<PortRange> {
    let mut words = text.split_whitespace().map(str::parse);
    let (first, last) = (words.next()?.ok()?, words.next()?.ok()?);
    Some(PortRange { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_writes_two_numbers() {
        let range = local_ports("32768\t60999\n");
        let (first, last) = (32768, 60999);
        assert_eq!(range, Some(PortRange { first, last }));
        assert_eq!(local_ports("32768"), None);
        assert_eq!(local_ports("1 70000"), None);
    }
}
