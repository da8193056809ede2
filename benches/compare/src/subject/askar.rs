//! aries-askar on `SQLite`: a card is an item under the name of its token, with its lifetime.

use std::path::Path;
use std::sync::Mutex;

use aries_askar::future::block_on;
use aries_askar::{PassKey, Session, Store, StoreKeyMethod};
use uuid::Uuid;

use crate::data::Card;
use crate::subject::committer::Committer;
use crate::subject::{KEY, Subject, View};
use crate::workload::Workload;

pub(crate) const DURABILITY: &str = match option_env!("LIBSQLITE3_FLAGS") {
    Some(_) => "aries-askar 0.4, as it comes: WAL, synchronous=FULL (fdatasync); one transaction a group",
    None => "aries-askar 0.4, WAL, synchronous=FULL; one transaction a group (fsync: start me in benches/compare!)",
};

/// What has expired is hidden and never removed.
pub(crate) const LACKS: &[Workload] = &[Workload::Expire];

/// Enough that no thread waits for another's.
const CONNECTIONS: usize = 16;

const CARDS: &str = "card";

pub(crate) fn open(folder: &Path) -> Box<dyn Subject> {
    let url = format!("sqlite://{}?max_connections={CONNECTIONS}", folder.join("askar").display());
    let key = || Store::new_raw_key(Some(&KEY)).unwrap();
    let store = block_on(provision(&url, key()));
    let writer = store.clone();
    let committer = Committer::new(move |changes| block_on(apply(&writer, changes)));
    Box::new(Askar { store, sessions: Mutex::default(), committer })
}

async fn provision(url: &str, key: PassKey<'_>) -> Store {
    Store::provision(url, StoreKeyMethod::RawKey, key, None, false).await.unwrap()
}

struct Askar {
    store: Store,
    /// Sessions that nobody reads with at the moment.
    sessions: Mutex<Vec<Session>>,
    committer: Committer<Change>,
}

enum Change {
    Insert { name: String, value: String, milliseconds: i64 },
    Remove { name: String },
}

async fn apply(store: &Store, changes: Vec<Change>) {
    let mut transaction = store.transaction(None).await.unwrap();
    for change in changes {
        match change {
            Change::Insert { name, value, milliseconds } => {
                transaction.insert(CARDS, &name, value.as_bytes(), None, Some(milliseconds)).await.unwrap();
            }
            Change::Remove { name } => transaction.remove(CARDS, &name).await.unwrap(),
        }
    }
    transaction.commit().await.unwrap();
}

impl Askar {
    fn insert(card: &Card, seconds: u32) -> (Uuid, Change) {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let value = format!("{}\n{}\n{}\n{}\n{}", card.number, card.mask(), card.name, card.month, card.year);
        (id, Change::Insert { name: id.to_string(), value, milliseconds: i64::from(seconds) * 1000 })
    }

    /// The fields of a card, which come all or none.
    fn fetch<T>(&self, id: Uuid, read: impl FnOnce(&mut dyn Iterator<Item = &str>) -> T) -> T {
        let waiting = self.sessions.lock().unwrap().pop();
        let mut session = waiting.unwrap_or_else(|| block_on(self.store.session(None)).unwrap());
        let found = block_on(session.fetch(CARDS, &id.to_string(), false)).unwrap().unwrap();
        self.sessions.lock().unwrap().push(session);
        read(&mut std::str::from_utf8(&found.value).unwrap().split('\n'))
    }
}

impl Subject for Askar {
    fn create(&self, card: &Card, seconds: u32) -> Uuid {
        let (id, change) = Self::insert(card, seconds);
        self.committer.commit([change]);
        id
    }

    fn create_many(&self, cards: &[Card], seconds: u32) -> Vec<Uuid> {
        let (ids, changes): (_, Vec<_>) = cards.iter().map(|card| Self::insert(card, seconds)).unzip();
        self.committer.commit(changes);
        ids
    }

    fn reveal(&self, id: Uuid, lend: &mut dyn FnMut(&str)) {
        self.fetch(id, |fields| lend(fields.next().unwrap()));
    }

    fn view(&self, id: Uuid) -> View {
        self.fetch(id, |fields| {
            let mut next = || fields.next().unwrap().to_owned();
            let _number = next();
            View { masked: next(), name: next(), month: next().parse().unwrap(), year: next().parse().unwrap() }
        })
    }

    fn delete(&self, id: Uuid) {
        self.committer.commit([Change::Remove { name: id.to_string() }]);
    }

    fn expire(&self) -> usize {
        unreachable!("it is listed among what it lacks")
    }

    fn close(self: Box<Self>) {
        let Self { store, sessions, committer } = *self;
        block_on(async move {
            // Sessions go back to their pool, which they do only in here.
            drop((sessions, committer));
            store.close().await.unwrap();
        });
    }
}
