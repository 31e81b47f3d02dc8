//! A wrong file at a reload changes nothing, on any plane.

use std::fs;

use libtest_mimic::Failed;

use crate::net::{Net, same, wait_for};

pub(crate) fn bridge(net: &Net) -> Result<(), Failed> {
    let masq = "-A forward -j MASQ";
    changes_nothing(net, &["--bridge", "f0:f1"], "forward", Some(masq))
}

pub(crate) fn host(net: &Net) -> Result<(), Failed> {
    let redirect = "-A input -p tcp -d 0/0 80 -j REDIRECT 8080";
    changes_nothing(net, &["--host", "eth0"], "output", Some(redirect))
}

pub(crate) fn queue(net: &Net) -> Result<(), Failed> {
    changes_nothing(net, &["--queue"], "forward", None)
}

/// `beyond` is a rule that is right, but that the plane cannot do.
fn changes_nothing(
    net: &Net,
    plane: &[&str],
    chain: &str,
    beyond: Option<&str>,
) -> Result<(), Failed> {
    let rules = format!("ipchains -P {chain} DENY\nipchains -A {chain} -p icmp -j ACCEPT\n");
    let rules = match plane {
        ["--queue"] => rules,
        // Answers come in by the same chain, or by one that is open.
        _ => rules + "ipchains -A forward -p icmp -j ACCEPT\n",
    };
    let firewall = net.start(&rules, plane);
    same(net.ping(2), 2)?;
    let listing = || String::from_utf8(net.ipchains("-L -v -n -x").stdout).unwrap();
    let before = listing();
    let open = "ipchains -F\nipchains -P input ACCEPT\nipchains -P forward DENY\n\
                ipchains -P output DENY\n";
    let wrong = [
        ("syntax", format!("{open}ipchains -A {chain} -j ACCEPTT\n")),
        ("binary", format!("{open}\0\n")),
        (
            "shell",
            format!("{open}for i in $(cat hosts); do\nipchains -A {chain} -s $i\ndone\n"),
        ),
        (
            "beyond",
            format!("{open}ipchains {}\n", beyond.unwrap_or("-A nowhere")),
        ),
    ];
    for (name, text) in &wrong {
        fs::write(net.path(name), text).unwrap();
    }
    let folder = net.path("");
    let missing = net.path("missing");
    let files = wrong.iter().map(|(name, _)| net.path(name));
    for file in files.chain([missing, folder]) {
        let output = net.control(&["reload", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        let refused = matches!(output.status.code(), Some(1 | 2)) && !said.is_empty();
        same(refused, true).map_err(|_| Failed::from(format!("{file:?}: {said}")))?;
        same(listing(), before.clone()).map_err(|_| Failed::from(format!("{file:?} changed")))?;
    }
    same(net.status()["generation"].as_u64(), Some(1))?;
    // The same by a signal, of the file that it was started with.
    fs::write(net.path("rules"), &wrong[0].1).unwrap();
    let told = net.text("messages").len();
    firewall.signal("HUP");
    wait_for(|| net.text("messages").len() > told);
    same(listing(), before)?;
    same(net.status()["generation"].as_u64(), Some(1))?;
    same(net.ping(2), 2)
}
