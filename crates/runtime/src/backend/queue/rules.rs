//! The kernel's side of the queue: two tables of nftables. They hand packets over where ipchains had
//! its chains, and carry out MASQ and REDIRECT by the kernel's own translation of addresses.
//!
//! A mark's two highest bits tell the translation what to do; they are never those of a user's mark.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use rustix::net::netlink::NETFILTER;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::backend::guard::{self, GuardError};
use crate::backend::netlink::{ACK, APPEND, CREATE, Netlink, REQUEST, Writer, has_chain};

/// The bits of a mark that are ours.
pub(super) const OURS: u32 = 0xc000_0000;
/// The packet is to be masqueraded.
pub(super) const MASQUERADE: u32 = 0x4000_0000;
/// The packet is for a local port, which stands in the low half; 0: the one it is for already.
pub(super) const REDIRECT: u32 = 0x8000_0000;

const TABLE: &str = "portcullis_queue";
const REDIRECTS: &str = "redirects";
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NFTABLES: u16 = 10;
const NEW_RULE: u16 = (NFTABLES << 8) | 6;
const NEW_ELEMENT: u16 = (NFTABLES << 8) | 12;
const IPV4: u8 = 2;
/// NFQUEUE: if nobody listens, packets go on.
const BYPASS: u16 = 1;

/// What the tables shall do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// The number of the first of three queues: input, forward, output.
    pub queue: u16,
    /// Packets pass while nobody listens.
    pub fail_open: bool,
    /// IPv6 passes.
    pub pass_ipv6: bool,
    /// First and last port that masqueraded connections come from.
    pub masquerade_ports: (u16, u16),
    /// The kernel reads FTP's control connections, and masquerades what they announce.
    pub masquerade_ftp: bool,
}

/// Why the tables are not there.
#[derive(Debug, Error)]
pub enum TablesError {
    /// The program that makes them is not there.
    #[error("nft is needed to make the kernel hand packets over: install nftables")]
    NoNft,
    /// It refused.
    #[error("nft refused to make the kernel hand packets over: {0}")]
    Refused(String),
    /// The kernel did.
    #[error("this kernel cannot hand packets over (it takes nft_compat and xt_NFQUEUE): {0}")]
    NoQueue(io::Error),
}

impl Tables {
    /// Makes the tables, in place of those of a run that was killed; `true` if there were such.
    /// Nothing passes until somebody listens, unless they fail open.
    ///
    /// # Errors
    ///
    /// If that is not possible. There are none then; but if there were some, all stays closed.
    pub fn install(&self) -> Result<bool, TablesError> {
        let left_over = guard::nft(&format!("list table ip {TABLE}\n")).is_ok();
        guard::nft(&self.text())?;
        let handed = self.hand_over();
        handed.map_err(|error| {
            // What is left drops everything.
            if !left_over {
                let _ = Self::remove();
            }
            TablesError::NoQueue(error)
        })?;
        Ok(left_over)
    }

    /// Takes the tables away, whoever made them; `false` if there are none.
    ///
    /// # Errors
    ///
    /// If nft cannot.
    pub fn remove() -> Result<bool, TablesError> {
        let found = Self::are_there();
        guard::nft(&removal())?;
        Ok(found)
    }

    /// Whether the tables are there, with all chains that hand packets over.
    pub fn are_there() -> bool {
        let chains = ["input", "forward", "output"];
        chains.iter().all(|chain| has_chain(IPV4, TABLE, chain))
    }

    /// The numbers of the queues: input, forward, output.
    pub(super) fn queues(&self) -> [u16; 3] {
        [0, 1, 2].map(|place| self.queue.saturating_add(place))
    }

    fn text(&self) -> String {
        let mut text = removal();
        let (first, last) = self.masquerade_ports;
        let _ = writeln!(
            text,
            "table ip {TABLE} {{
                map {REDIRECTS} {{ type mark : inet_service; size 65535; }}
                chain input {{ type filter hook prerouting priority -300; policy drop; }}
                chain redirect_here {{
                    type nat hook prerouting priority -100;
                    meta mark {REDIRECT} meta l4proto {{ tcp, udp }} redirect
                    meta l4proto {{ tcp, udp }} redirect to :meta mark map @{REDIRECTS}
                    meta mark & {OURS} == {REDIRECT} drop
                }}
                chain forward {{
                    type filter hook forward priority 0; policy drop;
                    ct direction reply ct status & snat == snat accept
                    ct direction original ct status & (expected | dnat) == (expected | dnat) accept
                }}
                chain masquerade_here {{
                    type nat hook postrouting priority 100;
                    meta mark & {OURS} == {MASQUERADE} meta l4proto {{ tcp, udp }} \
                        masquerade to :{first}-{last}
                    meta mark & {OURS} == {MASQUERADE} masquerade
                }}
                chain output {{
                    type filter hook postrouting priority 290; policy drop;
                    meta mark & {OURS} == {MASQUERADE} ct state invalid,untracked drop
                    meta mark & {OURS} == {MASQUERADE} ct status & (snat | dnat) == 0 drop
                }}
            }}"
        );
        if self.masquerade_ftp {
            let _ = writeln!(
                text,
                "table ip {TABLE} {{
                    ct helper ftp {{ type \"ftp\" protocol tcp; }}
                    chain helpers {{
                        type filter hook prerouting priority -150;
                        tcp dport 21 ct helper set \"ftp\"
                    }}
                }}"
            );
        }
        if has_ipv6() && !self.pass_ipv6 {
            let _ = writeln!(
                text,
                "table ip6 {TABLE} {{
                    chain arriving {{
                        type filter hook prerouting priority -300;
                        iifname \"lo\" accept
                        counter drop
                    }}
                    chain leaving {{
                        type filter hook output priority -300;
                        oifname \"lo\" accept
                        counter drop
                    }}
                }}"
            );
        }
        text
    }

    /// The rules that nft has no words for where its own queue statement is not in the kernel.
    fn hand_over(&self) -> io::Result<()> {
        let flags = if self.fail_open { BYPASS } else { 0 };
        let chains = ["input", "forward", "output"];
        let mut batch = Writer::default();
        batch.netfilter(BATCH_BEGIN, REQUEST, 0, NFTABLES);
        for (chain, queue) in chains.into_iter().zip(self.queues()) {
            batch.netfilter(NEW_RULE, REQUEST | ACK | CREATE | APPEND, IPV4, 0);
            batch.text(1, TABLE);
            batch.text(2, chain);
            batch.nested(4, |expressions| {
                expressions.nested(1, |expression| {
                    expression.text(1, "target");
                    expression.nested(2, |target| {
                        target.text(1, "NFQUEUE");
                        target.attribute(2, &[&3u32.to_be_bytes()]);
                        let (queue, queues) = (queue.to_ne_bytes(), 1u16.to_ne_bytes());
                        target.attribute(3, &[&queue, &queues, &flags.to_ne_bytes(), &[0; 2]]);
                    });
                });
            });
        }
        batch.netfilter(BATCH_END, REQUEST, 0, NFTABLES);
        Netlink::open(Some(NETFILTER), 0)?.request(batch.bytes(), chains.len())
    }
}

/// Tells the kernel which port the mark for `port` means.
pub(super) fn add_redirect(socket: &Netlink, port: u16) -> io::Result<()> {
    let mut batch = Writer::default();
    batch.netfilter(BATCH_BEGIN, REQUEST, 0, NFTABLES);
    batch.netfilter(NEW_ELEMENT, REQUEST | ACK | CREATE, IPV4, 0);
    batch.text(1, TABLE);
    batch.text(2, REDIRECTS);
    batch.nested(3, |elements| {
        elements.nested(1, |element| {
            let mark = (REDIRECT | u32::from(port)).to_ne_bytes();
            element.nested(1, |key| key.attribute(1, &[&mark]));
            element.nested(2, |data| data.attribute(1, &[&port.to_be_bytes()]));
        });
    });
    batch.netfilter(BATCH_END, REQUEST, 0, NFTABLES);
    socket.request(batch.bytes(), 1)
}

/// Adding before deleting makes the deletion possible in any case.
fn removal() -> String {
    let mut text = String::new();
    let families: &[&str] = if has_ipv6() { &["ip", "ip6"] } else { &["ip"] };
    for family in families {
        let _ = writeln!(text, "add table {family} {TABLE}");
        let _ = writeln!(text, "delete table {family} {TABLE}");
    }
    text
}

fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

impl From<GuardError> for TablesError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::NoNft => Self::NoNft,
            GuardError::Refused(why) => Self::Refused(why),
            other => Self::Refused(other.to_string()),
        }
    }
}
