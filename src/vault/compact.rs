//! Gives the space of what was removed back to the file system.

use std::sync::TryLockError;

use crate::access::Operation;
use crate::error::Error;
use crate::response::CompactReport;
use crate::store::Maintenance;
use crate::vault::caller::About;
use crate::vault::{Authority, Shared, Vault};

impl<A: Authority> Vault<A> {
    /// Writes anew what the vault keeps, so that the space of what was deleted or swept goes back to the file system. Tokens
    /// can be made, changed, read and deleted meanwhile. The disk needs room for a second copy of what is kept and 64 MiB more,
    /// and the copy has as much memory for pages as [`VaultOptions::cache_bytes`](crate::VaultOptions::cache_bytes) gives.
    ///
    /// What is interrupted, by whatever, leaves the vault as it was; its space is given back at the latest when the vault is
    /// opened again.
    ///
    /// # Errors
    /// `CONFLICT`: somebody else compacts the vault. `STORE_FAILURE`: it could not be done, for want of space for instance, and
    /// the vault goes on. `CORRUPT`: the records are not those that were acknowledged. `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, Vault};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let vault = Vault::create(folder.path().join("cards.vault"), KeyManager::from_key(&mut [7; 32]))?;
    /// # vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?;
    /// let report = vault.compact()?;
    /// println!("{} of {} bytes are left", report.bytes_after, report.bytes_before);
    /// assert_eq!(report.remaining, 0);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn compact(&self) -> Result<CompactReport, Error> {
        self.compact_with(|_| {})
    }

    /// As [`Vault::compact`], and tells `progress` after each portion how far it is.
    ///
    /// # Errors
    /// As [`Vault::compact`].
    pub fn compact_with(&self, progress: impl FnMut(&CompactReport)) -> Result<CompactReport, Error> {
        self.caller().perform(Operation::Compact, About::Nothing, |caller| {
            // It tells how much there is of everybody's.
            caller.require_no_account()?;
            caller.compact(progress)
        })
    }
}

impl Shared {
    fn compact(&self, mut progress: impl FnMut(&CompactReport)) -> Result<CompactReport, Error> {
        self.check_open()?;
        let turn = self.compacting.try_lock();
        if matches!(turn, Err(TryLockError::WouldBlock)) {
            return Err(Error::conflict("the vault is being compacted"));
        }
        let bytes_before = self.store.maintain(Maintenance::Checkpoint)?.bytes_on_disk;
        loop {
            let done = self.store.maintain(Maintenance::Compact)?;
            let report = CompactReport { bytes_before, bytes_after: done.bytes_on_disk, remaining: done.left };
            progress(&report);
            if report.remaining == 0 {
                return Ok(report);
            }
        }
    }
}
