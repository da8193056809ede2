//! An inquiry about a card: by its account number, or by a token that stands for it.

use std::fmt;

use crate::card::{CardExpiry, CardholderName, Pan, security_code};
use crate::error::{Error, Rule};
use crate::id::TokenId;
use crate::request::fields::{Fields, Present, read_json};
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Mark, Path, Report};
use crate::request::text::Token;

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Type,
    AccountNumber,
    Name,
    Year,
    Month,
    SecurityCode,
    Id,
}

const FIELDS: Fields<Field> = Fields {
    named: &[
        ("type", Field::Type),
        ("account_number", Field::AccountNumber),
        ("cardholder_name", Field::Name),
        ("expiry_year", Field::Year),
        ("expiry_month", Field::Month),
        ("security_code", Field::SecurityCode),
        ("id", Field::Id),
    ],
    lifetime: None,
};

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
    /// that it has in a [`CreatePci`](crate::CreatePci); they are checked as there and of no effect.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON. A text that is no
    /// id is `NOT_FOUND`, when it is asked about.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        read_json(json, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        let mut draft = Draft::default();
        let present = FIELDS.read_request(reader, report, |field, path, reader, report| {
            draft.marks.push((field, report.mark()));
            draft.read(field, path, reader.value()?, report);
            Ok(())
        })?;
        Ok(present.and_then(|present| draft.finish(&present, report)))
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

/// A source under way: its type may come last.
#[derive(Default)]
struct Draft {
    r#type: Option<Type>,
    pan: Option<Pan>,
    id: Option<TokenId>,
    /// The fields that came, each with the place of a violation that it is.
    marks: Vec<(Field, Mark)>,
}

impl Draft {
    fn read(&mut self, field: Field, path: &Path<'_>, value: Token<'_>, report: &mut Report) {
        match field {
            Field::Type => {
                self.r#type = report.keep(path, value.filled_text().and_then(|text| Type::check(text.as_str())));
            }
            Field::AccountNumber => {
                self.pan = report.keep(path, value.text().and_then(|text| Pan::check(text.as_str())));
            }
            Field::Id => {
                let id = value.filled_text().map(|text| text.as_str().parse().ok());
                self.id = report.keep(path, id).flatten();
            }
            Field::Name => {
                let name = value.text().and_then(|text| CardholderName::check_text(text.as_str()).map(drop));
                report.keep(path, name);
            }
            Field::Year => {
                report.keep(path, value.integer(CardExpiry::YEAR).and_then(CardExpiry::check_year));
            }
            Field::Month => {
                report.keep(path, value.integer(CardExpiry::MONTH).and_then(CardExpiry::check_month));
            }
            Field::SecurityCode => {
                let code = value.filled_text().and_then(|text| security_code::check(text.as_str().as_bytes()));
                report.keep(path, code);
            }
        }
    }

    fn finish(self, present: &Present<Field>, report: &mut Report) -> Option<InquirySource> {
        present.require(Field::Type, &Path::Root, report);
        let r#type = self.r#type?;
        // From the last to the first, so that the places of those before stay right.
        for (field, mark) in self.marks.into_iter().rev() {
            let name = FIELDS.named.iter().find(|row| row.1 == field).map_or("", |row| row.0);
            if let Some(rule) = r#type.forbids(field) {
                report.refuse_before(mark, &Path::Field(&Path::Root, name), rule);
            }
        }
        match r#type {
            Type::Pan => {
                present.require(Field::AccountNumber, &Path::Root, report);
                self.pan.map(InquirySource::pan)
            }
            Type::PciToken => {
                present.require(Field::Id, &Path::Root, report);
                Some(InquirySource { asked: Asked::Token(self.id) })
            }
        }
    }
}

impl Type {
    fn check(text: &str) -> Result<Self, Rule> {
        match text {
            "pan" => Ok(Self::Pan),
            "pci_token" => Ok(Self::PciToken),
            _ => Err(Rule("must be `pan` or `pci_token`")),
        }
    }

    /// What to say of a field that the source does not have.
    fn forbids(self, field: Field) -> Option<Rule> {
        match (self, field) {
            (Self::Pan, Field::Id) => Some(NOT_OF_A_PAN),
            (Self::Pan, _) | (Self::PciToken, Field::Type | Field::Id) => None,
            (Self::PciToken, _) => Some(NOT_OF_A_TOKEN),
        }
    }
}
