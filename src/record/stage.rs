//! The row that says how far the fingerprints of a vault are: proved by a keyed hash instead of being sealed, since it holds no
//! secret.

use uuid::Uuid;

use crate::cursor::Cursor;
use crate::record::Malformed;
use crate::seal::HASH;

/// The version of the row.
const VERSION: u8 = 1;
/// Bytes of what it says: version, number of the index key, stage, id.
const SAYS: usize = 1 + 4 + 1 + 16;

/// How far the fingerprints of a vault are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There are none, and no row either.
    Off,
    /// New tokens have one; of the others, those up to this id.
    Indexing { up_to: Uuid },
    /// Every token has one.
    Complete,
}

impl Stage {
    /// The name of the row, which is proved with it.
    pub(crate) const NAME: &'static [u8] = b"fingerprints";

    pub(crate) const BEGUN: Self = Self::Indexing { up_to: Uuid::nil() };

    /// The byte that stands for it.
    pub(crate) fn as_byte(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Indexing { .. } => 1,
            Self::Complete => 2,
        }
    }

    /// What the row says, and what `prove` makes of that under the index key of this number.
    pub(crate) fn encode(self, key: u32, prove: impl FnOnce(&[u8]) -> [u8; HASH]) -> Vec<u8> {
        let up_to = if let Self::Indexing { up_to } = self { up_to } else { Uuid::nil() };
        let mut row = Vec::with_capacity(SAYS + HASH);
        row.push(VERSION);
        row.extend_from_slice(&key.to_le_bytes());
        row.push(self.as_byte());
        row.extend_from_slice(up_to.as_bytes());
        let proof = prove(&row);
        row.extend_from_slice(&proof);
        row
    }
}

/// A row taken apart. Nothing of it is authentic until the proof is found good.
pub(crate) struct StageParts<'a> {
    pub(crate) stage: Stage,
    /// The number of the index key.
    pub(crate) key: u32,
    pub(crate) says: &'a [u8],
    pub(crate) proof: &'a [u8; HASH],
}

impl<'a> StageParts<'a> {
    pub(crate) fn of(row: &'a [u8]) -> Result<Self, Malformed> {
        let (says, proof) = row.split_last_chunk::<HASH>().ok_or(Malformed)?;
        let mut cursor = Cursor::new(says);
        let mut decode = || {
            cursor.u8().filter(|version| *version == VERSION)?;
            let (key, stage, up_to) = (cursor.u32()?, cursor.u8()?, Uuid::from_bytes(cursor.array()?));
            let stages = [Stage::Indexing { up_to }, Stage::Complete];
            Some((key, stages.into_iter().find(|known| known.as_byte() == stage)?))
        };
        let (key, stage) = decode().ok_or(Malformed)?;
        if cursor.is_at_end() { Ok(Self { stage, key, says, proof }) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for stage in [Stage::BEGUN, Stage::Indexing { up_to: Uuid::from_u128(7) }, Stage::Complete] {
            let row = stage.encode(3, |says| [u8::try_from(says.len()).unwrap(); HASH]);
            let parts = StageParts::of(&row).unwrap();
            assert_eq!((parts.stage, parts.key, parts.says), (stage, 3, &row[..SAYS]));
            assert_eq!(*parts.proof, [u8::try_from(SAYS).unwrap(); HASH]);
            for length in 0..row.len() {
                assert!(StageParts::of(&row[..length]).is_err(), "cut to {length}");
            }
        }
    }

    #[test]
    fn a_vault_without_fingerprints_has_no_row() {
        assert!(StageParts::of(&Stage::Off.encode(1, |_| [0; HASH])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(row in proptest::collection::vec(0..4_u8, 0..64)) {
            if let Ok(StageParts { key, says, .. }) = StageParts::of(&row) {
                prop_assert_eq!((says.len(), &says[1..5]), (SAYS, &key.to_le_bytes()[..]));
            }
        }
    }
}
