//! `SQLCipher`: one table in plain columns and an index, in a file that it encrypts page by page.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::data::Card;
use crate::subject::committer::Committer;
use crate::subject::record::now;
use crate::subject::{CACHE_BYTES, EXPIRED_AT_ONCE, KEY, Subject, View};

pub(crate) const DURABILITY: &str = match option_env!("LIBSQLITE3_FLAGS") {
    Some(_) => "SQLCipher 4.5, WAL, synchronous=FULL (fdatasync); one transaction a group",
    None => "SQLCipher 4.5, WAL, synchronous=FULL; one transaction a group (fsync: start me in benches/compare!)",
};

const LAYOUT: &str = "
    CREATE TABLE IF NOT EXISTS tokens (
        id BLOB PRIMARY KEY, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        month INTEGER NOT NULL, year INTEGER NOT NULL, scheme TEXT NOT NULL,
        masked TEXT NOT NULL, name TEXT NOT NULL, number TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS expiry ON tokens (expires_at);
";

pub(crate) fn open(folder: &Path) -> Box<dyn Subject> {
    let path = folder.join("sqlcipher");
    let writer = connect(&path);
    writer.execute_batch(LAYOUT).unwrap();
    let told = |name| writer.pragma_query_value(None, name, |row| row.get::<_, Value>(0)).unwrap();
    assert_eq!(told("journal_mode"), Value::Text("wal".to_owned()));
    assert_eq!(told("synchronous"), Value::Integer(2), "2 is FULL");
    assert!(!std::fs::read(&path).unwrap().starts_with(b"SQLite format 3"), "it is not encrypted");
    let committer = Committer::new(move |changes| apply(&writer, changes));
    Box::new(SqlCipher { path, readers: Mutex::default(), committer })
}

struct SqlCipher {
    path: PathBuf,
    /// Connections that nobody reads with at the moment.
    readers: Mutex<Vec<Connection>>,
    committer: Committer<Change>,
}

enum Change {
    Insert(Uuid, Card, i64),
    Remove(Uuid),
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let set = |name: &str, value: String| connection.pragma_update(None, name, value).unwrap();
    // The key as it is, without derivation.
    let [byte, ..] = KEY;
    set("key", format!("x'{}'", format!("{byte:02x}").repeat(KEY.len())));
    set("journal_mode", "WAL".to_owned());
    set("synchronous", "FULL".to_owned());
    set("cache_size", format!("-{}", CACHE_BYTES / 1024));
    connection
}

fn apply(writer: &Connection, changes: Vec<Change>) {
    let transaction = writer.unchecked_transaction().unwrap();
    for change in changes {
        let done = match change {
            Change::Insert(id, card, expires_at) => transaction
                .prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
                .unwrap()
                .execute(params![
                    id.as_bytes(),
                    now(),
                    expires_at,
                    card.month,
                    card.year,
                    card.scheme().as_str(),
                    card.mask(),
                    card.name,
                    card.number
                ]),
            Change::Remove(id) => {
                transaction.prepare_cached("DELETE FROM tokens WHERE id = ?1").unwrap().execute([id.as_bytes()])
            }
        };
        assert_eq!(done.unwrap(), 1);
    }
    transaction.commit().unwrap();
}

impl SqlCipher {
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        let waiting = self.readers.lock().unwrap().pop();
        let reader = waiting.unwrap_or_else(|| connect(&self.path));
        let answer = read(&reader).unwrap();
        self.readers.lock().unwrap().push(reader);
        answer
    }

    fn insert(card: &Card, seconds: u32) -> (Uuid, Change) {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        (id, Change::Insert(id, card.clone(), now() + i64::from(seconds) * 1000))
    }
}

impl Subject for SqlCipher {
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
        self.read(|reader| {
            let mut find = reader.prepare_cached("SELECT number FROM tokens WHERE id = ?1 AND expires_at > ?2")?;
            find.query_row(params![id.as_bytes(), now()], |row| {
                lend(row.get_ref(0)?.as_str()?);
                Ok(())
            })
        });
    }

    fn view(&self, id: Uuid) -> View {
        self.read(|reader| {
            let find = "SELECT masked, name, month, year FROM tokens WHERE id = ?1 AND expires_at > ?2";
            reader.prepare_cached(find)?.query_row(params![id.as_bytes(), now()], |row| {
                Ok(View { masked: row.get(0)?, name: row.get(1)?, month: row.get(2)?, year: row.get(3)? })
            })
        })
    }

    fn delete(&self, id: Uuid) {
        self.committer.commit([Change::Remove(id)]);
    }

    fn expire(&self) -> usize {
        let (until, mut removed) = (now(), 0);
        loop {
            let ids: Vec<Uuid> = self.read(|reader| {
                let find = "SELECT id FROM tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
                let mut find = reader.prepare_cached(find)?;
                let ids = find.query_map(params![until, EXPIRED_AT_ONCE], |row| row.get(0).map(Uuid::from_bytes))?;
                ids.collect()
            });
            if ids.is_empty() {
                return removed;
            }
            removed += ids.len();
            self.committer.commit(ids.into_iter().map(Change::Remove));
        }
    }

    fn close(self: Box<Self>) {}
}
