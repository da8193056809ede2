//! The view of a session, which has no secret part: what it waits for, what it will give to its token, what became of it.

use uuid::Uuid;

use crate::cursor::Cursor;
use crate::duplicates::Duplicates;
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::record::Malformed;
use crate::record::generic::{METADATA, metadata_length, read_metadata, write_metadata};
use crate::secret::SecretBytes;

/// The view names a token.
const TOKEN: u8 = 2;
/// The session was used.
const COMPLETED: u8 = 4;
/// Where in the flags it stands what is wanted of duplicates, and how many of them that takes.
const DUPLICATES: (u32, u8) = (3, 0b11 << 3);

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    Card,
    SecurityCode,
}

impl Awaited {
    const ALL: [Self; 2] = [Self::Card, Self::SecurityCode];

    fn as_byte(self) -> u8 {
        match self {
            Self::Card => 1,
            Self::SecurityCode => 2,
        }
    }
}

/// What is written of a session.
#[derive(Debug, PartialEq)]
pub(crate) struct Session {
    pub(crate) awaited: Awaited,
    pub(crate) completed: bool,
    /// That which the card became, or that which the security code is for.
    pub(crate) token: Option<Uuid>,
    /// For the token to be.
    pub(crate) lifetime: Option<Lifetime>,
    /// For the token to be.
    pub(crate) metadata: Option<Metadata>,
    /// What is wanted if the card has a token already.
    pub(crate) duplicates: Duplicates,
}

/// How many bytes the view takes at most.
pub(super) fn room(session: &Session) -> usize {
    1 + 1 + 4 + 16 + session.metadata.as_ref().map_or(0, metadata_length)
}

/// What is awaited, flags, lifetime in seconds (0 for none), then token and metadata if there are any.
pub(super) fn write_view(to: &mut SecretBytes, session: &Session) -> Result<(), Malformed> {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(session.metadata.is_some(), METADATA)
        | flag(session.token.is_some(), TOKEN)
        | flag(session.completed, COMPLETED)
        | (session.duplicates.as_byte() << DUPLICATES.0);
    to.push(&[session.awaited.as_byte(), flags]);
    to.push(&session.lifetime.map_or(0, Lifetime::seconds).to_le_bytes());
    if let Some(token) = &session.token {
        to.push(token.as_bytes());
    }
    session.metadata.as_ref().map_or(Ok(()), |metadata| write_metadata(to, metadata))
}

pub(super) fn read_view(view: &[u8]) -> Option<Session> {
    let mut cursor = Cursor::new(view);
    let awaited = cursor.u8()?;
    let awaited = Awaited::ALL.into_iter().find(|known| known.as_byte() == awaited)?;
    let flags = cursor.u8().filter(|flags| flags & !(METADATA | TOKEN | COMPLETED | DUPLICATES.1) == 0)?;
    let has = |flag: u8| flags & flag != 0;
    let duplicates = Duplicates::from_byte((flags & DUPLICATES.1) >> DUPLICATES.0)?;
    let lifetime = match cursor.u32()? {
        0 => None,
        seconds => Some(Lifetime::from_seconds(seconds.into()).ok()?),
    };
    let token = if has(TOKEN) { Some(Uuid::from_bytes(cursor.array()?)) } else { None };
    let metadata = if has(METADATA) { Some(read_metadata(&mut cursor)?) } else { None };
    // Whoever was used, or waits for a code, has a token.
    let is_whole = cursor.is_at_end() && (token.is_some() || (awaited == Awaited::Card && !has(COMPLETED)));
    is_whole.then_some(Session { awaited, completed: has(COMPLETED), token, lifetime, metadata, duplicates })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(session: &Session) -> Vec<u8> {
        let mut view = SecretBytes::with_room(room(session));
        write_view(&mut view, session).unwrap();
        assert!(view.len() <= room(session));
        view.into_sealed()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            card in any::<bool>(),
            completed in any::<bool>(),
            token in any::<u128>(),
            seconds in proptest::option::of(1..=2_592_000_u64),
            duplicates in 0..3_u8,
            pairs in proptest::option::of(proptest::collection::btree_map("[a-z]{1,20}", "[a-zé]{1,80}", 0..20)),
        ) {
            let session = Session {
                awaited: if card { Awaited::Card } else { Awaited::SecurityCode },
                completed,
                token: (completed || !card).then_some(Uuid::from_u128(token)),
                lifetime: seconds.map(|seconds| Lifetime::from_seconds(seconds).unwrap()),
                metadata: pairs.map(|pairs| Metadata::new(pairs).unwrap()),
                duplicates: Duplicates::from_byte(duplicates).unwrap(),
            };
            let view = written(&session);
            prop_assert_eq!(read_view(&view), Some(session));
            for length in 0..view.len() {
                prop_assert_eq!(read_view(&view[..length]), None, "cut to {}", length);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(view in proptest::collection::vec(0..32_u8, 0..40)) {
            if let Some(session) = read_view(&view) {
                prop_assert_eq!(written(&session), view);
            }
        }
    }
}
