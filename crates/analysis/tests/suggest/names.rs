//! Conversations by name.

use portcullis_analysis::suggest::Stance;

use crate::{closed, named};

#[test]
fn known_conversations_have_names() {
    for (words, title) in [
        (
            "input eth0 tcp 192.0.2.7:20 > 198.51.100.1:61394 syn",
            "active FTP data from 192.0.2.7",
        ),
        (
            "output eth0 tcp 198.51.100.1:61394 > 192.0.2.7:20",
            "active FTP data from 192.0.2.7",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.7:21 syn",
            "FTP control to 192.0.2.7",
        ),
        (
            "output eth0 udp 198.51.100.1:61000 > 192.0.2.53:53",
            "DNS to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:53 > 198.51.100.1:61000",
            "DNS to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:53 > 198.51.100.1:1030",
            "DNS to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:53 > 198.51.100.1:53",
            "DNS between name servers to 192.0.2.53",
        ),
        (
            "output eth0 udp 198.51.100.1:53 > 192.0.2.53:53",
            "DNS between name servers to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.9:2000 > 198.51.100.1:53",
            "DNS from 192.0.2.9",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.53:53 syn",
            "DNS over TCP to 192.0.2.53",
        ),
        (
            "output eth0 udp 198.51.100.1:123 > 192.0.2.53:123",
            "NTP to 192.0.2.53",
        ),
        (
            "input eth0 udp 192.0.2.53:123 > 198.51.100.1:123",
            "NTP to 192.0.2.53",
        ),
        (
            "output eth0 tcp 198.51.100.1:1022 > 203.0.113.22:22 syn",
            "SSH from a low port to 203.0.113.22",
        ),
        (
            "input eth0 tcp 203.0.113.22:22 > 198.51.100.1:1022",
            "SSH from a low port to 203.0.113.22",
        ),
        (
            "input eth0 tcp 192.0.2.25:4000 > 198.51.100.1:113 syn",
            "ident from 192.0.2.25",
        ),
        (
            "output eth0 udp 198.51.100.1:61000 > 192.0.2.9:33440",
            "traceroute to 192.0.2.9",
        ),
        (
            "input eth0 icmp 192.0.2.9 > 198.51.100.1 echo-reply",
            "ping to 192.0.2.9",
        ),
        (
            "input eth0 icmp 192.0.2.9 > 198.51.100.1 echo-request",
            "ping from 192.0.2.9",
        ),
        (
            "input eth0 icmp 192.0.2.9 > 198.51.100.1 time-exceeded",
            "ICMP time-exceeded from anyone",
        ),
        (
            "input eth0 tcp 192.0.2.80:80 > 198.51.100.1:61000",
            "HTTP to 192.0.2.80",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.80:80",
            "HTTP to 192.0.2.80",
        ),
        (
            "output eth0 tcp 198.51.100.1:61000 > 192.0.2.25:25 syn",
            "SMTP to 192.0.2.25",
        ),
        (
            "input eth0 tcp 192.0.2.9:3000 > 198.51.100.1:6346 syn",
            "tcp/6346 from 192.0.2.9",
        ),
        (
            "forward eth0 tcp 192.168.1.10:1025 > 192.0.2.80:80 syn",
            "HTTP from 192.168.1.10 to 192.0.2.80",
        ),
        (
            "input eth0 47 192.0.2.9 > 198.51.100.1",
            "protocol-47 from 192.0.2.9",
        ),
    ] {
        let (groups, _) = named(&[words], &closed(""));
        assert_eq!(groups.len(), 1, "{words}");
        assert_eq!(groups[0].to_string(), title, "{words}");
        assert!(groups[0].is_offered(), "{words}");
    }
}

#[test]
fn what_nobody_wants_is_not_offered() {
    for words in [
        "input eth0 udp 192.0.2.9:137 > 198.51.100.1:137",
        "input eth0 tcp 192.0.2.9:3000 > 198.51.100.1:139 syn",
        "input eth0 udp 192.0.2.9:3000 > 198.51.100.1:31337",
        "input eth0 icmp 192.0.2.9 > 198.51.100.1 host-redirect",
        "input eth0 tcp 192.0.2.9 > 198.51.100.1 fragment",
    ] {
        let (groups, _) = named(&[words], &closed(""));
        assert!(!groups[0].is_offered(), "{words}: {:?}", groups[0].stance);
    }
}

/// Packets to many ports, from a port.
fn many(count: u16, from: u16, first: u16, flags: &str) -> Vec<String> {
    (0..count)
        .map(|number| {
            let to = first + number;
            format!("input eth0 tcp 203.0.113.66:{from} > 198.51.100.1:{to}{flags}")
        })
        .collect()
}

fn stances(words: &[String]) -> Vec<Stance> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (groups, _) = named(&words, &closed(""));
    groups.iter().map(|group| group.stance).collect()
}

#[test]
fn scans_are_told_from_services() {
    let scan = |ports| {
        [Stance::Scan {
            ports,
            addresses: 1,
        }]
    };
    assert_eq!(stances(&many(50, 40000, 1, " syn")), scan(50));
    // From a port that answers come from.
    assert_eq!(stances(&many(50, 20, 1, " syn")), scan(50));
    assert_eq!(stances(&many(50, 80, 1, "")), scan(50));
    assert_eq!(stances(&many(50, 20, 30000, " syn")), scan(50));
    // One address after the other.
    let sweep: Vec<String> = (1..=20)
        .map(|host| format!("forward eth1 tcp 203.0.113.66:4000 > 192.0.2.{host}:80 syn"))
        .collect();
    let swept = Stance::Scan {
        ports: 1,
        addresses: 20,
    };
    assert_eq!(stances(&sweep), [swept]);
    // A long FTP session and a name server that answers a lot are none.
    assert_eq!(stances(&many(50, 20, 61100, " syn")), [Stance::Offered]);
    let answers: Vec<String> = (0..50)
        .map(|port| {
            format!(
                "input eth0 udp 192.0.2.53:53 > 198.51.100.1:{}",
                61100 + port
            )
        })
        .collect();
    assert_eq!(stances(&answers), [Stance::Offered]);
    // Whoever scans is not let in elsewhere either.
    let mut both = many(50, 40000, 1, " syn");
    both.push("input eth0 udp 203.0.113.66:53 > 198.51.100.1:53".to_owned());
    both.push("input eth0 tcp 203.0.113.66:20 > 198.51.100.1:61500 syn".to_owned());
    let stances = stances(&both);
    let offered = stances.iter().filter(|it| **it == Stance::Offered).count();
    // A datagram from port 53 to port 53 may be an answer to this machine.
    assert_eq!((stances.len(), offered), (2, 1), "{stances:?}");
}
