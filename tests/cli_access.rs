//! Credentials on the command line: who has one may do what it allows and nothing else, and its secret is shown once.
//!
//! Whoever has the key of the vault is root. With a credential, from a file or the environment, a command acts by that instead:
//! what it refuses is answered with the error body on standard output and exit code 1. A credential that is lost on the way, an
//! empty variable for instance, makes nobody root.
#![cfg(feature = "cli")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokenvault::Scope;

use common::tool::{NOBODY, Place, Ran, not_found, ran, violation};

const CARD: &str =
    r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2031}}"#;
const PAYLOAD: &str = r#"{"payload":{"pin":"1234"}}"#;

/// The form of an id, of no API token.
const NO_TOKEN: &str = "TKN-0000-0000";

fn unauthorized() -> Value {
    json!({"code": 401, "classifier": "UNAUTHORIZED", "message": "No valid means of authentication was provided"})
}

fn forbidden() -> Value {
    json!({"code": 403, "classifier": "FORBIDDEN", "message": "Not allowed to access this resource or feature"})
}

/// A place with two accounts, and a module for each scope that is asked for.
fn place() -> Place {
    let place = Place::new();
    for (id, name) in [("ACC-1", "Corner shop"), ("ACC-2", "Station shop")] {
        place.define("account", &json!({"id": id, "name": name}));
    }
    for (id, scopes) in [("TILL", vec!["pci:tokens:create", "pci:tokens:read"]), ("READ", vec!["pci:tokens:read"])] {
        place.define("module", &json!({"id": id, "name": id, "description": "Lets", "scopes": scopes}));
    }
    place
}

/// Makes a credential, and gives its id and its secret.
fn make(place: &Place, kind: &str, request: &Value) -> (String, String) {
    let made = place.run(&["create", kind], request.to_string().as_bytes()).succeeded().lines().remove(0);
    let secret = &made[if kind == "api-key" { "key_value" } else { "token" }];
    (made["id"].as_str().unwrap().to_owned(), secret.as_str().unwrap().to_owned())
}

fn key(place: &Place, scopes: &[&str], account: Option<&str>) -> String {
    let mut request = json!({"scopes": scopes});
    if let Some(account) = account {
        request["account"] = json!({"id": account});
    }
    make(place, "api-key", &request).1
}

fn token_request(account: &str, module: &str) -> Value {
    json!({"account": {"id": account}, "name": "Till", "modules": [{"id": module}]})
}

/// A file with a secret that only its owner can read.
fn file(place: &Place, secret: &str) -> PathBuf {
    let file = place.folder.path().join("credential");
    drop(fs::remove_file(&file));
    fs::write(&file, secret).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    file
}

/// Runs a command by a credential from a file.
fn run_by(place: &Place, secret: &str, arguments: &[&str], input: &str) -> Ran {
    let mut tool = place.tool(arguments);
    tool.arg("--credential-file").arg(file(place, &format!("{secret}\n")));
    ran(tool, input.as_bytes())
}

/// The same from the environment.
fn run_by_variable(place: &Place, secret: &str, arguments: &[&str], input: &str) -> Ran {
    let mut tool = place.tool(arguments);
    tool.env("TOKENVAULT_CREDENTIAL", secret);
    ran(tool, input.as_bytes())
}

// Credentials: made, viewed, listed, changed, ended.

#[test]
fn accounts_and_modules_are_defined_and_defined_anew() {
    let place = Place::new();
    let account = json!({"id": "ACC-1", "name": "Corner shop", "type": "Client", "status": "Active", "icon": "/i.png"});
    let defined = place.run(&["define", "account"], account.to_string().as_bytes()).succeeded();
    assert_eq!(defined.lines(), [account], "the vault is made for it");
    let module = json!({"id": "MOD-1", "name": "Checkout", "description": "Takes cards", "scopes": ["pci:tokens:create"],
        "filters": {"group.buyers": ["a"]}, "settings": {"paid": true}});
    let pretty = serde_json::to_string_pretty(&module).unwrap();
    let mut shown = module.clone();
    shown.as_object_mut().unwrap().remove("scopes");
    assert_eq!(place.run(&["define", "module"], pretty.as_bytes()).succeeded().lines(), [shown], "on several lines");
    let renamed = json!({"id": "ACC-1", "name": "Kiosk"});
    assert_eq!(place.run(&["define", "account"], renamed.to_string().as_bytes()).succeeded().lines(), [renamed]);

    let refused = place.run(&["define", "account"], b"{}").refused().lines().remove(0);
    assert_eq!(violation(&refused), ("$.id", "is required"));
    let refused = place.run(&["define", "module"], br#"{"id":"a b"}"#).refused().lines().remove(0);
    assert_eq!(violation(&refused).0, "$.id");
    place.run(&["define", "shop"], b"").misused("shop");
    for (kind, id) in [("account", "ACC-1"), ("module", "MOD-1")] {
        assert_eq!(place.run(&["delete", kind, id], b"").succeeded().stdout(), "");
        assert_eq!(place.run(&["delete", kind, id], b"").refused().lines(), [not_found()]);
    }
}

#[test]
fn an_api_key_is_made_viewed_listed_changed_and_deleted_and_its_value_is_shown_once() {
    let place = place();
    let request = br#"{"scopes":["pci:tokens:read","generic:tokens:create"],"expires_in":3600}"#;
    let made = place.run(&["create", "api-key"], request).succeeded().lines().remove(0);
    let (id, value) = (made["id"].as_str().unwrap(), made["key_value"].as_str().unwrap());
    assert!(value.starts_with("key_") && value.len() == 47, "{made}");

    let viewed = place.run(&["view", "api-key", id], b"").succeeded();
    let key = viewed.lines().remove(0);
    assert_eq!(key["masked_key_value"], format!("{}xxxx", value.get(..7).unwrap()));
    assert_eq!(key["scopes"], json!(["generic:tokens:create", "pci:tokens:read"]));
    let listed = place.run(&["list", "api-keys"], b"").succeeded();
    assert_eq!(listed.lines(), [json!({"data": [key], "links": {}})]);
    assert!(!viewed.stdout().contains(value) && !listed.stdout().contains(value));

    let changed = place.run(&["update", "api-key", id], br#"{"scopes":["pci:tokens:delete"]}"#).succeeded();
    assert_eq!(changed.lines()[0]["scopes"], json!(["pci:tokens:delete"]));
    assert_eq!(place.run(&["delete", "api-key", id], b"").succeeded().stdout(), "");
    for command in ["view", "delete"] {
        assert_eq!(place.run(&[command, "api-key", id], b"").refused().lines(), [not_found()]);
    }
    let refused = place.run(&["update", "api-key", NOBODY], b"{}").refused().lines().remove(0);
    assert_eq!(violation(&refused), ("$.scopes", "is required"), "before an id that names nothing");
}

#[test]
fn an_api_token_is_made_viewed_listed_changed_disabled_enabled_and_deleted() {
    let place = place();
    let lines = format!("{}\n{{}}\n{}", token_request("ACC-1", "TILL"), token_request("ACC-9", "READ"));
    let made = place.run(&["create", "api-token"], lines.as_bytes()).refused().lines();
    let (id, secret) = (made[0]["id"].as_str().unwrap(), made[0]["token"].as_str().unwrap());
    assert!(secret.starts_with(&format!("idt:{id}:")), "{}", made[0]);
    assert_eq!((&made[0]["$meta"], &made[0]["status"]), (&json!({"omitted": []}), &json!("Active")));
    assert_eq!(made[1]["validation_errors"].as_array().unwrap().len(), 3, "{}", made[1]);
    assert_eq!(violation(&made[2]), ("$.account.id", "unknown account"));

    let viewed = place.run(&["view", "api-token", id, NO_TOKEN, "x"], b"").refused().lines();
    assert_eq!((&viewed[0]["$meta"], &viewed[0]["name"]), (&json!({"omitted": ["token"]}), &json!("Till")));
    assert_eq!(viewed[1..], [not_found(), not_found()]);
    let changed = place.run(&["update", "api-token", id], br#"{"name":"Door","modules":[{"id":"READ"}]}"#).succeeded();
    assert_eq!(
        (&changed.lines()[0]["name"], &changed.lines()[0]["modules"][0]["id"]),
        (&json!("Door"), &json!("READ"))
    );

    for (command, status) in [("disable", "Disabled"), ("disable", "Disabled"), ("enable", "Active")] {
        let switched = place.run(&[command, "api-token", id], b"").succeeded();
        assert_eq!(switched.lines()[0]["status"], status);
        assert!(!switched.stdout().contains(secret));
    }
    assert_eq!(place.run(&["delete", "api-token", id], b"").succeeded().lines()[0]["status"], "Deleted");
    let conflict = place.run(&["enable", "api-token", id], b"").refused().lines().remove(0);
    assert_eq!(conflict["classifier"], "CONFLICT");
    for command in ["enable", "disable", "delete", "view"] {
        assert_eq!(place.run(&[command, "api-token", NO_TOKEN], b"").refused().lines(), [not_found()], "{command}");
    }
    place.run(&["enable", "api-key", id], b"").misused("api-key");
}

#[test]
fn api_tokens_are_listed_by_status_and_account_and_counted() {
    let place = place();
    let ids: Vec<_> = [("ACC-1", "TILL"), ("ACC-1", "READ"), ("ACC-2", "READ")]
        .map(|(account, module)| make(&place, "api-token", &token_request(account, module)).0)
        .into();
    place.run(&["disable", "api-token", &ids[0]], b"").succeeded();
    let list = |arguments: &[&str]| {
        let arguments = [&["list", "api-tokens"], arguments].concat();
        let page = place.run(&arguments, b"").succeeded().lines().remove(0);
        let mut listed: Vec<_> = page["data"].as_array().unwrap().iter().map(|token| token["id"].clone()).collect();
        listed.sort_by_key(|id| ids.iter().position(|known| id == known));
        (listed, page["$meta"]["pagination"].clone())
    };
    let pagination =
        |offset: usize, limit: usize, total: usize| json!({"offset": offset, "limit": limit, "total": total});
    assert_eq!(list(&[]), (vec![json!(ids[0]), json!(ids[1]), json!(ids[2])], pagination(0, 20, 3)));
    assert_eq!(list(&["--status", "disabled"]), (vec![json!(ids[0])], pagination(0, 20, 1)));
    assert_eq!(list(&["--account", "ACC-2"]), (vec![json!(ids[2])], pagination(0, 20, 1)));
    assert_eq!(list(&["--status", "active", "--account", "ACC-1", "--limit", "1"]).0, [json!(ids[1])]);
    assert_eq!(list(&["--offset", "3"]), (vec![], pagination(3, 20, 3)));

    let refused = place.run(&["list", "api-tokens", "--limit", "0"], b"").refused().lines().remove(0);
    assert_eq!(violation(&refused), ("$.limit", "must be from 1 to 100"));
    for arguments in [["list", "api-tokens", "--after", NOBODY], ["list", "api-tokens", "--type-id", NOBODY]] {
        place.run(&arguments, b"").misused("--offset");
    }
    for (option, value) in [("--offset", "1"), ("--status", "active"), ("--account", "ACC-1")] {
        place.run(&["list", "pci", option, value], b"").misused("list api-tokens");
    }
}

#[test]
fn a_credential_that_is_asked_for_again_under_its_key_is_a_conflict_and_not_shown() {
    let place = place();
    for (kind, request) in
        [("api-key", json!({"scopes": ["pci:tokens:read"]})), ("api-token", token_request("ACC-1", "READ"))]
    {
        let arguments = ["create", kind, "--idempotency-prefix", "setup"];
        place.run(&arguments, request.to_string().as_bytes()).succeeded();
        let again = place.run(&arguments, request.to_string().as_bytes()).refused();
        assert_eq!(again.lines()[0]["classifier"], "CONFLICT", "{kind}");
    }
    assert_eq!(place.run(&["list", "api-keys"], b"").lines()[0]["data"].as_array().unwrap().len(), 1);
}

// Acting by a credential.

#[test]
fn a_command_may_do_what_the_credential_may_and_nothing_else() {
    let place = place();
    let id = place.create("pci", CARD);
    let reader = key(&place, &["pci:tokens:read"], None);
    let (_, till) = make(&place, "api-token", &token_request("ACC-1", "TILL"));
    for run in [run_by, run_by_variable] {
        assert_eq!(run(&place, &reader, &["view", "pci", &id], "").succeeded().lines()[0]["id"], id);
        for (arguments, input) in [
            (&["create", "pci"][..], CARD),
            (&["create", "generic"], PAYLOAD),
            (&["reveal", "pci", &id], ""),
            (&["delete", "pci", &id], ""),
            (&["view", "generic", NOBODY], ""),
            (&["list", "api-tokens"], ""),
            (&["create", "api-key"], r#"{"scopes":["pci:tokens:read"]}"#),
            (&["sweep"], ""),
            (&["stats"], ""),
            (&["compact"], ""),
            (&["find"], r#"{"type":"pan","account_number":"4111111111111111"}"#),
        ] {
            assert_eq!(run(&place, &reader, arguments, input).refused().lines(), [forbidden()], "{arguments:?}");
        }
        // What is of an account sees its own.
        let own = run(&place, &till, &["create", "pci"], CARD).succeeded().lines()[0]["id"].clone();
        let listed = run(&place, &till, &["list", "pci"], "").succeeded().lines().remove(0);
        assert!(listed["data"].as_array().unwrap().iter().any(|token| token["id"] == own), "{listed}");
        assert_eq!(run(&place, &till, &["view", "pci", &id], "").refused().lines(), [not_found()]);
    }
    assert_eq!(place.run(&["list", "pci"], b"").lines()[0]["data"].as_array().unwrap().len(), 3, "root sees all");
}

#[test]
fn what_root_alone_may_do_is_refused_to_every_credential() {
    let place = place();
    let scopes: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let everything = key(&place, &scopes, None);
    for (arguments, input) in [
        (&["define", "account"][..], r#"{"id":"ACC-3","name":"N"}"#),
        (&["define", "module"], "{}"),
        (&["delete", "account", "ACC-1"], ""),
        (&["delete", "module", "READ"], ""),
        (&["index-fingerprints"], ""),
        (&["create", "pci", "--fingerprints"], CARD),
    ] {
        assert_eq!(run_by(&place, &everything, arguments, input).refused().lines(), [forbidden()], "{arguments:?}");
        assert_eq!(run_by(&place, "key_x", arguments, input).refused().lines(), [unauthorized()], "{arguments:?}");
    }
    // Nothing was done: the vault keeps no fingerprints, and holds no card.
    let find = br#"{"type":"pan","account_number":"4111111111111111"}"#;
    assert_eq!(place.run(&["find"], find).refused().lines()[0]["code"], 422);
    let stats = run_by(&place, &everything, &["stats"], "").succeeded().lines().remove(0);
    assert_eq!(stats["pci_tokens"], 0);
}

#[test]
fn a_credential_that_is_not_good_is_nobodys_and_never_root() {
    let place = place();
    let (id, ended) = make(&place, "api-key", &json!({"scopes": ["pci:tokens:read"]}));
    place.run(&["delete", "api-key", &id], b"").succeeded();
    let (id, disabled) = make(&place, "api-token", &token_request("ACC-1", "READ"));
    place.run(&["disable", "api-token", &id], b"").succeeded();
    let long = "key_".repeat(1000);
    for secret in ["", "root", &ended, &disabled, disabled.get(..20).unwrap(), &long] {
        for run in [run_by, run_by_variable] {
            for arguments in
                [&["list", "pci"][..], &["view", "pci", "x"], &["create", "pci", "--duplicates", "return-existing"]]
            {
                let refused = run(&place, secret, arguments, CARD).refused();
                assert_eq!(refused.lines(), [unauthorized()], "{secret:?} {arguments:?}");
            }
        }
    }
    place.run(&["enable", "api-token", &id], b"").succeeded();
    run_by(&place, &disabled, &["list", "pci"], "").succeeded();
}

#[test]
fn a_file_that_is_named_counts_before_the_environment() {
    let place = place();
    let reader = key(&place, &["pci:tokens:read"], None);
    for (in_file, in_variable, code) in [(reader.as_str(), "x", 0), ("x", reader.as_str(), 1)] {
        let mut tool = place.tool(&["list", "pci"]);
        tool.arg("--credential-file").arg(file(&place, in_file)).env("TOKENVAULT_CREDENTIAL", in_variable);
        assert_eq!(ran(tool, b"").code(), code);
    }
    // Where no vault is opened, nobody asks.
    let mut keygen = place.bare(&["keygen", "second.key"]);
    keygen.env("TOKENVAULT_CREDENTIAL", "x");
    ran(keygen, b"").succeeded();
}

#[test]
fn a_credential_makes_no_vault() {
    let place = Place::new();
    for arguments in [&["create", "pci"][..], &["define", "account"]] {
        run_by(&place, "key_x", arguments, CARD).unopened("STORE_FAILURE", "does not exist");
    }
    assert!(!place.vault().exists());
}

#[cfg(unix)]
#[test]
fn a_credential_file_that_cannot_serve_says_why_and_repeats_no_secret() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::with_vault();
    let secret = key(&place, &["pci:tokens:read"], None);
    let by = |path: &str| {
        let mut tool = place.tool(&["list", "pci"]);
        tool.arg("--credential-file").arg(path);
        ran(tool, b"")
    };
    let open = file(&place, &secret);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o640)).unwrap();
    by(open.to_str().unwrap()).unopened("KEY_FAILURE", "chmod 600");
    by("missing").unopened("KEY_FAILURE", "cannot read the credential file missing: no such file");
    by(place.folder.path().to_str().unwrap()).unopened("KEY_FAILURE", "cannot read the credential file");
    let typed = by(&secret);
    assert!(!typed.stderr().contains(&secret), "{}", typed.stderr());
    typed.unopened("KEY_FAILURE", "(not shown)");
    for arguments in [&["view", "api-key", &secret][..], &["delete", "api-token", &secret], &["view", &secret]] {
        let ran = place.run(arguments, b"");
        assert!(!ran.stdout().contains(&secret) && !ran.stderr().contains(&secret), "{arguments:?}");
    }
}
