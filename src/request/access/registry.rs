//! Requests for the accounts and modules that API tokens name.

use serde_json::Value;

use crate::access::{Scope, Scopes};
use crate::error::{Error, Rule};
use crate::request::access::{check_id, check_name, check_scopes, check_text, read_scopes, read_text};
use crate::request::fields::{Fields, NOT_AN_OBJECT, Null, read_json};
use crate::request::json::{Malformed, Reader};
use crate::request::payload_type::check_text as check_json;
use crate::request::report::{Path, Report};
use crate::rules::Rules;

/// At most this many bytes of JSON in the filters or settings of a module.
const JSON_BYTES: usize = 16 * 1024;
const TOO_LARGE: Rule = Rule("must be at most 16 KiB");

#[derive(Clone, Copy, PartialEq)]
enum AccountField {
    Id,
    Name,
    Type,
    Status,
    Icon,
}

const ACCOUNT_FIELDS: Fields<AccountField> = Fields {
    named: &[
        ("id", AccountField::Id),
        ("name", AccountField::Name),
        ("type", AccountField::Type),
        ("status", AccountField::Status),
        ("icon", AccountField::Icon),
    ],
    lifetime: None,
    null: Null::Absent,
};

/// Defines an account: an id of 1 to 64 of `A-Z a-z 0-9 . _ -` and a name of 1 to 80 characters, and a type and a status of 1 to
/// 80 characters and an icon of at most 255, which are shown and mean nothing to the vault.
///
/// ```
/// use tokenvault::DefineAccount;
///
/// let account = DefineAccount::new("ACC-9042", "Corner shop")?.r#type("Client")?.status("Active")?;
/// let same = br#"{"id":"ACC-9042","name":"Corner shop","type":"Client","status":"Active"}"#;
/// let same = DefineAccount::from_json(same)?;
/// # drop((account, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DefineAccount {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) r#type: Option<Box<str>>,
    pub(crate) status: Option<Box<str>>,
    pub(crate) icon: Option<Box<str>>,
}

impl DefineAccount {
    /// An account with an id and a name.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.id` and `$.name`.
    pub fn new(id: &str, name: &str) -> Result<Self, Error> {
        let mut report = Report::under(Rules::new());
        let id = report.keep(&Path::Field(&Path::Root, "id"), check_id(id));
        let name = report.keep(&Path::Field(&Path::Root, "name"), check_name(name));
        report.finish(id.zip(name).map(|(id, name)| Self { id, name, r#type: None, status: None, icon: None }))
    }

    /// The type that is shown. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.type`.
    pub fn r#type(mut self, name: &str) -> Result<Self, Error> {
        self.r#type = Some(check_name(name).map_err(|rule| rule.at("$.type"))?);
        Ok(self)
    }

    /// The status that is shown. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.status`.
    pub fn status(mut self, name: &str) -> Result<Self, Error> {
        self.status = Some(check_name(name).map_err(|rule| rule.at("$.status"))?);
        Ok(self)
    }

    /// The icon that is shown. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.icon`.
    pub fn icon(mut self, icon: &str) -> Result<Self, Error> {
        self.icon = Some(check_text(icon).map_err(|rule| rule.at("$.icon"))?);
        Ok(self)
    }

    /// Reads `{"id","name","type"?,"status"?,"icon"?}`. At most 64 KiB, 32 levels deep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::new())
    }

    /// As [`DefineAccount::from_json`], by other rules.
    ///
    /// # Errors
    /// As [`DefineAccount::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, |reader, report| {
            let (mut id, mut name, mut r#type, mut status, mut icon) = (None, None, None, None, None);
            let present = ACCOUNT_FIELDS.read_request(reader, report, |field, path, reader, report| {
                match field {
                    AccountField::Id => id = read_text(path, reader, report, check_id)?,
                    AccountField::Name => name = read_text(path, reader, report, check_name)?,
                    AccountField::Type => r#type = read_text(path, reader, report, check_name)?,
                    AccountField::Status => status = read_text(path, reader, report, check_name)?,
                    AccountField::Icon => icon = read_text(path, reader, report, check_text)?,
                }
                Ok(())
            })?;
            if let Some(present) = present {
                present.require(AccountField::Id, &Path::Root, report);
                present.require(AccountField::Name, &Path::Root, report);
            }
            Ok(id.zip(name).map(|(id, name)| Self { id, name, r#type, status, icon }))
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum ModuleField {
    Id,
    Name,
    Description,
    Scopes,
    Filters,
    Settings,
}

const MODULE_FIELDS: Fields<ModuleField> = Fields {
    named: &[
        ("id", ModuleField::Id),
        ("name", ModuleField::Name),
        ("description", ModuleField::Description),
        ("scopes", ModuleField::Scopes),
        ("filters", ModuleField::Filters),
        ("settings", ModuleField::Settings),
    ],
    lifetime: None,
    null: Null::Absent,
};

/// Defines a module: an id of 1 to 64 of `A-Z a-z 0-9 . _ -`, a name of 1 to 80 characters, a description of at most 255, and the
/// scopes that an API token has by it. Filters and settings are objects of at most 16 KiB of JSON each, kept and shown as given.
///
/// ```
/// use tokenvault::{DefineModule, Scope};
///
/// let module = DefineModule::new("MOD-1", "Checkout", "Takes cards", [Scope::PciTokensCreate])?;
/// let same = br#"{"id":"MOD-1","name":"Checkout","description":"Takes cards","scopes":["pci:tokens:create"]}"#;
/// let same = DefineModule::from_json(same)?;
/// # drop((module, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DefineModule {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) scopes: Scopes,
    pub(crate) filters: Option<Box<str>>,
    pub(crate) settings: Option<Box<str>>,
}

impl DefineModule {
    /// A module with scopes.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.id`, `$.name`, `$.description` and `$.scopes`.
    pub fn new(
        id: &str,
        name: &str,
        description: &str,
        scopes: impl IntoIterator<Item = Scope>,
    ) -> Result<Self, Error> {
        let mut report = Report::under(Rules::new());
        let id = report.keep(&Path::Field(&Path::Root, "id"), check_id(id));
        let name = report.keep(&Path::Field(&Path::Root, "name"), check_name(name));
        let description = report.keep(&Path::Field(&Path::Root, "description"), check_text(description));
        let scopes = report.keep(&Path::Field(&Path::Root, "scopes"), check_scopes(scopes));
        let made = id.zip(name).zip(description).zip(scopes);
        report.finish(made.map(|(((id, name), description), scopes)| Self {
            id,
            name,
            description,
            scopes,
            filters: None,
            settings: None,
        }))
    }

    /// The filters that are shown, an object. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.filters`.
    pub fn filters(mut self, filters: &Value) -> Result<Self, Error> {
        self.filters = Some(check_object(filters).map_err(|rule| rule.at("$.filters"))?);
        Ok(self)
    }

    /// The settings that are shown, an object. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.settings`.
    pub fn settings(mut self, settings: &Value) -> Result<Self, Error> {
        self.settings = Some(check_object(settings).map_err(|rule| rule.at("$.settings"))?);
        Ok(self)
    }

    /// Reads `{"id","name","description","scopes":[...],"filters"?:{},"settings"?:{}}`. At most 64 KiB, 32 levels deep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::new())
    }

    /// As [`DefineModule::from_json`], by other rules.
    ///
    /// # Errors
    /// As [`DefineModule::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        use ModuleField as F;

        let (mut id, mut name, mut description) = (None, None, None);
        let (mut scopes, mut filters, mut settings) = (None, None, None);
        let Some(present) = MODULE_FIELDS.read_request(reader, report, |field, path, reader, report| {
            match field {
                F::Id => id = read_text(path, reader, report, check_id)?,
                F::Name => name = read_text(path, reader, report, check_name)?,
                F::Description => description = read_text(path, reader, report, check_text)?,
                F::Scopes => scopes = read_scopes(path, reader, report)?,
                F::Filters => filters = read_object(path, reader, report)?,
                F::Settings => settings = read_object(path, reader, report)?,
            }
            Ok(())
        })?
        else {
            return Ok(None);
        };
        for required in [F::Id, F::Name, F::Description, F::Scopes] {
            present.require(required, &Path::Root, report);
        }
        let made = id.zip(name).zip(description).zip(scopes);
        Ok(made.map(|(((id, name), description), scopes)| Self { id, name, description, scopes, filters, settings }))
    }
}

fn check_object(value: &Value) -> Result<Box<str>, Rule> {
    if !value.is_object() {
        return Err(NOT_AN_OBJECT);
    }
    let json = value.to_string();
    if json.len() > JSON_BYTES { Err(TOO_LARGE) } else { Ok(json.into()) }
}

/// Reads an object of any members as it stands.
fn read_object(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Box<str>>, Malformed> {
    let (is_object, mark) = (reader.is_at_object(), report.mark());
    let json = reader.as_it_stands(|reader| check_json(path, reader, report))?;
    let checked = match is_object {
        false => Err(NOT_AN_OBJECT),
        true if json.len() > JSON_BYTES => Err(TOO_LARGE),
        true => Ok(json.into()),
    };
    Ok(report.keep(path, checked).filter(|_| report.is_clean_since(mark)))
}
