//! Text to rulesets and back.
//!
//! * [`ipchains`] is the command: arguments in, edits and output text out,
//! * [`script`] reads files of such commands, and `ipchains-save` text,
//! * [`scripts`] are `ipchains-save` and `ipchains-restore`,
//! * [`listing`], [`save`] and [`proc_files`] print rulesets in the three
//!   formats of their time,
//! * [`packet_words`] reads packets that people describe,
//! * [`syslog`] finds packet-log lines in syslog files,
//! * [`steps`] reads which chains the packets of a capture meet,
//! * [`names`] holds the tables of services, protocols and ICMP types.
//!
//! Nothing here does I/O: even host names are looked up only through a
//! [`Resolver`](names::Resolver) that the caller brings. Section numbers
//! ("§8") are those of the semantics reference in `docs/semantics.md`.

pub mod classbench;
pub mod ipchains;
pub mod listing;
pub mod names;
pub mod packet_words;
pub mod proc_files;
pub mod save;
pub mod script;
pub mod scripts;
pub mod steps;
pub mod syslog;
