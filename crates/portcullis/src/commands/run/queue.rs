//! The plane in which the kernel hands packets over.

use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use portcullis_runtime::backend::queue::{Queue, Tables};
use portcullis_runtime::live::Worker;

use super::compiled::Classifier;
use super::keeper::Keeper;
use super::{NonIpv4, RunArgs, Work, Works, ssh_session};

/// What goes with `--queue`.
#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// Judge what this host or router gets, forwards and sends, as the kernel hands it over in this
    /// queue and the two after it.
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, default_missing_value = "2200",
        value_parser = clap::value_parser!(u16).range(..=0xfffd))]
    pub(super) queue: Option<u16>,

    /// Ports that masqueraded connections come from.
    #[arg(
        long,
        value_name = "FIRST-LAST",
        default_value = "61000-65095",
        requires = "queue"
    )]
    masq_ports: PortRange,

    /// Let the kernel read FTP's commands, so that active FTP works through MASQ (as ip_masq_ftp did).
    #[arg(long, requires = "queue")]
    masq_ftp: bool,
}

#[derive(Clone, Copy, Debug)]
struct PortRange(u16, u16);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |text: &str| text.parse().ok().filter(|port| *port > 0);
        let ends = text.split_once('-');
        match ends.and_then(|(first, last)| Some((parse(first)?, parse(last)?))) {
            Some((first, last)) if first <= last => Ok(Self(first, last)),
            _ => Err("write the first and the last port, such as 61000-65095".to_owned()),
        }
    }
}

/// Packets wait in the kernel for what the rules say.
pub(super) fn queue(
    number: u16,
    args: &RunArgs,
    mut worker: impl FnMut(usize) -> Worker<Classifier>,
) -> anyhow::Result<Works> {
    if args.confirm.is_none() && ssh_session::local_address().is_some() {
        bail!(
            "this ssh session would be cut if the rules are wrong: add --confirm 30s, and say \
             `portcullis confirm' within that time"
        );
    }
    let PortRange(first, last) = args.queue.masq_ports;
    let tables = Tables {
        queue: number,
        fail_open: args.fail_open,
        pass_ipv6: matches!(args.non_ipv4, NonIpv4::Pass),
        masquerade_ports: (first, last),
        masquerade_ftp: args.queue.masq_ftp,
    };
    let keeper = Keeper::queue(&tables)?;
    let queue = Queue::open(&tables);
    let mut queue = queue.with_context(|| {
        format!("cannot listen on queue {number} (another program may: name another number)")
    })?;
    let mut worker = worker(0);
    let work: Work = Box::new(move |stats, stop| {
        let result = queue.run(&mut worker, stats, stop);
        result.context("the kernel's queue failed")
    });
    Ok(Works {
        each: vec![work],
        keeper: Some(keeper),
    })
}
