//! `view`, `reveal`, `list`, `delete`: one record, or some of them.

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokenvault::{ApiTokenQuery, Authority, Card, Error, Page, Payload, PayloadNumber, PayloadValue, TokenId, Vault};
use uuid::Uuid;

use crate::arguments::PageArguments;
use crate::failure::Failure;
use crate::output::Output;
use crate::values::{Kind, Name, RecordKind, RemovedKind};

/// Prints the view of each, or in its place the refusal.
pub(crate) fn view(
    vault: &Vault<impl Authority>,
    kind: RecordKind,
    ids: &[Name],
    out: &mut Output,
) -> Result<(), Failure> {
    let ids = ids.iter();
    match kind {
        RecordKind::Generic => print_each(ids.map(|id| vault.generic(id.uuid().into())), out),
        RecordKind::Pci => print_each(ids.map(|id| vault.pci(id.uuid().into())), out),
        RecordKind::Type => print_each(ids.map(|id| vault.type_by_id(id.uuid().into())), out),
        RecordKind::ApiKey => print_each(ids.map(|id| vault.api_key(id.uuid().into())), out),
        RecordKind::ApiToken => print_each(ids.map(|id| vault.api_token(id.api_token()?)), out),
    }
}

/// Prints the secret. It is written to the wiped buffer while it is lent, and leaves from there.
pub(crate) fn reveal(vault: &Vault<impl Authority>, kind: Kind, id: Uuid, out: &mut Output) -> Result<(), Failure> {
    let written = match kind {
        Kind::Generic => vault.generic_payload(id.into(), |payload| out.answer(&RevealedPayload(payload))),
        Kind::Pci => vault.reveal_pci(id.into(), |card| out.answer(&RevealedCard(card))),
    };
    written??;
    Ok(out.send()?)
}

pub(crate) fn list(
    vault: &Vault<impl Authority>,
    kind: RecordKind,
    asked: &PageArguments,
    out: &mut Output,
) -> Result<(), Failure> {
    // Behind what is no id there is no page; but what is wrong with the request is told before.
    let after = asked.after.as_ref().map(|after| after.parse::<TokenId>()).transpose();
    let (page, nowhere) = (page(asked, after.as_ref().ok().copied().flatten()), after.err());
    match kind {
        RecordKind::Generic => print(vault.list_generic(page).and_then(|page| nowhere.map_or(Ok(page), Err)), out),
        RecordKind::Pci => print(vault.list_pci(page).and_then(|page| nowhere.map_or(Ok(page), Err)), out),
        RecordKind::Type => print(vault.list_types(page).and_then(|page| nowhere.map_or(Ok(page), Err)), out),
        RecordKind::ApiKey => print(vault.list_api_keys(page).and_then(|page| nowhere.map_or(Ok(page), Err)), out),
        RecordKind::ApiToken => print(query(asked).and_then(|query| vault.list_api_tokens(&query)), out),
    }
}

/// Which page is asked for.
fn page(asked: &PageArguments, after: Option<TokenId>) -> Page {
    let page = asked.limit.map_or_else(Page::default, Page::first);
    let page = asked.type_id.map_or(page, |of_type| page.of_type(of_type.into()));
    after.map_or(page, |after| page.after(after))
}

/// Which API tokens are asked for.
fn query(asked: &PageArguments) -> Result<ApiTokenQuery, Error> {
    let mut query = ApiTokenQuery::new().offset(asked.offset.unwrap_or_default());
    if let Some(limit) = asked.limit {
        query = query.limit(limit);
    }
    if let Some(status) = asked.status {
        query = query.status(status.into());
    }
    asked.account.iter().try_fold(query, |query, account| query.account(account))
}

/// Removes what a credential may remove; an API token is shown once more.
pub(crate) fn delete(
    vault: &Vault<impl Authority>,
    kind: RemovedKind,
    id: &Name,
    out: &mut Output,
) -> Result<(), Failure> {
    match kind {
        RemovedKind::Generic => vault.delete_generic(id.uuid().into())?,
        RemovedKind::Pci => vault.delete_pci(id.uuid().into())?,
        RemovedKind::Type => vault.delete_type(id.uuid().into())?,
        RemovedKind::ApiKey => vault.delete_api_key(id.uuid().into())?,
        RemovedKind::ApiToken => print(id.api_token().and_then(|id| vault.delete_api_token(id)), out)?,
        RemovedKind::Account | RemovedKind::Module => return Err(Failure::RootOnly),
    }
    Ok(())
}

/// Prints an answer, or fails with the refusal.
pub(crate) fn print(answer: Result<impl Serialize, Error>, out: &mut Output) -> Result<(), Failure> {
    out.answer(&answer?)?;
    Ok(out.send()?)
}

/// Prints each answer, or in its place the refusal.
fn print_each<T: Serialize>(answers: impl Iterator<Item = Result<T, Error>>, out: &mut Output) -> Result<(), Failure> {
    let mut ended = Ok(());
    for answer in answers {
        match answer {
            Ok(token) => out.answer(&token)?,
            Err(error) => {
                out.answer(&error)?;
                ended = Err(Failure::Answered);
            }
        }
    }
    out.send()?;
    ended
}

/// A card as `reveal pci` prints it.
pub(crate) struct RevealedCard<'a>(pub(crate) &'a Card);

impl Serialize for RevealedCard<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (card, name) = (self.0, self.0.cardholder_name());
        let mut fields = serializer.serialize_struct("Card", if name.is_some() { 4 } else { 3 })?;
        fields.serialize_field("account_number", card.account_number())?;
        fields.serialize_field("expiry_month", &card.expiry().month())?;
        fields.serialize_field("expiry_year", &card.expiry().year())?;
        match name {
            Some(name) => fields.serialize_field("cardholder_name", name)?,
            None => fields.skip_field("cardholder_name")?,
        }
        fields.end()
    }
}

/// A payload as `reveal generic` prints it: the bare map.
pub(crate) struct RevealedPayload<'a>(pub(crate) &'a Payload);

impl Serialize for RevealedPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, &RevealedValue(value))?;
        }
        map.end()
    }
}

struct RevealedValue<'a>(PayloadValue<'a>);

impl Serialize for RevealedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.0.as_str() {
            return serializer.serialize_str(text);
        }
        if let Some(value) = self.0.as_bool() {
            return serializer.serialize_bool(value);
        }
        // Borrowed and written as it stands, digit for digit.
        let literal = self.0.as_number().and_then(PayloadNumber::as_literal);
        let literal = literal.and_then(|literal| serde_json::from_str::<&RawValue>(literal).ok());
        literal.ok_or_else(|| serde::ser::Error::custom("a value that is no JSON"))?.serialize(serializer)
    }
}
