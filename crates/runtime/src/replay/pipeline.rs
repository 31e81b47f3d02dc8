//! Captures to outputs with several workers. Whoever is idle claims the next
//! piece of a capture, reads it, has it decoded in its turn, judges the records,
//! and hands its output in; outputs leave in the order of the chunks, so that
//! the result is that of one worker.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_core::matcher::Matcher;

use super::{Replay, ReplaySink};
use crate::capture::{CaptureError, CaptureReader, Chunk, Format, Piece, Warning};
use crate::sync::{Condvar, Mutex, MutexGuard, thread};

/// A worker: what it judges with, and where its results go.
pub struct Worker<M, S> {
    /// Judges.
    pub replay: Replay<M>,
    /// Collects.
    pub sink: S,
}

/// Collects what follows from judging a chunk.
pub trait ChunkSink: ReplaySink + Send {
    /// What it hands in.
    type Output: Send;

    /// Gives the output of the chunk that was just judged, and is empty again.
    /// The chunk may be taken too; it is not used again.
    fn take(&mut self, chunk: &mut Chunk) -> Self::Output;
}

/// How the reading of one capture went.
#[derive(Debug)]
pub struct CaptureOutcome {
    /// As it was named.
    pub path: PathBuf,
    /// `None` if it could not be opened.
    pub format: Option<Format>,
    /// Records read.
    pub records: u64,
    /// Oddities that did not end the reading.
    pub warnings: Vec<Warning>,
    /// What ended it early.
    pub error: Option<CaptureError>,
}

/// How far the reading has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Records of all captures so far.
    pub records: u64,
    /// Bytes of all captures so far, before decompression.
    pub bytes: u64,
}

/// Whether everything was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// To the end.
    Whole,
    /// Stopped on the way.
    Partial,
}

/// Judges captures one after the other. `emit` gets the outputs in order;
/// its first error ends the work. So does `stop`, at the next chunk.
///
/// # Errors
///
/// The first that `emit` returned.
pub fn run<M, S, E>(
    captures: Vec<PathBuf>,
    workers: &mut [Worker<M, S>],
    stop: &AtomicBool,
    progress: impl FnMut(Progress) + Send,
    emit: impl FnMut(S::Output) -> Result<(), E> + Send,
) -> Result<(Vec<CaptureOutcome>, Finished), E>
where
    M: Matcher + Send,
    S: ChunkSink,
    E: Send,
{
    let ahead = 4 * workers.len() as u64;
    let source = Source::new(captures, progress);
    let order = Order::new(emit, ahead);
    let work = |worker: &mut Worker<M, S>| {
        let mut chunk = Chunk::new();
        let mut capture = 0;
        while !stop.load(Ordering::Relaxed) && !order.failed() {
            let Some(next) = source.next(&mut chunk) else {
                return;
            };
            if next.capture != capture {
                worker.replay.next_capture();
                capture = next.capture;
            }
            worker.replay.chunk(&chunk, next.before, &mut worker.sink);
            let output = worker.sink.take(&mut chunk);
            order.hand_in(next.sequence, output);
        }
    };
    if let Some((first, others)) = workers.split_first_mut() {
        thread::scope(|scope| {
            for worker in others {
                scope.spawn(|| work(worker));
            }
            work(first);
        });
    }
    order.result()?;
    let source = source.state.into_inner();
    let finished = if source.ended {
        Finished::Whole
    } else {
        Finished::Partial
    };
    Ok((source.outcomes(), finished))
}

/// Where chunks come from.
struct Source<P> {
    state: Mutex<SourceState<P>>,
    /// A piece was decoded.
    decoded: Condvar,
}

struct SourceState<P> {
    waiting: VecDeque<PathBuf>,
    reader: Option<CaptureReader>,
    done: Vec<CaptureOutcome>,
    progress: P,
    /// Of all captures before the one being read.
    records: u64,
    bytes: u64,
    sequence: u64,
    ended: bool,
}

/// What a chunk is among others.
struct Next {
    sequence: u64,
    /// Number of its capture, from 1.
    capture: usize,
    /// Records of all captures before it.
    before: u64,
}

impl<P: FnMut(Progress)> Source<P> {
    fn new(captures: Vec<PathBuf>, progress: P) -> Self {
        Self {
            state: Mutex::new(SourceState {
                waiting: captures.into(),
                reader: None,
                done: Vec::new(),
                progress,
                records: 0,
                bytes: 0,
                sequence: 0,
                ended: false,
            }),
            decoded: Condvar::new(),
        }
    }

    /// Fills a chunk with the records that follow; `None` when there are no more.
    fn next(&self, chunk: &mut Chunk) -> Option<Next> {
        let mut state = self.state.lock();
        loop {
            let mut piece = state.claim()?;
            let capture = state.done.len();
            MutexGuard::unlocked(&mut state, || chunk.read(&mut piece));
            while state.waits(capture, &piece) {
                self.decoded.wait(&mut state);
            }
            let next = state.decode(capture, piece, chunk);
            self.decoded.notify_all();
            if next.is_some() {
                return next;
            }
        }
    }
}

impl<P: FnMut(Progress)> SourceState<P> {
    /// A piece of the capture being read, or else of the next one.
    fn claim(&mut self) -> Option<Piece> {
        loop {
            if let Some(reader) = &mut self.reader {
                return Some(reader.claim());
            }
            let Some(path) = self.waiting.pop_front() else {
                self.ended = true;
                return None;
            };
            self.open(path);
        }
    }

    /// Whether a piece of a capture must wait for its turn.
    fn waits(&self, capture: usize, piece: &Piece) -> bool {
        let reader = self.reader.as_ref();
        capture == self.done.len() && reader.is_some_and(|reader| !reader.has_turn(piece))
    }

    /// Fills a chunk from a piece; `None` if it has no records, or its capture
    /// ended before it.
    fn decode(&mut self, capture: usize, piece: Piece, chunk: &mut Chunk) -> Option<Next> {
        let reader = self.reader.as_mut();
        let reader = reader.filter(|_| capture == self.done.len())?;
        match reader.decode(piece, chunk) {
            Ok(true) if chunk.is_empty() => return None,
            Ok(true) => {}
            Ok(false) => {
                self.close(None);
                return None;
            }
            Err(error) => {
                self.close(Some(error));
                return None;
            }
        }
        let before = self.records + chunk.records_before();
        (self.progress)(Progress {
            records: before + chunk.len() as u64,
            bytes: self.bytes + reader.bytes_read(),
        });
        let sequence = self.sequence;
        self.sequence += 1;
        Some(Next {
            sequence,
            capture,
            before,
        })
    }

    fn open(&mut self, path: PathBuf) {
        let mut outcome = CaptureOutcome {
            path,
            format: None,
            records: 0,
            warnings: Vec::new(),
            error: None,
        };
        match CaptureReader::open(&outcome.path) {
            Ok(reader) => {
                outcome.format = Some(reader.format());
                self.reader = Some(reader);
            }
            Err(error) => outcome.error = Some(error),
        }
        self.done.push(outcome);
    }

    fn close(&mut self, error: Option<CaptureError>) {
        let (Some(reader), Some(outcome)) = (self.reader.take(), self.done.last_mut()) else {
            return;
        };
        outcome.records = reader.records();
        outcome.warnings = reader.warnings().to_vec();
        outcome.error = error;
        self.records += reader.records();
        self.bytes += reader.bytes_read();
    }

    fn outcomes(mut self) -> Vec<CaptureOutcome> {
        self.close(None);
        self.done
    }
}

/// Brings outputs into the order of their chunks.
struct Order<O, F, E> {
    state: Mutex<OrderState<O, F, E>>,
    moved: Condvar,
    /// How far a worker may run ahead of the output.
    ahead: u64,
}

struct OrderState<O, F, E> {
    emit: F,
    next: u64,
    early: BTreeMap<u64, O>,
    error: Option<E>,
}

impl<O, E, F: FnMut(O) -> Result<(), E>> Order<O, F, E> {
    fn new(emit: F, ahead: u64) -> Self {
        Self {
            state: Mutex::new(OrderState {
                emit,
                next: 0,
                early: BTreeMap::new(),
                error: None,
            }),
            moved: Condvar::new(),
            ahead,
        }
    }

    fn failed(&self) -> bool {
        self.state.lock().error.is_some()
    }

    /// Emits the output if its turn has come, and all that waited for it.
    /// Waits itself where too much lies about already.
    fn hand_in(&self, sequence: u64, output: O) {
        let mut state = self.state.lock();
        while sequence >= state.next + self.ahead && state.error.is_none() {
            self.moved.wait(&mut state);
        }
        state.early.insert(sequence, output);
        let turn = state.next;
        // Nothing goes out after what could not: there would be a gap.
        while state.error.is_none()
            && let Some(output) = state.take_next()
        {
            if let Err(error) = (state.emit)(output) {
                state.error = Some(error);
            }
        }
        if state.next != turn {
            self.moved.notify_all();
        }
    }

    fn result(self) -> Result<(), E> {
        match self.state.into_inner().error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl<O, F, E> OrderState<O, F, E> {
    fn take_next(&mut self) -> Option<O> {
        let output = self.early.remove(&self.next)?;
        self.next += 1;
        Some(output)
    }
}
