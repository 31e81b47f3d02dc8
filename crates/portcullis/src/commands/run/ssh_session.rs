//! The ssh session that a command is typed in, if any.

use std::env;
use std::fs;
use std::net::IpAddr;
use std::process;

/// What ssh tells its children: both addresses and ports.
const VARIABLE: &str = "SSH_CONNECTION";
/// Ancestors that are asked: `su` and `sudo` do not hand the variable on.
const ANCESTORS: usize = 16;

/// This machine's address in the ssh session that we run in.
pub(super) fn local_address() -> Option<IpAddr> {
    if let Ok(text) = env::var(VARIABLE) {
        return address(&text);
    }
    let mut id = process::id();
    for _ in 0..ANCESTORS {
        id = parent(id)?;
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let found = environment.split(|byte| *byte == 0).find_map(|variable| {
            let text = String::from_utf8_lossy(variable);
            let (name, value) = text.split_once('=')?;
            (name == VARIABLE).then(|| value.to_owned())
        });
        if let Some(text) = found {
            return address(&text);
        }
    }
    None
}

fn address(text: &str) -> Option<IpAddr> {
    // The address of one link comes with the link's name.
    let address = text.split(' ').nth(2)?.split('%').next()?;
    address.parse().ok()
}

fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok().filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_word_is_this_machine() {
        let ours = address("192.0.2.7 50000 198.51.100.1 22");
        assert_eq!(ours, Some("198.51.100.1".parse().unwrap()));
        assert_eq!(address("nonsense"), None);
        let one_link = address("fe80::7%eth0 50000 fe80::1%eth0 22");
        assert_eq!(one_link, Some("fe80::1".parse().unwrap()));
        assert!(parent(process::id()).is_some());
    }
}
