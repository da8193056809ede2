//! Promise: whoever audits hears of every operation, of one that lends a secret before it does, and by whom it is.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::operations::{self, ACCOUNT, OTHER, World, client_of, payload};
use common::threads::block_on;
use common::{PAN_REQUEST, keys};
use tokenvault::store::MemoryStore;
use tokenvault::{
    Actor, AuditEntry, AuditOutcome, AuditSink, By, CreateApiKey, CreateApiToken, CreatePci, DefineAccount,
    DefineModule, Duplicates, Error, ErrorKind, Event, EventType, Fingerprints, Operation, Received, Scope,
    VaultOptions,
};

/// Keeps what it hears, and refuses once it is told to.
#[derive(Clone, Default)]
struct Trail {
    entries: Arc<Mutex<Vec<AuditEntry>>>,
    is_full: Arc<AtomicBool>,
}

impl AuditSink for Trail {
    fn record(&self, entry: &AuditEntry) -> Result<(), Error> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the trail is full"));
        }
        self.entries.lock().unwrap().push(entry.clone());
        Ok(())
    }
}

impl Trail {
    fn take(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut *self.entries.lock().unwrap())
    }
}

fn world() -> (World, Trail) {
    let trail = Trail::default();
    let world = World::with(VaultOptions::new().audit(trail.clone()));
    trail.take();
    (world, trail)
}

#[test]
fn every_operation_leaves_one_entry_by_whom_it_is() {
    for (operation, call) in operations::ALL {
        let (world, trail) = world();
        let request = CreateApiKey::new(Scope::ALL.iter().copied()).unwrap();
        let key = world.vault.create_api_key(request).unwrap();
        let client = world.vault.authenticate(key.key_value.expose()).unwrap();
        trail.take();
        call(&client, &world).unwrap();
        let entries = trail.take();
        let [entry] = &entries[..] else { panic!("{operation}: {entries:?}") };
        let outcome = if operation.lends() { AuditOutcome::Begins } else { AuditOutcome::Done };
        assert_eq!((entry.operation, entry.outcome), (*operation, outcome));
        let by = entry.by.as_ref().unwrap();
        assert_eq!(by.id, key.id.to_string());
        assert_eq!(by.name, format!("{}xxxx", key.key_value.expose().get(..7).unwrap()));
        let is_about_nothing = matches!(
            operation,
            Operation::ListGeneric
                | Operation::ListPci
                | Operation::ListTypes
                | Operation::ListApiKeys
                | Operation::ListApiTokens
                | Operation::FindByAccountNumber
                | Operation::Sweep
                | Operation::Stats
                | Operation::Compact
        );
        assert_eq!(entry.id.is_none(), is_about_nothing, "{operation}");
    }
}

#[test]
fn refusals_are_told_too() {
    for (operation, call) in operations::ALL {
        let (world, trail) = world();
        let key = world.vault.create_api_key(CreateApiKey::new([Scope::AdminAuditRead]).unwrap()).unwrap();
        let client = world.vault.authenticate(key.key_value.expose()).unwrap();
        trail.take();
        for kind in [ErrorKind::Forbidden, ErrorKind::Unauthorized] {
            assert_eq!(call(&client, &world).unwrap_err().kind(), kind);
            let entries = trail.take();
            let [entry] = &entries[..] else { panic!("{operation}: {entries:?}") };
            assert_eq!((entry.operation, entry.outcome), (*operation, AuditOutcome::Refused(kind)));
            assert_eq!(entry.by.as_ref().unwrap().id, key.id.to_string());
            if kind == ErrorKind::Forbidden {
                world.vault.delete_api_key(key.id).unwrap();
                trail.take();
            }
        }
    }
}

type Call<'a> = &'a dyn Fn() -> Result<(), Error>;

#[test]
fn what_root_alone_may_do_is_told_too() {
    let trail = Trail::default();
    let options = VaultOptions::new().audit(trail.clone()).fingerprints(Fingerprints::On);
    let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
    let calls: [(Operation, Call<'_>); 9] = [
        (Operation::DefineAccount, &|| vault.define_account(DefineAccount::new("A", "n")?).map(drop)),
        (Operation::DeleteAccount, &|| vault.delete_account("A")),
        (Operation::DefineModule, &|| {
            vault.define_module(DefineModule::new("M", "n", "d", [Scope::PciTokensRead])?).map(drop)
        }),
        (Operation::DeleteModule, &|| vault.delete_module("M")),
        (Operation::Subscribe, &|| vault.subscribe().map(drop)),
        (Operation::IndexFingerprints, &|| vault.index_fingerprints().map(drop)),
        (Operation::ConfirmClock, &|| vault.confirm_clock()),
        (Operation::StartSweeper, &|| vault.start_sweeper(Duration::from_hours(1)).map(drop)),
        (Operation::Close, &|| vault.close()),
    ];
    let roots = Operation::ALL.iter().filter(|operation| operation.scope().is_none());
    let roots = roots.filter(|operation| **operation != Operation::Authenticate);
    assert!(roots.eq(calls.iter().map(|(operation, _)| operation)));
    for (operation, call) in calls {
        call().unwrap();
        let entries = trail.take();
        let [entry] = &entries[..] else { panic!("{operation}: {entries:?}") };
        assert_eq!((entry.operation, entry.outcome), (operation, AuditOutcome::Done));
        assert_eq!(entry.by.as_ref().unwrap().id, "root");
    }
}

#[test]
fn a_secret_that_is_refused_is_told_and_whose_it_is() {
    let (world, trail) = world();
    let vault = &world.vault;
    let key = vault.create_api_key(CreateApiKey::new([Scope::AdminAuditRead]).unwrap()).unwrap();
    let request = CreateApiToken::new(ACCOUNT, "Till", ["CREATE"]).unwrap();
    let token = vault.create_api_token(request).unwrap();
    let of_token = token.token.unwrap();
    vault.disable_api_token(token.id).unwrap();
    vault.authenticate(key.key_value.expose()).unwrap();
    vault.delete_api_key(key.id).unwrap();
    trail.take();
    let whose = |secret: &str| {
        assert_eq!(vault.authenticate(secret).unwrap_err().kind(), ErrorKind::Unauthorized);
        let entries = trail.take();
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        let refused = AuditOutcome::Refused(ErrorKind::Unauthorized);
        assert_eq!((entry.operation, entry.outcome), (Operation::Authenticate, refused));
        assert_eq!(entry.id, entry.by.as_ref().map(|by| by.id.clone()));
        entry.id.clone()
    };
    for nobodys in ["", "key_of_nobody", &"x".repeat(1000)] {
        assert_eq!(whose(nobodys), None);
    }
    assert_eq!(whose(of_token.expose()), Some(token.id.to_string()));
    assert_eq!(whose(key.key_value.expose()), Some(key.id.to_string()), "it was seen before it ended");
    // Who has authenticated is told by what they do.
    vault.enable_api_token(token.id).unwrap();
    trail.take();
    vault.authenticate(of_token.expose()).unwrap();
    assert_eq!(trail.take(), []);
    trail.is_full.store(true, Ordering::Relaxed);
    assert_eq!(vault.authenticate("x").unwrap_err().kind(), ErrorKind::Unauthorized, "whether it is kept or not");
}

#[test]
fn what_is_not_there_is_told_as_such() {
    let (world, trail) = world();
    let stranger = client_of(&world.vault, OTHER);
    trail.take();
    stranger.generic(world.generic).unwrap_err();
    let entry = trail.take().remove(0);
    assert_eq!(entry.outcome, AuditOutcome::Refused(ErrorKind::NotFound));
    assert_eq!(entry.id, Some(world.generic.to_string()));
}

#[test]
fn nothing_is_lent_that_is_not_on_the_trail() {
    let (world, trail) = world();
    let (vault, was_lent) = (&world.vault, AtomicBool::new(false));
    trail.is_full.store(true, Ordering::Relaxed);
    let lend = || was_lent.store(true, Ordering::Relaxed);
    let refused = [
        vault.generic_payload(world.generic, |_| lend()),
        block_on(vault.generic_payload_async(world.generic, async |_| lend())),
        vault.reveal_pci(world.pci, |_| lend()),
        block_on(vault.reveal_pci_async(world.pci, async |_| lend())),
        vault.use_security_code(world.pci, |_| lend()),
        block_on(vault.use_security_code_async(world.pci, async |_| lend())),
        vault.fill(world.pci, tokenvault::Body::Form("c={{ security_code }}"), |_| lend()),
        vault.forward(world.pci, "https://psp.example/", tokenvault::Body::Form("a=b")).map(|_| lend()),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().message(), "the trail is full");
    }
    assert!(!was_lent.load(Ordering::Relaxed));
    // Of anything else it is too late, and done.
    vault.generic(world.generic).unwrap();
    trail.is_full.store(false, Ordering::Relaxed);
    assert!(vault.use_security_code(world.pci, |_| ()).is_ok(), "what is refused uses no code");
}

#[test]
fn root_acts_in_a_name_and_for_a_purpose() {
    let (world, trail) = world();
    let clerk = world.vault.acting_as(Actor::new("j.doe").purpose("chargeback 4711"));
    clerk.reveal_pci(world.pci, |_| ()).unwrap();
    let entry = trail.take().remove(0);
    assert_eq!(entry.by, Some(By { id: "root".to_owned(), name: "j.doe".to_owned() }));
    assert_eq!(entry.purpose.as_deref(), Some("chargeback 4711"));
    assert_eq!((entry.operation, entry.id), (Operation::RevealPci, Some(world.pci.to_string())));
    let disabled = clerk.disable_api_token(world.token_to_update).unwrap();
    assert_eq!(disabled.audit.updated.by.name, "j.doe");
    assert_ne!(disabled.audit.created.by.name, "j.doe");
    let entry = trail.take().remove(0);
    assert_eq!(entry.id, Some(world.token_to_update.to_string()));
}

#[test]
fn each_of_many_is_told() {
    let (world, trail) = world();
    let bad = Err(tokenvault::CreateGeneric::from_json(b"{}").unwrap_err());
    let results: Vec<_> = world.vault.create_generic_many([Ok(payload()), bad, Ok(payload())]).collect();
    let entries = trail.take();
    assert_eq!(entries.len(), 3);
    for (entry, result) in entries.iter().zip(&results) {
        match result {
            Ok(token) => assert_eq!((&entry.id, entry.outcome), (&Some(token.id.to_string()), AuditOutcome::Done)),
            Err(_) => assert_eq!(entry.outcome, AuditOutcome::Refused(ErrorKind::Validation)),
        }
    }
}

#[test]
fn each_of_many_is_told_though_nobody_asks_for_its_result() {
    let (world, trail) = world();
    let before = world.vault.stats().unwrap().generic_tokens;
    trail.take();
    drop(world.vault.create_generic_many((0..3).map(|_| Ok(payload()))).next());
    let made = world.vault.stats().unwrap().generic_tokens - before;
    let told = trail.take().iter().filter(|entry| entry.operation == Operation::CreateGeneric).count();
    assert_eq!((made, told), (3, 3));
}

/// What waits for the next group of a batch is asked again by what right it is there.
#[test]
fn what_is_left_of_a_batch_ends_with_the_credential() {
    let world = World::new();
    let scopes = [Scope::PciTokensCreate, Scope::PciTokensFind];
    let key = world.vault.create_api_key(CreateApiKey::new(scopes).unwrap()).unwrap();
    let client = world.vault.authenticate(key.key_value.expose()).unwrap();
    let request = || CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap().duplicates(Duplicates::ReturnExisting);
    // The second is about the card that the first makes a token of, so that it is given back.
    let mut results = client.create_pci_many((0..3).map(|_| Ok(request())));
    assert!(results.next().unwrap().is_ok());
    world.vault.delete_api_key(key.id).unwrap();
    assert!(results.all(|result| result.unwrap_err().kind() == ErrorKind::Unauthorized));
}

#[test]
fn events_say_by_whom_it_was() {
    let world = World::new();
    let events = world.vault.subscribe().unwrap();
    let next = || -> Event {
        let Some(Received::Event(event)) = events.try_next() else { panic!("nothing came") };
        event
    };
    let key = world.vault.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate]).unwrap()).unwrap();
    let created = next();
    assert_eq!(created.r#type, EventType::CredentialCreated);
    assert_eq!(created.related_object.url, format!("/api/admin/api-keys/{}", key.id));
    assert_eq!(created.by.as_ref().unwrap().name, "root");
    let body = serde_json::to_value(&created).unwrap();
    assert_eq!(body["type"], "credential.created");
    assert_eq!(body.as_object().unwrap().len(), 5, "who it was is not in the published body");
    world.vault.authenticate(key.key_value.expose()).unwrap().create_generic(payload()).unwrap();
    assert_eq!(next().by.unwrap().id, key.id.to_string());
    world.vault.disable_api_token(world.token_to_update).unwrap();
    let changed = next();
    assert_eq!(changed.r#type, EventType::CredentialChanged);
    assert_eq!(changed.related_object.id, world.token_to_update.to_string());
    assert_eq!(changed.related_object.url, format!("/public/v1/accounts/api-tokens/{}", world.token_to_update));
    world.vault.delete_api_token(world.token_to_delete).unwrap();
    assert_eq!(next().r#type, EventType::CredentialDeleted);
    world.vault.delete_api_key(world.key_to_delete).unwrap();
    assert_eq!(next().r#type, EventType::CredentialDeleted);
}
