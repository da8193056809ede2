//! PCI tokens: tokens that stand for a payment card.

use std::fmt::Display;

use uuid::Uuid;

use crate::access::Operation;
use crate::duplicates::Duplicates;
use crate::error::Error;
use crate::id::TokenId;
use crate::record::{self, Card, CardView, Draft, Header, Kind, Session};
use crate::request::{CreatePci, Page, PanSource, Source, UpdatePci};
use crate::response::{EventReason, Listing, PciCreated, PciSession, PciToken};
use crate::store::Batch;
#[cfg(doc)]
use crate::vault::VaultOptions;
use crate::vault::caller::{About, Caller};
use crate::vault::card::{CardCreation, answer, token};
use crate::vault::change::deadline;
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::event::Change;
use crate::vault::replay::{Claim, Keyed};
use crate::vault::standing::{Viewed, damaged};
use crate::vault::{Authority, Vault, bulk, session};

/// Where the published API has them, for `links.next` and events.
pub(super) const PATH: &str = "/api/pci/tokens";

impl<A: Authority> Vault<A> {
    /// Keeps a card and gives a token for it. On return the token survives power loss.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: a number of no listed scheme, or card data, where the vault wants none, see
    /// [`VaultOptions::unlisted_schemes`] and [`VaultOptions::card_data_guard`]; at `$.duplicates`: the vault has not the
    /// fingerprints of all its cards. `CONFLICT`: as [`CreatePci::idempotency_key`] says, or others got ahead each time that this
    /// was tried; `STORE_FAILURE`, `KEY_FAILURE`: nothing was kept. `UNAVAILABLE`: the vault is closed, or the outcome is unknown
    /// until it is reopened. `CORRUPT`: the store is damaged.
    ///
    /// ```
    /// # use tokenvault::{CreatePci, KeyManager, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let request = CreatePci::from_json(
    ///     br#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}"#,
    /// )?;
    /// let PciCreated::Token(token) = vault.create_pci(request)? else { unreachable!("a pan source makes a token") };
    /// assert_eq!(token.card.masked_account_number, "411111******1111");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn create_pci(&self, request: CreatePci) -> Result<PciCreated, Error> {
        self.caller().perform(Operation::CreatePci, About::Answer(id_of), |caller| {
            let (claim, creation) = prepare(caller, request)?;
            caller.create(claim, creation)
        })
    }

    /// Keeps many cards: a result for each request, in order; one that is refused harms no other. Up to 256 requests share
    /// one sync, and their results come when it is done. Nothing happens before the first result is asked for. What a request
    /// comes to is as if those before it were done already.
    ///
    /// # Errors
    /// Each result has those of [`Vault::create_pci`], or the error that was handed in.
    ///
    /// ```
    /// # use tokenvault::{CreatePci, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let lines = [
    ///     r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2031}}"#,
    ///     r#"{"source":{"type":"pan","account_number":"4111111111111112","expiry_month":12,"expiry_year":2031}}"#,
    /// ];
    /// let requests = lines.map(|line| CreatePci::from_json(line.as_bytes()));
    /// let made: Vec<bool> = vault.create_pci_many(requests).map(|created| created.is_ok()).collect();
    /// assert_eq!(made, [true, false], "the second number fails the Luhn check");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn create_pci_many<I>(&self, requests: I) -> impl Iterator<Item = Result<PciCreated, Error>> + use<'_, A, I>
    where
        I: IntoIterator<Item = Result<CreatePci, Error>>,
    {
        bulk::create(self.caller(), Operation::CreatePci, id_of, requests.into_iter(), prepare)
    }

    /// The view of a token. The account number stays sealed.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is none, it was deleted, or it has expired. `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// assert_eq!(vault.pci(token.id)?, token);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn pci(&self, id: TokenId) -> Result<PciToken, Error> {
        self.caller().perform(Operation::ViewPci, About::Id(&id), |caller| caller.view(Kind::Pci, id.into(), answer))
    }

    /// The views of many tokens, in the order asked, each found or not. Each is looked up when it is asked for.
    ///
    /// # Errors
    /// Each result has those of [`Vault::pci`].
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let nobody = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse()?;
    /// let found: Vec<bool> = vault.pci_many([token.id, nobody]).map(|view| view.is_ok()).collect();
    /// assert_eq!(found, [true, false]);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn pci_many<I>(&self, ids: I) -> impl Iterator<Item = Result<PciToken, Error>> + use<'_, A, I>
    where
        I: IntoIterator<Item = TokenId>,
    {
        ids.into_iter().map(|id| self.pci(id))
    }

    /// Lends the card to `lend`; it is wiped when that returns or panics.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`; `lend` is then not called.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # fn charge(account_number: &str, expiry: CardExpiry) -> bool { account_number.len() == 16 && expiry.month() == 12 }
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let charged = vault.reveal_pci(token.id, |card| charge(card.account_number(), card.expiry()))?;
    /// assert!(charged);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn reveal_pci<R>(&self, id: TokenId, lend: impl FnOnce(&Card) -> R) -> Result<R, Error> {
        self.caller().lend(Operation::RevealPci, &id, |caller| Ok(lend(&caller.open_card(id)?)))
    }

    /// As [`Vault::reveal_pci`], for code that awaits while it has the card, so that it need not copy the number out. The
    /// look-up itself blocks.
    ///
    /// # Errors
    /// As [`Vault::reveal_pci`].
    ///
    /// ```
    /// # use tokenvault::{Error, TokenId, Vault};
    /// # async fn send(account_number: &str) -> bool { !account_number.is_empty() }
    /// async fn pay(vault: &Vault, id: TokenId) -> Result<bool, Error> {
    ///     vault.reveal_pci_async(id, async |card| send(card.account_number()).await).await
    /// }
    /// ```
    pub async fn reveal_pci_async<R>(&self, id: TokenId, lend: impl AsyncFnOnce(&Card) -> R) -> Result<R, Error> {
        let card = self.caller().lend(Operation::RevealPci, &id, |caller| caller.open_card(id))?;
        Ok(lend(&card).await)
    }

    /// A page of the tokens, in the order of their ids: a walk over all pages misses no token that was there when it began.
    /// It costs as much as it passes over: tokens that have expired and wait for a sweep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.limit`: not 1 to 100. `CORRUPT`: the message names a damaged token; go on behind it with
    /// [`Page::after`]. `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{KeyManager, Page, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// assert!(vault.list_pci(Page::first(20))?.data.is_empty());
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn list_pci(&self, page: Page) -> Result<Listing<PciToken>, Error> {
        self.caller().perform(Operation::ListPci, About::Nothing, |caller| caller.list(Kind::Pci, PATH, page, answer))
    }

    /// Changes date, name, labels and lifetime of a token, and gives its view. A lifetime counts from now. The account number
    /// stays, sealed anew.
    ///
    /// A request that asks for nothing changes nothing; any other is a change, whatever it is to.
    ///
    /// # Errors
    /// `NOT_FOUND`; `VALIDATION_ERROR`: card data where the vault wants none. `CONFLICT`: others changed it each time that this
    /// was tried. `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`: nothing was changed. `UNAVAILABLE`: the vault is closed, or the
    /// outcome is unknown until it is reopened.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, UpdatePci, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let renewed = vault.update_pci(token.id, UpdatePci::new().expiry_year(2031)?)?;
    /// assert_eq!((renewed.card.expiry_month, renewed.card.expiry_year), (12, 2031));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a request is used up, as everywhere")]
    pub fn update_pci(&self, id: TokenId, request: UpdatePci) -> Result<PciToken, Error> {
        self.caller().perform(Operation::UpdatePci, About::Id(&id), |caller| {
            let extras = &request.extras;
            caller.demands().name("$", request.name.set()).metadata(extras.metadata.set()).finish()?;
            if request.is_empty() {
                return caller.view(Kind::Pci, id.into(), answer);
            }
            let now = caller.now();
            caller.change(Kind::Pci, id.into(), |standing| {
                let damaged = |_| damaged(id.into());
                let view = record::pci_view(&standing.viewed.view).map_err(damaged)?;
                let card = record::card(standing.open_secret(caller)?).map_err(damaged)?;
                let view = CardView {
                    expiry: request.expiry(view.expiry),
                    name: request.name.of(view.name),
                    metadata: extras.metadata.of(view.metadata),
                    ..view
                };
                let expires_at = deadline(&extras.lifetime, now, standing.viewed.header.expires_at);
                let draft = |header: &Header| Draft::pci(header, &view, card.account_number().as_bytes());
                let sealed = standing.reseal(caller, expires_at, draft)?;
                let token = token(sealed.id, &sealed.header, view);
                Ok((sealed, token))
            })
        })
    }

    /// Puts another card in the place of the one that a token stands for: number, date, name and security code are those of
    /// `source`, also where it has none. The id stays, and so do creation, labels and expiry.
    ///
    /// # Errors
    /// `NOT_FOUND`; `VALIDATION_ERROR` at `$.account_number` or `$.cardholder_name`: a number of no listed scheme, or card
    /// data, where the vault wants none. `CONFLICT`: others changed it each time that this was tried. `CORRUPT`,
    /// `STORE_FAILURE`, `KEY_FAILURE`: nothing was changed. `UNAVAILABLE`: the vault is closed, or the outcome is unknown until
    /// it is reopened.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let card = PanSource::new(Pan::parse("5555555555554444")?, CardExpiry::new(6, 2031)?);
    /// let changed = vault.replace_account_number(token.id, card)?;
    /// assert_eq!(changed.id, token.id);
    /// assert_eq!(changed.card.masked_account_number, "555555******4444");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn replace_account_number(&self, id: TokenId, mut source: PanSource) -> Result<PciToken, Error> {
        self.caller().perform(Operation::ReplaceAccountNumber, About::Id(&id), |caller| {
            // The source is the request, as where it completes a session.
            caller.demands().source("$", &source).finish()?;
            let code = caller.take_over(&mut source)?;
            let (header, token) = caller.change_unheard(Kind::Pci, id.into(), |standing| {
                let view = record::pci_view(&standing.viewed.view).map_err(|_| damaged(id.into()))?;
                let view = CardView { metadata: view.metadata, ..caller.shown(&source, source.name.clone()) };
                // Into the draft, which is sealed in place.
                let draft = |header: &Header| Draft::pci(header, &view, source.pan.expose());
                let sealed = standing.reseal(caller, standing.viewed.header.expires_at, draft)?;
                let token = token(sealed.id, &sealed.header, view);
                // Before the commit: at no time has the new card the code of the old one. If it fails, that has none.
                caller.codes.forget(id, standing.viewed.header.revision);
                Ok((sealed, token))
            })?;
            caller.replace_code(id, &header, code);
            caller.tell(Kind::Pci, id.into(), Change::Updated, EventReason::Request);
            Ok(token)
        })
    }

    /// Removes a token and every trace of it from every index. A second delete is `NOT_FOUND`.
    ///
    /// What the storage engine keeps of the sealed record in dead pages is unreadable only once its key is gone.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CONFLICT`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{ErrorKind, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let nobody = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse()?;
    /// assert_eq!(vault.delete_pci(nobody).unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn delete_pci(&self, id: TokenId) -> Result<(), Error> {
        self.caller().perform(Operation::DeletePci, About::Id(&id), |caller| caller.delete(Kind::Pci, id.into()))
    }
}

fn id_of(created: &PciCreated) -> &dyn Display {
    match created {
        PciCreated::Token(token) => &token.id,
        PciCreated::Session(session) => &session.session_id,
    }
}

/// What a request lays claim to, and what makes a token or a session of it.
fn prepare(caller: &Caller<'_>, mut request: CreatePci) -> Result<(Option<Claim>, PciCreation), Error> {
    caller.require_for(request.duplicates)?;
    let demands = caller.demands();
    let demands = match &request.source {
        Source::Pan(source) => demands.source("$.source", source),
        Source::Session => demands,
    };
    let demands = demands.metadata(request.extras.metadata.as_ref());
    let indexed = match request.duplicates {
        Duplicates::Allow => Ok(()),
        _ => caller.check_indexed("$.duplicates"),
    };
    let (demands, _) = demands.judged(indexed)?;
    demands.finish()?;
    let claim = caller.claim(Keyed::CreatePci, request.extras.idempotency.take(), &request);
    let CreatePci { source, extras, duplicates } = request;
    let creation = match source {
        Source::Session => PciCreation::Session(session::to_be(extras, duplicates)),
        Source::Pan(source) => {
            let mut card = CardCreation::of(caller, source)?;
            card.take_over(extras, duplicates);
            PciCreation::Card(card)
        }
    };
    Ok((claim, creation))
}

/// What a request makes.
#[expect(clippy::large_enum_variant, reason = "most are cards, and it is moved a few times only")]
enum PciCreation {
    Card(CardCreation),
    Session(Session),
}

impl Creation for PciCreation {
    type Answer = PciCreated;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        match self {
            Self::Card(card) => card.plan(caller),
            Self::Session(session) => {
                let sealed = caller.seal_session(session, None)?;
                Ok(Plan::of(Deed::Make(sealed), Batch::new()))
            }
        }
    }

    fn made(self, caller: &Caller<'_>, id: Uuid, header: &Header) -> Result<PciCreated, Error> {
        match self {
            Self::Card(card) => card.made(caller, id, header).map(PciCreated::Token),
            Self::Session(_) => Ok(PciCreated::Session(PciSession { session_id: id.into() })),
        }
    }

    fn found(self, caller: &Caller<'_>, viewed: &Viewed) -> Result<PciCreated, Error> {
        match self {
            Self::Card(card) => card.found(caller, viewed).map(PciCreated::Token),
            Self::Session(_) => Ok(PciCreated::Session(PciSession { session_id: viewed.id.into() })),
        }
    }
}
