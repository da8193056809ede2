//! Standard output and error, through a buffer of ours that is wiped.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};

use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

use crate::stream::unbuffered;

/// Room for a group of answers, so that it seldom grows.
const ROOM: usize = 64 * 1024;

/// Lines that leave together.
pub(crate) struct Output {
    to: File,
    lines: WipedBuffer,
}

impl Output {
    /// Standard output without the buffer of `std::io::Stdout`.
    pub(crate) fn stdout() -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "only for its descriptor: nothing is written to its buffer")]
        unbuffered(&io::stdout()).map(Self::new)
    }

    /// Standard error.
    pub(crate) fn stderr() -> io::Result<Self> {
        unbuffered(&io::stderr()).map(Self::new)
    }

    /// A file in the place of a standard stream.
    pub(crate) fn new(to: File) -> Self {
        Self { to, lines: WipedBuffer::default() }
    }

    /// Adds a line of JSON.
    pub(crate) fn answer(&mut self, answer: &impl Serialize) -> io::Result<()> {
        self.lines.push_json(answer)
    }

    /// Adds a line of text.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.lines.write_fmt(text)?;
        self.lines.write_all(b"\n")
    }

    /// Writes bytes that stand elsewhere, at once and from there.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// Writes what was added, at once, and wipes it.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        let sent = self.to.write_all(self.lines.bytes());
        self.lines.wipe();
        sent
    }
}

/// Bytes that are wiped when they are dropped, and wherever they have been when they grow.
pub(crate) struct WipedBuffer(Zeroizing<Vec<u8>>);

impl Default for WipedBuffer {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl WipedBuffer {
    pub(crate) fn with_room(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Adds a line of JSON.
    pub(crate) fn push_json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self, value)?;
        self.write_all(b"\n")
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Forgets everything, and keeps the room.
    pub(crate) fn wipe(&mut self) {
        self.0.zeroize();
    }
}

impl Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            // A vector that grows by itself leaves its old block behind as it was.
            let mut wider = Vec::with_capacity(needed.saturating_mul(2));
            wider.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(wider);
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_keeps_what_was_written_when_it_grows() {
        let mut buffer = WipedBuffer::with_room(1);
        for part in [&b"a"[..], b"bc", b"", b"defghij"] {
            buffer.write_all(part).unwrap();
        }
        assert_eq!(buffer.bytes(), b"abcdefghij");
    }

    #[test]
    fn a_buffer_within_its_room_stays_where_it_is() {
        let mut buffer = WipedBuffer::with_room(8);
        let before = buffer.bytes().as_ptr();
        buffer.write_all(b"12345678").unwrap();
        assert_eq!(buffer.bytes().as_ptr(), before);
    }

    #[test]
    fn a_wipe_leaves_room_and_nothing_in_it() {
        let mut buffer = WipedBuffer::with_room(8);
        buffer.write_all(b"12345678").unwrap();
        buffer.wipe();
        assert_eq!((buffer.bytes().len(), buffer.0.capacity()), (0, 8));
        assert!(buffer.0.spare_capacity_mut().len() == 8);
    }
}
