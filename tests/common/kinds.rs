//! The verbs that both kinds of token share, so that a promise is tried on either by the same lines.

use tokenvault::card::{CardExpiry, Pan};
use tokenvault::{CreateGeneric, CreatePci, Error, Page, PanSource, TokenId, Vault};

use super::token;

/// The ids of a page, and the path of the next one.
pub type Ids = (Vec<TokenId>, Option<String>);

/// A kind of token, as far as the kinds are alike. Views are JSON.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// The field of its JSON request that gives the lifetime.
    pub lifetime: &'static str,
    /// The secret that `create` hands in and `reveal` gives back.
    pub secret: &'static str,
    pub create: fn(&Vault, Option<u64>) -> Result<TokenId, Error>,
    pub view: fn(&Vault, TokenId) -> Result<String, Error>,
    pub reveal: fn(&Vault, TokenId) -> Result<String, Error>,
    pub list: fn(&Vault, Page) -> Result<Ids, Error>,
    pub delete: fn(&Vault, TokenId) -> Result<(), Error>,
    /// Its JSON request, with more members in front.
    pub request: fn(&str) -> String,
    pub accepts: fn(&str) -> Result<(), Error>,
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
    view: |vault, id| Ok(serde_json::to_string(&vault.generic(id)?).unwrap()),
    reveal: |vault, id| vault.generic_payload(id, |payload| payload.get("iban").unwrap().as_str().unwrap().to_owned()),
    list: |vault, page| {
        let listing = vault.list_generic(page)?;
        Ok((listing.data.iter().map(|token| token.id).collect(), listing.links.next))
    },
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
    view: |vault, id| Ok(serde_json::to_string(&vault.pci(id)?).unwrap()),
    reveal: |vault, id| vault.reveal_pci(id, |card| card.account_number().to_owned()),
    list: |vault, page| {
        let listing = vault.list_pci(page)?;
        Ok((listing.data.iter().map(|token| token.id).collect(), listing.links.next))
    },
    delete: Vault::delete_pci,
    request: |members| {
        format!(
            r#"{{{members}"source":{{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}}}"#
        )
    },
    accepts: |json| CreatePci::from_json(json.as_bytes()).map(drop),
};
