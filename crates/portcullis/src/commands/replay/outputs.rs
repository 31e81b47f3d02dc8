//! Where everything is written, in the order of the capture.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use portcullis_core::ruleset::Verdict;
use portcullis_runtime::capture::{CaptureWriteErrorKind, CaptureWriter, Chunk, Record};

use crate::args::{ReplayArgs, VerdictFile};
use crate::report::log_lines::{After, Lines, LogFile, Shape};
use crate::report::output_file::OutputFile;
use crate::report::replay::{Denial, Denials, MOST_ROWS};
use crate::report::stdout::StdoutClosed;

/// What a worker hands in about a chunk.
pub(super) struct Output {
    pub(super) lines: Lines,
    /// In the order of the records.
    pub(super) rulings: Vec<Wanted>,
    /// The records, where any is to be written.
    pub(super) chunk: Chunk,
    /// Denied packets in the order of the records, where they are of interest.
    pub(super) denials: Vec<Denial>,
    /// Whether verdicts over time have outgrown what may be held.
    pub(super) too_many_rows: bool,
}

/// A packet that is to be written.
pub(super) struct Wanted {
    /// The record's number in its capture.
    pub(super) number: u64,
    pub(super) verdict: Verdict,
    pub(super) comment: String,
}

/// What is left when everything that is written on the way is written.
pub(super) struct Finish {
    /// What the report follows; `None` if standard output lost its reader.
    pub(super) after: Option<After>,
    /// What written captures lack.
    pub(super) left_out: Vec<String>,
    pub(super) denials: Denials,
    pub(super) stats_file: Option<OutputFile>,
    pub(super) html: Option<OutputFile>,
}

/// The log and the captures that are written, and the files that wait for the
/// end.
pub(super) struct Outputs {
    log: LogFile,
    captures: Vec<VerdictCapture>,
    denials: Denials,
    stats_file: Option<OutputFile>,
    html: Option<OutputFile>,
    /// Whether standard output lost its reader.
    closed: bool,
}

/// A capture of the packets with one verdict.
struct VerdictCapture {
    verdict: Verdict,
    writer: CaptureWriter,
    /// Records that the format cannot hold, and why not the first of them.
    left_out: Option<(u64, String)>,
}

impl Outputs {
    /// Creates the files, unless one of them is an input or stands twice.
    pub(super) fn new(args: &ReplayArgs, shape: Shape) -> anyhow::Result<Self> {
        refuse_clashes(args)?;
        let log = match &args.log {
            Some(path) => LogFile::create(path)?,
            None => LogFile::stdout(shape)?,
        };
        let mut captures = Vec::new();
        for VerdictFile { verdict, file } in &args.write {
            captures.push(VerdictCapture {
                verdict: *verdict,
                writer: CaptureWriter::create(file)?,
                left_out: None,
            });
        }
        Ok(Self {
            log,
            captures,
            denials: Denials::default(),
            stats_file: create(args.stats_file.as_deref())?,
            html: create(args.html.as_deref())?,
            closed: false,
        })
    }

    /// Writes what follows from a chunk. When standard output loses its
    /// reader, the files are still written to the end.
    pub(super) fn write(&mut self, output: &Output) -> anyhow::Result<()> {
        refuse_too_many_rows(output.too_many_rows)?;
        for denial in &output.denials {
            self.denials.add(denial);
        }
        if !self.closed {
            match self.log.write(&output.lines) {
                Err(error) if error.is::<StdoutClosed>() && self.writes_files() => {
                    self.closed = true;
                }
                result => result?,
            }
        }
        let first = output.chunk.records_before() + 1;
        for wanted in &output.rulings {
            let record = output.chunk.record((wanted.number - first) as usize);
            for capture in &mut self.captures {
                if capture.verdict == wanted.verdict {
                    capture.write(&record, &wanted.comment)?;
                }
            }
        }
        Ok(())
    }

    /// Finishes the log and the captures.
    pub(super) fn finish(self) -> anyhow::Result<Finish> {
        let mut left_out = Vec::new();
        for capture in self.captures {
            if let Some((records, why)) = capture.left_out {
                left_out.push(format!("{why} (left out so: {records})"));
            }
            capture.writer.finish()?;
        }
        let after = match self.closed {
            true => None,
            false => Some(self.log.finish()?),
        };
        Ok(Finish {
            after,
            left_out,
            denials: self.denials,
            stats_file: self.stats_file,
            html: self.html,
        })
    }

    /// Whether it is worth to go on without standard output.
    fn writes_files(&self) -> bool {
        !self.captures.is_empty() || self.stats_file.is_some() || self.html.is_some()
    }
}

/// Verdicts over time must not fill the memory.
pub(super) fn refuse_too_many_rows(too_many: bool) -> anyhow::Result<()> {
    if too_many {
        bail!("--stats-by: these are more than {MOST_ROWS} sums; sum more seconds up at a time");
    }
    Ok(())
}

impl VerdictCapture {
    fn write(&mut self, record: &Record<'_>, comment: &str) -> anyhow::Result<()> {
        match self.writer.write(record, Some(comment)) {
            Err(error) if !matches!(error.kind, CaptureWriteErrorKind::Io(_)) => {
                let (records, _) = self.left_out.get_or_insert_with(|| {
                    let capture = &record.interface.capture;
                    (0, format!("{error} (of {capture})"))
                });
                *records += 1;
                Ok(())
            }
            result => Ok(result?),
        }
    }
}

fn create(path: Option<&Path>) -> anyhow::Result<Option<OutputFile>> {
    path.map(OutputFile::create).transpose()
}

/// Refuses to write where something is read or written already.
fn refuse_clashes(args: &ReplayArgs) -> anyhow::Result<()> {
    let inputs = args.captures.iter().chain([&args.rules]).chain(&args.steps);
    let outputs = args.log.iter().chain(args.write.iter().map(|it| &it.file));
    let outputs = outputs.chain(&args.stats_file).chain(&args.html);
    let mut taken: Vec<(Identity, &Path)> = Vec::new();
    for input in inputs {
        taken.extend(Identity::of(input).map(|identity| (identity, input.as_path())));
    }
    for output in outputs {
        let Some(identity) = Identity::of(output) else {
            continue;
        };
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == identity) {
            let (output, other) = (output.display(), other.display());
            bail!("{output} would overwrite {other}: give it another name");
        }
        taken.push((identity, output));
    }
    Ok(())
}

/// Tells files apart.
#[derive(PartialEq, Eq)]
enum Identity {
    /// Device and inode of a file that is there.
    There(u64, u64),
    /// The folder and name of one that is not.
    Coming(PathBuf),
}

impl Identity {
    /// `None` for what is no regular file: devices and pipes may be shared.
    fn of(path: &Path) -> Option<Self> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => Some(Self::There(found.dev(), found.ino())),
            Ok(_) => None,
            Err(_) => std::path::absolute(path).ok().map(Self::Coming),
        }
    }
}
