//! One file a command.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod cover;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod install_links;
pub(crate) mod ipchains;
pub(crate) mod log;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod suggest;
