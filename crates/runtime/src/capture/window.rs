use std::io::{self, Read};

/// The bytes of a stream around the place that is being decoded: one buffer, filled in large
/// reads, moved only when what is left of it does not suffice.
pub(super) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the stream before `start`.
    offset: u64,
}

const CHUNK: usize = 512 * 1024;

impl Window {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// The bytes at hand from the current place on.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Where the current place is in the stream.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Moves on by `length`, which must be at hand, and returns the bytes passed.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let from = self.start;
        let to = (from + length).min(self.end);
        self.start = to;
        self.offset += (to - from) as u64;
        &self.buffer[from..to]
    }

    /// The buffer from its beginning to the last byte at hand.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// Bytes of the buffer before the current place: where it is in what [`detach`](Self::detach)
    /// gives away.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// Gives the buffer away, up to the current place, in exchange for another; the bytes that
    /// follow move over.
    pub(super) fn detach(&mut self, other: &mut Vec<u8>) {
        let rest = self.end - self.start;
        if other.len() < CHUNK.max(rest) {
            other.resize(CHUNK.max(rest), 0);
        }
        other[..rest].copy_from_slice(&self.buffer[self.start..self.end]);
        std::mem::swap(&mut self.buffer, other);
        (self.start, self.end) = (0, rest);
    }

    /// Reads until `wanted` bytes are at hand or the stream ends, and says how many are.
    ///
    /// The buffer doubles only once it is full, so that it never exceeds twice what the stream
    /// really had, whatever a header claims.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < wanted {
            if self.end == self.buffer.len() {
                self.buffer.resize(self.end * 2, 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                // A reader that claims more than it was lent must not bring us to panic.
                Ok(count) => self.end = (self.end + count).min(self.buffer.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{CHUNK, Window};

    #[test]
    fn grows_only_with_what_arrives() {
        let mut window = Window::new(Box::new(std::io::repeat(7).take(3)));
        assert_eq!(window.fill(usize::MAX).unwrap(), 3);
        assert_eq!(window.buffer.len(), CHUNK);
    }

    #[test]
    fn passes_every_byte_once() {
        let length = 5 * CHUNK / 2;
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut window = Window::new(Box::new(std::io::Cursor::new(bytes.clone())));
        let mut passed = Vec::new();
        while window.fill(1000).unwrap() > 0 {
            while window.bytes().len() >= 1000 || passed.len() + window.bytes().len() == length {
                let step = window.bytes().len().min(1000);
                if step == 0 {
                    break;
                }
                passed.extend_from_slice(window.take(step));
            }
        }
        assert_eq!(window.offset(), length as u64);
        assert!(passed == bytes);
    }
}
