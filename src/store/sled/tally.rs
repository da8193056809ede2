//! What tells that rows are missing: how many there are, their digest, and the number of the last round of commits.
//!
//! The tally stands in each group of the journal, and in sled in a row of the store's own; the mark repeats its number
//! in a file outside sled's folder. A log that was cut or rolled back falls behind the mark; rows that vanished from
//! its middle miss in the tally.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::iter;
use std::path::Path;

use crate::store::journal::Key;

/// The table byte of the store's own rows.
pub(super) const OWN_TABLE: u8 = 0;

/// The key of the tally.
pub(super) const TALLY_KEY: &[u8] = &[OWN_TABLE, 0];

/// The key of the row that holds the key of the journal's checksums.
pub(super) const JOURNAL_KEY: &[u8] = &[OWN_TABLE, FILLERS + 1];

/// Empty rows behind the tally. sled rewrites a page of up to 16 rows every few changes of one of them: with these for
/// neighbours the tally, which changes with every pass, shares its page with no record.
const FILLERS: u8 = 40;

const MARK_MAGIC: [u8; 4] = *b"tvmk";

/// What the rows add up to after a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The number of the round.
    pub(super) round: u64,
    /// Rows of all tables.
    pub(super) rows: u64,
    /// The sum of the checksums of all rows, so that their order does not count.
    pub(super) digest: u64,
}

impl Tally {
    pub(super) fn add(&mut self, row: u32) {
        self.rows = self.rows.wrapping_add(1);
        self.digest = self.digest.wrapping_add(u64::from(row));
    }

    pub(super) fn subtract(&mut self, row: u32) {
        self.rows = self.rows.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(u64::from(row));
    }

    /// Takes in what becomes of a row.
    pub(super) fn replace(&mut self, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) {
        if let Some(before) = before {
            self.subtract(row_checksum(key, before));
        }
        if let Some(after) = after {
            self.add(row_checksum(key, after));
        }
    }

    /// Whether another one is of the same rows, whatever round led to them.
    pub(super) fn is_of_rows(self, other: Self) -> bool {
        (self.rows, self.digest) == (other.rows, other.digest)
    }

    /// The store's own rows, as they stand in a new store.
    pub(super) fn own_rows(self, journal_key: Key) -> Vec<(Vec<u8>, Vec<u8>)> {
        let fillers = (1..=FILLERS).map(|filler| (vec![OWN_TABLE, filler], Vec::new()));
        let tally = iter::once((TALLY_KEY.to_vec(), self.encode().to_vec()));
        tally.chain(fillers).chain([(JOURNAL_KEY.to_vec(), journal_key.to_vec())]).collect()
    }

    /// `round u64 · rows u64 · digest u64`, little-endian.
    pub(super) fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let numbers = [self.round, self.rows, self.digest];
        for (slot, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 24] = bytes.try_into().ok()?;
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        Some(Self { round: numbers.next()?, rows: numbers.next()?, digest: numbers.next()? })
    }
}

/// The checksum of one row, as it counts in the digest.
pub(super) fn row_checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&[0xff]);
    hasher.update(value);
    hasher.finalize()
}

/// The file that repeats the number of the last durable round. It is never synced: what it says was durable before.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
}

impl Mark {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Self { file })
    }

    /// What [`Mark::read`] would answer, and makes no file.
    pub(super) fn peek(path: &Path) -> io::Result<Option<u64>> {
        match File::open(path) {
            Ok(file) => Self { file }.read(),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// The number, or `None` if there is none that can be trusted: power loss may leave the file empty.
    pub(super) fn read(&mut self) -> io::Result<Option<u64>> {
        let mut bytes = Vec::with_capacity(16);
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(17).read_to_end(&mut bytes)?;
        Ok(decode_mark(&bytes))
    }

    pub(super) fn write(&mut self, round: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&encode_mark(round))
    }
}

/// `magic · crc32 of the number u32 · round u64`, little-endian.
fn encode_mark(round: u64) -> Vec<u8> {
    let number = round.to_le_bytes();
    [&MARK_MAGIC[..], &crc32fast::hash(&number).to_le_bytes(), &number].concat()
}

fn decode_mark(bytes: &[u8]) -> Option<u64> {
    let number = bytes.get(8..)?;
    let round = u64::from_le_bytes(number.try_into().ok()?);
    (encode_mark(round) == bytes).then_some(round)
}
