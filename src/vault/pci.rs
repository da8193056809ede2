//! PCI tokens: tokens that stand for a payment card.

use uuid::Uuid;

use crate::card::{CardholderName, Pan};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TokenId;
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::record::{self, Card, CardView, Draft, Header, Kind, Malformed};
use crate::request::{CreatePci, Duplicates, Page, PanSource};
use crate::response::{Listing, MaskedCard, PciCreated, PciToken};
use crate::store::Batch;
use crate::vault::creation::{Creation, Plan};
use crate::vault::entry::{Sealed, Viewed, damaged};
use crate::vault::fingerprint::no_token_of;
use crate::vault::replay::{Claim, Operation};
use crate::vault::{Shared, Vault, bulk};

/// Where the published API has them, for `links.next` and events.
pub(super) const PATH: &str = "/api/pci/tokens";

impl Vault {
    /// Keeps a card and gives a token for it. On return the token survives power loss.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `CONFLICT`, `KEY_FAILURE`: nothing was kept. `UNAVAILABLE`: the vault is closed, or the outcome is unknown
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
        let (claim, creation) = prepare(self.shared(), request);
        self.shared().create(claim, creation)
    }

    /// Keeps many cards: a result for each request, in order; one that is refused harms no other. Up to 256 requests share
    /// one sync, and their results come when it is done. Nothing happens before the first result is asked for.
    ///
    /// # Errors
    /// Each result has those of [`Vault::create_pci`], or the error that was handed in.
    pub fn create_pci_many<I>(&self, requests: I) -> impl Iterator<Item = Result<PciCreated, Error>> + use<'_, I>
    where
        I: IntoIterator<Item = Result<CreatePci, Error>>,
    {
        let prepare = |shared: &Shared, request| {
            let (claim, creation) = prepare(shared, request);
            // One that is refused costs its group another commit.
            (claim, PciCreation { looks: true, ..creation })
        };
        bulk::create(self.shared(), requests.into_iter(), prepare)
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
        self.shared().view(Kind::Pci, id.into(), answer)
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
        Ok(lend(&self.shared().open_card(id)?))
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
        let card = self.shared().open_card(id)?;
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
        self.shared().list(Kind::Pci, PATH, page, answer)
    }

    /// Removes a token and every trace of it from every index. A second delete is `NOT_FOUND`.
    ///
    /// What the storage engine keeps of the sealed record in dead pages is unreadable only once its key is gone.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{ErrorKind, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let nobody = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse()?;
    /// assert_eq!(vault.delete_pci(nobody).unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn delete_pci(&self, id: TokenId) -> Result<(), Error> {
        self.shared().delete(Kind::Pci, id.into())
    }
}

impl Shared {
    fn open_card(&self, id: TokenId) -> Result<Card, Error> {
        record::card(self.reveal(Kind::Pci, id.into())?).map_err(|_| damaged(id.into()))
    }

    /// The number of a card, and what the vault shows of it.
    fn shown(&self, source: PanSource, metadata: Option<Metadata>) -> (Pan, CardView) {
        let PanSource { pan, expiry, name } = source;
        let view = CardView {
            masked: pan.mask(self.keys.mask()),
            scheme: Some(pan.scheme()),
            expiry,
            name,
            metadata,
            fingerprint: self.fingerprint(pan.expose()),
        };
        (pan, view)
    }
}

/// What a request lays claim to, and what makes a token of it.
fn prepare(shared: &Shared, request: CreatePci) -> (Option<Claim>, PciCreation) {
    let claim = shared.claim(Operation::CreatePci, request.extras.idempotency.as_ref(), &request);
    let CreatePci { source, extras, duplicates } = request;
    let (pan, view) = shared.shown(source, extras.metadata);
    (claim, PciCreation { pan, view, lifetime: extras.lifetime, duplicates, looks: shared.index.expects_known() })
}

/// The token of a card to be.
struct PciCreation {
    pan: Pan,
    view: CardView,
    lifetime: Option<Lifetime>,
    duplicates: Duplicates,
    /// Whether to look for a token of the card first. A card that is taken for new costs no look if it is, and another plan
    /// if it is not.
    looks: bool,
}

impl PciCreation {
    /// Seals what was asked for, as a new token or in the place of that one.
    fn seal(&self, shared: &Shared, old: Option<&Viewed>) -> Result<Sealed, Error> {
        // Into the draft, which is sealed in place.
        let draft = |header: &Header| Draft::pci(header, &self.view, self.pan.expose());
        let Some(old) = old else { return shared.seal(Kind::Pci, self.lifetime, draft) };
        let expires_at = self.lifetime.map(|lifetime| shared.now().plus_seconds(lifetime.seconds()));
        let header = Header { revision: old.header.revision.saturating_add(1), expires_at, ..old.header };
        shared.seal_as(Some(old.id), header, draft)
    }
}

impl Creation for PciCreation {
    type Answer = PciCreated;

    fn plan(&mut self, shared: &Shared) -> Result<Plan, Error> {
        if self.duplicates == Duplicates::Allow {
            return Ok(Plan::Make { sealed: self.seal(shared, None)?, beside: Batch::new() });
        }
        shared.check_indexed("$.duplicates")?;
        let fingerprints = shared.fingerprints(&self.pan);
        let looks = std::mem::replace(&mut self.looks, true);
        let token = if looks { shared.oldest_of_card(&fingerprints)? } else { None };
        if looks {
            shared.index.learn(token.is_some());
        }
        match token {
            None => Ok(Plan::Make { sealed: self.seal(shared, None)?, beside: no_token_of(&fingerprints) }),
            Some((token, record)) if self.duplicates == Duplicates::ReturnExisting => Ok(Plan::Stand { token, record }),
            Some((old, record)) => {
                let sealed = self.seal(shared, Some(&old))?;
                Ok(Plan::Replace { old, record, sealed })
            }
        }
    }

    fn made(self, _: &Shared, id: Uuid, header: &Header) -> PciCreated {
        PciCreated::Token(token(id, header, self.view))
    }

    fn found(self, _: &Shared, viewed: &Viewed) -> Result<PciCreated, Error> {
        answer(viewed).map(PciCreated::Token).map_err(|_| damaged(viewed.id))
    }
}

fn answer(viewed: &Viewed) -> Result<PciToken, Malformed> {
    Ok(token(viewed.id, &viewed.header, record::pci_view(&viewed.view)?))
}

/// Words the view of a token.
fn token(id: Uuid, header: &Header, view: CardView) -> PciToken {
    PciToken {
        id: id.into(),
        card: MaskedCard {
            cardholder_name: view.name.map(CardholderName::into_string),
            expiry_month: view.expiry.month(),
            expiry_year: view.expiry.year(),
            masked_account_number: view.masked,
            scheme: view.scheme,
        },
        created_at: header.created_at.to_datetime(),
        expires_at: header.expires_at.map(Timestamp::to_datetime),
        metadata: view.metadata,
    }
}
