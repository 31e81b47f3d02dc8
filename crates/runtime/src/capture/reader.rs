use std::{
    fmt,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::Path,
    sync::Arc,
};

use super::{
    CaptureError, CaptureErrorKind, CaptureInterface, Chunk, Part, Record, Warning,
    chunk::Placed,
    pcap, pcapng,
    pieces::{After, Piece, Pieces, Rest},
    step::{Findings, Step, StepResult},
};

/// Reads the records of a capture file one after the other.
///
/// ```no_run
/// use portcullis_runtime::capture::CaptureReader;
///
/// let mut reader = CaptureReader::open("trace.pcapng.zst".as_ref())?;
/// while let Some(record) = reader.next_record()? {
///     println!("{} at byte {}: {} bytes", record.number, record.offset, record.data.len());
/// }
/// # Ok::<(), portcullis_runtime::capture::CaptureError>(())
/// ```
pub struct CaptureReader {
    pieces: Pieces,
    rest: Rest,
    /// Bytes that must be there for the next step.
    wanted: usize,
    /// Number of the piece that is decoded next.
    turn: u64,
    decoder: Decoder,
    findings: Findings,
    /// Where the next step begins, in bytes into the decompressed file.
    offset: u64,
    /// Records decoded so far.
    records: u64,
    ended: bool,
    /// What ended the reading, while the records before it are in a chunk.
    failed: Option<CaptureError>,
    /// The interfaces as chunks share them.
    shared: Arc<[CaptureInterface]>,
    /// Where records stand that are asked for one by one, and how many of them were.
    chunk: Chunk,
    taken: usize,
}

/// A capture file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The classic format: one interface, fixed record headers.
    Pcap,
    /// Blocks, sections, several interfaces.
    Pcapng,
}

/// Opening a directory succeeds, and only reading from it fails.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Bytes shown of a file that is not a capture.
const BEGINNING: usize = 16;

impl CaptureReader {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        if path == Path::new("-") {
            return Self::new(io::stdin(), "standard input");
        }
        let name = path.display().to_string();
        match open_file(path) {
            Ok(file) => Self::start(Pieces::of_file(file), &name),
            Err(error) => Err(unreadable(name.into(), CaptureErrorKind::Open(error))),
        }
    }

    /// Reads from any source; `name` is for messages. Compression and format are told by the
    /// first bytes.
    ///
    /// # Errors
    /// When the source fails, is empty, or is not a capture. A file header that is cut short is
    /// reported by the first [`next_record`](Self::next_record).
    pub fn new(source: impl Read + Send + 'static, name: &str) -> Result<Self, CaptureError> {
        Self::start(Pieces::of_stream(source), name)
    }

    fn start(pieces: io::Result<Pieces>, name: &str) -> Result<Self, CaptureError> {
        let findings = Findings::new(name.into());
        let start = || {
            let mut pieces = pieces.map_err(CaptureErrorKind::Read)?;
            let mut first = pieces.claim_bytes(BEGINNING);
            let (mut chunk, mut rest) = (Chunk::new(), Rest::default());
            pieces.read(&mut first, BEGINNING, &mut chunk.bytes);
            let place = rest.join(&first, &mut chunk.bytes);
            if let After::Error(error) = first.after {
                return Err(CaptureErrorKind::Read(error));
            }
            let decoder = Decoder::new(&chunk.bytes[place.clone()])?;
            rest.keep(&mut chunk.bytes, place);
            Ok(Self {
                pieces,
                rest,
                wanted: BEGINNING + 1,
                turn: first.number + 1,
                decoder,
                findings,
                offset: 0,
                records: 0,
                ended: false,
                failed: None,
                shared: Arc::new([]),
                chunk,
                taken: 0,
            })
        };
        start().map_err(|kind| unreadable(name.into(), kind))
    }

    /// The next record, `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged or the source fails. Every record before that has been returned,
    /// and the next call returns `None`.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, CaptureError> {
        if self.taken == self.chunk.len() {
            let mut chunk = std::mem::take(&mut self.chunk);
            let next = self.next_chunk(&mut chunk);
            (self.chunk, self.taken) = (chunk, 0);
            if !next? {
                return Ok(None);
            }
        }
        self.taken += 1;
        Ok(Some(self.chunk.record(self.taken - 1)))
    }

    /// Fills `chunk` with the records that follow, as many as are at hand; `false` at the end.
    ///
    /// # Errors
    /// As [`next_record`](Self::next_record): every record before that has been in a chunk.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool, CaptureError> {
        loop {
            let piece = self.claim();
            if !self.decode(piece, chunk)? {
                return Ok(false);
            }
            if !chunk.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Takes a piece out of the file, for [`decode`](Self::decode). Whoever has one may
    /// [read it](Chunk::read) before its turn comes.
    pub(crate) fn claim(&mut self) -> Piece {
        self.pieces.claim()
    }

    /// Whether a piece may be decoded: those claimed before it were.
    pub(crate) fn has_turn(&self, piece: &Piece) -> bool {
        self.turn == piece.number
    }

    /// Fills `chunk` with the records that end in a piece, which may be none; `false` if it lies
    /// beyond the end.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk).
    pub(crate) fn decode(
        &mut self,
        mut piece: Piece,
        chunk: &mut Chunk,
    ) -> Result<bool, CaptureError> {
        self.turn += 1;
        chunk.records.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        let wanted = self.wanted.saturating_sub(self.rest.len());
        self.pieces.read(&mut piece, wanted, &mut chunk.bytes);
        let mut place = self.rest.join(&piece, &mut chunk.bytes);
        chunk.before = self.records;
        (chunk.begin, chunk.offset) = (place.start, self.offset);
        let ending = self.records_at(&mut place, chunk);
        self.records += chunk.len() as u64;
        self.offset += (place.start - chunk.begin) as u64;
        if self.shared.len() != self.findings.interfaces.len() {
            self.shared = self.findings.interfaces.as_slice().into();
        }
        chunk.interfaces = Arc::clone(&self.shared);
        let error = match (ending, piece.after) {
            (Ending::Damage(kind), _) => kind,
            (Ending::Needs(bytes, _), After::Others) => {
                self.wanted = bytes;
                self.rest.keep(&mut chunk.bytes, place);
                return Ok(true);
            }
            (_, After::Error(error)) => CaptureErrorKind::Read(error),
            (Ending::Needs(..), After::Nothing) if place.is_empty() => {
                self.ended = true;
                return Ok(!chunk.is_empty());
            }
            (Ending::Needs(bytes, part), After::Nothing) => {
                let (needed, left) = (bytes as u64, place.len() as u64);
                CaptureErrorKind::Ends { part, needed, left }
            }
        };
        let error = self.end(error);
        if chunk.is_empty() {
            return Err(error);
        }
        self.failed = Some(error);
        Ok(true)
    }

    /// Adds the records that lie whole in that place of the chunk's bytes, and moves its start
    /// behind them.
    fn records_at(&mut self, place: &mut Range<usize>, chunk: &mut Chunk) -> Ending {
        let Chunk { bytes, records, .. } = chunk;
        let origin = self.offset.wrapping_sub(place.start as u64);
        let bytes = &bytes[..place.end];
        loop {
            if let Decoder::Pcap(decoder) = &mut self.decoder {
                records.pcap = decoder.layout();
                place.start = decoder.ordinary(bytes, place.start, &mut records.starts);
            }
            let start = place.start;
            let offset = origin.wrapping_add(start as u64);
            match self
                .decoder
                .step(&bytes[start..], offset, &mut self.findings)
            {
                Ok(Step::Record { length, record }) => {
                    match records.pcap {
                        Some(_) => records.starts.push(start as u32),
                        None => records.placed.push(Placed {
                            time: record.time,
                            start: start as u32,
                            data: (start + record.data.start) as u32,
                            length: record.data.len() as u32,
                            original_length: record.original_length,
                            interface: record.interface as u32,
                            direction: record.direction,
                        }),
                    }
                    place.start += length;
                }
                Ok(Step::Skip { length }) => place.start += length,
                Ok(Step::Need { bytes, part }) => return Ending::Needs(bytes, part),
                Err(kind) => return Ending::Damage(kind),
            }
        }
    }

    /// The interfaces described so far; their indices never change.
    #[must_use]
    pub fn interfaces(&self) -> &[CaptureInterface] {
        &self.findings.interfaces
    }

    /// The format of the file inside any compression.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.decoder {
            Decoder::Pcap(_) => Format::Pcap,
            Decoder::Pcapng(_) => Format::Pcapng,
        }
    }

    /// Records read so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records - (self.chunk.len() - self.taken) as u64
    }

    /// Bytes read so far from the source, before decompression. Runs ahead of the records by what
    /// is buffered.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.pieces.bytes_read()
    }

    /// Oddities met so far that did not end the reading, the first of each kind.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.findings.warnings
    }

    #[cold]
    fn end(&mut self, kind: CaptureErrorKind) -> CaptureError {
        self.ended = true;
        let file = Arc::clone(&self.findings.capture);
        CaptureError {
            file,
            offset: self.offset,
            records: self.records,
            kind,
        }
    }
}

impl fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureReader")
            .field("capture", &self.findings.capture)
            .field("format", &self.format())
            .field("offset", &self.offset)
            .field("records", &self.records())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
        })
    }
}

/// Why no more records were found at hand.
enum Ending {
    /// So many bytes must be there to go on, for this part of the file.
    Needs(usize, Part),
    Damage(CaptureErrorKind),
}

/// The error of a file of which nothing was read.
fn unreadable(file: Arc<str>, kind: CaptureErrorKind) -> CaptureError {
    CaptureError {
        file,
        offset: 0,
        records: 0,
        kind,
    }
}

enum Decoder {
    Pcap(pcap::Decoder),
    Pcapng(pcapng::Decoder),
}

impl Decoder {
    fn new(first: &[u8]) -> Result<Self, CaptureErrorKind> {
        if first.is_empty() {
            return Err(CaptureErrorKind::Empty);
        }
        pcap::Decoder::new(first)
            .map(Self::Pcap)
            .or_else(|| pcapng::Decoder::new(first).map(Self::Pcapng))
            .ok_or_else(|| {
                CaptureErrorKind::NotACapture(first.iter().copied().take(BEGINNING).collect())
            })
    }

    #[inline]
    fn step(&mut self, bytes: &[u8], offset: u64, findings: &mut Findings) -> StepResult {
        match self {
            Self::Pcap(decoder) => decoder.step(bytes, offset, findings),
            Self::Pcapng(decoder) => decoder.step(bytes, offset, findings),
        }
    }
}
