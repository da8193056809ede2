//! An inquiry about a card: by its account number, or by a token that stands for it.

use std::fmt;

use crate::card::Pan;
use crate::error::{Error, Rule};
use crate::id::TokenId;
use crate::request::fields::{Fields, Null, Present, read_json};
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Mark, Path, Report};
use crate::request::source::{self, SourceField};
use crate::request::text::Token;
use crate::rules::{Rules, UnknownFields};

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Source(SourceField),
    Id,
}

/// What stands in a source of either type.
const NAMED: [(&str, Field); source::FIELDS.named.len() + 1] = {
    let (mut named, mut at) = ([("id", Field::Id); source::FIELDS.named.len() + 1], 0);
    while at < source::FIELDS.named.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within bounds")]
        let (slot, (name, field)) = (&mut named[at], source::FIELDS.named[at]);
        *slot = (name, Field::Source(field));
        at += 1;
    }
    named
};

const FIELDS: Fields<Field> = Fields { named: &NAMED, lifetime: None, null: Null::Absent };

const TYPE: Field = Field::Source(SourceField::Type);
const NOT_OF_A_PAN: Rule = Rule("unknown field of a `pan` source");
const NOT_OF_A_TOKEN: Rule = Rule("unknown field of a `pci_token` source");

/// What is asked about: a card by its number, or a token that stands for a card.
pub struct InquirySource {
    pub(crate) asked: Asked,
}

/// What an inquiry is about.
pub(crate) enum Asked {
    Pan(Pan),
    /// None for a text that is no id: it names nothing.
    Token(Option<TokenId>),
}

impl InquirySource {
    /// Asks by an account number.
    #[must_use]
    pub fn pan(pan: Pan) -> Self {
        Self { asked: Asked::Pan(pan) }
    }

    /// Asks by a PCI token.
    #[must_use]
    pub fn token(id: TokenId) -> Self {
        Self { asked: Asked::Token(Some(id)) }
    }

    /// Reads `{"type":"pan","account_number":...}` or `{"type":"pci_token","id":...}`. A pan source may have the other fields
    /// that it has in a [`CreatePci`](crate::CreatePci); they are checked as there and of no effect. At most 64 KiB, 32 levels
    /// deep.
    ///
    /// The bytes stay the caller's; no copy of them is left behind.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON. A text that is no
    /// id is `NOT_FOUND`, when it is asked about.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::default())
    }

    /// As [`from_json`](Self::from_json), by other rules, for instance those of a vault.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        let mut given = Vec::new();
        let present = FIELDS.read_request(reader, report, |field, _, reader, report| {
            given.push(Given { field, mark: report.mark(), value: reader.value()? });
            Ok(())
        })?;
        Ok(present.and_then(|present| judge(given, &present, report)))
    }
}

impl fmt::Debug for InquirySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InquirySource(..)")
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Pan,
    PciToken,
}

impl Type {
    fn check(text: &str) -> Result<Self, Rule> {
        match text {
            "pan" => Ok(Self::Pan),
            "pci_token" => Ok(Self::PciToken),
            _ => Err(Rule("must be `pan` or `pci_token`")),
        }
    }

    /// What to say of a field that the source should not have.
    fn forbids(self, field: Field) -> Option<Rule> {
        match (self, field) {
            (Self::Pan, Field::Id) => Some(NOT_OF_A_PAN),
            (Self::Pan, _) | (Self::PciToken, TYPE | Field::Id) => None,
            (Self::PciToken, _) => Some(NOT_OF_A_TOKEN),
        }
    }
}

/// A field that came, and the place of a violation that it is.
struct Given<'de> {
    field: Field,
    mark: Mark,
    value: Token<'de>,
}

/// Checks the fields once they are all there, for the type may come last.
fn judge(given: Vec<Given<'_>>, present: &Present<Field>, report: &mut Report) -> Option<InquirySource> {
    let check_type = |value: Token<'_>| value.filled_text().and_then(|text| Type::check(text.as_str()));
    let r#type = given.iter().find(|given| given.field == TYPE).and_then(|given| check_type(given.value).ok());
    let (mut pan, mut id, rules) = (None, None, report.rules);
    // From the last to the first, so that the places of those before stay right.
    for Given { field, mark, value } in given.into_iter().rev() {
        let checked = match r#type.and_then(|r#type| r#type.forbids(field)) {
            Some(_) if rules.fields() == UnknownFields::Ignore => Ok(()),
            Some(rule) => Err(rule),
            None => match field {
                Field::Id => value.filled_text().map(|text| id = text.as_str().parse().ok()),
                Field::Source(field) => match field {
                    SourceField::Type => check_type(value).map(drop),
                    SourceField::AccountNumber => value.account_number(rules).map(|checked| pan = Some(checked)),
                    SourceField::Name => value.cardholder_name().map(drop),
                    SourceField::Year => value.year().map(drop),
                    SourceField::Month => value.month().map(drop),
                    SourceField::SecurityCode => value.security_code().map(drop),
                },
            },
        };
        if let Err(rule) = checked {
            let name = FIELDS.named.iter().find(|row| row.1 == field).map_or("", |row| row.0);
            report.refuse_before(mark, &Path::Field(&Path::Root, name), rule);
        }
    }
    present.require(TYPE, &Path::Root, report);
    match r#type? {
        Type::Pan => {
            present.require(Field::Source(SourceField::AccountNumber), &Path::Root, report);
            pan.map(InquirySource::pan)
        }
        Type::PciToken => {
            present.require(Field::Id, &Path::Root, report);
            Some(InquirySource { asked: Asked::Token(id) })
        }
    }
}
