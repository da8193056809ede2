//! A card in the vault: what is shown of it, what becomes its token, whoever hands it in, and how it is opened.

use uuid::Uuid;

use crate::access::Scope;
use crate::card::CardholderName;
use crate::clock::Timestamp;
use crate::duplicates::Duplicates;
use crate::error::Error;
use crate::id::TokenId;
use crate::lifetime::Lifetime;
use crate::record::{self, Card, CardView, Draft, Header, Kind, Malformed};
use crate::request::{Extras, PanSource};
use crate::response::{MaskedCard, PciToken};
use crate::store::Batch;
use crate::vault::Shared;
use crate::vault::caller::Caller;
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::fingerprint::no_token_of;
use crate::vault::sealed::Sealed;
use crate::vault::security_code::{CardTag, HandedCode};
use crate::vault::standing::{Standing, Viewed, damaged};

/// The token to be of a card that was handed in.
pub(super) struct CardCreation {
    /// Without its security code and its name.
    source: PanSource,
    /// With the tag of the card.
    code: Option<(CardTag, HandedCode)>,
    view: CardView,
    lifetime: Option<Lifetime>,
    duplicates: Duplicates,
    /// The number of the account that the token will belong to; 0 for none.
    owner: u32,
    /// Whether to look for a token of the card before the commit tells that there is one.
    looks: bool,
}

impl CardCreation {
    pub(super) fn of(caller: &Caller<'_>, mut source: PanSource) -> Result<Self, Error> {
        let code = caller.take_over(&mut source)?;
        let name = source.name.take();
        let (view, looks) = (caller.shown(&source, name), caller.index.expects_known());
        Ok(Self { source, code, view, lifetime: None, duplicates: Duplicates::Allow, owner: caller.owner(), looks })
    }

    /// Takes over what was asked for beside the card.
    pub(super) fn take_over(&mut self, extras: Extras, duplicates: Duplicates) {
        self.view.metadata = extras.metadata;
        self.lifetime = extras.lifetime;
        self.duplicates = duplicates;
    }

    /// The same for what was asked for in a session of this owner.
    pub(super) fn take_over_from(&mut self, owner: u32, extras: Extras, duplicates: Duplicates) {
        self.owner = owner;
        self.take_over(extras, duplicates);
    }

    /// Seals what was asked for, as a new token or in the place of that one.
    fn seal(&self, caller: &Caller<'_>, old: Option<&Standing>) -> Result<Sealed, Error> {
        // Into the draft, which is sealed in place.
        let draft = |header: &Header| Draft::pci(header, &self.view, self.source.pan.expose());
        let Some(old) = old else { return caller.seal((Kind::Pci, self.owner), self.lifetime, draft) };
        let expires_at = self.lifetime.map(|lifetime| lifetime.end(caller.now()));
        old.reseal(caller, expires_at, draft)
    }
}

impl Creation for CardCreation {
    type Answer = PciToken;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        if self.duplicates == Duplicates::Allow {
            let sealed = self.seal(caller, None)?;
            return Ok(Plan::of(Deed::Make(sealed), Batch::new()));
        }
        caller.check_indexed("$.duplicates")?;
        let fingerprints = caller.fingerprints(&self.source.pan);
        let looks = std::mem::replace(&mut self.looks, true);
        let token = if looks { caller.oldest_of_card(&fingerprints, self.owner)? } else { None };
        if looks {
            caller.index.learn(token.is_some());
        }
        let Some(token) = token else {
            let sealed = self.seal(caller, None)?;
            return Ok(Plan::of(Deed::Make(sealed), no_token_of(&fingerprints, self.owner)));
        };
        if self.duplicates == Duplicates::ReturnExisting {
            return Ok(Plan::of(Deed::Stand(token), Batch::new()));
        }
        let sealed = self.seal(caller, Some(&token))?;
        Ok(Plan::of(Deed::Replace(token, sealed), Batch::new()))
    }

    fn made(self, caller: &Caller<'_>, id: Uuid, header: &Header) -> Result<PciToken, Error> {
        if let Some((card, code)) = self.code {
            caller.keep_code(id.into(), header, card, code);
        }
        Ok(token(id, header, self.view))
    }

    /// A security code that came with the request takes the place of the one that the token may have: it is not part of what
    /// is compared, and whoever sends a card with its code wants to use it. Not if the token is another card's by now.
    fn found(self, caller: &Caller<'_>, viewed: &Viewed) -> Result<PciToken, Error> {
        let token = answer(viewed).map_err(|_| damaged(viewed.id))?;
        if let Some((card, code)) = self.code {
            caller.keep_code_again(viewed, card, code);
        }
        Ok(token)
    }
}

impl Caller<'_> {
    /// Refuses whoever may not learn which tokens a card has, or change what is found, where that is asked for.
    pub(super) fn require_for(&self, duplicates: Duplicates) -> Result<(), Error> {
        match duplicates {
            Duplicates::Allow => Ok(()),
            Duplicates::ReturnExisting => self.require(Scope::PciTokensFind),
            Duplicates::UpdateExisting => {
                self.require_all([Scope::PciTokensFind, Scope::PciTokensUpdate].into_iter().collect())
            }
        }
    }

    /// The card of a token, to be lent.
    pub(super) fn open_card(&self, id: TokenId) -> Result<Card, Error> {
        record::card(self.reveal(Kind::Pci, id.into())?).map_err(|_| damaged(id.into()))
    }
}

impl Shared {
    /// Takes over the security code of a card that is handed in, if it has one.
    pub(super) fn take_over(&self, source: &mut PanSource) -> Result<Option<(CardTag, HandedCode)>, Error> {
        let Some(code) = source.security_code.take() else { return Ok(None) };
        // Hashed from the block in which it stands.
        Ok(Some((self.tag(source.pan.expose())?, self.hand_in(code))))
    }

    /// What the vault shows of a card, and its keyed hash, made of the number where it stands.
    pub(super) fn shown(&self, source: &PanSource, name: Option<CardholderName>) -> CardView {
        CardView {
            masked: source.pan.mask(self.keys.mask()),
            scheme: source.pan.scheme(),
            expiry: source.expiry,
            name,
            metadata: None,
            fingerprint: self.fingerprint(source.pan.expose()),
        }
    }
}

/// The answer for a token that stands.
pub(super) fn answer(viewed: &Viewed) -> Result<PciToken, Malformed> {
    Ok(token(viewed.id, &viewed.header, record::pci_view(&viewed.view)?))
}

/// Words the view of a token.
pub(super) fn token(id: Uuid, header: &Header, view: CardView) -> PciToken {
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
