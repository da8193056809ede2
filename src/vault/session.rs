//! Sessions: somebody else hands in the card, or a new security code, and the vault tells what became of it.

use uuid::Uuid;

use crate::access::Operation;
use crate::clock::Timestamp;
use crate::duplicates::Duplicates;
use crate::error::{Error, Rule};
use crate::id::{SessionId, TokenId};
use crate::record::{self, Awaited, Draft, Header, Kind, Session};
use crate::request::{CompleteSecurityCode, CompleteSession, Extras};
use crate::response::{PciToken, SessionStatus, SessionView};
use crate::store::Batch;
use crate::vault::caller::{About, Caller};
use crate::vault::card::CardCreation;
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::replay::Keyed;
use crate::vault::sealed::Sealed;
use crate::vault::security_code::{CardTag, HandedCode};
use crate::vault::standing::{Standing, Viewed, damaged};
use crate::vault::{Authority, Vault};

impl<A: Authority> Vault<A> {
    /// What became of a session, until its lifetime ends: a lost answer costs nothing.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is none, its lifetime has ended, or the token whose security code it waits for is gone. `CORRUPT`,
    /// `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreatePci, KeyManager, PciCreated, SessionStatus, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let PciCreated::Session(opened) = vault.create_pci(CreatePci::session())? else { unreachable!("it asks for a session") };
    /// let session = vault.session(opened.session_id)?;
    /// assert_eq!((session.status, session.token_id), (SessionStatus::Open, None));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn session(&self, id: SessionId) -> Result<SessionView, Error> {
        self.caller().perform(Operation::ViewSession, About::Id(&id), |caller| {
            let Found { session, .. } = caller.find_session(id)?;
            Ok(SessionView {
                status: if session.completed { SessionStatus::Completed } else { SessionStatus::Open },
                token_id: session.token.map(TokenId::from),
            })
        })
    }

    /// Makes the token that a session was opened for, with the metadata and the lifetime that were given then; the lifetime
    /// counts from now. It works once: of two that try at the same time one makes the token.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such session, or its lifetime has ended. `VALIDATION_ERROR` at `$.session_id`: it waits for a
    /// security code. `CONFLICT`: it was used before; [`Vault::session`] names the token; or as [`Vault::create_pci`] says of
    /// idempotency keys. Otherwise as [`Vault::create_pci`].
    /// Whatever is refused does not use the session.
    ///
    /// ```
    /// # use tokenvault::{CompleteSession, CreatePci, KeyManager, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let request = CreatePci::from_json(br#"{"source":{"type":"session"},"expires_in":3600}"#)?;
    /// let PciCreated::Session(opened) = vault.create_pci(request)? else { unreachable!("it asks for a session") };
    ///
    /// let card = br#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}"#;
    /// let token = vault.complete_session(opened.session_id, CompleteSession::from_json(card)?)?;
    /// assert_eq!(vault.session(opened.session_id)?.token_id, Some(token.id));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn complete_session(&self, id: SessionId, request: impl Into<CompleteSession>) -> Result<PciToken, Error> {
        let CompleteSession { source, idempotency } = request.into();
        self.caller().perform(Operation::CompleteSession, About::Id(&id), |caller| {
            caller.demands().source("$", &source).finish()?;
            let claim = caller.claim(Keyed::CompleteSession, idempotency, &(id, &source));
            let card = CardCreation::of(caller, source)?;
            caller.create(claim, Completion { session: id, card })
        })
    }

    /// Opens a session that takes a new security code for a token, which takes the place of the one that it may have. The
    /// session dies with the token. It is the token's, whatever card that stands for by the time the code is handed in.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such token, it was deleted, or it has expired. `CONFLICT`, `CORRUPT`,
    /// `STORE_FAILURE`, `KEY_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan, SecurityCode};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let session_id = vault.refresh_security_code(token.id)?;
    /// vault.complete_security_code(session_id, SecurityCode::parse("123")?)?;
    /// assert!(vault.security_code_available(token.id)?);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn refresh_security_code(&self, id: TokenId) -> Result<SessionId, Error> {
        self.caller().perform(Operation::RefreshSecurityCode, About::Id(&id), |caller| {
            caller.create(None, Refresh { token: id })
        })
    }

    /// Hands in the security code that a session of [`Vault::refresh_security_code`] waits for, in the place of the one that
    /// the token may have. It works once.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such session, its lifetime has ended, or the token is gone. `VALIDATION_ERROR` at
    /// `$.session_id`: it waits for a card. `CONFLICT`: it was used before, or the token was changed each time that this was
    /// tried, or as [`CompleteSecurityCode::idempotency_key`] says. `UNAVAILABLE`: no memory can be locked for the code, and the
    /// session stays open; or the token was changed at this very moment; or the vault is closed, or the outcome is unknown until
    /// it is reopened. `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan, SecurityCode};
    /// # use tokenvault::{CreatePci, ErrorKind, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let session_id = vault.refresh_security_code(token.id)?;
    /// vault.complete_security_code(session_id, SecurityCode::parse("123")?)?;
    /// let again = vault.complete_security_code(session_id, SecurityCode::parse("123")?);
    /// assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn complete_security_code(&self, id: SessionId, request: impl Into<CompleteSecurityCode>) -> Result<(), Error> {
        let CompleteSecurityCode { code, idempotency } = request.into();
        self.caller().perform(Operation::CompleteSecurityCode, About::Id(&id), |caller| {
            let claim = caller.claim(Keyed::CompleteSecurityCode, idempotency, &id);
            let code = caller.hand_in(code);
            caller.create(claim, Refreshed { session: id, code, card: None })
        })
    }
}

/// The token to be of a session that waits for a card.
struct Completion {
    session: SessionId,
    card: CardCreation,
}

impl Creation for Completion {
    type Answer = PciToken;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        let mut found = caller.find_session_for(self.session, Awaited::Card)?;
        if found.session.completed {
            return Err(used());
        }
        let (extras, duplicates) = found.take_wishes();
        caller.require_for(duplicates)?;
        self.card.take_over_from(found.standing.viewed.header.owner, extras, duplicates);
        let Plan { deed, beside, .. } = self.card.plan(caller)?;
        let beside = caller.completion(found, deed.id())?.join(beside);
        Ok(Plan { deed, beside, completes: Some(self.session) })
    }

    fn made(self, caller: &Caller<'_>, id: Uuid, header: &Header) -> Result<PciToken, Error> {
        self.card.made(caller, id, header)
    }

    fn found(self, caller: &Caller<'_>, viewed: &Viewed) -> Result<PciToken, Error> {
        self.card.found(caller, viewed)
    }
}

/// A session to be that waits for the security code of a token.
struct Refresh {
    token: TokenId,
}

impl Creation for Refresh {
    type Answer = SessionId;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        let token = caller.viewed(Kind::Pci, self.token.into())?;
        let session = Session {
            awaited: Awaited::SecurityCode,
            completed: false,
            token: Some(token.id),
            lifetime: None,
            metadata: None,
            duplicates: Duplicates::Allow,
        };
        let sealed = caller.seal_session(&session, token.header.expires_at)?;
        Ok(Plan::of(Deed::Make(sealed), Batch::new()))
    }

    fn made(self, _: &Caller<'_>, id: Uuid, _: &Header) -> Result<SessionId, Error> {
        Ok(id.into())
    }

    fn found(self, _: &Caller<'_>, viewed: &Viewed) -> Result<SessionId, Error> {
        Ok(viewed.id.into())
    }
}

/// The completion of a session with a security code.
struct Refreshed {
    session: SessionId,
    code: HandedCode,
    /// That of the token.
    card: Option<CardTag>,
}

impl Creation for Refreshed {
    type Answer = ();

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        let mut found = caller.find_session_for(self.session, Awaited::SecurityCode)?;
        if found.session.completed {
            return Err(used());
        }
        let token = found.token.take().ok_or_else(|| damaged(self.session.into()))?;
        if !self.code.is_there() {
            caller.code_not_kept(token.viewed.id.into());
            return Err(not_kept());
        }
        self.card = token.tag(caller);
        let beside = caller.completion(found, token.viewed.id)?;
        Ok(Plan { deed: Deed::Stand(token), beside, completes: Some(self.session) })
    }

    /// Nothing is: the token stands.
    fn made(self, _: &Caller<'_>, _: Uuid, _: &Header) -> Result<(), Error> {
        Ok(())
    }

    /// A code that comes again takes the place of the first: it is not part of what is compared.
    fn found(self, caller: &Caller<'_>, viewed: &Viewed) -> Result<(), Error> {
        let token = || caller.standing(Kind::Pci, viewed.id).map(|token| token.tag(caller));
        let card = self.card.map_or_else(token, |card| Ok(Some(card)))?.ok_or_else(|| damaged(viewed.id))?;
        let is_kept = caller.keep_code(viewed.id.into(), &viewed.header, card, self.code);
        if is_kept { Ok(()) } else { caller.viewed(Kind::Pci, viewed.id).and(Err(not_kept())) }
    }
}

/// A session that is there, and the records that say so.
struct Found {
    session: Session,
    standing: Standing,
    /// That whose security code the session is about.
    token: Option<Standing>,
}

impl Found {
    /// What the token is given, and a completed session need not hold any more.
    fn take_wishes(&mut self) -> (Extras, Duplicates) {
        let Session { metadata, lifetime, duplicates, .. } = &mut self.session;
        let extras = Extras { metadata: metadata.take(), lifetime: lifetime.take(), idempotency: None };
        (extras, std::mem::take(duplicates))
    }
}

impl Caller<'_> {
    /// A session that is there, and, if it is about the security code of a token, that token too: without it there is none.
    fn find_session(&self, id: SessionId) -> Result<Found, Error> {
        let standing = self.standing(Kind::Session, id.into())?;
        let session = record::session_view(&standing.viewed.view).map_err(|_| damaged(id.into()))?;
        let about = session.token.filter(|_| session.awaited == Awaited::SecurityCode);
        let token = about.map(|token| self.standing(Kind::Pci, token)).transpose()?;
        Ok(Found { session, standing, token })
    }

    /// A session that waits for this, or did.
    fn find_session_for(&self, id: SessionId, awaited: Awaited) -> Result<Found, Error> {
        let found = self.find_session(id)?;
        match found.session.awaited {
            other if other == awaited => Ok(found),
            Awaited::Card => Err(Rule("the session waits for a card").at("$.session_id")),
            Awaited::SecurityCode => Err(Rule("the session waits for a security code").at("$.session_id")),
        }
    }

    /// Seals a new session, which lives as long as sessions do, and not beyond `end`.
    pub(super) fn seal_session(&self, session: &Session, end: Option<Timestamp>) -> Result<Sealed, Error> {
        let created_at = self.now();
        let expires_at = created_at.plus(self.policy.lifetimes.session);
        let expires_at = Some(end.map_or(expires_at, |end| end.min(expires_at)));
        self.seal_as(None, Header::first(Kind::Session, created_at, expires_at).owned_by(self.owner()), |header| {
            Draft::session(header, session)
        })
    }

    /// What must be written for a session to be completed, if it still stands as it was found.
    fn completion(&self, found: Found, token: Uuid) -> Result<Batch, Error> {
        let Found { session, standing, .. } = found;
        let session = Session { completed: true, token: Some(token), ..session };
        let expires_at = standing.viewed.header.expires_at;
        let mut sealed = standing.reseal(self, expires_at, |header| Draft::session(header, &session))?;
        Ok(sealed.put_in_place_of(standing, Batch::new()))
    }
}

/// A session that waits for a card.
pub(super) fn to_be(extras: Extras, duplicates: Duplicates) -> Session {
    let Extras { metadata, lifetime, .. } = extras;
    Session { awaited: Awaited::Card, completed: false, token: None, lifetime, metadata, duplicates }
}

fn used() -> Error {
    Error::conflict("the session was used before")
}

fn not_kept() -> Error {
    Error::unavailable(
        "the security code is not kept: no memory can be locked for it, or its token has just been changed",
    )
}
