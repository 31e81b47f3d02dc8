//! What commands print.

pub(crate) mod log_lines;
pub(crate) mod progress;
pub(crate) mod replay;
pub(crate) mod stderr;
pub(crate) mod stdout;
