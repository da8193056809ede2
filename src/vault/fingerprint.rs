//! Fingerprints: keyed hashes of account numbers, by which the tokens of a card are found without a look at any number.
//!
//! A fingerprint is an HMAC-SHA256 of the whole number under a key of its own, as PCI DSS 3.5.1.1 asks of a hash of it. It
//! stands in the sealed view of its token and as a row that leads there; both come and go in one commit with the token.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use uuid::Uuid;

use crate::access::Operation;
use crate::card::Pan;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Rule};
use crate::id::TokenId;
use crate::record::{Fingerprint, Header, Kind, Stage, StageParts};
use crate::seal::{HASH, same_hash};
use crate::store::{Batch, Committed, Condition, Table};
use crate::vault::caller::{About, Caller};
use crate::vault::listing::BEHIND_EVERY_ID;
use crate::vault::standing::{Standing, Viewed, damaged};
use crate::vault::{Authority, Shared, Vault};

/// Rows of a card that are read at a time.
const PAGE: usize = 256;

/// Whether a vault keeps fingerprints of account numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fingerprints {
    /// It keeps none. The default of a new vault.
    #[default]
    Off,
    /// It keeps one for each card, so that tokens are found by account number.
    On,
}

/// How far the fingerprints of a vault are, and the row that says so.
pub(super) struct Reached {
    pub(super) stage: Stage,
    row: Option<Vec<u8>>,
}

/// What an open vault knows of its fingerprints without a look at the store.
pub(super) struct Index {
    /// The stage that they have reached.
    reached: AtomicU8,
    /// Whether the card that was last asked for had a token.
    was_known: AtomicBool,
}

impl Default for Index {
    /// No fingerprints.
    fn default() -> Self {
        Self { reached: AtomicU8::new(Stage::Off.as_byte()), was_known: AtomicBool::new(false) }
    }
}

impl Index {
    pub(super) fn reach(&self, stage: Stage) {
        self.reached.store(stage.as_byte(), Ordering::Release);
    }

    fn is(&self, stage: Stage) -> bool {
        self.reached.load(Ordering::Acquire) == stage.as_byte()
    }

    /// Whether the next card is more likely to have a token than not: cards come in runs, of new ones or of known ones.
    pub(super) fn expects_known(&self) -> bool {
        self.was_known.load(Ordering::Relaxed)
    }

    pub(super) fn learn(&self, was_known: bool) {
        self.was_known.store(was_known, Ordering::Relaxed);
    }
}

impl<A: Authority> Vault<A> {
    /// The live tokens of a card, told by its whole account number: the oldest first, and of those of one millisecond the one
    /// with the smallest id.
    ///
    /// With the mask in hand, this tells which of 100,000 numbers a token stands for: whoever may do it might as well reveal.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$`: the vault keeps no fingerprints, or not yet of every token; see
    /// [`Vault::index_fingerprints`]. `CONFLICT`: a token was being changed each time that it was looked at. `CORRUPT`,
    /// `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, Fingerprints, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// let vault = VaultOptions::new()
    ///     .fingerprints(Fingerprints::On)
    ///     .open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// assert_eq!(vault.find_by_account_number(&Pan::parse("4111111111111111")?)?, [token.id]);
    /// assert_eq!(vault.find_by_account_number(&Pan::parse("4242424242424242")?)?, []);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn find_by_account_number(&self, account_number: &Pan) -> Result<Vec<TokenId>, Error> {
        self.caller().perform(Operation::FindByAccountNumber, About::Nothing, |caller| caller.find(account_number))
    }
}

impl Caller<'_> {
    fn find(&self, account_number: &Pan) -> Result<Vec<TokenId>, Error> {
        self.check_indexed("$")?;
        let (reading, owner) = (self.watch.read(), Some(self.owner()).filter(|owner| *owner != 0));
        let mut live = Vec::new();
        for fingerprint in self.fingerprints(account_number) {
            self.walk_card::<()>(range(&fingerprint, owner), &fingerprint, PAGE, |Standing { viewed, .. }| {
                if reading.is_gone(&viewed.header) {
                    self.watch.mark(&reading, &viewed.header);
                } else {
                    live.push(age(&viewed));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        // Those under each key are in order.
        live.sort_unstable();
        Ok(live.into_iter().map(|(_, id)| id.into()).collect())
    }
}

impl Shared {
    /// Refuses unless every token has its fingerprint.
    pub(super) fn check_indexed(&self, path: &str) -> Result<(), Error> {
        self.check_open()?;
        if self.index.is(Stage::Complete) {
            Ok(())
        } else if self.index.is(Stage::Off) {
            Err(Rule("the vault keeps no fingerprints: open it with them").at(path))
        } else {
            Err(Rule("the fingerprints are not complete: index them first").at(path))
        }
    }

    /// The fingerprint that a token of this number gets; none if the vault keeps none.
    pub(super) fn fingerprint(&self, digits: &[u8]) -> Option<Fingerprint> {
        if self.index.is(Stage::Off) {
            return None;
        }
        let key = self.keys.index().first()?;
        Some(Fingerprint { key: key.number(), hash: key.fingerprint(digits) })
    }

    /// Every fingerprint that a token of this number may have, that of a new one first.
    pub(super) fn fingerprints(&self, pan: &Pan) -> Vec<Fingerprint> {
        // Fed to keyed hashes from the block in which it stands.
        let digits = pan.expose();
        let keys = self.keys.index().iter();
        keys.map(|key| Fingerprint { key: key.number(), hash: key.fingerprint(digits) }).collect()
    }

    /// The oldest live token of a card and an owner. Those before it that have expired are removed, since they are in the way of a new one.
    pub(super) fn oldest_of_card(&self, fingerprints: &[Fingerprint], owner: u32) -> Result<Option<Standing>, Error> {
        let reading = self.watch.read();
        let mut oldest: Option<Standing> = None;
        for fingerprint in fingerprints {
            let found = self.walk_card(range(fingerprint, Some(owner)), fingerprint, 1, |token| {
                let Viewed { id, header, .. } = &token.viewed;
                if !reading.is_gone(header) {
                    return Ok(ControlFlow::Break(token));
                }
                if !reading.may_remove(header) {
                    // With the clock put right it may be there again, and then there would be two.
                    return Err(Error::conflict("a token of the card has expired only by a leap of the clock"));
                }
                // Reading it removes it; if it lives again by now, the commit is refused and planned anew.
                self.any_live(Kind::Pci, *id).map(drop).or_else(unless_gone)?;
                Ok(ControlFlow::Continue(()))
            })?;
            oldest = oldest.into_iter().chain(found).min_by_key(|token| age(&token.viewed));
        }
        Ok(oldest)
    }

    /// Hands out the tokens to which the rows of a fingerprint in a range lead, expired ones included, the oldest first, until `each` breaks. So many
    /// are looked for at first.
    fn walk_card<T>(
        &self,
        (mut from, to): (Vec<u8>, Vec<u8>),
        fingerprint: &Fingerprint,
        mut wanted: usize,
        mut each: impl FnMut(Standing) -> Result<ControlFlow<T>, Error>,
    ) -> Result<Option<T>, Error> {
        loop {
            let rows = self.store.scan(Table::Fingerprint, &from, &to, wanted)?;
            let were_all = rows.len() < wanted;
            for (row, _) in rows {
                if let Some(token) = self.token_of(fingerprint, &row)?
                    && let ControlFlow::Break(found) = each(token)?
                {
                    return Ok(Some(found));
                }
                from = [row.as_slice(), &[0]].concat();
            }
            if were_all {
                return Ok(None);
            }
            wanted = PAGE;
        }
    }

    /// The token that a row leads to; none if it has gone, or is no longer of that card. A token that does not have this
    /// fingerprint itself is never taken for one of the card.
    fn token_of(&self, fingerprint: &Fingerprint, row: &[u8]) -> Result<Option<Standing>, Error> {
        let id = row.last_chunk().copied().map(Uuid::from_bytes).filter(|_| row.len() == ROW);
        let id = id.ok_or_else(|| Error::corrupt("a row of the fingerprints names no token"))?;
        self.until_settled(|| {
            let Some(record) = self.store.get(Table::Pci, id.as_bytes())? else {
                self.drop_row(row, id)?;
                return Ok(Some(None));
            };
            let token = self.open_standing(Kind::Pci, id, record)?;
            let is_of_card = |own: &Fingerprint| own.key == fingerprint.key && same_hash(&own.hash, &fingerprint.hash);
            let is_its_row = fingerprint_key(fingerprint, &token.viewed.header, id) == row;
            if is_its_row && token.viewed.fingerprint().as_ref().is_some_and(is_of_card) {
                return Ok(Some(Some(token)));
            }
            // Changed since the row was read, then that is gone; or else the row was put there by somebody else.
            if self.store.get(Table::Fingerprint, row)?.is_none() {
                return Ok(Some(None));
            }
            let is_as_read = self.store.get(Table::Pci, id.as_bytes())?.is_some_and(|again| again == token.record);
            if is_as_read { Err(damaged(id)) } else { Ok(None) }
        })
    }

    /// Removes a row that leads to no token, unless there is one after all.
    fn drop_row(&self, row: &[u8], id: Uuid) -> Result<(), Error> {
        let batch = Batch::new().require_absent(Table::Pci, *id.as_bytes()).remove(Table::Fingerprint, row);
        self.store.commit(batch).map(|_| ())
    }

    /// How far the fingerprints are, as the vault wrote it.
    pub(super) fn reached(&self) -> Result<Reached, Error> {
        let Some(row) = self.store.get(Table::State, Stage::NAME)? else {
            return Ok(Reached { stage: Stage::Off, row: None });
        };
        let forged = || Error::corrupt("the state of the fingerprints fails authentication");
        let StageParts { stage, key, says, proof } = StageParts::of(&row).map_err(|_| forged())?;
        let key = self.keys.index().iter().find(|index| index.number() == key).ok_or_else(forged)?;
        let is_proved = same_hash(&key.state_proof(Stage::NAME, says), proof);
        if is_proved { Ok(Reached { stage, row: Some(row) }) } else { Err(forged()) }
    }

    /// Adds that the fingerprints are so far, on condition that nobody else has changed that meanwhile.
    pub(super) fn put_stage(&self, from: Reached, to: Stage, batch: Batch) -> Result<Batch, Error> {
        let key = self.keys.active_index()?;
        // The row itself: it may be proved by an earlier key.
        let batch = match from.row {
            None => batch.require_absent(Table::State, Stage::NAME),
            Some(row) => batch.require_value(Table::State, Stage::NAME, row),
        };
        let row = to.encode(key.number(), |says| key.state_proof(Stage::NAME, says));
        Ok(batch.put(Table::State, Stage::NAME, row))
    }

    /// Does what is wanted about the fingerprints, and learns how far they are.
    pub(super) fn resume_fingerprints(&self, wanted: Option<Fingerprints>) -> Result<(), Error> {
        let stage = match (self.reached()?.stage, wanted) {
            (Stage::Off, Some(Fingerprints::On)) => self.begin_fingerprints()?,
            (stage @ Stage::Off, _) | (stage, None | Some(Fingerprints::On)) => stage,
            (_, Some(Fingerprints::Off)) => return Err(Rule("the vault keeps fingerprints").at("$.fingerprints")),
        };
        self.index.reach(stage);
        Ok(())
    }

    /// Begins to keep fingerprints, and says how far they are: complete where there is no card yet.
    fn begin_fingerprints(&self) -> Result<Stage, Error> {
        let none = Batch::new().require_empty(Table::Pci, [], BEHIND_EVERY_ID);
        for (stage, batch) in [(Stage::Complete, none), (Stage::BEGUN, Batch::new())] {
            let off = Reached { stage: Stage::Off, row: None };
            if self.store.commit(self.put_stage(off, stage, batch)?)? == Committed::Applied {
                return Ok(stage);
            }
        }
        Ok(self.reached()?.stage)
    }
}

/// Bytes of a row: number of the key, keyed hash, owner, creation, id of the token.
const ROW: usize = PREFIX + 8 + 16;
/// Bytes of a row that are the same for all tokens of a card and an owner.
const PREFIX: usize = 4 + HASH + 4;

/// Orders the tokens of a card.
fn age(token: &Viewed) -> (Timestamp, Uuid) {
    (token.header.created_at, token.id)
}

fn unless_gone(error: Error) -> Result<(), Error> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// That there is no row of the same card and owner as this one.
pub(super) fn others_of_card(row: &[u8]) -> Condition {
    let from = row.get(..PREFIX).unwrap_or(row);
    Condition::EmptyRange(Table::Fingerprint, from.to_vec(), behind(from))
}

/// That no token of an owner has one of these fingerprints.
pub(super) fn no_token_of(fingerprints: &[Fingerprint], owner: u32) -> Batch {
    fingerprints.iter().fold(Batch::new(), |batch, fingerprint| {
        let (from, to) = range(fingerprint, Some(owner));
        batch.require_empty(Table::Fingerprint, from, to)
    })
}

/// The row that leads from a fingerprint to a token: the oldest of an owner comes first.
pub(super) fn fingerprint_key(fingerprint: &Fingerprint, header: &Header, id: Uuid) -> Vec<u8> {
    let mut row = prefix(fingerprint, Some(header.owner));
    row.extend_from_slice(&header.created_at.as_millis().to_be_bytes());
    row.extend_from_slice(id.as_bytes());
    row
}

/// From the first row of a fingerprint and an owner, or any owner, up to behind the last.
fn range(fingerprint: &Fingerprint, owner: Option<u32>) -> (Vec<u8>, Vec<u8>) {
    let from = prefix(fingerprint, owner);
    // Behind the last instant of the last owner, too.
    let to = if owner.is_some() { behind(&from) } else { [from.as_slice(), &[0xff; 5]].concat() };
    (from, to)
}

/// Behind the last row of an owner, which begins so.
fn behind(prefix: &[u8]) -> Vec<u8> {
    // No instant begins with this byte.
    [prefix, &[0xff]].concat()
}

fn prefix(fingerprint: &Fingerprint, owner: Option<u32>) -> Vec<u8> {
    let mut row = Vec::with_capacity(ROW);
    row.extend_from_slice(&fingerprint.key.to_be_bytes());
    row.extend_from_slice(&fingerprint.hash);
    row.extend(owner.iter().flat_map(|owner| owner.to_be_bytes()));
    row
}
