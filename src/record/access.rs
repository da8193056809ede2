//! What the records of credentials, accounts and modules say. Of a credential's secret only a keyed hash is kept.

use uuid::Uuid;

use crate::access::{ApiTokenStatus, By, Scope, Scopes};
use crate::clock::Timestamp;
use crate::cursor::Cursor;
use crate::record::{Malformed, push_text, read_text};
use crate::seal::HASH;
use crate::secret::SecretBytes;

/// The keyed hash of a credential's secret, and the number of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecretHash {
    pub(crate) key: u32,
    pub(crate) hash: [u8; HASH],
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiKeyView {
    pub(crate) secret: SecretHash,
    /// What of the secret is shown.
    pub(crate) shown: Box<str>,
    pub(crate) scopes: Scopes,
    pub(crate) created_by: By,
}

/// An API token of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiTokenView {
    pub(crate) secret: SecretHash,
    pub(crate) status: ApiTokenStatus,
    /// Where the account stands.
    pub(crate) account: Uuid,
    pub(crate) name: Box<str>,
    pub(crate) icon: Option<Box<str>>,
    pub(crate) description: Option<Box<str>>,
    /// Where the modules stand.
    pub(crate) modules: Vec<Uuid>,
    pub(crate) created_by: By,
    pub(crate) updated_at: Timestamp,
    pub(crate) updated_by: By,
    pub(crate) last_access: Option<Timestamp>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountView {
    /// What stands for it as the owner of records; never 0, and never that of another account.
    pub(crate) number: u32,
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) r#type: Option<Box<str>>,
    pub(crate) status: Option<Box<str>>,
    pub(crate) icon: Option<Box<str>>,
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModuleView {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) scopes: Scopes,
    /// JSON.
    pub(crate) filters: Option<Box<str>>,
    /// JSON.
    pub(crate) settings: Option<Box<str>>,
}

impl ApiKeyView {
    pub(super) fn write(&self, to: &mut SecretBytes) -> Result<(), Malformed> {
        self.secret.write(to);
        push_text(to, self.shown.as_bytes())?;
        write_scopes(to, self.scopes)?;
        write_by(to, &self.created_by)
    }

    pub(super) fn read(view: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(view);
        let read = Self {
            secret: SecretHash::read(&mut cursor)?,
            shown: read_text(&mut cursor)?.into(),
            scopes: read_scopes(&mut cursor)?,
            created_by: read_by(&mut cursor)?,
        };
        cursor.is_at_end().then_some(read)
    }
}

impl ApiTokenView {
    pub(super) fn write(&self, to: &mut SecretBytes) -> Result<(), Malformed> {
        self.secret.write(to);
        to.push(&[self.status.as_byte()]);
        to.push(self.account.as_bytes());
        push_text(to, self.name.as_bytes())?;
        write_option(to, self.icon.as_deref())?;
        write_option(to, self.description.as_deref())?;
        to.push(&[u8::try_from(self.modules.len()).map_err(|_| Malformed)?]);
        self.modules.iter().for_each(|module| to.push(module.as_bytes()));
        write_by(to, &self.created_by)?;
        to.push(&self.updated_at.as_millis().to_le_bytes());
        write_by(to, &self.updated_by)?;
        to.push(&self.last_access.map_or(0, Timestamp::as_millis).to_le_bytes());
        Ok(())
    }

    pub(super) fn read(view: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(view);
        let read = Self {
            secret: SecretHash::read(&mut cursor)?,
            status: ApiTokenStatus::from_byte(cursor.u8()?)?,
            account: Uuid::from_bytes(cursor.array()?),
            name: read_text(&mut cursor)?.into(),
            icon: read_option(&mut cursor).ok()?,
            description: read_option(&mut cursor).ok()?,
            modules: (0..cursor.u8()?).map(|_| cursor.array().map(Uuid::from_bytes)).collect::<Option<_>>()?,
            created_by: read_by(&mut cursor)?,
            updated_at: Timestamp::from_millis(cursor.i64()?)?,
            updated_by: read_by(&mut cursor)?,
            last_access: match cursor.i64()? {
                0 => None,
                millis => Some(Timestamp::from_millis(millis)?),
            },
        };
        cursor.is_at_end().then_some(read)
    }
}

impl AccountView {
    pub(super) fn write(&self, to: &mut SecretBytes) -> Result<(), Malformed> {
        to.push(&self.number.to_le_bytes());
        push_text(to, self.id.as_bytes())?;
        push_text(to, self.name.as_bytes())?;
        [&self.r#type, &self.status, &self.icon].into_iter().try_for_each(|text| write_option(to, text.as_deref()))
    }

    pub(super) fn read(view: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(view);
        let read = Self {
            number: cursor.u32().filter(|number| *number != 0)?,
            id: read_text(&mut cursor)?.into(),
            name: read_text(&mut cursor)?.into(),
            r#type: read_option(&mut cursor).ok()?,
            status: read_option(&mut cursor).ok()?,
            icon: read_option(&mut cursor).ok()?,
        };
        cursor.is_at_end().then_some(read)
    }
}

impl ModuleView {
    pub(super) fn write(&self, to: &mut SecretBytes) -> Result<(), Malformed> {
        [&self.id, &self.name, &self.description].into_iter().try_for_each(|text| push_text(to, text.as_bytes()))?;
        write_scopes(to, self.scopes)?;
        [&self.filters, &self.settings].into_iter().try_for_each(|json| write_option(to, json.as_deref()))
    }

    pub(super) fn read(view: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(view);
        let read = Self {
            id: read_text(&mut cursor)?.into(),
            name: read_text(&mut cursor)?.into(),
            description: read_text(&mut cursor)?.into(),
            scopes: read_scopes(&mut cursor)?,
            filters: read_option(&mut cursor).ok()?,
            settings: read_option(&mut cursor).ok()?,
        };
        cursor.is_at_end().then_some(read)
    }
}

impl SecretHash {
    fn write(&self, to: &mut SecretBytes) {
        to.push(&self.key.to_le_bytes());
        to.push(&self.hash);
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { key: cursor.u32()?, hash: cursor.array()? })
    }
}

/// By their names, which outlive any order of them.
fn write_scopes(to: &mut SecretBytes, scopes: Scopes) -> Result<(), Malformed> {
    to.push(&[u8::try_from(scopes.iter().count()).map_err(|_| Malformed)?]);
    scopes.iter().try_for_each(|scope| push_text(to, scope.as_str().as_bytes()))
}

fn read_scopes(cursor: &mut Cursor<'_>) -> Option<Scopes> {
    (0..cursor.u8()?).map(|_| read_text(cursor).and_then(Scope::named)).collect()
}

fn write_by(to: &mut SecretBytes, by: &By) -> Result<(), Malformed> {
    push_text(to, by.id.as_bytes())?;
    push_text(to, by.name.as_bytes())
}

fn read_by(cursor: &mut Cursor<'_>) -> Option<By> {
    Some(By { id: read_text(cursor)?.to_owned(), name: read_text(cursor)?.to_owned() })
}

/// Whether there is one, then the text.
fn write_option(to: &mut SecretBytes, text: Option<&str>) -> Result<(), Malformed> {
    to.push(&[u8::from(text.is_some())]);
    text.map_or(Ok(()), |text| push_text(to, text.as_bytes()))
}

fn read_option(cursor: &mut Cursor<'_>) -> Result<Option<Box<str>>, Malformed> {
    match cursor.u8().ok_or(Malformed)? {
        0 => Ok(None),
        1 => read_text(cursor).map(|text| Some(text.into())).ok_or(Malformed),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Box<str>> {
        "[a-zé]{0,80}".prop_map(Into::into)
    }

    fn by() -> impl Strategy<Value = By> {
        ("[a-z]{1,9}", "[a-zé]{0,20}").prop_map(|(id, name)| By { id, name })
    }

    fn scopes() -> impl Strategy<Value = Scopes> {
        proptest::sample::subsequence(Scope::ALL, 0..=Scope::ALL.len()).prop_map(|scopes| scopes.into_iter().collect())
    }

    fn secret() -> impl Strategy<Value = SecretHash> {
        any::<(u32, [u8; HASH])>().prop_map(|(key, hash)| SecretHash { key, hash })
    }

    fn instant() -> impl Strategy<Value = Timestamp> {
        (1..253_402_300_799_999_i64).prop_map(|millis| Timestamp::from_millis(millis).unwrap())
    }

    /// A view is read as it was written, and no prefix of it is a view.
    fn holds<T: PartialEq + std::fmt::Debug>(
        written: &T,
        write: impl Fn(&T, &mut SecretBytes) -> Result<(), Malformed>,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(), TestCaseError> {
        let mut view = SecretBytes::default();
        write(written, &mut view).unwrap();
        // A view of a test.
        let view = view.into_sealed();
        let read_again = read(&view);
        prop_assert_eq!(read_again.as_ref(), Some(written));
        for length in 0..view.len() {
            prop_assert_eq!(read(&view[..length]), None);
        }
        prop_assert_eq!(read(&[&view[..], &[0]].concat()), None);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_api_key_is_read_as_it_was_written(secret in secret(), shown in text(), scopes in scopes(), created_by in by()) {
            holds(&ApiKeyView { secret, shown, scopes, created_by }, ApiKeyView::write, ApiKeyView::read)?;
        }

        #[test]
        fn an_api_token_is_read_as_it_was_written(
            (secret, account) in (secret(), any::<u128>()),
            status in 1..4_u8,
            texts in (text(), proptest::option::of(text()), proptest::option::of(text())),
            modules in proptest::collection::vec(any::<u128>(), 0..60),
            (created_by, updated_by) in (by(), by()),
            (updated_at, last_access) in (instant(), proptest::option::of(instant())),
        ) {
            let token = ApiTokenView {
                secret,
                status: ApiTokenStatus::from_byte(status).unwrap(),
                account: Uuid::from_u128(account),
                name: texts.0,
                icon: texts.1,
                description: texts.2,
                modules: modules.into_iter().map(Uuid::from_u128).collect(),
                created_by,
                updated_at,
                updated_by,
                last_access,
            };
            holds(&token, ApiTokenView::write, ApiTokenView::read)?;
        }

        #[test]
        fn an_account_is_read_as_it_was_written(
            number in 1..u32::MAX,
            (id, name) in (text(), text()),
            options in proptest::array::uniform3(proptest::option::of(text())),
        ) {
            let [r#type, status, icon] = options;
            holds(&AccountView { number, id, name, r#type, status, icon }, AccountView::write, AccountView::read)?;
        }

        #[test]
        fn a_module_is_read_as_it_was_written(
            (id, name, description) in (text(), text(), text()),
            scopes in scopes(),
            (filters, settings) in (proptest::option::of(text()), proptest::option::of(text())),
        ) {
            let module = ModuleView { id, name, description, scopes, filters, settings };
            holds(&module, ModuleView::write, ModuleView::read)?;
        }

        #[test]
        fn any_bytes_are_read_or_refused(view in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop((ApiKeyView::read(&view), ApiTokenView::read(&view), AccountView::read(&view), ModuleView::read(&view)));
        }
    }
}
