//! Accounts and modules: what API tokens name. Root alone writes them.
//!
//! An account has a number, which stands for it as the owner of records. The numbers are counted, and none is given twice.

use uuid::Uuid;

use crate::access::Operation;
use crate::error::{Error, ErrorKind};
use crate::keys::CredentialKey;
use crate::record::{self, AccountView, Draft, Header, Kind, Malformed, ModuleView};
use crate::request::{DefineAccount, DefineModule};
use crate::response::{Account, Module};
use crate::store::{Batch, Table};
use crate::vault::caller::About;
use crate::vault::rows::{module_uses, owned, owned_record};
use crate::vault::standing::{Standing, damaged};
use crate::vault::{Shared, Vault, table};

/// The name under which the vault counts accounts.
const COUNTER: Uuid = Uuid::from_bytes(*b"accounts.counter");

/// Rows that are read at a time.
const BATCH: usize = 128;

impl Vault {
    /// Defines an account, or defines it anew. On return it survives power loss.
    ///
    /// # Errors
    /// `CONFLICT`, `STORE_FAILURE`, `KEY_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{DefineAccount, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let account = vault.define_account(DefineAccount::new("ACC-9042", "Corner shop")?)?;
    /// assert_eq!(account.name, "Corner shop");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a request is used up, as everywhere")]
    pub fn define_account(&self, account: DefineAccount) -> Result<Account, Error> {
        self.caller().perform(Operation::DefineAccount, About::Id(&account.id), |caller| caller.put_account(&account))
    }

    /// Removes an account that nothing belongs to. No other one will ever own what has belonged to it.
    ///
    /// # Errors
    /// `CONFLICT` while a token, session, type or credential belongs to it, a deleted API token included; `NOT_FOUND`,
    /// `STORE_FAILURE`, `KEY_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    pub fn delete_account(&self, id: &str) -> Result<(), Error> {
        self.caller().perform(Operation::DeleteAccount, About::Id(&id), |caller| caller.remove_account(id))
    }

    /// Defines a module, or defines it anew: what its tokens may do changes with it. On return it survives power loss.
    ///
    /// # Errors
    /// `CONFLICT`, `STORE_FAILURE`, `KEY_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{DefineModule, KeyManager, Scope, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let module = DefineModule::new("MOD-1", "Checkout", "Takes cards", [Scope::PciTokensCreate])?;
    /// assert_eq!(vault.define_module(module)?.id, "MOD-1");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a request is used up, as everywhere")]
    pub fn define_module(&self, module: DefineModule) -> Result<Module, Error> {
        self.caller().perform(Operation::DefineModule, About::Id(&module.id), |caller| caller.put_module(&module))
    }

    /// Removes a module that no API token has.
    ///
    /// # Errors
    /// `CONFLICT` while an API token has it, a deleted one included; `NOT_FOUND`, `STORE_FAILURE`, `KEY_FAILURE`, `CORRUPT`,
    /// `UNAVAILABLE`.
    pub fn delete_module(&self, id: &str) -> Result<(), Error> {
        self.caller().perform(Operation::DeleteModule, About::Id(&id), |caller| caller.remove_module(id))
    }
}

impl Shared {
    fn put_account(&self, account: &DefineAccount) -> Result<Account, Error> {
        let place = self.place(Kind::Account, &account.id)?;
        let done = self.until_settled(|| {
            let old = self.registered(Kind::Account, place)?;
            let (number, counted) = match &old {
                Some(old) => (record::account_view(&old.viewed.view).map_err(|_| damaged(place))?.number, Batch::new()),
                None => self.next_number()?,
            };
            let view = AccountView {
                number,
                id: account.id.clone(),
                name: account.name.clone(),
                r#type: account.r#type.clone(),
                status: account.status.clone(),
                icon: account.icon.clone(),
            };
            let batch =
                self.put_registered(Kind::Account, place, old, counted, |header| Draft::account(header, &view))?;
            self.commit_for(batch, view)
        });
        self.credentials.may_be_changed(&done);
        done.map(account_answer)
    }

    fn remove_account(&self, id: &str) -> Result<(), Error> {
        let place = self.place(Kind::Account, id)?;
        let done = self.until_settled(|| {
            let old = self.registered(Kind::Account, place)?.ok_or_else(Error::not_found)?;
            let number = record::account_view(&old.viewed.view).map_err(|_| damaged(place))?.number;
            let range = owned(number);
            self.remove_expired_of(&range)?;
            self.commit_for(old.remove_from(Batch::new().require_empty(Table::Owned, range.0, range.1)), ())
        });
        self.credentials.may_be_changed(&done);
        done
    }

    fn put_module(&self, module: &DefineModule) -> Result<Module, Error> {
        let place = self.place(Kind::Module, &module.id)?;
        let view = ModuleView {
            id: module.id.clone(),
            name: module.name.clone(),
            description: module.description.clone(),
            scopes: module.scopes,
            filters: module.filters.clone(),
            settings: module.settings.clone(),
        };
        let done = self.until_settled(|| {
            let old = self.registered(Kind::Module, place)?;
            let draft = |header: &Header| Draft::module(header, &view);
            let batch = self.put_registered(Kind::Module, place, old, Batch::new(), draft)?;
            self.commit_for(batch, ())
        });
        self.credentials.may_be_changed(&done);
        done?;
        module_answer(&view).ok_or_else(|| damaged(place))
    }

    fn remove_module(&self, id: &str) -> Result<(), Error> {
        let place = self.place(Kind::Module, id)?;
        let done = self.until_settled(|| {
            let old = self.registered(Kind::Module, place)?.ok_or_else(Error::not_found)?;
            let range = module_uses(place);
            self.require_unused(Table::ModuleUse, &range, "an API token has the module")?;
            self.commit_for(old.remove_from(Batch::new().require_empty(Table::ModuleUse, range.0, range.1)), ())
        });
        self.credentials.may_be_changed(&done);
        done
    }

    /// Writes a record under the name that it has, in the place of an old one if there is one.
    fn put_registered(
        &self,
        kind: Kind,
        place: Uuid,
        old: Option<Standing>,
        beside: Batch,
        draft: impl FnOnce(&Header) -> Result<Draft, Malformed>,
    ) -> Result<Batch, Error> {
        let Some(old) = old else {
            let mut sealed = self.seal_as(Some(place), Header::first(kind, self.now(), None), draft)?;
            return Ok(sealed.create_into(beside));
        };
        let mut sealed = old.reseal(self, None, draft)?;
        Ok(sealed.put_in_place_of(old, beside))
    }

    /// The number of the next account, and what counts it.
    fn next_number(&self) -> Result<(u32, Batch), Error> {
        let old = self.registered(Kind::State, COUNTER)?;
        let last = match &old {
            Some(old) => record::count(&old.viewed.view).map_err(|_| damaged(COUNTER))?,
            None => 0,
        };
        let number = last.checked_add(1).ok_or_else(|| Error::store_failure("there are too many accounts"))?;
        let batch =
            self.put_registered(Kind::State, COUNTER, old, Batch::new(), |header| Draft::count(header, number))?;
        Ok((number, batch))
    }

    /// Reads everything that belongs to an account, which removes what has expired; `CONFLICT` at the first that lives.
    fn remove_expired_of(&self, (from, to): &(Vec<u8>, Vec<u8>)) -> Result<(), Error> {
        let mut from = from.clone();
        loop {
            let rows = self.store.scan(Table::Owned, &from, to, BATCH)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = [last.as_slice(), &[0]].concat();
            for (row, _) in rows {
                let (kind, id) = owned_record(&row)?;
                match self.any_live(kind, id) {
                    Ok(_) => return Err(Error::conflict("something belongs to the account")),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn require_unused(&self, table: Table, (from, to): &(Vec<u8>, Vec<u8>), why: &'static str) -> Result<(), Error> {
        if self.store.scan(table, from, to, 1)?.is_empty() { Ok(()) } else { Err(Error::conflict(why)) }
    }
}

impl Shared {
    /// Where an account or a module of a name stands, or would stand.
    pub(super) fn place(&self, kind: Kind, name: &str) -> Result<Uuid, Error> {
        let at = |key: &CredentialKey| Uuid::from_bytes(key.place(kind.as_byte(), name));
        // What was named under an earlier key stays where it is.
        for place in self.keys.credential().iter().skip(1).map(at) {
            if self.store.get(table(kind), place.as_bytes())?.is_some() {
                return Ok(place);
            }
        }
        self.credential_key().map(at)
    }

    /// The number of an account and its record, if there is such an account.
    pub(super) fn account(&self, name: &str) -> Result<Option<(u32, Standing)>, Error> {
        let place = self.place(Kind::Account, name)?;
        let Some(account) = self.registered(Kind::Account, place)? else { return Ok(None) };
        let number = record::account_view(&account.viewed.view).map_err(|_| damaged(place))?.number;
        Ok(Some((number, account)))
    }

    /// What stands at a place, if anything does.
    pub(super) fn registered(&self, kind: Kind, place: Uuid) -> Result<Option<Standing>, Error> {
        match self.any_standing(kind, place) {
            Ok(standing) => Ok(Some(standing)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Words an account.
pub(super) fn account_answer(view: AccountView) -> Account {
    let text = |text: Option<Box<str>>| text.map(Into::into);
    let AccountView { id, name, r#type, status, icon, .. } = view;
    Account { id: id.into(), icon: text(icon), r#type: text(r#type), status: text(status), name: name.into() }
}

/// Words a module; `None` if what was given is no JSON.
pub(super) fn module_answer(view: &ModuleView) -> Option<Module> {
    let json = |json: &Option<Box<str>>| json.as_deref().map(serde_json::from_str).transpose().ok();
    Some(Module {
        id: view.id.clone().into(),
        description: view.description.clone().into(),
        name: view.name.clone().into(),
        filters: json(&view.filters)?,
        settings: json(&view.settings)?,
    })
}
