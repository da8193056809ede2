//! The verbs that both kinds of token share, so that a promise is tried on either by the same lines.

use std::fmt;

use serde::Serialize;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::{CreateGeneric, CreatePci, Error, Page, PanSource, Payload, TokenId, UpdateGeneric, UpdatePci, Vault};

use super::token;

/// The ids of a page, and the path of the next one.
pub type Ids = (Vec<TokenId>, Option<String>);

/// A view as JSON, or why there is none.
pub type Shown = Result<String, Error>;

/// A kind of token, as far as the kinds are alike. Views are JSON.
pub struct Kind {
    pub name: &'static str,
    /// The field of its JSON request that gives the lifetime.
    pub lifetime: &'static str,
    /// The secret that `create` hands in and `reveal` gives back.
    pub secret: &'static str,
    pub create: fn(&Vault, Option<u64>) -> Result<TokenId, Error>,
    pub view: fn(&Vault, TokenId) -> Result<String, Error>,
    pub many: fn(&Vault, Vec<TokenId>) -> Vec<Shown>,
    pub reveal: fn(&Vault, TokenId) -> Result<String, Error>,
    /// All that is lent, as its request wrote it.
    pub lent: fn(&Vault, TokenId) -> Result<String, Error>,
    pub list: fn(&Vault, Page) -> Result<Ids, Error>,
    /// A page as JSON.
    pub page: fn(&Vault, Page) -> Result<String, Error>,
    /// A change that is asked for in JSON.
    pub update: fn(&Vault, TokenId, &str) -> Result<String, Error>,
    pub delete: fn(&Vault, TokenId) -> Result<(), Error>,
    /// Its JSON request, with more members in front.
    pub request: fn(&str) -> String,
    pub accepts: fn(&str) -> Result<(), Error>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

pub const KINDS: [Kind; 2] = [GENERIC, PCI];

pub const GENERIC: Kind = Kind {
    name: "generic",
    lifetime: "expiration_time",
    secret: "DE89370400440532013000",
    create: |vault, lifetime| {
        let request = CreateGeneric::new([("iban", GENERIC.secret)])?;
        let request = lifetime.into_iter().try_fold(request, CreateGeneric::expires_in)?;
        Ok(vault.create_generic(request)?.id)
    },
    view: |vault, id| vault.generic(id).map(json),
    many: |vault, ids| vault.generic_many(ids).map(|view| view.map(json)).collect(),
    reveal: |vault, id| vault.generic_payload(id, |payload| payload.get("iban").unwrap().as_str().unwrap().to_owned()),
    lent: |vault, id| vault.generic_payload(id, written),
    list: |vault, page| {
        let listing = vault.list_generic(page)?;
        Ok((listing.data.iter().map(|token| token.id).collect(), listing.links.next))
    },
    page: |vault, page| vault.list_generic(page).map(json),
    update: |vault, id, request| vault.update_generic(id, UpdateGeneric::from_json(request.as_bytes())?).map(json),
    delete: Vault::delete_generic,
    request: |members| format!(r#"{{{members}"payload":{{"pin":"1234"}}}}"#),
    accepts: |json| CreateGeneric::from_json(json.as_bytes()).map(drop),
};

pub const PCI: Kind = Kind {
    name: "pci",
    lifetime: "expires_in",
    secret: "4111111111111111",
    create: |vault, lifetime| {
        let request = CreatePci::new(PanSource::new(Pan::parse(PCI.secret)?, CardExpiry::new(12, 2025)?));
        let request = lifetime.into_iter().try_fold(request, CreatePci::expires_in)?;
        Ok(token(vault.create_pci(request)?).id)
    },
    view: |vault, id| vault.pci(id).map(json),
    many: |vault, ids| vault.pci_many(ids).map(|view| view.map(json)).collect(),
    reveal: |vault, id| vault.reveal_pci(id, |card| card.account_number().to_owned()),
    lent: |vault, id| {
        vault.reveal_pci(id, |card| {
            let name = card.cardholder_name().map(|name| format!(r#""cardholder_name":{},"#, json(name)));
            let (month, year) = (card.expiry().month(), card.expiry().year());
            let expiry = format!(r#""expiry_month":{month},"expiry_year":{year}"#);
            format!(r#"{{{}{expiry},"account_number":"{}"}}"#, name.unwrap_or_default(), card.account_number())
        })
    },
    list: |vault, page| {
        let listing = vault.list_pci(page)?;
        Ok((listing.data.iter().map(|token| token.id).collect(), listing.links.next))
    },
    page: |vault, page| vault.list_pci(page).map(json),
    update: |vault, id, request| vault.update_pci(id, UpdatePci::from_json(request.as_bytes())?).map(json),
    delete: Vault::delete_pci,
    request: |members| {
        format!(
            r#"{{{members}"source":{{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}}}"#
        )
    },
    accepts: |json| CreatePci::from_json(json.as_bytes()).map(drop),
};

/// What serde makes of a value.
pub fn json(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap()
}

/// A payload as its request wrote it.
fn written(payload: &Payload) -> String {
    let pairs = payload.iter().map(|(key, value)| {
        let text = value.as_str().map(json);
        let truth = value.as_bool().map(json);
        let number = value.as_number().and_then(|number| number.as_literal().map(str::to_owned));
        format!("{}:{}", json(key), text.or(truth).or(number).unwrap())
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}
