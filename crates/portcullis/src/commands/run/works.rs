//! The threads that judge packets, from their start to what follows their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::anyhow;
use portcullis_runtime::live::Stats;

use super::firewall::Firewall;
use super::keeper::Keeper;

/// One piece of work for each worker, and what must outlive them.
pub(super) struct Works {
    pub(super) each: Vec<Work>,
    /// Gives the interfaces back to the kernel at the end.
    pub(super) keeper: Option<Keeper>,
}

pub(super) type Work = Box<dyn FnOnce(&Stats, &AtomicBool) -> anyhow::Result<()> + Send>;

/// The threads that work.
pub(super) struct Working {
    threads: Vec<thread::JoinHandle<anyhow::Result<()>>>,
    keeper: Option<Keeper>,
}

impl Works {
    pub(super) fn start(self, firewall: &Arc<Firewall>) -> Working {
        let start = |(number, work): (usize, Work)| {
            let firewall = Arc::clone(firewall);
            thread::spawn(move || {
                // One side of a bridge alone is of no use, however the other one ended.
                let _stop = StopAll(&firewall.stop);
                work(&firewall.stats[number], &firewall.stop)
            })
        };
        Working {
            threads: self.each.into_iter().enumerate().map(start).collect(),
            keeper: self.keeper,
        }
    }
}

/// Ends all work when it is dropped.
struct StopAll<'a>(&'a AtomicBool);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Working {
    /// Waits for the end of all; the first failure. After one, nothing is given back to a kernel
    /// that would let everything pass.
    pub(super) fn join(self) -> Option<anyhow::Error> {
        let results = self.threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err(anyhow!("a worker panicked")),
        });
        let failed = results.filter_map(Result::err).collect::<Vec<_>>();
        match (failed.into_iter().next(), self.keeper) {
            (Some(failed), Some(keeper)) => {
                keeper.abandon();
                Some(failed.context(
                    "not given back to the kernel after a failure: start again, or see --restore",
                ))
            }
            (None, Some(keeper)) => keeper.give_back().err(),
            (failed, None) => failed,
        }
    }
}
