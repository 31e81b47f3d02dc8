//! What a running firewall is asked and answers, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What may be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    Status,
    /// The rules with their counters.
    Read,
    /// The same, to be changed: nobody else changes them until this connection ends.
    Lock,
    /// After `Lock`: these are the rules from now on.
    Keep {
        ruleset: String,
        counters: Vec<Counts>,
    },
    /// An ipchains command in plain words; word 0 is the program.
    Edit {
        words: Vec<String>,
        strict: bool,
    },
    /// Other rules. `confirm_seconds`: the old ones come back unless `Confirm` comes before.
    Reload {
        ruleset: String,
        zero: bool,
        confirm_seconds: Option<u64>,
    },
    Confirm,
    Stop,
}

/// Packets and bytes.
pub(crate) type Counts = [u64; 2];

/// What may be answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    Status(Box<Status>),
    /// Rules, and the counters of each chain's policy and then its rules.
    Rules {
        ruleset: String,
        counters: Vec<Counts>,
    },
    /// It is done; this generation is in force.
    Done {
        generation: u64,
    },
    /// What the command of an `Edit` said and how it ended; 0: what it did is in force.
    Edited {
        stdout: String,
        stderr: String,
        status: u8,
    },
    /// It was not done.
    Refused(String),
}

/// How the firewall is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) plane: String,
    pub(crate) enforces: bool,
    pub(crate) generation: u64,
    pub(crate) rules: usize,
    pub(crate) rules_file: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) simd: String,
    pub(crate) memory_bytes: usize,
    pub(crate) chains: Vec<String>,
    /// What it has given up.
    pub(crate) confinement: BTreeMap<String, String>,
    pub(crate) figures: BTreeMap<String, u64>,
}
