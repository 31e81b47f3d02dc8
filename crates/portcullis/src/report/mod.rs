//! What commands print.

pub(crate) mod log_lines;
pub(crate) mod progress;
pub(crate) mod replay;
