//! A request for a payload type.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Rule, Violation};
use crate::pairs;
use crate::request::fields::{Fields, Null, read_json};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Path, Report};
use crate::request::seen::Seen;
use crate::request::text::{Shape, Token};
use crate::rules::Rules;
use crate::schema::Schema;

const SCHEMA: &str = "schema";

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Name,
    Schema,
}

const FIELDS: Fields<Field> =
    Fields { named: &[("name", Field::Name), (SCHEMA, Field::Schema)], lifetime: None, null: Null::Absent };

/// Asks for a payload type: a name for people, and a schema that the payloads of its tokens satisfy.
///
/// The schema is JSON Schema 2020-12, at most 32 KiB and 32 levels deep. Its references lead only inside it, not back to where
/// they stand, and unfold to at most 10,000 nodes. Its patterns are regular expressions that take linear time: without
/// look-around and back-references. `format` is an annotation.
///
/// ```
/// use tokenvault::CreateType;
///
/// let schema = r#"{"properties":{"iban":{"type":"string","pattern":"^DE[0-9]{20}$"}},"required":["iban"]}"#;
/// let request = CreateType::new("German account", schema)?;
/// let same = CreateType::from_json(format!(r#"{{"name":"German account","schema":{schema}}}"#).as_bytes())?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
pub struct CreateType {
    pub(crate) name: Box<str>,
    pub(crate) schema: Given,
    pub(crate) idempotency: Option<IdempotencyKey>,
}

/// A schema as it came, and compiled.
pub(crate) struct Given {
    pub(crate) json: Box<str>,
    pub(crate) compiled: Arc<Schema>,
}

impl CreateType {
    /// Asks for a type with a name of 1 to 80 characters, which need not be unique, and a schema as JSON.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.name`, and with every violation of the schema at its path, which begins with `$.schema`.
    pub fn new(name: &str, schema: impl AsRef<[u8]>) -> Result<Self, Error> {
        let mut report = Report::under(Rules::new());
        let name = report.keep(&Path::Field(&Path::Root, "name"), check_name(name));
        let (path, mark) = (Path::Field(&Path::Root, SCHEMA), report.mark());
        let schema = match read_alone(&path, schema.as_ref(), &mut report) {
            Ok(schema) => schema,
            Err(malformed) => {
                // It speaks of the schema as if it were the request, and nothing else counts of what is no JSON.
                report.forget_since(mark);
                let message = malformed.violations().first().map_or("", Violation::message);
                report.take_over(vec![Violation::new(path.to_string(), message.to_owned())]);
                None
            }
        };
        report.finish(name.zip(schema).map(|(name, schema)| Self { name, schema, idempotency: None }))
    }

    /// Names the request, as [`CreatePci::idempotency_key`](crate::CreatePci::idempotency_key). Of the schema the order of its
    /// members does not matter, nor white space. Default: no key.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`. When the request is sent, as there.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.idempotency = Some(IdempotencyKey::new(key)?);
        Ok(self)
    }

    /// Reads `name` and `schema` from JSON. At most 64 KiB, 32 levels deep, the schema's own among them.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::new())
    }

    /// As [`CreateType::from_json`], by other rules.
    ///
    /// # Errors
    /// As [`CreateType::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        let (mut name, mut schema) = (None, None);
        let Some(present) = FIELDS.read_request(reader, report, |field, path, reader, report| {
            match field {
                Field::Name => {
                    let text = reader.value()?.text();
                    name = report.keep(path, text.and_then(|text| check_name(text.as_str())));
                }
                Field::Schema => schema = read_schema(path, reader, report)?,
            }
            Ok(())
        })?
        else {
            return Ok(None);
        };
        present.require(Field::Name, &Path::Root, report);
        present.require(Field::Schema, &Path::Root, report);
        Ok(name.zip(schema).map(|(name, schema)| Self { name, schema, idempotency: None }))
    }
}

impl fmt::Debug for CreateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateType").field("name", &self.name).finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<Box<str>, Rule> {
    pairs::check_value(name).map(Into::into)
}

/// Reads a schema and nothing behind it.
fn read_alone(path: &Path<'_>, json: &[u8], report: &mut Report) -> Result<Option<Given>, Error> {
    let mut reader = Reader::begin(json)?;
    let schema = read_schema(path, &mut reader, report);
    schema.and_then(|schema| reader.end().map(|()| schema)).map_err(|malformed| reader.refusal(malformed))
}

fn read_schema(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Given>, Malformed> {
    let mark = report.mark();
    let json = reader.as_it_stands(|reader| check_text(path, reader, report))?;
    if !report.is_clean_since(mark) {
        return Ok(None);
    }
    let compiled = Schema::compile(json).map_err(|found| report.take_over(found));
    Ok(compiled.ok().map(|compiled| Given { json: json.into(), compiled: Arc::new(compiled) }))
}

/// Notes duplicate keys and lone surrogates in a value of JSON that is kept as it stands, of which a general parser would say nothing or not where.
pub(super) fn check_text(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<(), Malformed> {
    if reader.is_at_object() {
        return check_members(path, reader, report);
    }
    if reader.is_at_array() {
        let mut position = 0;
        return reader.elements(|reader| {
            let path = Path::Element(path, position);
            position += 1;
            check_text(&path, reader, report)
        });
    }
    let value: Token<'_> = reader.value()?;
    if matches!(value.shape(), Shape::Text(_)) {
        report.keep(path, value.text());
    }
    Ok(())
}

fn check_members(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<(), Malformed> {
    let (mut seen, mut position) = (Seen::default(), 0);
    reader.members(|reader, key| {
        position += 1;
        let key = match key.text() {
            Ok(key) => key,
            Err(rule) => {
                report.refuse(&Path::Member(path, "", position), rule);
                return reader.value().map(|_| ());
            }
        };
        let path = Path::Member(path, key.as_str(), position);
        if !seen.is_new(key.as_str()) {
            report.refuse(&path, pairs::DUPLICATE);
        }
        check_text(&path, reader, report)
    })
}
