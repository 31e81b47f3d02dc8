use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    CaptureError, CaptureErrorKind, CaptureInterface, Chunk, Part, Record, Warning,
    chunk::Placed,
    pcap, pcapng,
    source::{self, Progress},
    step::{Findings, Step, StepResult},
    window::Window,
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
    window: Window,
    decoder: Decoder,
    findings: Findings,
    progress: Progress,
    records: u64,
    ended: bool,
    /// What ended the reading, while the records before it are in a chunk.
    failed: Option<CaptureError>,
    /// The interfaces as chunks share them.
    shared: Arc<[CaptureInterface]>,
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
            Ok(file) => Self::new(file, &name),
            Err(error) => {
                let (file, kind) = (name.into(), CaptureErrorKind::Open(error));
                Err(CaptureError {
                    file,
                    offset: 0,
                    records: 0,
                    kind,
                })
            }
        }
    }

    /// Reads from any source; `name` is for messages. Compression and format are told by the
    /// first bytes.
    ///
    /// # Errors
    /// When the source fails, is empty, or is not a capture. A file header that is cut short is
    /// reported by the first [`next_record`](Self::next_record).
    pub fn new(source: impl Read + Send + 'static, name: &str) -> Result<Self, CaptureError> {
        let file: Arc<str> = name.into();
        let progress = Progress::default();
        let start = || {
            let source = source::decompressed(source, &progress).map_err(CaptureErrorKind::Read)?;
            let mut window = Window::new(source);
            window.fill(BEGINNING).map_err(CaptureErrorKind::Read)?;
            let decoder = Decoder::new(window.bytes())?;
            Ok((window, decoder))
        };
        match start() {
            Ok((window, decoder)) => {
                let findings = Findings::new(file);
                Ok(Self {
                    window,
                    decoder,
                    findings,
                    progress,
                    records: 0,
                    ended: false,
                    failed: None,
                    shared: Arc::new([]),
                })
            }
            Err(kind) => Err(CaptureError {
                file,
                offset: 0,
                records: 0,
                kind,
            }),
        }
    }

    /// The next record, `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged or the source fails. Every record before that has been returned,
    /// and the next call returns `None`.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, CaptureError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.decoder.step(
                self.window.bytes(),
                self.window.offset(),
                &mut self.findings,
            ) {
                Ok(Step::Record { length, record }) => {
                    let offset = self.window.offset();
                    self.records += 1;
                    let bytes = self.window.take(length);
                    return Ok(Some(Record {
                        number: self.records,
                        offset,
                        time: record.time,
                        interface: &self.findings.interfaces[record.interface],
                        direction: record.direction,
                        original_length: record.original_length,
                        data: &bytes[record.data],
                    }));
                }
                Ok(Step::Skip { length }) => {
                    self.window.take(length);
                }
                Ok(Step::Need { bytes, part }) => {
                    if !self.fill(bytes, part)? {
                        return Ok(None);
                    }
                }
                Err(kind) => return Err(self.end(kind)),
            }
        }
    }

    /// Fills `chunk` with the records that follow, as many as are at hand; `false` at the end.
    ///
    /// # Errors
    /// As [`next_record`](Self::next_record): every record before that has been in a chunk.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool, CaptureError> {
        chunk.records.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        chunk.before = self.records;
        let mut origin = self.chunk_origin();
        loop {
            if let Decoder::Pcap(decoder) = &self.decoder {
                chunk.records.pcap = decoder.layout();
                let start = self.window.position();
                let starts = &mut chunk.records.starts;
                let end = decoder.ordinary(self.window.buffered(), start, starts);
                self.window.take(end - start);
            }
            self.records = chunk.before + chunk.len() as u64;
            let bytes = self.window.bytes();
            match self
                .decoder
                .step(bytes, self.window.offset(), &mut self.findings)
            {
                Ok(Step::Record { length, record }) => {
                    let start = self.window.position();
                    match chunk.records.pcap {
                        Some(_) => chunk.records.starts.push(start as u32),
                        None => chunk.records.placed.push(Placed {
                            time: record.time,
                            start: start as u32,
                            data: (start + record.data.start) as u32,
                            length: record.data.len() as u32,
                            original_length: record.original_length,
                            interface: record.interface as u32,
                            direction: record.direction,
                        }),
                    }
                    self.window.take(length);
                }
                Ok(Step::Skip { length }) => {
                    self.window.take(length);
                }
                Ok(Step::Need { .. }) if !chunk.is_empty() => break,
                Ok(Step::Need { bytes, part }) => {
                    if !self.fill(bytes, part)? {
                        return Ok(false);
                    }
                    origin = self.chunk_origin();
                }
                Err(kind) => {
                    let error = self.end(kind);
                    if chunk.is_empty() {
                        return Err(error);
                    }
                    self.failed = Some(error);
                    break;
                }
            }
        }
        if self.shared.len() != self.findings.interfaces.len() {
            self.shared = self.findings.interfaces.as_slice().into();
        }
        chunk.interfaces = Arc::clone(&self.shared);
        chunk.offset = origin;
        self.window.detach(&mut chunk.bytes);
        Ok(true)
    }

    /// Where the window's buffer begins in the stream.
    fn chunk_origin(&self) -> u64 {
        self.window.offset() - self.window.position() as u64
    }

    /// Gets so many bytes to hand for a part of the file; `false` at a clean end.
    fn fill(&mut self, bytes: usize, part: Part) -> Result<bool, CaptureError> {
        match self.window.fill(bytes) {
            Ok(left) if left >= bytes => Ok(true),
            Ok(0) => {
                self.ended = true;
                Ok(false)
            }
            Ok(left) => {
                let (needed, left) = (bytes as u64, left as u64);
                Err(self.end(CaptureErrorKind::Ends { part, needed, left }))
            }
            Err(error) => Err(self.end(CaptureErrorKind::Read(error))),
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
        self.records
    }

    /// Bytes read so far from the source, before decompression. Runs ahead of the records by what
    /// is buffered.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.progress.bytes()
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
            offset: self.window.offset(),
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
            .field("offset", &self.window.offset())
            .field("records", &self.records)
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
