//! The sweep that removes what has expired, whether anybody reads it or not.

use std::ops::ControlFlow;
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::access::Operation;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::Kind;
use crate::response::{EventReason, SweepReport};
use crate::store::{Batch, Committed, Entry, Table};
use crate::vault::caller::About;
use crate::vault::event::Change;
use crate::vault::rows::expiry_key;
use crate::vault::sealed::COMMIT_BYTES;
use crate::vault::standing::{Standing, Viewed};
use crate::vault::{Authority, Shared, Vault, table};

/// At most so many entries in one commit.
const BATCH: usize = 256;

/// While callers wait for commits, a sweep rests behind each batch for this part of the time that it took: they keep more
/// than half of their rate.
const RESTED: u32 = 2;
const LONGEST_REST: Duration = Duration::from_millis(20);

/// How long a sweep rests behind a batch, if anyone waited for a commit meanwhile.
fn rest(took: Duration, was_awaited: bool) -> Duration {
    if was_awaited { LONGEST_REST.min(took / RESTED) } else { Duration::ZERO }
}

/// The turn of one of many who sweep.
type Turn<'a> = MutexGuard<'a, ()>;

impl<A: Authority> Vault<A> {
    /// Removes every token that has expired by now, in bounded batches.
    ///
    /// An entry that fails authentication is not removed; it counts as remaining, and reading it answers `CORRUPT`. Nor is what
    /// has expired only by a leap of the clock, see [`Vault::confirm_clock`].
    ///
    /// # Errors
    /// `STORE_FAILURE`, `CORRUPT` (of the store), `UNAVAILABLE`; what was removed by then stays removed.
    ///
    /// ```
    /// # use tokenvault::{KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let report = vault.sweep()?;
    /// assert_eq!((report.expired_generic, report.expired_pci, report.remaining), (0, 0, 0));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn sweep(&self) -> Result<SweepReport, Error> {
        self.sweep_with(|_| {})
    }

    /// As [`Vault::sweep`], and tells `progress` after each batch what has been removed so far.
    ///
    /// # Errors
    /// As [`Vault::sweep`].
    pub fn sweep_with(&self, mut progress: impl FnMut(&SweepReport)) -> Result<SweepReport, Error> {
        self.caller().perform(Operation::Sweep, About::Nothing, |caller| {
            // It tells how much there is of everybody's.
            caller.require_no_account()?;
            caller.sweep(|report| {
                progress(report);
                ControlFlow::Continue(())
            })
        })
    }
}

impl Shared {
    /// Sweeps until nothing is left, or `progress` breaks.
    pub(super) fn sweep(
        &self,
        mut progress: impl FnMut(&SweepReport) -> ControlFlow<()>,
    ) -> Result<SweepReport, Error> {
        let (reading, mut report) = (self.watch.read(), SweepReport::default());
        self.sweep_codes(&reading);
        self.replays.end(reading.removable);
        let up_to_now = |rows: Vec<Entry>, turn: Turn<'_>| {
            let (start, awaited) = (Instant::now(), self.awaited());
            self.remove_rows(rows, &mut report)?;
            drop(turn);
            let going = progress(&report);
            if going.is_continue() {
                thread::sleep(rest(start.elapsed(), self.awaited() != awaited));
            }
            Ok(going)
        };
        if self.walk(&[], reading.removable, up_to_now)?.is_continue() {
            // What is gone only by a leap of the clock.
            let from = behind(reading.removable);
            self.walk(&from, reading.gone, |rows, _| {
                report.remaining += u64::try_from(rows.len()).unwrap_or(u64::MAX);
                Ok(ControlFlow::Continue(()))
            })
            .map(|_ended| ())?;
        }
        self.keep_accesses()?;
        Ok(report)
    }

    /// Removes whatever expires up to an instant.
    pub(super) fn remove_until(&self, until: Timestamp) -> Result<(), Error> {
        self.replays.end(until);
        let mut report = SweepReport::default();
        self.walk(&[], until, |rows, _turn| {
            self.remove_rows(rows, &mut report)?;
            Ok(ControlFlow::Continue(()))
        })
        .map(|_ended| ())
    }

    /// Hands out the rows of the expiry index from a key on, up to an instant, in batches. Whoever else does so waits while a turn
    /// is held, and finds none of the rows that were removed in it: so several share the work.
    fn walk(
        &self,
        from: &[u8],
        until: Timestamp,
        mut each: impl FnMut(Vec<Entry>, Turn<'_>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<ControlFlow<()>, Error> {
        let (mut from, to) = (from.to_vec(), behind(until));
        loop {
            self.check_open()?;
            let turn = self.turn()?;
            let rows = self.store.scan(Table::Expiry, &from, &to, BATCH)?;
            let Some((last, _)) = rows.last() else { return Ok(ControlFlow::Continue(())) };
            from = [last.as_slice(), &[0]].concat();
            if each(rows, turn)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Waits for a turn, which guards nothing but the order.
    fn turn(&self) -> Result<Turn<'_>, Error> {
        match self.sweeping.try_lock() {
            Ok(turn) => Ok(turn),
            Err(TryLockError::Poisoned(turn)) => Ok(turn.into_inner()),
            Err(TryLockError::WouldBlock) => {
                // A child of a fork has no thread that would end the turn of its parent's. A store in a folder refuses it.
                self.store.scan(Table::Expiry, &[], &[], 0)?;
                Ok(self.sweeping.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// Removes the tokens of some rows of the expiry index, in as few commits as their bytes allow.
    fn remove_rows(&self, rows: Vec<Entry>, report: &mut SweepReport) -> Result<(), Error> {
        let (mut removals, mut bytes) = (Vec::new(), 0);
        for (row, value) in rows {
            // A row with a value is not as the vault writes it, and could not be removed as such.
            let removal = if value.is_empty() { self.judge(row)? } else { None };
            let Some(removal) = removal else {
                report.remaining += 1;
                continue;
            };
            bytes += removal.bytes();
            removals.push(removal);
            if bytes >= COMMIT_BYTES {
                self.commit_removals(std::mem::take(&mut removals), report)?;
                bytes = 0;
            }
        }
        self.commit_removals(removals, report)
    }

    fn commit_removals(&self, mut removals: Vec<Removal>, report: &mut SweepReport) -> Result<(), Error> {
        while !removals.is_empty() {
            let batch = removals.iter().fold(Batch::new(), |batch, removal| removal.add_to(batch));
            match self.commit_removal(batch)? {
                Committed::Applied => {
                    for removal in removals.drain(..) {
                        removal.count(report);
                        if let Some(Standing { viewed: Viewed { id, header, .. }, .. }) = removal.expired {
                            self.lapse_code(header.kind, id, EventReason::Sweep);
                            self.tell(header.kind, id, Change::Expired, EventReason::Sweep);
                        }
                    }
                }
                // Each removal has one condition. What was removed meanwhile is somebody else's; what was changed is judged anew.
                Committed::Refused { condition, found } if condition < removals.len() => {
                    let Removal { row, expired, .. } = removals.remove(condition);
                    if expired.is_some() && found.is_some() {
                        match self.judge(row)? {
                            Some(removal) => removals.push(removal),
                            None => report.remaining += 1,
                        }
                    }
                }
                Committed::Refused { .. } => {
                    return Err(Error::store_failure("the store refused a condition that it was not given"));
                }
            }
        }
        Ok(())
    }

    /// What to remove for a row of the expiry index whose instant has come; `None` if its record does not prove that it has expired.
    fn judge(&self, row: Vec<u8>) -> Result<Option<Removal>, Error> {
        let Some((kind, id)) = parse_row(&row) else { return Ok(None) };
        let Some(record) = self.store.get(table(kind), id.as_bytes())? else {
            return Ok(Some(Removal { row, expired: None }));
        };
        let opened = match kind {
            Kind::Replay => self.open_entry(id, record),
            _ => self.open_standing(kind, id, record),
        };
        let Ok(expired) = opened else { return Ok(None) };
        let is_of_this_row = expired.viewed.header.expires_at.is_some_and(|at| expiry_key(at, kind, id) == row);
        Ok(Some(Removal { row, expired: is_of_this_row.then_some(expired) }))
    }
}

/// The first key behind every row of an instant.
fn behind(instant: Timestamp) -> [u8; 8] {
    instant.as_millis().saturating_add(1).to_be_bytes()
}

/// The kind and id that a row of the expiry index names.
fn parse_row(row: &[u8]) -> Option<(Kind, Uuid)> {
    let (_, rest) = row.split_first_chunk::<8>()?;
    let (kind, id) = rest.split_first()?;
    Some((Kind::from_byte(*kind)?, Uuid::from_bytes(id.try_into().ok()?)))
}

/// A row of the expiry index that goes, with its record, or alone if it is not that of a record.
struct Removal {
    row: Vec<u8>,
    expired: Option<Standing>,
}

impl Removal {
    /// Bytes of the record.
    fn bytes(&self) -> usize {
        self.expired.as_ref().map_or(0, |expired| expired.record.len())
    }

    fn add_to(&self, batch: Batch) -> Batch {
        match &self.expired {
            Some(expired) => expired.remove_from(batch),
            None => batch.require_value(Table::Expiry, self.row.clone(), []).remove(Table::Expiry, self.row.clone()),
        }
    }

    fn count(&self, report: &mut SweepReport) {
        match self.expired.as_ref().map(|expired| expired.viewed.header.kind) {
            Some(Kind::Generic) => report.expired_generic += 1,
            Some(Kind::Pci) => report.expired_pci += 1,
            Some(Kind::Session) => report.expired_sessions += 1,
            _ => report.expired_other += 1,
        }
    }
}

#[cfg(all(test, feature = "sled"))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::keys::KeyManager;
    use crate::store::Maintenance;

    /// As the store of a vault that a child of a fork has from its parent, of which a thread had its turn then.
    #[test]
    fn nobody_waits_for_a_turn_at_a_store_that_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(folder.path().join("vault"), KeyManager::from_key(&mut [7; 32])).unwrap();
        vault.shared().store.maintain(Maintenance::Close).unwrap();
        let turn = vault.shared().sweeping.lock().unwrap();
        assert_eq!(vault.sweep().unwrap_err().kind(), ErrorKind::Unavailable);
        drop(turn);
    }

    #[test]
    fn a_sweep_rests_only_where_it_is_in_the_way() {
        let took = Duration::from_millis(8);
        assert_eq!(rest(took, false), Duration::ZERO);
        assert_eq!(rest(took, true), took / 2);
        assert_eq!(rest(Duration::from_secs(9), true), LONGEST_REST);
    }
}
