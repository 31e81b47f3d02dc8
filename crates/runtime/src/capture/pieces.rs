//! The bytes of a capture, in large pieces that are claimed in their order. Those of a plain file
//! can then be read by several at once, those of a stream by whoever's turn it is.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    sync::Arc,
};

use super::source::{self, Progress};

/// Bytes of a piece: few enough for the cache of a core.
const PIECE: usize = 1024 * 1024;

/// Room in a buffer before a piece, for what the one before it left.
const HEADROOM: usize = 64 * 1024;

/// Pieces begin at multiples of it both in the file and in memory: copying between places that are
/// only a few bytes off takes half as long again (docs/decisions/0002).
const PAGE: usize = 4096;

/// Gives out pieces.
pub(super) struct Pieces {
    source: Source,
    progress: Progress,
    claimed: u64,
}

enum Source {
    /// A plain file, and where in it the next piece begins.
    File(Arc<File>, u64),
    Stream(Box<dyn Read + Send>),
}

/// A piece that was claimed.
pub(crate) struct Piece {
    /// Counts from 0.
    pub(super) number: u64,
    /// Where it is to be read; `None` once it was, or if it stands in a stream.
    place: Option<(Arc<File>, u64)>,
    progress: Progress,
    /// Most bytes it has.
    most: usize,
    /// Where it stands in the buffer, once it was read.
    bytes: Range<usize>,
    pub(super) after: After,
}

/// What follows the bytes that were read.
pub(super) enum After {
    Others,
    Nothing,
    Error(io::Error),
}

impl Pieces {
    /// Of a file that may be compressed.
    pub(super) fn of_file(file: File) -> io::Result<Self> {
        if !file.metadata()?.is_file() || source::is_compressed(&file)? {
            return Self::of_stream(file);
        }
        Ok(Self {
            source: Source::File(Arc::new(file), 0),
            progress: Progress::default(),
            claimed: 0,
        })
    }

    /// Of anything that may be compressed.
    pub(super) fn of_stream(stream: impl Read + Send + 'static) -> io::Result<Self> {
        let progress = Progress::default();
        Ok(Self {
            source: Source::Stream(source::decompressed(stream, &progress)?),
            progress,
            claimed: 0,
        })
    }

    /// Bytes read so far, before decompression.
    pub(super) fn bytes_read(&self) -> u64 {
        self.progress.bytes()
    }

    /// The next piece, not read yet.
    pub(super) fn claim(&mut self) -> Piece {
        self.claim_bytes(PIECE)
    }

    /// The next piece, of so many bytes at most.
    pub(super) fn claim_bytes(&mut self, most: usize) -> Piece {
        let mut most = most.min(PIECE);
        let place = match &mut self.source {
            Source::File(file, next) => {
                let start = *next;
                most = most.min(PIECE - (start % PIECE as u64) as usize);
                *next += most as u64;
                Some((Arc::clone(file), start))
            }
            Source::Stream(_) => None,
        };
        let number = self.claimed;
        self.claimed += 1;
        Piece {
            number,
            place,
            progress: self.progress.clone(),
            most,
            bytes: 0..0,
            after: After::Others,
        }
    }

    /// Reads a piece when its turn has come, if that was not done before. Of a stream it gets
    /// `wanted` bytes, as far as it goes, and beyond them what is at hand.
    pub(super) fn read(&mut self, piece: &mut Piece, wanted: usize, buffer: &mut Vec<u8>) {
        piece.read(buffer);
        if let Source::Stream(stream) = &mut self.source {
            let wanted = wanted.clamp(1, piece.most);
            piece.fill(buffer, wanted, |rest, _| stream.read(rest));
        }
    }
}

impl Piece {
    /// Reads it, if its turn need not be awaited for that.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) {
        let Some((file, start)) = self.place.take() else {
            return;
        };
        self.fill(buffer, self.most, |rest, length| {
            file.read_at(rest, start + length as u64)
        });
        self.progress.add(self.bytes.len());
    }

    /// Reads at least `wanted` bytes, if there are as many. `read` is lent what is still to be
    /// filled, and told how much was.
    fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        wanted: usize,
        mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
    ) {
        let start = start(buffer);
        let bytes = &mut buffer[start..start + self.most];
        let mut length = 0;
        self.after = loop {
            if length >= wanted {
                break After::Others;
            }
            match read(&mut bytes[length..], length) {
                Ok(0) => break After::Nothing,
                // A reader that claims more than it was lent must not bring us to panic.
                Ok(count) => length = (length + count).min(bytes.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break After::Error(error),
            }
        };
        self.bytes = start..start + length;
    }
}

/// Where in a buffer a piece begins. Makes room for it.
fn start(buffer: &mut Vec<u8>) -> usize {
    const ROOM: usize = HEADROOM + PAGE + PIECE;
    if buffer.is_empty() {
        *buffer = vec![0; ROOM];
    } else if buffer.len() < ROOM {
        buffer.resize(ROOM, 0);
    }
    HEADROOM + buffer[HEADROOM..].as_ptr().align_offset(PAGE) % PAGE
}

/// What pieces left that is not decoded yet, because more must follow.
#[derive(Default)]
pub(super) struct Rest(Vec<u8>);

impl Rest {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts the rest in front of a piece that was read to `buffer`; says where both stand.
    pub(super) fn join(&mut self, piece: &Piece, buffer: &mut Vec<u8>) -> Range<usize> {
        let Self(rest) = self;
        let Range { start, end } = piece.bytes;
        if rest.len() <= start {
            let joined = start - rest.len();
            buffer[joined..start].copy_from_slice(rest);
            rest.clear();
            return joined..end;
        }
        // Added at the end, so that of a record over many pieces each byte moves once.
        rest.extend_from_slice(&buffer[start..end]);
        std::mem::swap(rest, buffer);
        rest.clear();
        0..buffer.len()
    }

    /// Keeps what stands there for the next piece. The other bytes stay.
    pub(super) fn keep(&mut self, buffer: &mut Vec<u8>, place: Range<usize>) {
        let Self(rest) = self;
        if place.start == 0 {
            buffer.truncate(place.end);
            std::mem::swap(rest, buffer);
        } else {
            rest.extend_from_slice(&buffer[place]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{After, HEADROOM, PAGE, PIECE, Pieces, Rest};

    /// All bytes of a stream, of which so many are wanted at a time.
    fn pass(stream: impl Read + Send + 'static, wanted: usize) -> (Vec<u8>, usize) {
        let mut pieces = Pieces::of_stream(stream).unwrap();
        let (mut rest, mut buffer) = (Rest::default(), Vec::new());
        let (mut passed, mut most) = (Vec::new(), 0);
        loop {
            let mut piece = pieces.claim();
            pieces.read(&mut piece, wanted.saturating_sub(rest.len()), &mut buffer);
            let mut place = rest.join(&piece, &mut buffer);
            most = most.max(buffer.capacity());
            while place.len() >= wanted {
                passed.extend_from_slice(&buffer[place.start..place.start + wanted]);
                place.start += wanted;
            }
            if matches!(piece.after, After::Nothing) {
                passed.extend_from_slice(&buffer[place]);
                return (passed, most);
            }
            rest.keep(&mut buffer, place);
        }
    }

    #[test]
    fn passes_every_byte_once() {
        let length = 5 * PIECE / 2;
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        for wanted in [1, 1000, HEADROOM, HEADROOM + 1, PIECE + 1, 3 * PIECE] {
            let (passed, _) = pass(std::io::Cursor::new(bytes.clone()), wanted);
            assert!(passed == bytes, "{wanted}");
        }
    }

    #[test]
    fn grows_only_with_what_arrives() {
        let (passed, most) = pass(std::io::repeat(7).take(3), usize::MAX);
        assert_eq!((passed.len(), most), (3, HEADROOM + PAGE + PIECE));
        let (passed, most) = pass(std::io::repeat(7).take(4 * PIECE as u64), usize::MAX);
        assert_eq!(passed.len(), 4 * PIECE);
        assert!(most <= 2 * (HEADROOM + PAGE + 4 * PIECE), "{most}");
    }
}
