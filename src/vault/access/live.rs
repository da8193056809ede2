//! Credentials that were seen: known again by a hash of their secret, and refused from the moment at which they are no longer good.
//!
//! What a credential may do is read once and kept. One number counts the changes of all credentials, accounts and modules; whoever
//! holds a credential that was read before the last of them reads it again at its next call. Such changes are rare, calls are not.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use uuid::Uuid;

use crate::access::{By, Scopes};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::record::Kind;
use crate::seal::HASH;
use crate::vault::Shared;

/// How many credentials are kept that nobody holds at the moment.
const KEPT: usize = 65_536;

/// Stands beside the scopes of a credential that is good.
const GOOD: u64 = 1 << 63;

const MINUTE: i64 = 60_000;

/// A credential in use.
pub struct Live {
    pub(super) kind: Kind,
    pub(in crate::vault) id: Uuid,
    /// The number of its account; 0 for none.
    pub(in crate::vault) owner: u32,
    pub(super) expires_at: Option<Timestamp>,
    /// The count of changes at which the rest was read.
    read_at: AtomicU64,
    /// Its scopes, and whether it is good.
    grants: AtomicU64,
    by: RwLock<By>,
    /// In ms, to the minute; 0 for never in this process.
    last_access: AtomicI64,
    /// What of that is in the record, as far as this process has written it.
    kept_access: AtomicI64,
    reading: Mutex<()>,
}

impl fmt::Debug for Live {
    /// Its id, by which nobody authenticates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a credential says of itself when it is read.
pub(super) struct Grants {
    /// None while it is not good.
    pub(super) scopes: Option<Scopes>,
    pub(super) by: By,
}

/// The credentials that were seen.
#[derive(Default)]
pub(in crate::vault) struct Credentials {
    changes: AtomicU64,
    seen: RwLock<Seen>,
}

#[derive(Default)]
struct Seen {
    by_secret: HashMap<[u8; HASH], Arc<Live>>,
    /// The secrets of API tokens.
    of_token: HashMap<Uuid, [u8; HASH]>,
}

impl Seen {
    /// Lets go of those that nobody holds and nothing need be written of.
    fn shrink(&mut self) {
        self.by_secret.retain(|_, live| Arc::strong_count(live) > 1 || live.unkept_access().is_some());
        let known = &self.by_secret;
        self.of_token.retain(|_, hash| known.contains_key(hash));
    }
}

impl Credentials {
    /// Lets every credential be read again at its next use. Called behind each commit that changes a credential, an account or a
    /// module, and before its answer: also where the store failed, which may have made the commit all the same.
    pub(super) fn may_be_changed<T>(&self, done: &Result<T, Error>) {
        let is_refused = done.as_ref().is_err_and(|error| error.code() < 500);
        if !is_refused {
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A credential that was seen, by the hash of its secret.
    pub(super) fn seen(&self, hash: &[u8; HASH]) -> Option<Arc<Live>> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).by_secret.get(hash).map(Arc::clone)
    }

    /// Keeps a credential that was read, unless another thread has kept it meanwhile. One secret has one `Live`, so that its use
    /// is seen in one place.
    pub(super) fn keep(&self, hash: [u8; HASH], live: Live) -> Arc<Live> {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.by_secret.len() >= KEPT {
            seen.shrink();
        }
        if live.kind == Kind::ApiToken {
            seen.of_token.insert(live.id, hash);
        }
        Arc::clone(seen.by_secret.entry(hash).or_insert_with(|| Arc::new(live)))
    }

    /// Every API token of whose use in this process its record does not say, and when that was last.
    pub(super) fn used(&self) -> Vec<(Arc<Live>, Timestamp)> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let tokens = seen.by_secret.values().filter(|live| live.kind == Kind::ApiToken);
        tokens.filter_map(|live| Some((Arc::clone(live), live.unkept_access()?))).collect()
    }

    /// When a token was last used in this process.
    pub(super) fn last_access(&self, id: Uuid) -> Option<Timestamp> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.by_secret.get(seen.of_token.get(&id)?)?.last_access()
    }
}

impl Live {
    /// A credential that is read at its first use.
    pub(super) fn unread(kind: Kind, id: Uuid, owner: u32, expires_at: Option<Timestamp>) -> Self {
        let by = RwLock::new(By { id: String::new(), name: String::new() });
        Self {
            kind,
            id,
            owner,
            expires_at,
            // No count is so large.
            read_at: AtomicU64::new(u64::MAX),
            grants: AtomicU64::new(0),
            by,
            last_access: AtomicI64::new(0),
            kept_access: AtomicI64::new(0),
            reading: Mutex::new(()),
        }
    }

    /// What it may do.
    ///
    /// # Errors
    /// `UNAUTHORIZED`: the credential is no longer good. What reading it again answers.
    pub(in crate::vault) fn scopes(&self, shared: &Shared) -> Result<Scopes, Error> {
        let changes = shared.credentials.changes.load(Ordering::Acquire);
        if self.read_at.load(Ordering::Acquire) != changes {
            self.read(shared)?;
        }
        let grants = self.grants.load(Ordering::Acquire);
        let reading = shared.watch.read();
        if let Some(expires_at) = self.expires_at.filter(|expires_at| reading.gone >= *expires_at) {
            self.end(shared, expires_at <= reading.removable);
            return Err(Error::unauthorized());
        }
        if grants & GOOD == 0 {
            return Err(Error::unauthorized());
        }
        if self.kind == Kind::ApiToken {
            let minute = reading.now.as_millis() / MINUTE * MINUTE;
            // Written once a minute: a line of the cache that all threads share stays shared.
            if self.last_access.load(Ordering::Relaxed) < minute {
                self.last_access.fetch_max(minute, Ordering::Relaxed);
            }
        }
        Ok(Scopes::from_bits(grants & !GOOD))
    }

    /// Its time has come, for good or only by a leap of the clock: as with every record, whoever meets it removes it, or what was
    /// seen is remembered, so that no clock that goes back makes it good again.
    fn end(&self, shared: &Shared, is_for_good: bool) {
        drop(shared.any_live(self.kind, self.id));
        if is_for_good {
            self.grants.store(0, Ordering::Release);
        }
    }

    /// Who it is, for audit trails.
    pub(in crate::vault) fn by(&self) -> By {
        self.by.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, unless it ended before it was ever read.
    pub(super) fn known_by(&self) -> Option<By> {
        Some(self.by()).filter(|by| !by.id.is_empty())
    }

    fn last_access(&self) -> Option<Timestamp> {
        let at = self.last_access.load(Ordering::Relaxed);
        if at == 0 { None } else { Timestamp::from_millis(at) }
    }

    /// When it was last used, if that is not yet in its record.
    fn unkept_access(&self) -> Option<Timestamp> {
        self.last_access().filter(|at| at.as_millis() > self.kept_access.load(Ordering::Relaxed))
    }

    /// That it was used by then is in its record.
    pub(super) fn has_kept(&self, at: Timestamp) {
        self.kept_access.fetch_max(at.as_millis(), Ordering::Relaxed);
    }

    /// Reads the credential again.
    fn read(&self, shared: &Shared) -> Result<(), Error> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the record: what is changed from here on is seen to be changed.
        let changes = shared.credentials.changes.load(Ordering::Acquire);
        let grants = match shared.grants(self.kind, self.id) {
            Ok(Grants { scopes, by }) => {
                *self.by.write().unwrap_or_else(PoisonError::into_inner) = by;
                scopes.map_or(0, |scopes| scopes.as_bits() | GOOD)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        self.grants.store(grants, Ordering::Release);
        self.read_at.store(changes, Ordering::Release);
        Ok(())
    }
}
