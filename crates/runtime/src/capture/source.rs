//! Where the bytes come from: counted as they are on disk, decompressed where they have to be.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use flate2::bufread::MultiGzDecoder;

/// Bytes read so far from below the decompression.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Whether the first bytes of a file tell it to be gzip or zstd.
pub(super) fn is_compressed(file: &File) -> io::Result<bool> {
    let mut magic = [0; 4];
    let compression = match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Compression::of(&magic),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Compression::None,
        Err(error) => return Err(error),
    };
    Ok(!matches!(compression, Compression::None))
}

/// The decompressed bytes of `source`, which the first four tell to be gzip, zstd or plain.
pub(super) fn decompressed(
    source: impl Read + Send + 'static,
    progress: &Progress,
) -> io::Result<Box<dyn Read + Send>> {
    let mut source = Counted {
        source,
        progress: progress.clone(),
    };
    let mut magic = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut magic)?;
    let compression = Compression::of(&magic);
    let whole = io::Cursor::new(magic).chain(source);
    match compression {
        Compression::None => Ok(Box::new(whole)),
        Compression::Gzip => {
            let compressed = BufReader::with_capacity(CHUNK, whole);
            Ok(Box::new(Background::spawn(MultiGzDecoder::new(
                compressed,
            ))?))
        }
        Compression::Zstd => {
            let compressed = BufReader::with_capacity(CHUNK, whole);
            Ok(Box::new(Background::spawn(zstd::Decoder::with_buffer(
                compressed,
            )?)?))
        }
    }
}

enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A zstd frame (RFC 8878), or a skippable one before it.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }
}

struct Counted<R> {
    source: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.progress.add(count);
        Ok(count)
    }
}

const CHUNK: usize = 256 * 1024;

/// Chunks under way: enough to ride out a hiccup of either side.
const DEPTH: usize = 4;

/// Reads ahead in a thread of its own, so that decompression and decoding overlap.
///
/// The thread ends when its source does, or at the first chunk it cannot hand over because this
/// end was dropped. It is not joined: it may be waiting for a pipe that nobody writes to.
struct Background {
    chunks: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
}

impl Background {
    fn spawn(source: impl Read + Send + 'static) -> io::Result<Self> {
        let (filled, chunks) = bounded(DEPTH);
        let (used, spare) = bounded(DEPTH);
        thread::Builder::new()
            .name("decompress".into())
            .spawn(move || read_ahead(source, &filled, &spare))?;
        Ok(Self {
            chunks,
            used,
            current: Vec::new(),
            position: 0,
            ended: false,
        })
    }
}

impl Read for Background {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() && !self.ended {
            match self.chunks.recv() {
                Ok(Ok(chunk)) => {
                    self.ended = chunk.is_empty();
                    let used = std::mem::replace(&mut self.current, chunk);
                    self.position = 0;
                    // Full or gone: the other side then allocates, or has ended.
                    let _ = self.used.try_send(used);
                }
                Ok(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                Err(_) => {
                    self.ended = true;
                    return Err(io::Error::other("the decompressor stopped"));
                }
            }
        }
        let count = (&self.current[self.position..]).read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

/// Hands over full chunks, what there is before an error and then the error, and at the end an
/// empty chunk, which tells an end from a thread that died.
fn read_ahead(
    mut source: impl Read,
    filled: &Sender<io::Result<Vec<u8>>>,
    spare: &Receiver<Vec<u8>>,
) {
    loop {
        let (chunk, outcome) = fill(&mut source, spare.try_recv().unwrap_or_default());
        let ended = chunk.is_empty();
        if let Err(error) = outcome {
            // If nobody listens any more, nobody wants to know.
            if !ended {
                let _ = filled.send(Ok(chunk));
            }
            let _ = filled.send(Err(error));
            return;
        }
        if filled.send(Ok(chunk)).is_err() || ended {
            return;
        }
    }
}

/// A chunk as full as the source allows, and the error that kept it from being fuller.
fn fill(source: &mut impl Read, mut chunk: Vec<u8>) -> (Vec<u8>, io::Result<()>) {
    chunk.resize(CHUNK, 0);
    let mut length = 0;
    let outcome = loop {
        match source.read(&mut chunk[length..]) {
            // The end of the source or of the chunk.
            Ok(0) => break Ok(()),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    chunk.truncate(length);
    (chunk, outcome)
}
