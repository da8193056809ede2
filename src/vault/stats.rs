//! What the vault says of itself.

use crate::access::Operation;
use crate::error::Error;
use crate::record::Parts;
use crate::response::{KeyEpoch, Stats};
use crate::store::{Maintenance, Table};
use crate::vault::caller::About;
use crate::vault::listing::{BEHIND_EVERY_ID, behind, id_of};
use crate::vault::{Authority, Shared, Vault};

/// How many API keys are read at a time.
const BATCH: usize = 128;

impl<A: Authority> Vault<A> {
    /// Counts tokens and bytes, and tells the age and use of the keys. Walks over all keys of the store.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// vault.create_generic(CreateGeneric::new([("pin", "1234")])?.expires_in(60)?)?;
    /// let stats = vault.stats()?;
    /// assert_eq!((stats.generic_tokens, stats.pci_tokens, stats.expiring_tokens), (1, 0, 1));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn stats(&self) -> Result<Stats, Error> {
        self.caller().perform(Operation::Stats, About::Nothing, |caller| {
            caller.require_no_account()?;
            caller.stats()
        })
    }
}

impl Shared {
    fn stats(&self) -> Result<Stats, Error> {
        self.check_open()?;
        let store = self.store.maintain(Maintenance::Stats)?;
        let epochs = self.keys.epochs().iter().map(|epoch| KeyEpoch {
            epoch: epoch.number(),
            active: epoch.is_active(),
            created_at: epoch.created_at().to_datetime(),
            sealed_records: epoch.uses(),
        });
        let others = store.count(Table::Session) + store.count(Table::Replay) + self.expiring_keys()?;
        Ok(Stats {
            generic_tokens: store.count(Table::Generic),
            pci_tokens: store.count(Table::Pci),
            payload_types: store.count(Table::Type),
            sessions: store.count(Table::Session),
            // Sessions, entries of idempotency keys and some API keys expire too, and have a row each.
            expiring_tokens: store.count(Table::Expiry).saturating_sub(others),
            key_epochs: epochs.collect(),
            bytes_on_disk: store.bytes_on_disk,
        })
    }

    /// How many API keys there are that expire.
    fn expiring_keys(&self) -> Result<u64, Error> {
        let (mut count, mut from) = (0, Vec::new());
        loop {
            let keys = self.store.scan(Table::ApiKey, &from, &BEHIND_EVERY_ID, BATCH)?;
            let Some((last, _)) = keys.last() else { return Ok(count) };
            from = behind(id_of(last)?);
            for (_, mut record) in keys {
                let header = Parts::of(&mut record).map(|parts| parts.header);
                count += u64::from(header.is_ok_and(|header| header.expires_at.is_some()));
            }
        }
    }
}
