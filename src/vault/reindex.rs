//! Gives fingerprints to tokens that were made before the vault kept any.

use std::ops::ControlFlow;

use uuid::Uuid;

use crate::access::Operation;
use crate::error::{Error, Rule};
use crate::record::{self, Card, Draft, Header, Kind, Stage};
use crate::response::IndexReport;
use crate::store::{Batch, Table};
use crate::vault::caller::About;
use crate::vault::listing::{BEHIND_EVERY_ID, behind, id_of};
use crate::vault::sealed::{COMMIT_BYTES, Sealed};
use crate::vault::standing::{Standing, Viewed, damaged};
use crate::vault::{Shared, Vault};

/// At most so many tokens in one commit.
const BATCH: usize = 256;

impl Vault {
    /// Gives a fingerprint to every token that was made before the vault kept any, in bounded batches. It goes on where the
    /// last one stopped, for whatever reason; tokens can be made, changed and deleted meanwhile. Where nothing is left to do
    /// it does nothing.
    ///
    /// A token that fails authentication gets none; it counts as remaining, and reading it answers `CORRUPT`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.fingerprints`: the vault was not opened with [`Fingerprints::On`](crate::Fingerprints::On) and
    /// keeps none. `CONFLICT`: tokens were changed each time that this was tried. `KEY_FAILURE`, `STORE_FAILURE`, `CORRUPT` (of
    /// the store, or of how far it had come), `UNAVAILABLE`; what was done by then stays done.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, Fingerprints, KeyManager, PanSource, PciCreated, Vault, VaultOptions};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("cards.vault");
    /// # let keys = || KeyManager::from_key(&mut [7; 32]);
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let vault = Vault::create(&path, keys())?;
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// # vault.close()?;
    /// let vault = VaultOptions::new().fingerprints(Fingerprints::On).open(&path, keys())?;
    /// assert_eq!(vault.index_fingerprints()?.indexed, 1);
    /// assert_eq!(vault.find_by_account_number(&Pan::parse("4111111111111111")?)?, [token.id]);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn index_fingerprints(&self) -> Result<IndexReport, Error> {
        self.index_fingerprints_with(|_| {})
    }

    /// As [`Vault::index_fingerprints`], and tells `progress` after each batch what has been done so far.
    ///
    /// # Errors
    /// As [`Vault::index_fingerprints`].
    pub fn index_fingerprints_with(&self, progress: impl FnMut(&IndexReport)) -> Result<IndexReport, Error> {
        self.caller()
            .perform(Operation::IndexFingerprints, About::Nothing, |caller| caller.index_fingerprints(progress))
    }
}

impl Shared {
    fn index_fingerprints(&self, mut progress: impl FnMut(&IndexReport)) -> Result<IndexReport, Error> {
        let (mut report, mut most) = (IndexReport::default(), BATCH);
        while let ControlFlow::Continue(done) = self.until_settled(|| self.index_batch(&mut most))? {
            report.add(done);
            progress(&report);
        }
        self.index.reach(Stage::Complete);
        Ok(report)
    }

    /// Gives fingerprints to the next tokens, `most` at most, and keeps how far that is; breaks where none is left. Nothing if
    /// one of them, or how far it is, was changed meanwhile: of fewer, fewer are.
    fn index_batch(&self, most: &mut usize) -> Result<Option<ControlFlow<(), IndexReport>>, Error> {
        let reached = self.reached()?;
        let from = match reached.stage {
            Stage::Off => {
                return Err(Rule("the vault keeps no fingerprints: open it with them").at("$.fingerprints"));
            }
            Stage::Indexing { up_to } => up_to,
            Stage::Complete => return Ok(Some(ControlFlow::Break(()))),
        };
        let (batch, stage, done) = self.fingerprint_behind(from, *most)?;
        let done = self.commit_for(self.put_stage(reached, stage, batch)?, ControlFlow::Continue(done))?;
        *most = if done.is_some() { (*most * 2).min(BATCH) } else { (*most / 2).max(1) };
        Ok(done)
    }

    /// What gives fingerprints to the tokens behind an id, how far they are with it, and what that has done.
    fn fingerprint_behind(&self, up_to: Uuid, most: usize) -> Result<(Batch, Stage, IndexReport), Error> {
        let records = self.store.scan(Table::Pci, &behind(up_to), &BEHIND_EVERY_ID, most)?;
        let (mut left, mut bytes, mut up_to) = (records.len(), 0, up_to);
        let were_all = left < most;
        let (mut batch, mut done) = (Batch::new(), IndexReport::default());
        for (key, record) in records {
            (left, bytes) = (left - 1, bytes + record.len());
            up_to = id_of(&key)?;
            match self.open_card_of(up_to, record) {
                Ok((token, _)) if self.has_fingerprint(&token.viewed) => done.already += 1,
                Ok((token, card)) => {
                    batch = self.fingerprinted(&token.viewed, &card)?.put_in_place_of(token, batch);
                    done.indexed += 1;
                }
                Err(_) => done.remaining += 1,
            }
            if bytes >= COMMIT_BYTES {
                break;
            }
        }
        let reached = if were_all && left == 0 { Stage::Complete } else { Stage::Indexing { up_to } };
        Ok((batch, reached, done))
    }

    /// A token with its card opened. That it opens is not damaged, whether it has expired or not.
    fn open_card_of(&self, id: Uuid, record: Vec<u8>) -> Result<(Standing, Card), Error> {
        let token = self.open_standing(Kind::Pci, id, record)?;
        let card = record::card(token.open_secret(self)?).map_err(|_| damaged(id))?;
        Ok((token, card))
    }

    /// Whether a token has a fingerprint under a key that is still there.
    fn has_fingerprint(&self, token: &Viewed) -> bool {
        let own = token.fingerprint();
        own.is_some_and(|own| self.keys.index().iter().any(|key| key.number() == own.key))
    }

    /// The same token with its fingerprint: nothing has changed that its owner sees, nor its revision.
    fn fingerprinted(&self, token: &Viewed, card: &Card) -> Result<Sealed, Error> {
        let fingerprint = self.fingerprint(card.account_number().as_bytes());
        let fingerprint = fingerprint.ok_or_else(|| Error::key_failure("the key ring has no active index key"))?;
        let draft = |header: &Header| Draft::with_fingerprint(header, &token.view, &fingerprint, card);
        self.seal_as(Some(token.id), token.header, draft)
    }
}
