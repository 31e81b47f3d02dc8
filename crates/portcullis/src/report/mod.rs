//! What commands print.

pub(crate) mod decider;
pub(crate) mod decision;
pub(crate) mod log_lines;
pub(crate) mod output_file;
pub(crate) mod packet_words;
pub(crate) mod progress;
pub(crate) mod replay;
pub(crate) mod rule_words;
pub(crate) mod stderr;
pub(crate) mod stdout;
