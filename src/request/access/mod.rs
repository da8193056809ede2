//! Requests about credentials, and about the accounts and modules that they name. None of it is secret.

mod api_key;
mod api_token;
mod query;
mod registry;

pub use self::api_key::{CreateApiKey, UpdateApiKey};
pub use self::api_token::{CreateApiToken, UpdateApiToken};
pub use self::query::ApiTokenQuery;
pub use self::registry::{DefineAccount, DefineModule};

use crate::access::{Scope, Scopes};
use crate::error::Rule;
use crate::pairs;
use crate::request::fields::{Fields, NOT_AN_OBJECT, Null};
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Path, Report};

/// At most this many characters in an icon or a description.
const TEXT_CHARACTERS: usize = 255;
/// At most this many characters in the id of an account or a module.
const ID_CHARACTERS: usize = 64;

const NOT_AN_ARRAY: Rule = Rule("must be an array");
const REPEATED: Rule = Rule("must not be there twice");

/// The id of an account or a module, as root has given it.
fn check_id(id: &str) -> Result<Box<str>, Rule> {
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=ID_CHARACTERS).contains(&id.len()) || !id.bytes().all(is_named) {
        return Err(Rule("must be 1 to 64 of `A-Z a-z 0-9 . _ -`"));
    }
    Ok(id.into())
}

/// A name for people: 1 to 80 characters.
fn check_name(name: &str) -> Result<Box<str>, Rule> {
    let name = pairs::check_value(name)?;
    // Names stand in trails that may be kept line by line.
    if name.chars().any(char::is_control) {
        return Err(Rule("must not contain control characters"));
    }
    Ok(name.into())
}

/// An icon or a description: at most 255 characters.
fn check_text(text: &str) -> Result<Box<str>, Rule> {
    if text.is_empty() {
        return Err(Rule("must not be empty"));
    }
    if text.chars().nth(TEXT_CHARACTERS).is_some() {
        return Err(Rule("must be at most 255 characters"));
    }
    Ok(text.into())
}

/// Reads a text, and checks it.
fn read_text<T>(
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    report: &mut Report,
    check: impl FnOnce(&str) -> Result<T, Rule>,
) -> Result<Option<T>, Malformed> {
    let text = reader.value()?.text();
    Ok(report.keep(path, text.and_then(|text| check(text.as_str()))))
}

#[derive(Clone, Copy, PartialEq)]
enum ReferenceField {
    Id,
}

const REFERENCE_FIELDS: Fields<ReferenceField> =
    Fields { named: &[("id", ReferenceField::Id)], lifetime: None, null: Null::Absent };

/// Reads `{"id": ...}`.
fn read_reference(
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    report: &mut Report,
) -> Result<Option<Box<str>>, Malformed> {
    if !reader.is_at_object() {
        reader.value()?;
        report.refuse(path, NOT_AN_OBJECT);
        return Ok(None);
    }
    let mut id = None;
    let present = REFERENCE_FIELDS.read(path, reader, report, |ReferenceField::Id, path, reader, report| {
        id = read_text(path, reader, report, check_id)?;
        Ok(())
    })?;
    present.require(ReferenceField::Id, path, report);
    Ok(id)
}

/// Reads an array of 1 to `most`, each of them once.
fn read_set<T: PartialEq>(
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    report: &mut Report,
    (most, wrong_count): (usize, Rule),
    mut element: impl FnMut(&Path<'_>, &mut Reader<'_>, &mut Report) -> Result<Option<T>, Malformed>,
) -> Result<Option<Vec<T>>, Malformed> {
    if !reader.is_at_array() {
        reader.value()?;
        report.refuse(path, NOT_AN_ARRAY);
        return Ok(None);
    }
    let (mark, mut position, mut elements) = (report.mark(), 0, Vec::new());
    reader.elements(|reader| {
        let path = Path::Element(path, position);
        position += 1;
        if let Some(read) = element(&path, reader, report)? {
            if elements.contains(&read) {
                report.refuse(&path, REPEATED);
            } else if elements.len() < most {
                elements.push(read);
            }
        }
        Ok(())
    })?;
    if !(1..=most).contains(&position) {
        report.refuse_before(mark, path, wrong_count);
    }
    Ok(Some(elements))
}

/// Reads an array of scopes.
fn read_scopes(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Scopes>, Malformed> {
    let count = (Scope::ALL.len(), NO_SCOPES);
    let scopes = read_set(path, reader, report, count, |path, reader, report| {
        read_text(path, reader, report, |name| Scope::named(name).ok_or(UNKNOWN_SCOPE))
    })?;
    Ok(scopes.map(|scopes| scopes.into_iter().collect()))
}

const NO_SCOPES: Rule = Rule("must name 1 scope at least, and none twice");
const UNKNOWN_SCOPE: Rule = Rule("unknown scope");

/// Checks the scopes of a typed request.
fn check_scopes(scopes: impl IntoIterator<Item = Scope>) -> Result<Scopes, Rule> {
    let scopes: Scopes = scopes.into_iter().collect();
    if scopes.is_empty() { Err(NO_SCOPES) } else { Ok(scopes) }
}
