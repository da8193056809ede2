//! Security codes: kept in this process alone, in locked memory, until they are used, deleted, or lapse.

mod board;
mod code;

pub(super) use self::board::{Board, CardTag};
pub(super) use self::code::LockedCode;

use std::time::Instant;

use uuid::Uuid;

use self::board::{Found, Held, steady};
use crate::access::Operation;
use crate::card::SecurityCode;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TokenId;
use crate::record::{self, Header, Kind, Parts};
use crate::response::EventReason;
use crate::store::Table;
use crate::vault::caller::{About, Caller};
use crate::vault::event::Change;
use crate::vault::standing::{Standing, Viewed};
use crate::vault::watch::Reading;
use crate::vault::{Authority, Shared, Vault};

impl<A: Authority> Vault<A> {
    /// Whether the vault holds a security code for a token. After a restart it holds none.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such token, it was deleted, or it has expired. `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// assert!(!vault.security_code_available(token.id)?, "none was handed in");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn security_code_available(&self, id: TokenId) -> Result<bool, Error> {
        self.caller().perform(Operation::SecurityCodeAvailable, About::Id(&id), |caller| {
            caller.viewed(Kind::Pci, id.into())?;
            Ok(caller.has_code(id, None))
        })
    }

    /// Lends the security code of a token once: it is wiped when `lend` returns or panics, whatever that answers. Of two that
    /// ask at the same time one gets it.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such token, or no code for it: none was handed in, or it was used, deleted, not kept, or has
    /// lapsed. `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`. `lend` is then not called.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # fn authorize(security_code: &str) -> bool { security_code.len() == 3 }
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?).security_code("123")?;
    /// let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// if vault.security_code_available(token.id)? {
    ///     assert!(vault.use_security_code(token.id, |code| authorize(code))?);
    /// }
    /// assert!(vault.use_security_code(token.id, |code| authorize(code)).is_err(), "it is lent once");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn use_security_code<R>(&self, id: TokenId, lend: impl FnOnce(&str) -> R) -> Result<R, Error> {
        let code = self.caller().lend(Operation::UseSecurityCode, &id, |caller| caller.take_code(id))?;
        // Lent from its slot, which is wiped when the loan ends.
        code.expose().map(lend).ok_or_else(Error::not_found)
    }

    /// As [`Vault::use_security_code`], for code that awaits while it has the code, so that it need not copy it out. A future
    /// that is dropped on the way has used the code.
    ///
    /// # Errors
    /// As [`Vault::use_security_code`].
    ///
    /// ```
    /// # use tokenvault::{Error, TokenId, Vault};
    /// # async fn send(security_code: &str) -> bool { !security_code.is_empty() }
    /// async fn authorize(vault: &Vault, id: TokenId) -> Result<bool, Error> {
    ///     vault.use_security_code_async(id, async |code| send(code).await).await
    /// }
    /// ```
    pub async fn use_security_code_async<R>(&self, id: TokenId, lend: impl AsyncFnOnce(&str) -> R) -> Result<R, Error> {
        let code = self.caller().lend(Operation::UseSecurityCode, &id, |caller| caller.take_code(id))?;
        // As above.
        let digits = code.expose().ok_or_else(Error::not_found)?;
        Ok(lend(digits).await)
    }

    /// Wipes the security code of a token; also the call for "authorization completed". Where there is none there is nothing to
    /// do: it may have been used or have lapsed, and what is asked for holds.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such token, it was deleted, or it has expired. `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?).security_code("123")?;
    /// let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// vault.delete_security_code(token.id)?;
    /// assert!(!vault.security_code_available(token.id)?);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn delete_security_code(&self, id: TokenId) -> Result<(), Error> {
        self.caller().perform(Operation::DeleteSecurityCode, About::Id(&id), |caller| {
            caller.viewed(Kind::Pci, id.into())?;
            caller.codes.forget(id, u32::MAX);
            Ok(())
        })
    }
}

/// A code that a vault has taken over from a request, before there is a token to keep it for.
pub(super) struct HandedCode {
    /// None where no memory can be locked for it.
    code: Option<LockedCode>,
    until: Timestamp,
    deadline: Instant,
}

impl HandedCode {
    /// Whether there is memory for it.
    pub(super) fn is_there(&self) -> bool {
        self.code.is_some()
    }
}

impl Standing {
    /// The tag of the card that a token stands for.
    pub(super) fn tag(&self, shared: &Shared) -> Option<CardTag> {
        let card = record::card(self.open_secret(shared).ok()?).ok()?;
        shared.tag(card.account_number().as_bytes()).ok()
    }
}

impl Shared {
    /// The tag of an account number, as it tells the codes of one card from those of another.
    pub(super) fn tag(&self, digits: &[u8]) -> Result<CardTag, Error> {
        Ok(CardTag(self.keys.active_index()?.fingerprint(digits)))
    }
}

impl Caller<'_> {
    /// The code of a token, which is then nobody else's.
    fn take_code(&self, id: TokenId) -> Result<LockedCode, Error> {
        self.viewed(Kind::Pci, id.into())?;
        self.claim_code(id, None).ok_or_else(Error::not_found)
    }

    /// Keeps a code that came with a card for the token that stands for it since a commit with this header, in the place of the
    /// one that it had. Answers whether it is kept.
    pub(super) fn keep_code(&self, id: TokenId, header: &Header, card: CardTag, handed: HandedCode) -> bool {
        if self.hold_code(id, header, card, handed) {
            match self.is_still_of(id, header, card) {
                Some(true) => return true,
                Some(false) => {}
                None => {
                    self.codes.forget(id, header.revision);
                    return false;
                }
            }
        }
        // Nor is an older one, which the new one was to replace.
        self.codes.forget(id, header.revision);
        self.code_not_kept(id);
        false
    }

    /// Keeps a code that came with a card for a token that stood already, unless that is another card's by now.
    pub(super) fn keep_code_again(&self, viewed: &Viewed, card: CardTag, handed: HandedCode) -> bool {
        let id = viewed.id.into();
        // One that was never changed stands for the card that it was made of.
        if viewed.header.revision == 0 {
            return self.keep_code(id, &viewed.header, card, handed);
        }
        match self.standing(Kind::Pci, viewed.id) {
            Ok(token) if token.tag(self) == Some(card) => self.keep_code(id, &token.viewed.header, card, handed),
            Ok(_) => {
                self.code_not_kept(id);
                false
            }
            Err(_) => false,
        }
    }

    /// Puts the code of another card in the place of the one that a token had; without one it has none.
    pub(super) fn replace_code(&self, id: TokenId, header: &Header, code: Option<(CardTag, HandedCode)>) {
        match code {
            Some((card, code)) => {
                self.keep_code(id, header, card, code);
            }
            None => {
                self.codes.forget(id, header.revision);
            }
        }
    }

    /// Tells that a code that was handed in is not kept: no memory could be locked for it, no thread started to take it away, or
    /// the token was changed at that moment, perhaps to stand for another card.
    pub(super) fn code_not_kept(&self, id: TokenId) {
        self.tell(Kind::Pci, id.into(), Change::CodeNotKept, EventReason::Request);
    }
}

impl Shared {
    /// Whether a token that is there has a code, of this card if one is named.
    pub(super) fn has_code(&self, id: TokenId, card: Option<CardTag>) -> bool {
        let found = self.codes.look(id, card, &self.watch.read());
        self.code_of(id, found).is_some()
    }

    /// The code of a token that is there, of this card if one is named, which is then nobody else's.
    pub(super) fn claim_code(&self, id: TokenId, card: Option<CardTag>) -> Option<LockedCode> {
        let found = self.codes.take(id, card, &self.watch.read());
        self.code_of(id, found)
    }

    fn code_of<T>(&self, id: TokenId, found: Found<T>) -> Option<T> {
        match found {
            Found::Code(code) => Some(code),
            Found::Nothing => None,
            Found::Lapsed => {
                self.code_lapsed(id, EventReason::Expiry);
                None
            }
        }
    }

    /// Takes a code over from a request: from here on it stands in locked memory, and its lifetime runs.
    pub(super) fn hand_in(&self, code: SecurityCode) -> HandedCode {
        let now = self.now();
        let until = now.plus(self.policy.lifetimes.security_code);
        HandedCode { code: LockedCode::of(code), until, deadline: steady(now, until) }
    }

    fn hold_code(&self, id: TokenId, header: &Header, card: CardTag, handed: HandedCode) -> bool {
        let HandedCode { code: Some(code), mut until, mut deadline } = handed else { return false };
        if let Some(end) = header.expires_at {
            (until, deadline) = (until.min(end), deadline.min(steady(self.now(), end)));
        }
        self.codes.put(id, Held { revision: header.revision, card, code, until, deadline })
    }

    /// Whether a token stands for a card as it did by a commit with this header: whoever has deleted it since, or replaced its
    /// card, found no code to take along. `None` if it is gone.
    fn is_still_of(&self, id: TokenId, header: &Header, card: CardTag) -> Option<bool> {
        let mut record = self.store.get(Table::Pci, Uuid::from(id).as_bytes()).ok().flatten()?;
        if Parts::of(&mut record).is_ok_and(|parts| parts.header == *header) {
            return Some(true);
        }
        // Whoever has only changed its labels or lifetime found no code to limit.
        let token = self.open_standing(Kind::Pci, id.into(), record).ok();
        let token = token.filter(|token| token.tag(self) == Some(card));
        if let Some(token) = &token {
            self.limit_code(Kind::Pci, id.into(), token.viewed.header.expires_at);
        }
        Some(token.is_some())
    }

    /// Lets the code of a record that was changed end with it, if it is of a kind that can have one.
    pub(super) fn limit_code(&self, kind: Kind, id: Uuid, expires_at: Option<Timestamp>) {
        if let (Kind::Pci, Some(expires_at)) = (kind, expires_at) {
            self.codes.limit(id.into(), self.now(), expires_at);
        }
    }

    /// Wipes the code of a record that was deleted, if it is of a kind that can have one.
    pub(super) fn forget_code(&self, kind: Kind, id: Uuid) {
        if kind == Kind::Pci {
            self.codes.forget(id.into(), u32::MAX);
        }
    }

    /// Wipes the code of a record that has expired, and with which it has lapsed.
    pub(super) fn lapse_code(&self, kind: Kind, id: Uuid, reason: EventReason) {
        if kind == Kind::Pci && self.codes.forget(id.into(), u32::MAX) {
            self.code_lapsed(id.into(), reason);
        }
    }

    /// Wipes the codes that have lapsed.
    pub(super) fn sweep_codes(&self, reading: &Reading) {
        for id in self.codes.sweep(reading) {
            self.code_lapsed(id, EventReason::Sweep);
        }
    }

    /// Tells that a code has lapsed unused, once, after it was wiped and with no lock held.
    fn code_lapsed(&self, id: TokenId, reason: EventReason) {
        self.tell(Kind::Pci, id.into(), Change::CodeLapsed, reason);
    }
}
