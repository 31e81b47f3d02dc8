//! Ctrl-C: the first asks for an end, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// Exit status after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Sets `stop` when Ctrl-C comes; if it is set already, ends the program.
pub(crate) fn set_on_signal(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(stop))
        .and_then(|_| flag::register(SIGINT, Arc::clone(stop)))
        .context("cannot listen for Ctrl-C")?;
    Ok(())
}
