//! What is built by hand on a store of keys and values: the records and the expiry index of tokenvault, one committer.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::data::Card;
use crate::subject::committer::Committer;
use crate::subject::record::{Keys, expires_at, now};
use crate::subject::{EXPIRED_AT_ONCE, Subject, View, tokenvault};

/// Bytes of a row in the expiry index: instant, kind, id.
pub(crate) const ROW: usize = 25;

/// A store of keys and values.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Opens what is in a folder, or makes it there.
    fn open(folder: &Path) -> Self;

    /// Makes all changes, durably on return.
    fn apply(&self, changes: Vec<Change>);

    /// The record of a token.
    fn get(&self, id: Uuid) -> Vec<u8>;

    /// The first rows of the expiry index that are below one.
    fn rows_below(&self, end: [u8; ROW], limit: usize) -> Vec<[u8; ROW]>;
}

/// A change to a record and its row in the expiry index.
pub(crate) enum Change {
    Put { id: Uuid, row: [u8; ROW], record: Vec<u8> },
    Remove { id: Uuid, row: [u8; ROW] },
}

/// A row of the expiry index.
fn row(expires_at: i64, id: Uuid) -> [u8; ROW] {
    let (mut row, instant) = ([0; ROW], expires_at.to_be_bytes());
    let fields = [&instant[..], &[2], id.as_bytes()].into_iter().flatten();
    row.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
    row
}

/// What is kept by hand is what tokenvault keeps: as many rows, as long, with the same header but for the instants.
pub(crate) fn assert_same_rows(card: &Card) {
    const BEFORE_INSTANTS: usize = 14;
    let id = Uuid::nil();
    let by_hand = [(id.as_bytes().to_vec(), Keys::new().seal(id, card, now())), (row(now(), id).to_vec(), Vec::new())];
    let ours = tokenvault::rows(card, 1);
    let lengths =
        |rows: &[(Vec<u8>, Vec<u8>)]| rows.iter().map(|(key, value)| (key.len(), value.len())).collect::<Vec<_>>();
    assert_eq!(lengths(&by_hand), lengths(&ours));
    assert_eq!(by_hand[0].1[..BEFORE_INSTANTS], ours[0].1[..BEFORE_INSTANTS]);
}

struct ByHand<E> {
    keys: Keys,
    engine: Arc<E>,
    committer: Committer<Change>,
}

/// Opens a store by hand.
pub(crate) fn open<E: Engine>(folder: &Path) -> Box<dyn Subject> {
    let engine = Arc::new(E::open(folder));
    let writer = Arc::clone(&engine);
    let committer = Committer::new(move |changes| writer.apply(changes));
    Box::new(ByHand { keys: Keys::new(), engine, committer })
}

impl<E: Engine> ByHand<E> {
    fn put(&self, card: &Card, seconds: u32) -> (Uuid, Change) {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let expires_at = now() + i64::from(seconds) * 1000;
        let record = self.keys.seal(id, card, expires_at);
        (id, Change::Put { id, row: row(expires_at, id), record })
    }
}

impl<E: Engine> Subject for ByHand<E> {
    fn create(&self, card: &Card, seconds: u32) -> Uuid {
        let (id, change) = self.put(card, seconds);
        self.committer.commit([change]);
        id
    }

    fn create_many(&self, cards: &[Card], seconds: u32) -> Vec<Uuid> {
        let (ids, changes): (_, Vec<_>) = cards.iter().map(|card| self.put(card, seconds)).unzip();
        self.committer.commit(changes);
        ids
    }

    fn reveal(&self, id: Uuid, lend: &mut dyn FnMut(&str)) {
        self.keys.reveal(id, self.engine.get(id), lend);
    }

    fn view(&self, id: Uuid) -> View {
        self.keys.view(id, self.engine.get(id))
    }

    fn delete(&self, id: Uuid) {
        let record = self.engine.get(id);
        self.committer.commit([Change::Remove { id, row: row(expires_at(&record), id) }]);
    }

    fn expire(&self) -> usize {
        let (end, mut removed) = (row(now() + 1, Uuid::nil()), 0);
        loop {
            let rows = self.engine.rows_below(end, EXPIRED_AT_ONCE);
            if rows.is_empty() {
                return removed;
            }
            removed += rows.len();
            self.committer.commit(rows.into_iter().map(|found| {
                let id = Uuid::from_bytes(*found.last_chunk().unwrap());
                assert_eq!(row(expires_at(&self.engine.get(id)), id), found);
                Change::Remove { id, row: found }
            }));
        }
    }

    fn close(self: Box<Self>) {}
}
