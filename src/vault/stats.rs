//! What the vault says of itself.

use crate::error::Error;
use crate::response::{KeyEpoch, Stats};
use crate::store::{Maintenance, Table};
use crate::vault::Vault;

impl Vault {
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
        self.shared().check_open()?;
        let store = self.shared().store.maintain(Maintenance::Stats)?;
        let epochs = self.shared().keys.epochs().iter().map(|epoch| KeyEpoch {
            epoch: epoch.number(),
            active: epoch.is_active(),
            created_at: epoch.created_at().to_datetime(),
            sealed_records: epoch.uses(),
        });
        let others = store.count(Table::Session) + store.count(Table::Replay);
        Ok(Stats {
            generic_tokens: store.count(Table::Generic),
            pci_tokens: store.count(Table::Pci),
            payload_types: store.count(Table::Type),
            sessions: store.count(Table::Session),
            // Sessions and entries of idempotency keys all expire, and have a row each.
            expiring_tokens: store.count(Table::Expiry).saturating_sub(others),
            key_epochs: epochs.collect(),
            bytes_on_disk: store.bytes_on_disk,
        })
    }
}
