//! One group: the changes of a round of commits as they stand in the journal.
//!
//! A group that was not written whole, or was changed since, is told from one that was: decoding is total, and what it
//! gives has the checksum that only the owner of the folder's key could have put there.

use std::hash::Hasher;
use std::io;

use siphasher::sip::SipHasher24;

/// What a group is aligned to, so that no write touches a block that holds an earlier group.
pub(super) const BLOCK: usize = 4 << 10;

/// The format, in its last letter.
const MAGIC: [u8; 4] = *b"tvj1";
const NUMBERS: usize = 5;
const CHECKSUM: usize = 8;
/// Magic, length of the rows, numbers, checksum.
const HEAD: usize = 4 + 4 + 8 * NUMBERS + CHECKSUM;

/// The key of the checksums of one folder. It is no secret from whoever can read the folder: it keeps the bytes that a
/// caller hands in from ever looking like a group.
pub(in crate::store) type Key = [u8; 16];

/// What stands beside the length of a value whose key is new.
const NEW: u32 = 1 << 31;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Row<'a> {
    pub(in crate::store) key: &'a [u8],
    /// `None` where it was removed.
    pub(in crate::store) value: Option<&'a [u8]>,
    /// Whether the key was drawn in this round, so that nothing stood there before.
    pub(in crate::store) is_new: bool,
}

/// What a group says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Head {
    /// Its number; each group has the next one.
    pub(in crate::store) round: u64,
    /// The last round that was known to be durable when the group was written.
    pub(in crate::store) synced: u64,
    /// The last round that was known to be durable in the engine behind.
    pub(in crate::store) applied: u64,
    /// How many rows there are after it.
    pub(in crate::store) rows: u64,
    /// The sum of their checksums.
    pub(in crate::store) digest: u64,
}

impl Head {
    fn numbers(self) -> [u64; NUMBERS] {
        [self.round, self.synced, self.applied, self.rows, self.digest]
    }
}

/// Writes a group into `buffer`, in whole blocks.
pub(super) fn encode<'a>(
    key: &Key,
    head: Head,
    rows: impl Iterator<Item = Row<'a>>,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.clear();
    buffer.resize(HEAD, 0);
    for Row { key, value, is_new } in rows {
        // A value's length is one more than it is: zero says that there is none.
        let length = value.map_or(Ok(0), |value| small(value.len() + 1))?;
        if length >= NEW {
            return Err(too_large());
        }
        let length = if is_new { length | NEW } else { length };
        buffer.extend_from_slice(&small(key.len())?.to_le_bytes());
        buffer.extend_from_slice(&length.to_le_bytes());
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value.unwrap_or_default());
    }
    let length = small(buffer.len() - HEAD)?;
    let mut front = Vec::with_capacity(HEAD);
    front.extend_from_slice(&MAGIC);
    front.extend_from_slice(&length.to_le_bytes());
    head.numbers().iter().for_each(|number| front.extend_from_slice(&number.to_le_bytes()));
    let body = buffer.get(HEAD..).unwrap_or_default();
    front.extend_from_slice(&checksum(key, &front, body).to_le_bytes());
    if let Some(place) = buffer.first_chunk_mut::<HEAD>() {
        place.copy_from_slice(&front);
    }
    buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// A whole group at the start of `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub(super) head: Head,
    rows: &'a [u8],
}

impl<'a> Group<'a> {
    /// The group, or `None` if what stands there is none that is whole.
    pub(super) fn decode(key: &Key, bytes: &'a [u8]) -> Option<Self> {
        let (front, rest) = bytes.split_first_chunk::<HEAD>()?;
        let (front, stated) = front.split_last_chunk::<CHECKSUM>()?;
        let (magic, sizes) = front.split_first_chunk::<4>()?;
        let (length, numbers) = sizes.split_first_chunk::<4>()?;
        if *magic != MAGIC {
            return None;
        }
        let rows = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        if u64::from_le_bytes(*stated) != checksum(key, front, rows) {
            return None;
        }
        let mut numbers = numbers.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        let mut number = || numbers.next();
        let head = Head { round: number()?, synced: number()?, applied: number()?, rows: number()?, digest: number()? };
        let mut all = Rows(rows);
        all.by_ref().for_each(drop);
        all.0.is_empty().then_some(Self { head, rows })
    }

    /// The blocks that it takes, at least 1.
    pub(super) fn blocks(&self) -> usize {
        (HEAD + self.rows.len()).div_ceil(BLOCK)
    }

    /// Whether it changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its changes, in their order.
    pub(super) fn rows(self) -> impl Iterator<Item = Row<'a>> {
        Rows(self.rows)
    }
}

/// Rows as they stand in a group, up to the end or to the first that is none.
struct Rows<'a>(&'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let (key_length, rest) = self.0.split_first_chunk::<4>()?;
        let (value_length, rest) = rest.split_first_chunk::<4>()?;
        let (key, mut rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*key_length)).ok()?)?;
        let mut value = None;
        let value_length = u32::from_le_bytes(*value_length);
        if let Some(length) = (value_length & !NEW).checked_sub(1) {
            let bytes;
            (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            value = Some(bytes);
        }
        self.0 = rest;
        Some(Row { key, value, is_new: value_length & NEW > 0 })
    }
}

fn checksum(key: &Key, front: &[u8], rows: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(front);
    hasher.write(rows);
    hasher.finish()
}

fn small(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a group of 4 GiB, or a value of 2 GiB, or more")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [7; 16];
    const HEAD_OF_IT: Head = Head { round: 9, synced: 8, applied: 5, rows: 2, digest: 77 };

    fn row<'a>(key: &'a [u8], value: Option<&'a [u8]>) -> Row<'a> {
        Row { key, value, is_new: key == b"new" }
    }

    fn encoded(rows: &[Row<'_>]) -> Vec<u8> {
        let mut buffer = vec![1; 10];
        encode(&KEY, HEAD_OF_IT, rows.iter().copied(), &mut buffer).unwrap();
        buffer
    }

    #[test]
    fn a_group_is_read_back() {
        let long = vec![3; 2 * BLOCK];
        let values = [Some(&b"1"[..]), Some(b""), None, Some(&long)];
        let rows: Vec<_> = values.iter().flat_map(|value| [row(b"a", *value), row(b"new", *value)]).collect();
        for rows in [&rows[..], &rows[..2], &rows[..0]] {
            let bytes = encoded(rows);
            let group = Group::decode(&KEY, &bytes).unwrap();
            assert_eq!((group.head, group.blocks() * BLOCK), (HEAD_OF_IT, bytes.len()));
            assert!(group.rows().eq(rows.iter().copied()));
            assert_eq!(group.is_empty(), rows.is_empty());
        }
    }

    #[test]
    fn a_group_with_any_bit_changed_or_cut_is_none() {
        let bytes = encoded(&[row(b"key", Some(b"value")), row(b"gone", None), row(b"new", Some(b"value"))]);
        let length = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for bit in 0..length * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Group::decode(&KEY, &changed), None, "bit {bit}");
        }
        for length in 0..length {
            assert_eq!(Group::decode(&KEY, &bytes[..length]), None, "cut to {length}");
        }
        assert_eq!(Group::decode(&[8; 16], &bytes), None, "the key of another folder");
    }

    /// A checksum that holds says nothing of the lengths within.
    #[test]
    fn rows_that_are_none_are_refused() {
        let mut bytes = encoded(&[row(b"key", Some(b"value"))]);
        for length in [&9_u32.to_le_bytes(), &u32::MAX.to_le_bytes()] {
            bytes[HEAD..][..4].copy_from_slice(length);
            let rows = &bytes[HEAD..][..16];
            let sum = checksum(&KEY, &bytes[..HEAD - CHECKSUM], rows);
            bytes[HEAD - CHECKSUM..][..CHECKSUM].copy_from_slice(&sum.to_le_bytes());
            assert_eq!(Group::decode(&KEY, &bytes), None);
        }
    }
}
