//! A property of secrets, called by tests, replayed seeds and fuzz targets: whoever authenticates has one that is good.

use std::sync::OnceLock;

use tokenvault::store::MemoryStore;
use tokenvault::{CreateApiKey, CreateApiToken, DefineAccount, DefineModule, ErrorKind, Scope, Vault, VaultOptions};

use super::keys;

/// A vault, secrets of it that are good, and secrets that are not.
struct Doors {
    vault: Vault,
    good: Vec<String>,
    ended: Vec<String>,
}

fn doors() -> &'static Doors {
    static DOORS: OnceLock<Doors> = OnceLock::new();
    DOORS.get_or_init(|| {
        let vault = VaultOptions::new().open_with(MemoryStore::new(), keys()).unwrap();
        vault.define_account(DefineAccount::new("ACC-1", "Shop").unwrap()).unwrap();
        vault.define_module(DefineModule::new("MOD-1", "M", "D", [Scope::PciTokensRead]).unwrap()).unwrap();
        let key = || vault.create_api_key(CreateApiKey::new([Scope::PciTokensRead]).unwrap()).unwrap();
        let token = || vault.create_api_token(CreateApiToken::new("ACC-1", "Till", ["MOD-1"]).unwrap()).unwrap();
        let (good_key, good_token, deleted, disabled) = (key(), token(), key(), token());
        vault.delete_api_key(deleted.id).unwrap();
        vault.disable_api_token(disabled.id).unwrap();
        let of_token = |token: tokenvault::ApiToken| token.token.unwrap().expose().to_owned();
        let good = vec![good_key.key_value.expose().to_owned(), of_token(good_token)];
        let ended = vec![deleted.key_value.expose().to_owned(), of_token(disabled)];
        Doors { vault, good, ended }
    })
}

/// Any bytes as a secret. The first one chooses a real secret, or none, that the others are laid over (xor): without them it is
/// whole, and what is laid over it nearly so.
///
/// # Panics
/// If the property does not hold.
pub fn credential(bytes: &[u8]) {
    let Doors { vault, good, ended } = doors();
    let Some((choice, rest)) = bytes.split_first() else { return };
    let real = good.iter().chain(ended).nth(usize::from(*choice));
    let laid = real.map_or_else(
        || rest.to_vec(),
        |secret| {
            let over = rest.iter().copied().chain(std::iter::repeat(0));
            secret.bytes().zip(over).map(|(byte, over)| byte ^ over).collect()
        },
    );
    let Ok(secret) = std::str::from_utf8(&laid) else { return };
    match vault.authenticate(secret) {
        Ok(_) => assert!(good.iter().any(|good| good == secret), "{secret:?} is nobody's"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            assert!(good.iter().all(|good| good != secret), "{secret:?} is good");
        }
    }
}
