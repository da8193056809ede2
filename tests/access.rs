//! Promise: whoever has authenticated may do exactly what their credential allows, from its making to its end.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeSet;

use common::clock::HandClock;
use common::{keys, operations, vault};
use serde_json::{Value, json};
use tokenvault::store::MemoryStore;
use tokenvault::{
    Actor, ApiTokenQuery, ApiTokenStatus, Client, CreateApiKey, CreateApiToken, CreateGeneric, DefineAccount,
    DefineModule, ErrorKind, Operation, Page, Scope, UpdateApiKey, UpdateApiToken, Vault, VaultOptions,
};

/// A client with exactly these scopes.
fn client(vault: &Vault, scopes: impl IntoIterator<Item = Scope>) -> Client {
    let key = vault.create_api_key(CreateApiKey::new(scopes).unwrap()).unwrap();
    vault.authenticate(key.key_value.expose()).unwrap()
}

fn generic() -> CreateGeneric {
    CreateGeneric::new([("pin", "1234")]).unwrap()
}

/// A vault with an account and two modules.
fn with_account() -> (Vault, HandClock) {
    let (vault, clock) = vault();
    let account = br#"{"id":"ACC-9042","name":"Corner shop","type":"Client","status":"Active","icon":"/acc.png"}"#;
    vault.define_account(DefineAccount::from_json(account).unwrap()).unwrap();
    let checkout = br#"{"id":"MOD-1","name":"Checkout","description":"Takes cards","scopes":["generic:tokens:create"],
        "filters":{"group.buyers":["BUY-1"]},"settings":{"configurable":true,"eligibility":{"multi":true}}}"#;
    vault.define_module(DefineModule::from_json(checkout).unwrap()).unwrap();
    vault.define_module(DefineModule::new("MOD-2", "Desk", "Reads", [Scope::GenericTokensRead]).unwrap()).unwrap();
    (vault, clock)
}

fn till() -> CreateApiToken {
    CreateApiToken::new("ACC-9042", "Till", ["MOD-1"]).unwrap()
}

#[test]
fn the_answer_of_a_new_api_token_is_the_published_one() {
    let (vault, _) = with_account();
    let request = br#"{"account":{"id":"ACC-9042"},"name":"Till","icon":"/till.png","description":"At the door",
        "modules":[{"id":"MOD-1"},{"id":"MOD-2"}]}"#;
    let made = vault.create_api_token(CreateApiToken::from_json(request).unwrap()).unwrap();
    let (id, secret) = (made.id.to_string(), made.token.as_ref().unwrap().expose().to_owned());
    let at = json!({"at":"2026-01-02T03:04:05.678Z","by":{"id":"root","name":"root"}});
    let published = json!({
        "id": id,
        "audit": {"created": at, "updated": at},
        "$meta": {"omitted": []},
        "status": "Active",
        "name": "Till",
        "description": "At the door",
        "icon": "/till.png",
        "token": secret,
        "account":
            {"id":"ACC-9042","icon":"/acc.png","type":"Client","status":"Active","name":"Corner shop"},
        "modules": [
            {
                "id": "MOD-1", "description": "Takes cards", "name": "Checkout",
                "filters": {"group.buyers":["BUY-1"]},
                "settings": {"configurable":true,"eligibility":{"multi":true}},
            },
            {"id": "MOD-2", "description": "Reads", "name": "Desk"},
        ],
    });
    assert_eq!(serde_json::to_value(&made).unwrap(), published);
    // In the order of the publication, which maps do not have.
    let text = serde_json::to_string(&made).unwrap();
    let order = [
        "id",
        "audit",
        "created",
        "at",
        "by",
        "updated",
        "$meta",
        "omitted",
        "status",
        "name",
        "description",
        "icon",
        "token",
        "account",
        "id",
        "icon",
        "type",
        "status",
        "name",
        "modules",
        "id",
        "description",
        "name",
        "filters",
        "settings",
    ];
    let mut rest = text.as_str();
    for field in order {
        (_, rest) = rest.split_once(&format!("\"{field}\":")).unwrap_or_else(|| panic!("{field} in {text}"));
    }
    assert_eq!(id.len(), "TKN-1671-0642".len());
    let bits = secret.strip_prefix(&format!("idt:{id}:")).unwrap();
    assert_eq!(bits.len(), 43);

    // The field that is not there before the first use, and what other answers leave out.
    vault.authenticate(&secret).unwrap().create_generic(generic()).unwrap();
    let mut viewed = published;
    viewed["$meta"]["omitted"] = json!(["token"]);
    viewed["lastAccessAt"] = json!("2026-01-02T03:04:00.000Z");
    viewed.as_object_mut().unwrap().remove("token");
    assert_eq!(serde_json::to_value(vault.api_token(made.id).unwrap()).unwrap(), viewed);
}

#[test]
fn an_api_key_shows_its_secret_once() {
    let (vault, _) = vault();
    let request = br#"{"scopes":["pci:tokens:read","generic:tokens:create"],"expires_in":3600}"#;
    let made = vault.create_api_key(CreateApiKey::from_json(request).unwrap()).unwrap();
    let secret = made.key_value.expose().to_owned();
    assert!(secret.starts_with("key_") && secret.len() == 47);
    let answer = json!({
        "id": made.id.to_string(),
        "created_at": "2026-01-02T03:04:05.678Z",
        "expires_at": "2026-01-02T04:04:05.678Z",
        "key_value": secret,
        "scopes": ["generic:tokens:create", "pci:tokens:read"],
    });
    assert_eq!(serde_json::to_value(&made).unwrap(), answer);
    let mut viewed = answer;
    viewed.as_object_mut().unwrap().remove("key_value");
    viewed["masked_key_value"] = Value::from(format!("{}xxxx", secret.get(..7).unwrap()));
    assert_eq!(serde_json::to_value(vault.api_key(made.id).unwrap()).unwrap(), viewed);
    let listed = vault.list_api_keys(Page::default()).unwrap();
    assert_eq!(serde_json::to_value(&listed.data[0]).unwrap(), viewed);
}

#[test]
fn an_expired_key_is_refused_at_its_next_call() {
    let (vault, clock) = vault();
    let request = CreateApiKey::new([Scope::GenericTokensCreate]).unwrap().expires_in(60).unwrap();
    let made = vault.create_api_key(request).unwrap();
    let client = vault.authenticate(made.key_value.expose()).unwrap();
    clock.advance_millis(59_999);
    client.create_generic(generic()).unwrap();
    clock.advance_millis(1);
    assert_eq!(client.create_generic(generic()).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(vault.authenticate(made.key_value.expose()).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(vault.api_key(made.id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_changed_key_is_held_to_its_new_scopes_at_its_next_call() {
    let (vault, _) = vault();
    let made = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate]).unwrap()).unwrap();
    let client = vault.authenticate(made.key_value.expose()).unwrap();
    let token = client.create_generic(generic()).unwrap();
    vault.update_api_key(made.id, &UpdateApiKey::new([Scope::GenericTokensRead]).unwrap()).unwrap();
    assert_eq!(client.create_generic(generic()).unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(client.generic(token.id).unwrap(), token);
    vault.delete_api_key(made.id).unwrap();
    assert_eq!(client.generic(token.id).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(vault.delete_api_key(made.id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_status_of_an_api_token_is_a_machine() {
    use ApiTokenStatus::{Active, Deleted, Disabled};

    let (vault, clock) = with_account();
    let made = vault.create_api_token(till()).unwrap();
    let (id, secret) = (made.id, made.token.unwrap());
    let client = vault.authenticate(secret.expose()).unwrap();
    clock.advance_millis(1000);
    assert_eq!(vault.enable_api_token(id).unwrap().audit.updated, made.audit.updated, "it changes nothing");
    let disabled = vault.disable_api_token(id).unwrap();
    assert_eq!((disabled.status, disabled.audit.updated == made.audit.updated), (Disabled, false));
    assert_eq!(client.create_generic(generic()).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(vault.authenticate(secret.expose()).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(vault.enable_api_token(id).unwrap().status, Active);
    client.create_generic(generic()).unwrap();
    for _ in 0..2 {
        assert_eq!(vault.delete_api_token(id).unwrap().status, Deleted);
    }
    assert_eq!(client.create_generic(generic()).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(vault.authenticate(secret.expose()).unwrap_err().kind(), ErrorKind::Unauthorized);
    for refused in [vault.enable_api_token(id), vault.disable_api_token(id)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    }
    let update = UpdateApiToken::new().name("Door").unwrap();
    assert_eq!(vault.update_api_token(id, &update).unwrap_err().kind(), ErrorKind::Conflict);
    // Only root sees it.
    assert_eq!(vault.api_token(id).unwrap().status, Deleted);
    let admin = self::client(&vault, [Scope::AdminApiTokensRead]);
    assert_eq!(admin.api_token(id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(admin.list_api_tokens(&ApiTokenQuery::new()).unwrap().meta.pagination.total, 0);
}

#[test]
fn an_update_of_an_api_token_changes_what_it_says() {
    let (vault, clock) = with_account();
    let made = vault.create_api_token(till().icon("/a.png").unwrap().description("d").unwrap()).unwrap();
    let secret = made.token.unwrap();
    let client = vault.authenticate(secret.expose()).unwrap();
    let token = client.create_generic(generic()).unwrap();
    assert_eq!(client.generic(token.id).unwrap_err().kind(), ErrorKind::Forbidden);
    clock.advance_millis(1000);
    let update = UpdateApiToken::from_json(br#"{"icon":null,"modules":[{"id":"MOD-2"}]}"#).unwrap();
    let changed = vault.update_api_token(made.id, &update).unwrap();
    assert_eq!((changed.icon, changed.description.as_deref(), changed.name.as_str()), (None, Some("d"), "Till"));
    assert_eq!(changed.modules[0].id, "MOD-2");
    assert_eq!(client.generic(token.id).unwrap().id, token.id);
    assert_eq!(client.create_generic(generic()).unwrap_err().kind(), ErrorKind::Forbidden);
    let unknown = UpdateApiToken::new().modules(["MOD-2", "MOD-3"]).unwrap();
    let refused = vault.update_api_token(made.id, &unknown).unwrap_err();
    assert_eq!(common::violations(&refused), [("$.modules[1].id", "unknown module")]);
    // What a module lets its tokens do changes with it.
    vault.define_module(DefineModule::new("MOD-2", "Desk", "Reads", [Scope::PciTokensRead]).unwrap()).unwrap();
    assert_eq!(client.generic(token.id).unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn what_an_api_token_names_must_be_there_and_stays() {
    let (vault, _) = with_account();
    let request = CreateApiToken::new("ACC-0", "Till", ["MOD-1", "MOD-0"]).unwrap();
    let refused = vault.create_api_token(request).unwrap_err();
    assert_eq!(
        common::violations(&refused),
        [("$.account.id", "unknown account"), ("$.modules[1].id", "unknown module")]
    );
    let made = vault.create_api_token(till()).unwrap();
    assert_eq!(vault.delete_account("ACC-9042").unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(vault.delete_module("MOD-1").unwrap_err().kind(), ErrorKind::Conflict);
    vault.delete_module("MOD-2").unwrap();
    assert_eq!(vault.delete_module("MOD-2").unwrap_err().kind(), ErrorKind::NotFound);
    vault.update_api_token(made.id, &UpdateApiToken::new().name("Door").unwrap()).unwrap();
    assert_eq!(vault.delete_module("MOD-1").unwrap_err().kind(), ErrorKind::Conflict, "a change keeps the use");
}

#[test]
fn a_list_of_api_tokens_is_filtered_and_counted() {
    let (vault, _) = with_account();
    vault.define_account(DefineAccount::new("ACC-1", "Other").unwrap()).unwrap();
    let mut ids: Vec<_> = (0..5).map(|_| vault.create_api_token(till()).unwrap().id).collect();
    let other = vault.create_api_token(CreateApiToken::new("ACC-1", "Till", ["MOD-1"]).unwrap()).unwrap().id;
    vault.disable_api_token(ids[0]).unwrap();
    let disabled = ids[0];
    ids.sort();
    let list = |query: ApiTokenQuery| {
        let page = vault.list_api_tokens(&query).unwrap();
        let ids: Vec<_> = page.data.iter().map(|token| token.id).collect();
        assert!(page.data.iter().all(|token| token.token.is_none() && token.meta.omitted == ["token"]));
        (ids, page.meta.pagination.total)
    };
    let of_account = || ApiTokenQuery::new().account("ACC-9042").unwrap();
    assert_eq!(list(of_account()), (ids.clone(), 5));
    assert_eq!(list(of_account().offset(1).limit(2)), (ids[1..3].to_vec(), 5));
    assert_eq!(list(of_account().offset(9)), (vec![], 5));
    assert_eq!(list(ApiTokenQuery::new().status(ApiTokenStatus::Disabled)), (vec![disabled], 1));
    assert_eq!(list(ApiTokenQuery::new().account("ACC-1").unwrap()), (vec![other], 1));
    let page = serde_json::to_value(vault.list_api_tokens(&of_account().limit(1)).unwrap()).unwrap();
    assert_eq!(page["$meta"], json!({"pagination":{"offset":0,"limit":1,"total":5}}));
    for limit in [0, 101] {
        assert_eq!(vault.list_api_tokens(&of_account().limit(limit)).unwrap_err().kind(), ErrorKind::Validation);
    }
}

#[test]
fn nobody_grants_what_they_lack() {
    let (vault, _) = with_account();
    let every_admin = || Scope::ALL.iter().copied().filter(|scope| scope.as_str().starts_with("admin:api-"));
    let admin = client(&vault, every_admin());
    let strong = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensRead]).unwrap()).unwrap();
    let weak = vault.create_api_key(CreateApiKey::new([Scope::AdminApiKeysRead]).unwrap()).unwrap();
    let token = vault.create_api_token(till()).unwrap();
    let strong_scope = || UpdateApiKey::new([Scope::GenericTokensRead]).unwrap();
    let forbidden = [
        admin.create_api_key(CreateApiKey::new([Scope::GenericTokensRead]).unwrap()).map(drop),
        admin.update_api_key(weak.id, &strong_scope()).map(drop),
        admin.update_api_key(strong.id, &UpdateApiKey::new([Scope::AdminApiKeysRead]).unwrap()).map(drop),
        admin.delete_api_key(strong.id),
        admin.create_api_token(till()).map(drop),
        admin.update_api_token(token.id, &UpdateApiToken::new().name("x").unwrap()).map(drop),
        admin.enable_api_token(token.id).map(drop),
        admin.disable_api_token(token.id).map(drop),
        admin.delete_api_token(token.id).map(drop),
    ];
    for (at, refused) in forbidden.into_iter().enumerate() {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Forbidden, "{at}");
    }
    admin.update_api_key(weak.id, &UpdateApiKey::new([Scope::AdminApiTokensRead]).unwrap()).unwrap();
    admin.delete_api_key(weak.id).unwrap();
    let able = client(&vault, every_admin().chain([Scope::GenericTokensCreate]));
    able.disable_api_token(able.create_api_token(till()).unwrap().id).unwrap();
}

#[test]
fn a_credential_is_made_once_under_one_idempotency_key() {
    let (vault, _) = with_account();
    let key = || CreateApiKey::new([Scope::PciTokensRead]).unwrap().idempotency_key("k").unwrap();
    let made = vault.create_api_key(key()).unwrap();
    let again = vault.create_api_key(key()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert!(again.to_string().contains(&made.id.to_string()), "{again}");
    assert_eq!(vault.list_api_keys(Page::default()).unwrap().data.len(), 1);
    let token = || till().idempotency_key("k").unwrap();
    let made = vault.create_api_token(token()).unwrap();
    let again = vault.create_api_token(token()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert!(again.to_string().contains(&made.id.to_string()), "{again}");
}

#[test]
fn no_secret_but_a_live_one_authenticates() {
    let (vault, _) = with_account();
    let secret = vault.create_api_token(till()).unwrap().token.unwrap();
    let key = vault.create_api_key(CreateApiKey::new([Scope::PciTokensRead]).unwrap()).unwrap().key_value;
    let mut wrong: Vec<String> =
        ["", " ", "key_", "idt:", "root", "null", "TKN-0000-0000", "key_\0", "idt:TKN-0000-0000:"]
            .map(str::to_owned)
            .into();
    for secret in [secret.expose(), key.expose()] {
        wrong.extend([format!(" {secret}"), format!("{secret} "), format!("{secret}\n"), secret.to_uppercase()]);
        wrong.extend([
            secret.to_lowercase(),
            secret.split_at(1).1.to_owned(),
            secret.split_at(secret.len() - 1).0.to_owned(),
        ]);
        wrong.extend([secret.repeat(2), secret.repeat(1000), format!("Bearer {secret}")]);
        wrong.extend((0..secret.len()).map(|at| {
            let mut bytes = secret.as_bytes().to_vec();
            bytes[at] ^= 1;
            String::from_utf8(bytes).unwrap()
        }));
    }
    let body = r#"{"code":401,"classifier":"UNAUTHORIZED","message":"No valid means of authentication was provided"}"#;
    for secret in wrong {
        let error = vault.authenticate(&secret).unwrap_err();
        assert_eq!(serde_json::to_string(&error).unwrap(), body, "{secret}");
    }
    for secret in [secret, key] {
        vault.authenticate(secret.expose()).unwrap();
    }
}

#[test]
fn the_use_of_a_token_outlives_the_process() {
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let store = common::shared::Shared::default();
    let open = || VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    let vault = open();
    vault.define_account(DefineAccount::new("ACC-9042", "Corner shop").unwrap()).unwrap();
    let module = DefineModule::new("MOD-1", "Checkout", "Takes cards", [Scope::GenericTokensCreate]).unwrap();
    vault.define_module(module).unwrap();
    let made = vault.create_api_token(till()).unwrap();
    let secret = made.token.unwrap();
    clock.advance_millis(3_600_000);
    let client = vault.authenticate(secret.expose()).unwrap();
    client.create_generic(generic()).unwrap();
    let seen = vault.api_token(made.id).unwrap();
    vault.close().unwrap();
    assert_eq!(client.create_generic(generic()).unwrap_err().kind(), ErrorKind::Unavailable);
    let vault = open();
    let kept = vault.api_token(made.id).unwrap();
    assert_eq!(kept.last_access_at, seen.last_access_at);
    assert!(kept.last_access_at.is_some() && kept.audit.updated == made.audit.updated);
    vault.authenticate(secret.expose()).unwrap().create_generic(generic()).unwrap();
}

#[test]
fn each_operation_needs_its_scope_and_no_other() {
    let mut tried = BTreeSet::new();
    for (operation, call) in operations::ALL {
        let Some(scope) = operation.scope() else { panic!("{operation} is root's") };
        tried.insert(operation.as_str());
        let world = operations::World::new();
        let with = client(&world.vault, [scope]);
        let others = client(&world.vault, Scope::ALL.iter().copied().filter(|other| *other != scope));
        // What is created by one that reaches further, is refused for that.
        let refused = call(&others, &world).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forbidden, "{operation} without {scope}");
        let body =
            r#"{"code":403,"classifier":"FORBIDDEN","message":"Not allowed to access this resource or feature"}"#;
        assert_eq!(serde_json::to_string(&refused).unwrap(), body);
        if let Err(error) = call(&with, &world) {
            panic!("{operation} with {scope}: {error}");
        }
    }
    let table =
        Operation::ALL.iter().filter(|operation| operation.scope().is_some()).map(|operation| operation.as_str());
    assert_eq!(tried, table.collect());
}

#[test]
fn a_client_of_a_closed_vault_is_told_so() {
    let vault = VaultOptions::new().open_with(MemoryStore::new(), keys()).unwrap();
    let client = client(&vault, [Scope::GenericTokensCreate]);
    vault.close().unwrap();
    assert_eq!(client.create_generic(generic()).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn no_text_is_empty_and_no_name_has_control_characters() {
    let at = |error: &tokenvault::Error, path: &str| {
        assert_eq!(common::violations(error), [(path, "must not be empty")]);
    };
    let token = || CreateApiToken::new("A", "n", ["M"]).unwrap();
    at(&token().icon("").unwrap_err(), "$.icon");
    at(&token().description("").unwrap_err(), "$.description");
    let json = br#"{"account":{"id":"A"},"name":"n","modules":[{"id":"M"}],"icon":""}"#;
    at(&CreateApiToken::from_json(json).unwrap_err(), "$.icon");
    at(&UpdateApiToken::from_json(br#"{"description":""}"#).unwrap_err(), "$.description");
    at(&DefineAccount::from_json(br#"{"id":"A","name":"n","icon":""}"#).unwrap_err(), "$.icon");
    at(&DefineModule::new("M", "n", "", [Scope::PciTokensRead]).unwrap_err(), "$.description");
    for error in [
        CreateApiToken::new("A", "a\nb", ["M"]).unwrap_err(),
        UpdateApiToken::from_json(br#"{"name":"a\u0000"}"#).unwrap_err(),
        DefineAccount::new("A", "a\tb").unwrap_err(),
        DefineModule::new("M", "\u{7f}", "d", [Scope::PciTokensRead]).unwrap_err(),
    ] {
        assert_eq!(common::violations(&error), [("$.name", "must not contain control characters")]);
    }
    let error = CreateApiToken::new("A", "n", ["bad id"]).unwrap_err();
    let rule = "must be 1 to 64 of `A-Z a-z 0-9 . _ -`";
    assert_eq!(common::violations(&error), [("$.modules[0].id", rule)], "and not that there is none");
    assert_eq!(Actor::new("é".repeat(81)).name(), "é".repeat(80));
}
