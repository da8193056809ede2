//! A property of stored credentials, accounts and modules, called with those of other records: whatever a record says that is
//! sealed rightly, the vault makes of it what could have been asked for, or refuses it.

use tokenvault::store::{Store, Table};
use tokenvault::{
    ApiTokenId, ApiTokenQuery, CreateApiKey, CreateApiToken, DefineAccount, DefineModule, Error, ErrorKind, Page,
    Scope, UpdateApiKey, UpdateApiToken, Vault,
};
use uuid::Uuid;

use super::forge::{self, ACCOUNT, API_KEY, API_TOKEN, Forger, Header, MODULE};
use super::shared::Shared;

/// What whoever has a forged credential authenticates with.
pub const SECRET: &str = "key_of_a_forger";
/// Names of the account and the module that stand beside.
const ACCOUNT_ID: &str = "ACC-1";
const MODULE_ID: &str = "MOD-1";

/// The place of the API token: eight digits.
const TOKEN: Uuid = Uuid::from_u128(16_710_642);
const KEY: Uuid = Uuid::from_bytes(*b"any sixteen byte");

/// Any bytes as the view of a credential, an account or a module.
///
/// # Panics
/// If the property does not hold.
pub fn access(view: &[u8], open: impl Fn(&Shared) -> Vault, forger: &Forger) {
    let Ok(length) = u16::try_from(view.len()) else { return };
    let view = &view[..usize::from(length)];
    let world = |kind| {
        let store = Shared::default();
        store.write_anchor(&forger.anchor()).unwrap();
        put(&store, forger, ACCOUNT, account_place(forger), &account_view(1));
        put(&store, forger, MODULE, module_place(forger), &module_view(&["pci:tokens:read"]));
        let id = match kind {
            API_KEY => KEY,
            API_TOKEN => TOKEN,
            ACCOUNT => account_place(forger),
            _ => module_place(forger),
        };
        put(&store, forger, kind, id, view);
        let row = [&1_u32.to_be_bytes()[..], &secret_hash(forger)].concat();
        store.put(Table::Secret, &row, &[&[kind][..], id.as_bytes()].concat());
        (open(&store), store)
    };
    let (vault, store) = world(API_KEY);
    forged_key(&vault, &store);
    let (vault, _) = world(API_TOKEN);
    forged_token(&vault);
    let (vault, _) = world(ACCOUNT);
    forged_account(&vault);
    let (vault, _) = world(MODULE);
    forged_module(&vault);
}

fn put(store: &Shared, forger: &Forger, kind: u8, id: Uuid, view: &[u8]) {
    let table = match kind {
        API_KEY => Table::ApiKey,
        API_TOKEN => Table::ApiToken,
        ACCOUNT => Table::Account,
        _ => Table::Module,
    };
    let header = Header { owner: u32::from(kind == API_TOKEN), ..Header::of(kind) };
    store.put(table, id.as_bytes(), &forger.record_of_view(id.as_bytes(), &header, view));
}

fn forged_key(vault: &Vault, store: &Shared) {
    let id = KEY.into();
    let seen = answered(vault.api_key(id));
    let listed = answered(vault.list_api_keys(Page::default()));
    assert_eq!(listed.map(|mut list| list.data.remove(0)), seen);
    if let Some(client) = answered(vault.authenticate(SECRET)) {
        assert!(seen.is_some());
        let done = client.list_pci(Page::default()).err().map(|error| error.kind());
        let may = seen.as_ref().is_some_and(|key| key.scopes.contains(Scope::PciTokensRead));
        assert_eq!(done, (!may).then_some(ErrorKind::Forbidden));
    }
    let updated = answered(vault.update_api_key(id, &UpdateApiKey::new([Scope::AdminAuditRead]).unwrap()));
    assert_eq!(updated.is_some(), seen.is_some());
    assert_eq!(answered(vault.delete_api_key(id)).is_some(), seen.is_some());
    assert_eq!(store.value(Table::ApiKey, KEY.as_bytes()).is_none(), seen.is_some());
    if seen.is_some() {
        assert!(vault.authenticate(SECRET).is_err());
    }
}

fn forged_token(vault: &Vault) {
    let id: ApiTokenId = "TKN-1671-0642".parse().unwrap();
    let json = |token| serde_json::to_value::<tokenvault::ApiToken>(token).unwrap();
    let seen = answered(vault.api_token(id)).map(json);
    let listed = answered(vault.list_api_tokens(&ApiTokenQuery::new()));
    assert_eq!(listed.map(|mut list| json(list.data.remove(0))), seen);
    answered(vault.list_api_tokens(&ApiTokenQuery::new().account(ACCOUNT_ID).unwrap()));
    match vault.authenticate(SECRET) {
        // Whose it is is in the header: the account itself is not looked at.
        Ok(_) => assert!(seen.is_none_or(|seen| seen["status"] == "Active")),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Corrupt), "{error}"),
    }
    for result in [
        vault.update_api_token(id, &UpdateApiToken::new().name("Door").unwrap()),
        vault.disable_api_token(id),
        vault.enable_api_token(id),
        vault.delete_api_token(id),
    ] {
        match result {
            // It was deleted.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            result => drop(answered(result)),
        }
    }
}

fn forged_account(vault: &Vault) {
    let request = || CreateApiKey::new([Scope::GenericTokensCreate]).unwrap().account(ACCOUNT_ID).unwrap();
    let of_account = answered(vault.create_api_key(request()));
    let again = answered(vault.define_account(DefineAccount::new(ACCOUNT_ID, "Shop").unwrap()));
    assert_eq!(again.is_some(), of_account.is_some());
    if let Some(key) = of_account {
        assert_eq!(again.unwrap().name, "Shop");
        let token = CreateApiToken::new(ACCOUNT_ID, "Till", [MODULE_ID]).unwrap();
        let token = vault.create_api_token(token).unwrap();
        assert_eq!(token.account.id, ACCOUNT_ID);
        let unused = vault.delete_account(ACCOUNT_ID);
        assert_eq!(unused.unwrap_err().kind(), ErrorKind::Conflict);
        vault.authenticate(key.key_value.expose()).unwrap();
    } else {
        assert!(answered(vault.delete_account(ACCOUNT_ID)).is_none());
    }
}

fn forged_module(vault: &Vault) {
    let token = CreateApiToken::new(ACCOUNT_ID, "Till", [MODULE_ID]).unwrap();
    if let Some(token) = answered(vault.create_api_token(token)) {
        let json = serde_json::to_string(&token.modules).unwrap();
        assert_eq!(serde_json::from_str::<Vec<tokenvault::Module>>(&json).unwrap(), token.modules);
        vault.authenticate(token.token.unwrap().expose()).unwrap();
        assert_eq!(vault.delete_module(MODULE_ID).unwrap_err().kind(), ErrorKind::Conflict);
    }
    // Whatever it was, root defines it anew.
    let module = DefineModule::new(MODULE_ID, "M", "D", [Scope::PciTokensRead]).unwrap();
    assert_eq!(vault.define_module(module).unwrap().name, "M");
}

/// Whether it is an answer; otherwise it must be `CORRUPT`.
fn answered<T>(result: Result<T, Error>) -> Option<T> {
    result.map_err(|error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}")).ok()
}

fn secret_hash(forger: &Forger) -> [u8; 32] {
    forger.credential_hash("tokenvault/1/credential", SECRET.as_bytes())
}

fn place(forger: &Forger, kind: u8, name: &str) -> Uuid {
    let hash = forger.credential_hash("tokenvault/1/name", &[&[kind], name.as_bytes()].concat());
    Uuid::from_slice(&hash[..16]).unwrap()
}

fn account_place(forger: &Forger) -> Uuid {
    place(forger, ACCOUNT, ACCOUNT_ID)
}

fn module_place(forger: &Forger) -> Uuid {
    place(forger, MODULE, MODULE_ID)
}

/// An option that is not there.
const NONE: [u8; 1] = [0];

fn scopes(names: &[&str]) -> Vec<u8> {
    let count = u8::try_from(names.len()).unwrap();
    [vec![count], names.iter().flat_map(|name| forge::text(name)).collect()].concat()
}

fn by() -> Vec<u8> {
    [forge::text("root"), forge::text("root")].concat()
}

fn secret(forger: &Forger) -> Vec<u8> {
    [&1_u32.to_le_bytes()[..], &secret_hash(forger)].concat()
}

/// The view of an API key with a secret of this vault.
pub fn api_key_view(forger: &Forger, names: &[&str]) -> Vec<u8> {
    [secret(forger), forge::text("key_of_"), scopes(names), by()].concat()
}

/// The view of an API token with a secret of this vault.
pub fn api_token_view(forger: &Forger, status: u8, modules: u8) -> Vec<u8> {
    let at = 1_767_323_045_678_i64.to_le_bytes();
    let module = module_place(forger);
    let modules = [vec![modules], module.as_bytes().repeat(modules.into())].concat();
    let account = account_place(forger);
    let texts = [forge::text("Till"), NONE.to_vec(), [vec![1], forge::text("d")].concat()].concat();
    let parts = [secret(forger), vec![status], account.as_bytes().to_vec(), texts, modules, by(), at.to_vec(), by()];
    [parts.concat(), 0_i64.to_le_bytes().to_vec()].concat()
}

pub fn account_view(number: u32) -> Vec<u8> {
    let texts = [forge::text(ACCOUNT_ID), forge::text("Shop")].concat();
    [&number.to_le_bytes()[..], &texts, &NONE, &NONE, &NONE].concat()
}

pub fn module_view(names: &[&str]) -> Vec<u8> {
    module_view_with(names, &NONE)
}

/// The same with what stands for its filters.
pub fn module_view_with(names: &[&str], filters: &[u8]) -> Vec<u8> {
    let texts = [MODULE_ID, "Module", "Lets"].map(forge::text).concat();
    [&texts[..], &scopes(names), filters, &NONE].concat()
}
