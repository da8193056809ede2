//! `view`, `reveal`, `list`, `delete`: one token or type, or some of them.

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokenvault::{Card, Error, Page, Payload, PayloadNumber, PayloadValue, TokenId, TypeId, Vault};

use crate::arguments::{Kind, ListKind, PageArguments, RecordKind};
use crate::failure::Failure;
use crate::output::Output;

/// Prints the view of each, or in its place the refusal.
pub(crate) fn view(vault: &Vault, kind: RecordKind, ids: &[String], out: &mut Output) -> Result<(), Failure> {
    let tokens = ids.iter().map(|id| token_id(id));
    match kind {
        RecordKind::Generic => print_each(tokens.map(|id| vault.generic(id?)), out),
        RecordKind::Pci => print_each(tokens.map(|id| vault.pci(id?)), out),
        RecordKind::Type => print_each(ids.iter().map(|id| vault.type_by_id(type_id(id)?)), out),
    }
}

/// Prints the secret. It is written to the wiped buffer while it is lent, and leaves from there.
pub(crate) fn reveal(vault: &Vault, kind: Kind, id: &str, out: &mut Output) -> Result<(), Failure> {
    let id = token_id(id)?;
    let written = match kind {
        Kind::Generic => vault.generic_payload(id, |payload| out.answer(&RevealedPayload(payload))),
        Kind::Pci => vault.reveal_pci(id, |card| out.answer(&RevealedCard(card))),
    };
    written??;
    Ok(out.send()?)
}

pub(crate) fn list(vault: &Vault, kind: ListKind, asked: &PageArguments, out: &mut Output) -> Result<(), Failure> {
    let mut page = asked.limit.map_or_else(Page::default, Page::first);
    if let Some(after) = &asked.after {
        page = page.after(token_id(after)?);
    }
    if let Some(of_type) = &asked.type_id {
        page = page.of_type(type_id(of_type)?);
    }
    match kind {
        ListKind::Generic => print(vault.list_generic(page), out),
        ListKind::Pci => print(vault.list_pci(page), out),
        ListKind::Types => print(vault.list_types(page), out),
    }
}

pub(crate) fn delete(vault: &Vault, kind: RecordKind, id: &str) -> Result<(), Failure> {
    match kind {
        RecordKind::Generic => vault.delete_generic(token_id(id)?)?,
        RecordKind::Pci => vault.delete_pci(token_id(id)?)?,
        RecordKind::Type => vault.delete_type(type_id(id)?)?,
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

/// What is no id names nothing: the answer is that of an id that does not exist.
pub(crate) fn token_id(text: &str) -> Result<TokenId, Error> {
    text.parse()
}

/// The same for the id of a type.
fn type_id(text: &str) -> Result<TypeId, Error> {
    text.parse()
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
