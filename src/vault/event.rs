//! Events: what happened to tokens and sessions, for whoever subscribes.
//!
//! Each subscriber has a queue of its own. Nobody waits for it: when it is full, the oldest event goes, and the subscriber is
//! told how many went. An event is sent behind its commit, at most once; a crash in between loses it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::access::Operation;
use crate::error::Error;
use crate::id::ApiTokenId;
use crate::record::Kind;
use crate::response::{Event, EventReason, EventType, RelatedObject};
use crate::vault::caller::{About, Caller};
use crate::vault::{Shared, Vault, access, generic, pci};
use crate::{id, random, seal};

/// How many events wait for a subscriber at most.
const CAPACITY: usize = 1024;

/// What may happen to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Created,
    Updated,
    Deleted,
    Expired,
    /// A session was completed.
    Completed,
    /// A security code was not used in time.
    CodeLapsed,
    /// A security code was handed in, and could not be kept.
    CodeNotKept,
}

/// What is told of records of a kind: where the published API has them, and the type of each change.
type Told = (Kind, &'static str, &'static [(Change, EventType)]);

/// What is not listed is not told.
const TOLD: [Told; 5] = [
    (
        Kind::Pci,
        pci::PATH,
        &[
            (Change::Created, EventType::PciTokenCreated),
            (Change::Updated, EventType::PciTokenUpdated),
            (Change::Deleted, EventType::PciTokenDeleted),
            (Change::Expired, EventType::PciTokenExpired),
            (Change::CodeLapsed, EventType::PciSecurityCodeExpired),
            (Change::CodeNotKept, EventType::PciSecurityCodeNotKept),
        ],
    ),
    (
        Kind::Generic,
        generic::PATH,
        &[
            (Change::Created, EventType::GenericTokenCreated),
            (Change::Updated, EventType::GenericTokenUpdated),
            (Change::Deleted, EventType::GenericTokenDeleted),
            (Change::Expired, EventType::GenericTokenExpired),
        ],
    ),
    (
        Kind::Session,
        "/api/pci/sessions",
        &[(Change::Completed, EventType::SessionCompleted), (Change::Expired, EventType::SessionExpired)],
    ),
    (Kind::ApiKey, access::API_KEYS, CREDENTIAL),
    (Kind::ApiToken, access::API_TOKENS, CREDENTIAL),
];

const CREDENTIAL: &[(Change, EventType)] = &[
    (Change::Created, EventType::CredentialCreated),
    (Change::Updated, EventType::CredentialChanged),
    (Change::Deleted, EventType::CredentialDeleted),
];

impl Vault {
    /// Hears of everything that happens from now on. At most 1,024 events wait for a subscriber; then the oldest go.
    ///
    /// # Errors
    /// `UNAVAILABLE`: the vault is closed.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, EventType, KeyManager, Received, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let events = vault.subscribe()?;
    /// let token = vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?;
    /// let Some(Received::Event(event)) = events.try_next() else { panic!("nothing came") };
    /// assert_eq!(event.r#type, EventType::GenericTokenCreated);
    /// assert_eq!(event.related_object.id, token.id.to_string());
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn subscribe(&self) -> Result<Subscription, Error> {
        self.caller().perform(Operation::Subscribe, About::Nothing, |caller| {
            let subscription = caller.events.subscribe();
            // One that comes while the vault closes may not be told of its end: it is dropped.
            caller.check_open().map(|()| subscription)
        })
    }
}

impl Event {
    /// The JSON of the event and its HMAC-SHA256 (RFC 2104) under a key that the receiver has too, for an application that
    /// relays events as webhooks: the header `x-hmac-signature` takes the signature.
    ///
    /// # Errors
    /// `STORE_FAILURE` if the event cannot be written as JSON, which no event of a vault is.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, Received, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let events = vault.subscribe()?;
    /// # vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?;
    /// # let Some(Received::Event(event)) = events.try_next() else { panic!("nothing came") };
    /// let signed = event.sign(b"the key of this webhook")?;
    /// assert!(signed.body.starts_with(b"{\"id\":"));
    /// assert_eq!(signed.signature.len(), 64);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn sign(&self, key: &[u8]) -> Result<SignedEvent, Error> {
        let unwritable = |source| Error::store_failure("an event cannot be written").caused_by(source);
        let body = serde_json::to_vec(self).map_err(unwritable)?;
        let signature = seal::signature(key, &body);
        Ok(SignedEvent { body, signature })
    }
}

/// An event as it is relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedEvent {
    /// The JSON of the event: exactly these bytes are signed.
    pub body: Vec<u8>,
    /// 64 lower-case hexadecimal digits.
    pub signature: String,
}

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The next event.
    Event(Event),
    /// So many events went by unheard, since the subscriber was slow.
    Lost(u64),
}

/// Hears of what happens in a vault, until it is dropped. As an iterator it waits, and ends when the vault is closed.
pub struct Subscription {
    queue: Arc<Queue>,
}

impl Subscription {
    /// What comes next, if anything waits.
    #[must_use]
    pub fn try_next(&self) -> Option<Received> {
        lock(&self.queue.waiting).take()
    }

    /// Waits for what comes next, at most so long. `None` if nothing came, or the vault is closed and everything was heard.
    #[must_use]
    pub fn next_within(&self, patience: Duration) -> Option<Received> {
        let end = Instant::now().checked_add(patience);
        self.wait(|| end.map(|end| end.saturating_duration_since(Instant::now())))
    }

    /// Waits as long as `left` says; without end if that says nothing.
    fn wait(&self, left: impl Fn() -> Option<Duration>) -> Option<Received> {
        let mut waiting = lock(&self.queue.waiting);
        loop {
            if let Some(received) = waiting.take() {
                return Some(received);
            }
            if waiting.ended {
                return None;
            }
            let poisoned = PoisonError::into_inner;
            waiting = match left() {
                None => self.queue.news.wait(waiting).unwrap_or_else(poisoned),
                Some(Duration::ZERO) => return None,
                Some(left) => self.queue.news.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl Iterator for Subscription {
    type Item = Received;

    fn next(&mut self) -> Option<Received> {
        self.wait(|| None)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("waiting", &lock(&self.queue.waiting).events.len()).finish()
    }
}

/// What waits for one subscriber.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    lost: u64,
    ended: bool,
}

impl Waiting {
    /// Loss is told before what came behind it.
    fn take(&mut self) -> Option<Received> {
        match std::mem::take(&mut self.lost) {
            0 => self.events.pop_front().map(Received::Event),
            lost => Some(Received::Lost(lost)),
        }
    }

    fn put(&mut self, event: Event) {
        if self.events.len() == CAPACITY {
            self.events.pop_front();
            self.lost += 1;
        }
        self.events.push_back(event);
    }
}

/// The subscribers of a vault.
#[derive(Default)]
pub(super) struct Events {
    queues: Mutex<Vec<Weak<Queue>>>,
    /// Whether anybody has ever subscribed: spares the lock where nobody listens.
    heard: AtomicBool,
}

impl Events {
    fn subscribe(&self) -> Subscription {
        let queue = Arc::new(Queue::default());
        lock(&self.queues).push(Arc::downgrade(&queue));
        self.heard.store(true, Ordering::Release);
        Subscription { queue }
    }

    /// Every subscriber hears out what waits, and then that nothing more comes.
    pub(super) fn end(&self) {
        for queue in lock(&self.queues).iter().filter_map(Weak::upgrade) {
            lock(&queue.waiting).ended = true;
            queue.news.notify_all();
        }
    }

    fn send(&self, event: &Event) {
        lock(&self.queues).retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            lock(&queue.waiting).put(event.clone());
            queue.news.notify_one();
            true
        });
    }
}

impl Shared {
    /// Tells whoever listens what has happened to a record and nobody has asked for.
    pub(super) fn tell(&self, kind: Kind, id: Uuid, change: Change, reason: EventReason) {
        self.tell_by(None, kind, id, change, reason);
    }

    /// Tells whoever listens what has happened to a record, behind the commit that made it so, and by whom.
    pub(super) fn tell_by(
        &self,
        caller: Option<&Caller<'_>>,
        kind: Kind,
        id: Uuid,
        change: Change,
        reason: EventReason,
    ) {
        if !self.events.heard.load(Ordering::Acquire) {
            return;
        }
        let of_kind = TOLD.iter().find(|(told, ..)| *told == kind);
        let told = of_kind.and_then(|(_, path, types)| Some((path, types.iter().find(|(what, _)| *what == change)?)));
        let Some((path, (_, r#type))) = told else { return };
        let mut name = [0; 16];
        // Without random bytes nothing could have been made either: an event may be missing, a write may not.
        if random::fill(&mut name).is_ok() {
            let id = match kind {
                Kind::ApiToken => ApiTokenId::of(id).map(|id| id.to_string()).unwrap_or_default(),
                _ => id.to_string(),
            };
            let related_object = RelatedObject { url: format!("{path}/{id}"), id };
            let (id, created_at) = (id::from_random(name).into(), self.now().to_datetime());
            let by = caller.map(Caller::by);
            self.events.send(&Event { id, created_at, r#type: *r#type, reason, related_object, by });
        }
    }
}

/// A lock whose holder panicked still guards good data here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
