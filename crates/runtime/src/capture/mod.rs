//! Capture files: pcap and pcapng, plain or compressed with gzip or zstd.
//!
//! ```text
//! file or pipe ─▶ source ─▶ window ─▶ decoder ─▶ Record ─▶ CaptureWriter
//!                 inflates  buffers   pcap or
//!                                     pcapng
//! ```
//!
//! A decoder does no I/O: it is shown the bytes at hand and answers with one `Step`, so that it
//! works the same on a buffered stream and on a whole file in memory. Records come one by one, or
//! as a [`Chunk`] of many for workers.

mod chunk;
mod error;
mod pcap;
mod pcapng;
mod reader;
mod record;
mod source;
mod step;
mod window;
mod write;

pub use chunk::Chunk;
pub(crate) use chunk::{Frame, Head, UsualRecords};
pub use error::{BlockLengthFault, CaptureError, CaptureErrorKind, LengthLimit, Part};
pub use reader::{CaptureReader, Format};
pub use record::{CaptureInterface, Record, Timestamp};
pub use step::{Oddity, Warning};
pub use write::{CaptureWriteError, CaptureWriteErrorKind, CaptureWriter};
