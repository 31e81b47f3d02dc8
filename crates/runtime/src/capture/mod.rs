//! Capture files: pcap and pcapng, plain or compressed with gzip or zstd.
//!
//! ```text
//! file or pipe ─▶ source ─▶ pieces ─▶ decoder ─▶ Chunk ─▶ Record ─▶ CaptureWriter
//!                 inflates  large     pcap or    many
//!                           reads     pcapng     records
//! ```
//!
//! A decoder does no I/O: it is shown the bytes at hand and answers with one `Step`. Workers take
//! a [`Chunk`] each: they claim a piece of the file, read it while others read theirs, and have it
//! decoded in its turn, as only the end of one record tells where the next begins.

mod chunk;
mod error;
mod pcap;
mod pcapng;
mod pieces;
mod reader;
mod record;
mod source;
mod step;
mod walk;
mod write;

pub use chunk::Chunk;
pub(crate) use chunk::{Frame, Head, UsualRecords};
pub use error::{BlockLengthFault, CaptureError, CaptureErrorKind, LengthLimit, Part};
pub(crate) use pieces::Piece;
pub use reader::{CaptureReader, Format};
pub use record::{CaptureInterface, Record, Timestamp};
pub use step::{Oddity, Warning};
pub use write::{CaptureWriteError, CaptureWriteErrorKind, CaptureWriter};
