//! Standard input, line by line or as a whole, through a buffer of ours that is wiped.
//!
//! Line by line, it never waits for more while there is a complete line to hand out, and holds no more than one line and one read.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use crate::failure::Failure;
use crate::stream::unbuffered;

/// Of a longer request so much is kept, one byte more than it may have: enough for it to be refused as too large.
const MOST_OF_A_REQUEST: usize = 64 * 1024 + 1;

/// The same of a template.
const MOST_OF_A_TEMPLATE: usize = 1024 * 1024 + 1;

/// At most so much is read at once: what a pipe holds.
const READ: usize = 64 * 1024;

/// Lines handed out together, at most: as many as the vault puts under one sync.
const GROUP: usize = 256;

/// Standard input, line by line.
pub(crate) fn lines() -> Result<Lines<File>, Failure> {
    stdin().map(Lines::new).map_err(Failure::Input)
}

/// All of standard input as one request.
pub(crate) fn request() -> Result<Zeroizing<Vec<u8>>, Failure> {
    stdin().and_then(|stdin| whole(stdin, MOST_OF_A_REQUEST)).map_err(Failure::Input)
}

/// All of standard input as one template.
pub(crate) fn template() -> Result<Zeroizing<Vec<u8>>, Failure> {
    stdin().and_then(|stdin| whole(stdin, MOST_OF_A_TEMPLATE)).map_err(Failure::Input)
}

/// Standard input without the buffer of `std::io::Stdin`.
fn stdin() -> io::Result<File> {
    #[expect(clippy::disallowed_methods, reason = "only for its descriptor: its buffer is never filled")]
    unbuffered(&io::stdin())
}

/// Everything up to the end of a stream, or its first `most` bytes, in one block that is wiped.
pub(crate) fn whole(mut from: impl Read, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; most]);
    let mut read = 0;
    while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(length) => read += length,
            Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Takes lines out of a stream.
pub(crate) struct Lines<R> {
    from: R,
    /// Never grows; what has been handed out is wiped before the next read.
    buffer: Zeroizing<Vec<u8>>,
    /// What was read and not yet handed out.
    unread: Range<usize>,
    /// Up to here there is no line feed in `unread`.
    searched: usize,
    /// Lines handed out or passed over.
    passed: u64,
    ended: bool,
}

impl Lines<File> {
    /// Whether somebody types them.
    pub(crate) fn are_typed(&self) -> bool {
        self.from.is_terminal()
    }
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        let buffer = Zeroizing::new(vec![0; MOST_OF_A_REQUEST + READ]);
        Self { from, buffer, unread: 0..0, searched: 0, passed: 0, ended: false }
    }

    /// Hands the next lines to `take`, each with its number from 1 and without its line feed, as many as are there and at
    /// least one: waits only if there is none. Blank lines are passed over. Nothing is handed out at the end of the stream.
    pub(crate) fn take_group<T>(&mut self, take: impl Fn(u64, &[u8]) -> T) -> io::Result<Vec<T>> {
        let mut group = Vec::new();
        loop {
            while group.len() < GROUP {
                let Some(line) = self.next_line() else { break };
                let line = self.buffer.get(line).unwrap_or_default();
                if !line.trim_ascii().is_empty() {
                    group.push(take(self.passed, line));
                }
            }
            if !group.is_empty() || self.ended {
                return Ok(group);
            }
            self.fill()?;
        }
    }

    /// How many lines have been handed out or passed over.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Where the next complete line stands. The last one needs no line feed.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let unsearched = self.buffer.get(self.searched..self.unread.end)?;
        let start = self.unread.start;
        if let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') {
            let end = self.searched + length;
            self.unread.start = end + 1;
            self.searched = end + 1;
            self.passed += 1;
            return Some(start..end);
        }
        self.searched = self.unread.end;
        if self.ended && !self.unread.is_empty() {
            self.unread.start = self.unread.end;
            self.passed += 1;
            return Some(start..self.unread.end);
        }
        None
    }

    /// Reads once, behind the part of a line that is there already. All else in the buffer is wiped before.
    fn fill(&mut self) -> io::Result<()> {
        let (start, end) = (self.unread.start, self.unread.end);
        self.buffer.copy_within(start..end, 0);
        let kept = (end - start).min(MOST_OF_A_REQUEST);
        let (_, room) = self.buffer.split_at_mut(kept);
        if let Some(used) = room.get_mut(..end - kept) {
            used.zeroize();
        }
        let read = loop {
            match self.from.read(room) {
                Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ended = read == 0;
        self.unread = 0..kept + read;
        self.searched = kept;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one part a read, and counts the reads.
    struct Parts<'a> {
        parts: Vec<&'a [u8]>,
        reads: usize,
    }

    impl Read for Parts<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.reads += 1;
            let Some(part) = self.parts.first_mut() else { return Ok(0) };
            let length = part.len().min(into.len());
            into[..length].copy_from_slice(&part[..length]);
            *part = &part[length..];
            if part.is_empty() {
                self.parts.remove(0);
            }
            Ok(length)
        }
    }

    fn lines<'a>(parts: &[&'a [u8]]) -> Lines<Parts<'a>> {
        Lines::new(Parts { parts: parts.to_vec(), reads: 0 })
    }

    /// Every group until the end.
    fn groups(lines: &mut Lines<Parts<'_>>) -> Vec<Vec<Vec<u8>>> {
        let group = || Some(lines.take_group(|_, line| line.to_vec()).unwrap()).filter(|group| !group.is_empty());
        std::iter::from_fn(group).collect()
    }

    #[test]
    fn lines_come_in_order_whatever_the_reads_cut_off() {
        let text = b"one\n\n \t\r\ntwo\r\nthree";
        for size in 1..=text.len() {
            let parts: Vec<_> = text.chunks(size).collect();
            let taken = groups(&mut lines(&parts)).concat();
            assert_eq!(taken, [&b"one"[..], b"two\r", b"three"], "in parts of {size}");
        }
    }

    #[test]
    fn blank_lines_count_and_half_a_line_does_not_until_it_is_whole() {
        let mut lines = lines(&[b"one\n\ntwo\nthr", b"ee"]);
        let passed = [(); 3].map(|()| lines.take_group(|_, line| line.len()).map(|_| lines.passed()).unwrap());
        assert_eq!(passed, [3, 4, 4]);
    }

    #[test]
    fn what_is_there_is_handed_out_before_the_next_read() {
        let mut lines = lines(&[b"a\nb\nhalf", b" a line\n"]);
        assert_eq!(lines.take_group(|_, line| line.to_vec()).unwrap(), [b"a", b"b"]);
        assert_eq!(lines.from.reads, 1);
        assert_eq!(lines.take_group(|_, line| line.to_vec()).unwrap(), [b"half a line"]);
        assert_eq!(lines.from.reads, 2);
    }

    #[test]
    fn a_group_is_bounded_and_the_rest_needs_no_read() {
        let text = b"x\n".repeat(GROUP + 1);
        let mut lines = lines(&[&text]);
        assert_eq!(lines.take_group(|_, line| line.len()).unwrap().len(), GROUP);
        assert_eq!(lines.take_group(|_, line| line.len()).unwrap().len(), 1);
        assert_eq!(lines.from.reads, 1);
    }

    #[test]
    fn a_long_line_is_cut_and_its_neighbours_are_whole() {
        for length in [
            MOST_OF_A_REQUEST - 1,
            MOST_OF_A_REQUEST,
            MOST_OF_A_REQUEST + 1,
            MOST_OF_A_REQUEST + READ + 1,
            10 * MOST_OF_A_REQUEST,
        ] {
            let text = [&b"before\n"[..], &b"x".repeat(length), b"\nbehind\n"].concat();
            let taken = groups(&mut lines(&[&text])).concat();
            assert_eq!(taken.len(), 3, "of {length} bytes");
            assert_eq!((&taken[0][..], &taken[2][..]), (&b"before"[..], &b"behind"[..]));
            assert!(taken[1].len() >= length.min(MOST_OF_A_REQUEST) && taken[1].len() <= MOST_OF_A_REQUEST + READ);
        }
    }

    #[test]
    fn what_was_handed_out_is_wiped_before_the_next_read() {
        let mut lines = lines(&[b"4111111111111111\nhalf", b"\n"]);
        lines.take_group(|_, line| line.len()).unwrap();
        lines.fill().unwrap();
        assert!(lines.buffer.starts_with(b"half\n\0"));
        assert!(!lines.buffer.contains(&b'1'));
    }
}
