//! The kernel's own bridge between two ports: what takes our place when we are to fail open.

use std::path::Path;

use super::takeover::{TakeoverError, ip};

/// The longest name of an interface.
const LONGEST: usize = 15;

/// Lets the kernel pass everything between two ports.
///
/// # Errors
///
/// If `ip` cannot; nothing passes then.
pub fn open(ports: [&str; 2]) -> Result<(), TakeoverError> {
    let name = name(ports);
    if !exists(ports) {
        ip(&["link", "add", &name, "type", "bridge", "forward_delay", "0"])?;
    }
    for port in ports {
        ip(&["link", "set", port, "master", &name])?;
    }
    ip(&["link", "set", &name, "up"]).map(drop)
}

/// Takes that away again, if it is there.
///
/// # Errors
///
/// If `ip` cannot.
pub fn close(ports: [&str; 2]) -> Result<(), TakeoverError> {
    match exists(ports) {
        true => ip(&["link", "delete", &name(ports)]).map(drop),
        false => Ok(()),
    }
}

/// Whether it is there.
pub fn exists(ports: [&str; 2]) -> bool {
    Path::new("/sys/class/net").join(name(ports)).exists()
}

/// Whether a port belongs to a bridge or bond of somebody else's, which would send through it.
pub fn belongs_elsewhere(port: &str, ports: [&str; 2]) -> bool {
    let master = Path::new("/sys/class/net").join(port).join("master");
    let master = std::fs::read_link(master).ok();
    let master = master.as_deref().and_then(Path::file_name);
    master.is_some_and(|master| master != name(ports).as_str())
}

/// The same name whichever port is said first.
fn name(ports: [&str; 2]) -> String {
    let first = ports[0].min(ports[1]);
    let mut name = format!("pcb-{first}");
    if name.len() > LONGEST {
        let last: Vec<char> = first.chars().rev().take(LONGEST - 4).collect();
        name = format!("pcb-{}", last.iter().rev().collect::<String>());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_and_does_not_depend_on_the_order() {
        assert_eq!(name(["f1", "f0"]), "pcb-f0");
        assert_eq!(
            name(["enx001122334455", "f0"]),
            name(["f0", "enx001122334455"])
        );
        assert_eq!(name(["wwx001122334455", "xxx"]), "pcb-01122334455");
    }
}
