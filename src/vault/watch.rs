//! What the vault makes of its clock. One that goes back brings nothing back; one that leaps removes nothing.
//!
//! **Back**: what was told as expired and still stands, since a list passed over it or its removal failed, is remembered by one
//! instant, the mark: whatever expires up to it is gone, whatever the clock says. **Leap**: wall time is held against monotonic
//! time at every reading. What is gone only because wall time has leapt is not there for whoever asks, and stays.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::access::Operation;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::record::{self, Draft, Header, Kind};
use crate::store::{Batch, Committed};
use crate::vault::caller::About;
use crate::vault::sealed::Sealed;
use crate::vault::{Shared, Vault, table};

/// So much more wall time than monotonic time between two readings is believed; more is a leap.
const BELIEVED: Duration = Duration::from_hours(1);

/// No reading was believed yet.
const NONE: i64 = i64::MIN;

/// The name under which the vault remembers its mark.
const MARK: Uuid = Uuid::from_bytes(*b"clock.high-water");

impl Vault {
    /// Believes the clock from here on, after wall time has leapt ahead of monotonic time by more than an hour. Until then
    /// what has expired by the leap is not found, and stays: a sweep counts it as remaining. If the clock comes back
    /// instead, it is found again.
    ///
    /// A leap is noticed while the vault is open, by a [`Clock`] that has monotonic time. Where nothing has leapt, this does
    /// nothing.
    ///
    /// # Errors
    /// `UNAVAILABLE`: the vault is closed.
    ///
    /// ```
    /// # use tokenvault::{KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// if vault.sweep()?.remaining > 0 {
    ///     // ... somebody has looked at the clock, and it is right
    ///     vault.confirm_clock()?;
    /// }
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn confirm_clock(&self) -> Result<(), Error> {
        self.caller().perform(Operation::ConfirmClock, About::Nothing, |caller| {
            caller.check_open()?;
            caller.watch.confirm();
            Ok(())
        })
    }
}

/// A clock, and what is remembered of it.
pub(super) struct Watch {
    clock: Box<dyn Clock>,
    /// Wall time less monotonic time in ms, at the last reading that was believed.
    offset: AtomicI64,
    /// In ms. Negative where nothing is marked: each time that a mark is lifted a smaller number, so that nobody who read the
    /// watch before can set it again.
    mark: AtomicI64,
    kept: Mutex<Kept>,
}

/// The mark as the store has it.
struct Kept {
    mark: Option<Timestamp>,
    /// What stands for no mark, at present.
    lifted: i64,
}

/// A look at the watch.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// What the clock says: when things are made.
    pub(super) now: Timestamp,
    /// What expires up to here is gone for whoever asks.
    pub(super) gone: Timestamp,
    /// What expires up to here may be removed.
    pub(super) removable: Timestamp,
    mark: i64,
}

impl Reading {
    /// Whether a record is gone for whoever asks.
    pub(super) fn is_gone(&self, header: &Header) -> bool {
        header.expires_by(self.gone)
    }

    /// Whether a record that is gone may be removed: not if only a leap of the clock has ended it.
    pub(super) fn may_remove(&self, header: &Header) -> bool {
        header.expires_by(self.removable)
    }
}

impl Watch {
    pub(super) fn new(clock: Box<dyn Clock>) -> Self {
        let kept = Mutex::new(Kept { mark: None, lifted: -1 });
        let watch = Self { clock, offset: AtomicI64::new(NONE), mark: AtomicI64::new(-1), kept };
        watch.confirm();
        watch
    }

    pub(super) fn read(&self) -> Reading {
        let mark = self.mark.load(Ordering::Acquire);
        let (now, monotonic) = self.ask();
        let believed = monotonic.map_or(now, |monotonic| self.believed(now, monotonic));
        let marked = Timestamp::from_millis(mark);
        let up_to = |instant: Timestamp| marked.map_or(instant, |mark| mark.max(instant));
        Reading { now, gone: up_to(now), removable: up_to(believed), mark }
    }

    /// Wall time, and monotonic time in ms. That comes first: a thread that is held up in between sees a leap once, where
    /// the other way round it would move what later readings are held against.
    fn ask(&self) -> (Timestamp, Option<i64>) {
        let monotonic = self.clock.monotonic();
        let monotonic = monotonic.map(|monotonic| i64::try_from(monotonic.as_millis()).unwrap_or(i64::MAX));
        (Timestamp::now(&*self.clock), monotonic)
    }

    /// The time that is believed: wall time, or, where that has leapt, what it would be if it had not.
    fn believed(&self, now: Timestamp, monotonic: i64) -> Timestamp {
        let offset = now.as_millis().saturating_sub(monotonic);
        let last = self.offset.load(Ordering::Acquire);
        let leap = i64::try_from(BELIEVED.as_millis()).unwrap_or(i64::MAX);
        if last != NONE && offset.saturating_sub(last) > leap {
            return Timestamp::held(last.saturating_add(monotonic));
        }
        if offset != last {
            // If that fails, somebody has read or confirmed the clock since: theirs is as good.
            let _moved = self.offset.compare_exchange(last, offset, Ordering::AcqRel, Ordering::Acquire);
        }
        now
    }

    /// Believes the clock as it is.
    fn confirm(&self) {
        if let (now, Some(monotonic)) = self.ask() {
            self.offset.store(now.as_millis().saturating_sub(monotonic), Ordering::Release);
        }
    }

    /// Remembers that a record was told as expired at a reading, and still stands.
    pub(super) fn mark(&self, reading: &Reading, header: &Header) {
        let Some(expires_at) = header.expires_at.filter(|_| reading.may_remove(header)) else { return };
        let raise = |mark| (mark >= reading.mark).then_some(expires_at.as_millis()).filter(|raised| *raised > mark);
        // Nothing to do where the mark is as high already, or was lifted since.
        let _raised = self.mark.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
    }

    fn marked(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.mark.load(Ordering::Acquire))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that runs under the lock can stop half way but a store that panics, and then the mark is written again.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Takes up the mark that the store has.
    ///
    /// # Errors
    /// `CORRUPT`: what stands there is not as the vault wrote it, and so not believed. `STORE_FAILURE`, `UNAVAILABLE`.
    pub(super) fn recall(&self) -> Result<(), Error> {
        let Some(record) = self.store.get(table(Kind::State), MARK.as_bytes())? else { return Ok(()) };
        let forged = || Error::corrupt("what the vault remembers of its clock fails authentication");
        let viewed = self.open_view(Kind::State, MARK, record).map_err(|_| forged())?;
        let mark = record::mark(&viewed.view).map_err(|_| forged())?;
        self.watch.kept().mark = mark;
        if let Some(mark) = mark {
            self.watch.mark.store(mark.as_millis(), Ordering::Release);
        }
        Ok(())
    }

    /// Commits removals, and with them the mark if the store has an older one.
    pub(super) fn commit_removal(&self, batch: Batch) -> Result<Committed, Error> {
        let marked = self.watch.marked();
        // Whoever else is at it writes a mark as well, and what is higher since is written by the next.
        let kept = self.watch.kept.try_lock().ok().filter(|kept| marked > kept.mark);
        let Some(mut kept) = kept else { return self.store.commit(batch) };
        let committed = self.store.commit(self.sealed_mark(marked)?.put_into(batch))?;
        if committed == Committed::Applied {
            kept.mark = marked;
        }
        Ok(committed)
    }

    /// Writes the mark, if the store has an older one.
    pub(super) fn keep_mark(&self) -> Result<(), Error> {
        let mut kept = self.watch.kept();
        let marked = self.watch.marked();
        if marked > kept.mark {
            self.put_mark(&mut kept, marked)?;
        }
        Ok(())
    }

    /// Lets a record be made that expires at this instant: if the clock has gone back so far that the mark would end it at
    /// birth, what the mark stands for is removed, and the mark lifted.
    pub(super) fn admit(&self, expires_at: Option<Timestamp>) -> Result<(), Error> {
        while expires_at.is_some() && expires_at <= self.watch.marked() {
            let mut kept = self.watch.kept();
            let mark = self.watch.mark.load(Ordering::Acquire);
            let Some(marked) = Timestamp::from_millis(mark) else { continue };
            self.remove_until(marked)?;
            // First in the store: no crash leaves a record there that a mark of old ends.
            if kept.mark.is_some() {
                self.put_mark(&mut kept, None)?;
            }
            kept.lifted -= 1;
            // Where it was raised meanwhile it stands, and all this is done once more.
            let _lifted = self.watch.mark.compare_exchange(mark, kept.lifted, Ordering::AcqRel, Ordering::Acquire);
        }
        Ok(())
    }

    fn put_mark(&self, kept: &mut Kept, mark: Option<Timestamp>) -> Result<(), Error> {
        // Without a condition, so that it cannot be refused.
        self.store.commit(self.sealed_mark(mark)?.put_into(Batch::new()))?;
        kept.mark = mark;
        Ok(())
    }

    fn sealed_mark(&self, mark: Option<Timestamp>) -> Result<Sealed, Error> {
        self.seal_as(Some(MARK), Header::first(Kind::State, self.now(), None), |header| Draft::mark(header, mark))
    }
}
