//! Requests for API tokens of an account.

use crate::error::{Error, Rule};
use crate::request::access::{REPEATED, check_id, check_name, check_text, read_reference, read_set, read_text};
use crate::request::fields::{Fields, Null, read_json};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Path, Report};
use crate::request::update::Edit;
use crate::rules::Rules;

/// At most this many modules.
const MOST_MODULES: usize = 50;
const MODULES: Rule = Rule("must name 1 to 50 modules");

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Account,
    Name,
    Icon,
    Description,
    Modules,
}

const FIELDS: Fields<Field> = Fields {
    named: &[
        ("account", Field::Account),
        ("name", Field::Name),
        ("icon", Field::Icon),
        ("description", Field::Description),
        ("modules", Field::Modules),
    ],
    lifetime: None,
    null: Null::Absent,
};

/// Asks for an API token of an account: a name of 1 to 80 characters, 1 to 50 modules, and an icon and a description of at most
/// 255 characters or none.
///
/// ```
/// use tokenvault::CreateApiToken;
///
/// let request = CreateApiToken::new("ACC-9042", "Checkout", ["MOD-1"])?.description("of the shop")?;
/// let same = br#"{"account":{"id":"ACC-9042"},"name":"Checkout","modules":[{"id":"MOD-1"}],"description":"of the shop"}"#;
/// let same = CreateApiToken::from_json(same)?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Debug)]
pub struct CreateApiToken {
    pub(crate) account: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) icon: Option<Box<str>>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) modules: Vec<Box<str>>,
    pub(crate) idempotency: Option<IdempotencyKey>,
}

impl CreateApiToken {
    /// Asks for a token of an account with a name and modules.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.account.id`, `$.name`, `$.modules` and `$.modules[n].id`.
    pub fn new<M: AsRef<str>>(account: &str, name: &str, modules: impl IntoIterator<Item = M>) -> Result<Self, Error> {
        let mut report = Report::under(Rules::new());
        let account_path = Path::Field(&Path::Root, "account");
        let account = report.keep(&Path::Field(&account_path, "id"), check_id(account));
        let name = report.keep(&Path::Field(&Path::Root, "name"), check_name(name));
        let modules = collect_modules(modules, &mut report);
        let request = account.zip(name).map(|(account, name)| Self {
            account,
            name,
            icon: None,
            description: None,
            modules,
            idempotency: None,
        });
        report.finish(request)
    }

    /// Gives the token an icon, for instance the address of an image. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.icon`.
    pub fn icon(mut self, icon: &str) -> Result<Self, Error> {
        self.icon = Some(check_text(icon).map_err(|rule| rule.at("$.icon"))?);
        Ok(self)
    }

    /// Describes the token. Default: not.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.description`.
    pub fn description(mut self, description: &str) -> Result<Self, Error> {
        self.description = Some(check_text(description).map_err(|rule| rule.at("$.description"))?);
        Ok(self)
    }

    /// Names the request, 1 to 64 characters: of requests with one key within 24 hours one makes a token, and the others are
    /// `CONFLICT`, since its secret is not shown again. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.idempotency = Some(IdempotencyKey::new(key)?);
        Ok(self)
    }

    /// Reads `{"account":{"id"},"name","icon"?,"description"?,"modules":[{"id"}]}`. At most 64 KiB, 32 levels deep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::new())
    }

    /// As [`CreateApiToken::from_json`], by other rules.
    ///
    /// # Errors
    /// As [`CreateApiToken::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        let (mut account, mut name, mut icon, mut description, mut modules) = (None, None, None, None, None);
        let Some(present) = FIELDS.read_request(reader, report, |field, path, reader, report| {
            match field {
                Field::Account => account = read_reference(path, reader, report)?,
                Field::Name => name = read_text(path, reader, report, check_name)?,
                Field::Icon => icon = read_text(path, reader, report, check_text)?,
                Field::Description => description = read_text(path, reader, report, check_text)?,
                Field::Modules => modules = read_modules(path, reader, report)?,
            }
            Ok(())
        })?
        else {
            return Ok(None);
        };
        for required in [Field::Account, Field::Name, Field::Modules] {
            present.require(required, &Path::Root, report);
        }
        let ((Some(account), Some(name)), Some(modules)) = ((account, name), modules) else { return Ok(None) };
        Ok(Some(Self { account, name, icon, description, modules, idempotency: None }))
    }
}

fn read_modules(
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    report: &mut Report,
) -> Result<Option<Vec<Box<str>>>, Malformed> {
    read_set(path, reader, report, (MOST_MODULES, MODULES), read_reference)
}

/// Checks the modules of a typed request by the same rules.
fn collect_modules<M: AsRef<str>>(modules: impl IntoIterator<Item = M>, report: &mut Report) -> Vec<Box<str>> {
    let path = Path::Field(&Path::Root, "modules");
    let (mut collected, mut named): (Vec<Box<str>>, _) = (Vec::new(), 0);
    // One more than is allowed tells that there are too many.
    for (position, module) in modules.into_iter().take(MOST_MODULES + 1).enumerate() {
        named = position + 1;
        let element = Path::Element(&path, position);
        let Some(module) = report.keep(&Path::Field(&element, "id"), check_id(module.as_ref())) else { continue };
        if collected.contains(&module) {
            report.refuse(&element, REPEATED);
        }
        collected.push(module);
    }
    if !(1..=MOST_MODULES).contains(&named) {
        report.refuse(&path, MODULES);
    }
    collected
}

const UPDATE_FIELDS: Fields<Field> = Fields {
    named: &[
        ("name", Field::Name),
        ("icon", Field::Icon),
        ("description", Field::Description),
        ("modules", Field::Modules),
    ],
    lifetime: None,
    null: Null::Value,
};

/// Asks for a change of an API token. What is not said stays; a null clears icon and description.
///
/// ```
/// use tokenvault::UpdateApiToken;
///
/// let request = UpdateApiToken::new().name("Till")?.without_icon();
/// let same = UpdateApiToken::from_json(br#"{"name":"Till","icon":null}"#)?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct UpdateApiToken {
    pub(crate) name: Option<Box<str>>,
    pub(crate) icon: Edit<Box<str>>,
    pub(crate) description: Edit<Box<str>>,
    pub(crate) modules: Option<Vec<Box<str>>>,
}

impl UpdateApiToken {
    /// Asks for no change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the token anew.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.name`.
    pub fn name(mut self, name: &str) -> Result<Self, Error> {
        self.name = Some(check_name(name).map_err(|rule| rule.at("$.name"))?);
        Ok(self)
    }

    /// Gives the token another icon.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.icon`.
    pub fn icon(mut self, icon: &str) -> Result<Self, Error> {
        self.icon = Edit::Set(check_text(icon).map_err(|rule| rule.at("$.icon"))?);
        Ok(self)
    }

    /// Takes the icon away.
    #[must_use]
    pub fn without_icon(mut self) -> Self {
        self.icon = Edit::Clear;
        self
    }

    /// Describes the token anew.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.description`.
    pub fn description(mut self, description: &str) -> Result<Self, Error> {
        self.description = Edit::Set(check_text(description).map_err(|rule| rule.at("$.description"))?);
        Ok(self)
    }

    /// Takes the description away.
    #[must_use]
    pub fn without_description(mut self) -> Self {
        self.description = Edit::Clear;
        self
    }

    /// Gives the token other modules, in the place of those that it has.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.modules` and `$.modules[n].id`.
    pub fn modules<M: AsRef<str>>(mut self, modules: impl IntoIterator<Item = M>) -> Result<Self, Error> {
        let mut report = Report::under(Rules::new());
        let modules = collect_modules(modules, &mut report);
        self.modules = Some(report.finish(Some(modules))?);
        Ok(self)
    }

    /// Reads `{"name"?,"icon"?,"description"?,"modules"?:[{"id"}]}`. At most 64 KiB, 32 levels deep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::new())
    }

    /// As [`UpdateApiToken::from_json`], by other rules.
    ///
    /// # Errors
    /// As [`UpdateApiToken::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, |reader, report| {
            let mut update = Self::default();
            let present = UPDATE_FIELDS.read_request(reader, report, |field, path, reader, report| {
                match field {
                    Field::Name => update.name = read_text(path, reader, report, check_name)?,
                    Field::Icon => update.icon = read_edit(path, reader, report)?,
                    Field::Description => update.description = read_edit(path, reader, report)?,
                    Field::Modules | Field::Account => update.modules = read_modules(path, reader, report)?,
                }
                Ok(())
            })?;
            Ok(present.map(|_| update))
        })
    }
}

/// Reads a text that a null clears.
fn read_edit(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<Edit<Box<str>>, Malformed> {
    if reader.is_at_null() {
        reader.value()?;
        return Ok(Edit::Clear);
    }
    Ok(read_text(path, reader, report, check_text)?.map_or(Edit::Keep, Edit::Set))
}
