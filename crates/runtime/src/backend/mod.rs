//! Frames from interfaces, and what is done with them.
//!
//! - [`bridge`] lets frames cross between two interfaces only through the rules.
//! - [`observe`] sees copies and stops nothing.
//! - [`queue`] judges what the kernel hands over on its way through a host or router.
//! - [`takeover`] puts a pair of virtual interfaces in the place of a machine's own.
//! - [`announcements`] say when somebody has changed what we hold.
//! - [`guard`] keeps the kernel's own network stack away from an interface.
//! - [`claim`] sees to it that no two firewalls have one interface.
//! - [`kernel_bridge`] stands in for a bridge that fails open.

pub mod announcements;
pub mod bridge;
pub mod claim;
pub mod guard;
pub mod kernel_bridge;
mod netlink;
pub mod observe;
pub mod queue;
mod raw_socket;
mod reject;
pub mod takeover;

pub use raw_socket::RawSocket;
