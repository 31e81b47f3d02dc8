//! Standard output, whose reader may stop at any time.

use std::fmt;
use std::io::{self, Write};

/// Nobody reads standard output any more: no mistake of ours, and no reason to
/// say anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StdoutClosed;

impl fmt::Display for StdoutClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output any more")
    }
}

impl std::error::Error for StdoutClosed {}

/// Writes all of it.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(explain)
}

/// What a failure to write to standard output means.
pub(crate) fn explain(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return StdoutClosed.into();
    }
    anyhow::Error::new(error).context("cannot write to standard output")
}
