//! Promise: what belongs to an account is not there for any other, by whatever door it is asked for.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::operations::{self, ACCOUNT, OTHER, World, client_of, payload};
use common::shared::Shared;
use common::{PAN_REQUEST, keys, token};
use tokenvault::card::Pan;
use tokenvault::store::{Batch, Store, Table};
use tokenvault::{
    ApiTokenQuery, ApiTokenStatus, CompleteSession, CreateApiKey, CreateApiToken, CreatePci, CreateType, DefineAccount,
    DefineModule, Duplicates, ErrorKind, Operation, Page, PciCreated, Scope, Vault, VaultOptions,
};

fn card() -> CreatePci {
    CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()
}

fn find<A: tokenvault::Authority>(vault: &Vault<A>) -> Vec<tokenvault::TokenId> {
    vault.find_by_account_number(&Pan::parse("4111111111111111").unwrap()).unwrap()
}

#[test]
fn the_things_of_another_account_are_not_there() {
    for (operation, call) in operations::ALL {
        let world = World::new();
        let stranger = client_of(&world.vault, OTHER);
        let wanted = match operation {
            // What is made is one's own, and a list has what is.
            Operation::CreateGeneric
            | Operation::CreatePci
            | Operation::CreateType
            | Operation::CreateApiKey
            | Operation::ListGeneric
            | Operation::ListPci
            | Operation::ListTypes
            | Operation::ListApiKeys
            | Operation::ListApiTokens
            | Operation::FindByAccountNumber => None,
            // It names the other account.
            Operation::CreateApiToken => Some(ErrorKind::Validation),
            // They tell of everybody.
            Operation::Sweep | Operation::Stats | Operation::Compact => Some(ErrorKind::Forbidden),
            _ => Some(ErrorKind::NotFound),
        };
        assert_eq!(call(&stranger, &world).err().map(|error| error.kind()), wanted, "{operation} of a stranger");
        let owner = client_of(&world.vault, ACCOUNT);
        let own = call(&owner, &world).err().map(|error| error.kind());
        assert_eq!(own, wanted.filter(|kind| *kind == ErrorKind::Forbidden), "{operation} of the owner");
    }
}

#[test]
fn a_list_holds_ones_own_only() {
    let world = World::new();
    let stranger = client_of(&world.vault, OTHER);
    let root = &world.vault;
    root.create_generic(payload()).unwrap();
    assert!(stranger.list_generic(Page::default()).unwrap().data.is_empty());
    assert!(stranger.list_pci(Page::default()).unwrap().data.is_empty());
    assert!(stranger.list_types(Page::default()).unwrap().data.is_empty());
    assert_eq!(stranger.list_api_keys(Page::default()).unwrap().data.len(), 1, "its own key");
    assert_eq!(stranger.list_api_tokens(&ApiTokenQuery::new()).unwrap().meta.pagination.total, 0);
    let mut own: Vec<_> = (0..5).map(|_| stranger.create_generic(payload()).unwrap().id).collect();
    own.sort();
    let first = stranger.list_generic(Page::first(3)).unwrap();
    assert!(first.links.next.is_some());
    let second = stranger.list_generic(Page::first(3).after(first.data[2].id)).unwrap();
    assert_eq!(second.links.next, None);
    let listed: Vec<_> = first.data.into_iter().chain(second.data).map(|token| token.id).collect();
    assert_eq!(listed, own);
    stranger.delete_generic(own[0]).unwrap();
    assert_eq!(stranger.list_generic(Page::default()).unwrap().data.len(), 4);
    // Root, and credentials of no account, see all.
    assert_eq!(root.list_generic(Page::default()).unwrap().data.len(), 6);
    let key = root.create_api_key(CreateApiKey::new([Scope::GenericTokensRead]).unwrap()).unwrap();
    let anybody = root.authenticate(key.key_value.expose()).unwrap();
    assert_eq!(anybody.list_generic(Page::default()).unwrap().data.len(), 6);
    assert_eq!(anybody.generic(world.generic).unwrap().id, world.generic);
}

#[test]
fn a_type_of_another_is_unknown_until_and_after_it_is_used() {
    let world = World::new();
    let [owner, stranger] = [ACCOUNT, OTHER].map(|account| client_of(&world.vault, account));
    let typed = || payload().type_id(world.type_id);
    let refused = |error: tokenvault::Error| {
        assert_eq!(common::violations(&error), [("$.type_id", "unknown type")]);
    };
    refused(stranger.create_generic(typed()).unwrap_err());
    let token = owner.create_generic(typed()).unwrap();
    // By now its schema is known to the vault.
    refused(stranger.create_generic(typed()).unwrap_err());
    refused(stranger.list_generic(Page::default().of_type(world.type_id)).unwrap_err());
    let of_root = world.vault.create_type(CreateType::new("root's", "{}").unwrap()).unwrap();
    refused(stranger.create_generic(payload().type_id(of_root.id)).unwrap_err());
    world.vault.create_generic(typed()).unwrap();
    let seen = owner.list_generic(Page::default().of_type(world.type_id)).unwrap();
    assert_eq!(seen.data.iter().map(|token| token.id).collect::<Vec<_>>(), [token.id]);
    assert_eq!(world.vault.list_generic(Page::default().of_type(world.type_id)).unwrap().data.len(), 2);
    owner.delete_generic(token.id).unwrap();
    assert_eq!(owner.delete_type(world.type_id).unwrap_err().kind(), ErrorKind::Conflict, "root's token uses it");
}

#[test]
fn cards_are_known_again_within_an_account_only() {
    let world = World::new();
    let [owner, stranger] = [ACCOUNT, OTHER].map(|account| client_of(&world.vault, account));
    let returning = || card().duplicates(Duplicates::ReturnExisting);
    assert_eq!(token(owner.create_pci(returning()).unwrap()).id, world.pci);
    let own = token(stranger.create_pci(returning()).unwrap()).id;
    assert_ne!(own, world.pci);
    assert_eq!(token(stranger.create_pci(returning()).unwrap()).id, own);
    assert_eq!((find(&owner), find(&stranger)), (vec![world.pci], vec![own]));
    let of_root = token(world.vault.create_pci(returning()).unwrap()).id;
    assert!(of_root != own && of_root != world.pci, "it belongs to nobody");
    let mut all = find(&world.vault);
    all.sort();
    let mut made = vec![world.pci, own, of_root];
    made.sort();
    assert_eq!(all, made);
}

#[test]
fn one_idempotency_key_is_another_for_another_credential() {
    let world = World::new();
    let [owner, again, stranger] = [ACCOUNT, ACCOUNT, OTHER].map(|account| client_of(&world.vault, account));
    let keyed = || payload().idempotency_key("order 77").unwrap();
    let first = owner.create_generic(keyed()).unwrap().id;
    assert_eq!(owner.create_generic(keyed()).unwrap().id, first);
    let others = [again.create_generic(keyed()), stranger.create_generic(keyed()), world.vault.create_generic(keyed())];
    let others = others.map(|made| made.unwrap().id);
    assert!(!others.contains(&first) && others[0] != others[1] && others[1] != others[2]);
}

#[test]
fn what_comes_of_a_session_belongs_to_whom_the_session_does() {
    let world = World::new();
    let owner = client_of(&world.vault, ACCOUNT);
    let source = br#"{"type":"pan","account_number":"5555555555554444","expiry_month":12,"expiry_year":2030}"#;
    let made = world.vault.complete_session(world.session, CompleteSession::from_json(source).unwrap()).unwrap();
    assert_eq!(owner.pci(made.id).unwrap(), made);
    assert_eq!(owner.session(world.session).unwrap().token_id, Some(made.id));
    let stranger = client_of(&world.vault, OTHER);
    assert_eq!(stranger.pci(made.id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_change_leaves_a_thing_with_its_owner() {
    let world = World::new();
    let owner = client_of(&world.vault, ACCOUNT);
    world.vault.update_generic(world.generic, tokenvault::UpdateGeneric::new().expires_in(60).unwrap()).unwrap();
    world.vault.update_pci(world.pci, tokenvault::UpdatePci::new().expiry_year(2031).unwrap()).unwrap();
    assert!(owner.generic(world.generic).is_ok() && owner.pci(world.pci).is_ok());
    assert_eq!(owner.list_pci(Page::default()).unwrap().data.len(), 1);
    assert_eq!(owner.list_generic(Page::default()).unwrap().data.len(), 1);
}

#[test]
fn a_credential_of_an_account_makes_credentials_of_that_account() {
    let world = World::new();
    let owner = client_of(&world.vault, ACCOUNT);
    let made = owner.create_api_key(CreateApiKey::new([Scope::GenericTokensRead]).unwrap()).unwrap();
    let reader = world.vault.authenticate(made.key_value.expose()).unwrap();
    let of_root = world.vault.create_generic(payload()).unwrap().id;
    assert!(reader.generic(world.generic).is_ok());
    assert_eq!(reader.generic(of_root).unwrap_err().kind(), ErrorKind::NotFound);
    let request = CreateApiKey::new([Scope::GenericTokensRead]).unwrap().account(OTHER).unwrap();
    let refused = owner.create_api_key(request).unwrap_err();
    assert_eq!(common::violations(&refused), [("$.account.id", "unknown account")]);
    let request = CreateApiToken::new(OTHER, "Till", ["CREATE"]).unwrap();
    let refused = owner.create_api_token(request).unwrap_err();
    assert_eq!(common::violations(&refused), [("$.account.id", "unknown account")]);
}

#[test]
fn further_scopes_are_asked_for_where_more_is_told() {
    let world = World::new();
    let client = |scopes: &[Scope]| {
        let key = world.vault.create_api_key(CreateApiKey::new(scopes.iter().copied()).unwrap()).unwrap();
        world.vault.authenticate(key.key_value.expose()).unwrap()
    };
    let creator = client(&[Scope::PciTokensCreate]);
    let finder = client(&[Scope::PciTokensCreate, Scope::PciTokensFind]);
    let updater = client(&[Scope::PciTokensCreate, Scope::PciTokensFind, Scope::PciTokensUpdate]);
    let [returning, updating] = [Duplicates::ReturnExisting, Duplicates::UpdateExisting];
    let kind = |made: Result<PciCreated, tokenvault::Error>| made.err().map(|error| error.kind());
    assert_eq!(kind(creator.create_pci(card().duplicates(returning))), Some(ErrorKind::Forbidden));
    assert_eq!(kind(creator.create_pci(CreatePci::session().duplicates(returning))), Some(ErrorKind::Forbidden));
    assert_eq!(kind(finder.create_pci(card().duplicates(returning))), None);
    assert_eq!(kind(finder.create_pci(card().duplicates(updating))), Some(ErrorKind::Forbidden));
    assert_eq!(kind(updater.create_pci(card().duplicates(updating))), None);
    let PciCreated::Session(session) = finder.create_pci(CreatePci::session().duplicates(returning)).unwrap() else {
        panic!("a token")
    };
    let source = || {
        let source = br#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2030}"#;
        CompleteSession::from_json(source).unwrap()
    };
    let refused = creator.complete_session(session.session_id, source()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert!(finder.complete_session(session.session_id, source()).is_ok(), "a refusal does not use it");
    let number = || {
        let source = br#"{"type":"pan","account_number":"4111111111111111"}"#;
        tokenvault::InquirySource::from_json(source).unwrap()
    };
    assert!(creator.inquire(number()).is_ok());
    let inquirer = client(&[Scope::MetadataInquiryCreate]);
    assert_eq!(inquirer.inquire(number()).unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn a_list_never_looks_at_what_is_anothers() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    for id in [ACCOUNT, OTHER] {
        vault.define_account(DefineAccount::new(id, "Shop").unwrap()).unwrap();
    }
    vault.define_module(DefineModule::new("M", "M", "D", [Scope::GenericTokensRead]).unwrap()).unwrap();
    let [owner, stranger] = [ACCOUNT, OTHER].map(|account| client_of(&vault, account));
    let of_all = vault.create_type(CreateType::new("anything", "{}").unwrap()).unwrap().id;
    let [own, others] = [&owner, &stranger].map(|client| {
        let of_own = client.create_type(CreateType::new("own", "{}").unwrap()).unwrap().id;
        client.create_generic(payload()).unwrap();
        let token = client.create_generic(payload().type_id(of_own)).unwrap().id;
        client.create_generic(payload().type_id(of_own)).unwrap();
        (token, of_own)
    });
    let [own_api, others_api] = [ACCOUNT, OTHER]
        .map(|account| vault.create_api_token(CreateApiToken::new(account, "Till", ["M"]).unwrap()).unwrap().id);
    // Whatever is another's is damaged.
    for (table, id) in [
        (Table::Generic, tokenvault::TokenId::as_bytes(&others.0).to_vec()),
        (Table::ApiToken, uuid::Uuid::from(others_api).as_bytes().to_vec()),
    ] {
        store.commit(Batch::new().put(table, id, *b"no record")).unwrap();
    }
    let typed = |client: &tokenvault::Client, type_id| client.list_generic(Page::default().of_type(type_id));
    let listed = typed(&owner, own.1).unwrap().data;
    assert_eq!((listed.len(), listed.iter().any(|token| token.id == own.0)), (2, true));
    assert_eq!(typed(&stranger, others.1).unwrap_err().kind(), ErrorKind::Corrupt, "its own damage is told");
    assert_eq!(typed(&owner, others.1).unwrap_err().violations()[0].path(), "$.type_id");
    assert_eq!(typed(&owner, of_all).unwrap_err().violations()[0].path(), "$.type_id", "a type of no account");
    let tokens = owner.list_api_tokens(&ApiTokenQuery::new()).unwrap();
    assert_eq!((tokens.meta.pagination.total, tokens.data[0].id), (1, own_api));
    assert_eq!(stranger.list_api_tokens(&ApiTokenQuery::new()).unwrap_err().kind(), ErrorKind::Corrupt);
    let of_owner = vault.list_api_tokens(&ApiTokenQuery::new().account(ACCOUNT).unwrap()).unwrap();
    assert_eq!(of_owner.meta.pagination.total, 1, "nor does root where one account is asked for");
}

#[test]
fn api_tokens_are_counted_by_account_and_status_whoever_asks() {
    let world = World::new();
    let client = client_of(&world.vault, ACCOUNT);
    world.vault.disable_api_token(world.token_to_update).unwrap();
    world.vault.delete_api_token(world.token_to_delete).unwrap();
    let total = |listing: tokenvault::ApiTokenListing| (listing.meta.pagination.total, listing.data.len());
    let all = ApiTokenQuery::new();
    let of = |account: &str| all.clone().account(account).unwrap();
    for (query, of_client, of_root) in [
        (all.clone(), 1, 2),
        (all.clone().status(ApiTokenStatus::Disabled), 1, 1),
        (all.clone().status(ApiTokenStatus::Deleted), 0, 1),
        (all.clone().status(ApiTokenStatus::Active), 0, 0),
        (of(ACCOUNT), 1, 2),
        (of(ACCOUNT).status(ApiTokenStatus::Deleted), 0, 1),
        (of(OTHER), 0, 0),
        (of("ACC-9"), 0, 0),
    ] {
        assert_eq!(total(client.list_api_tokens(&query).unwrap()), (of_client, of_client), "{query:?}");
        assert_eq!(total(world.vault.list_api_tokens(&query).unwrap()), (of_root, of_root), "{query:?}");
    }
}

#[test]
fn a_row_that_was_put_there_shows_no_token_of_anothers() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    for id in [ACCOUNT, OTHER] {
        vault.define_account(DefineAccount::new(id, "Shop").unwrap()).unwrap();
    }
    vault.define_module(DefineModule::new("M", "M", "D", [Scope::GenericTokensRead]).unwrap()).unwrap();
    let made = vault.create_api_token(CreateApiToken::new(OTHER, "Till", ["M"]).unwrap()).unwrap();
    let (row, _) = store.rows(Table::Owned).remove(0);
    // First as if it were active, then as if it were the first account's.
    let query = || ApiTokenQuery::new().account(OTHER).unwrap().status(ApiTokenStatus::Active);
    vault.disable_api_token(made.id).unwrap();
    store.put(Table::Owned, &row, &[1]);
    assert!(vault.list_api_tokens(&query()).unwrap().data.is_empty());
    let mut forged = row.clone();
    forged[3] = 1;
    store.put(Table::Owned, &forged, &[1]);
    let owner = client_of(&vault, ACCOUNT);
    let of_owner = vault.list_api_tokens(&ApiTokenQuery::new().account(ACCOUNT).unwrap());
    for listed in [owner.list_api_tokens(&ApiTokenQuery::new()), of_owner] {
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
