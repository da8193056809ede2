//! Every operation of a client, tried on a world in which there is something for each.

use tokenvault::card::{Pan, SecurityCode};
use tokenvault::store::MemoryStore;
use tokenvault::{
    ApiKeyId, ApiTokenId, ApiTokenQuery, Body, Client, CompleteSession, CreateApiKey, CreateApiToken, CreateGeneric,
    CreatePci, CreateType, DefineAccount, DefineModule, Destination, Error, Fingerprints, ForwardResponse, Forwarder,
    InquirySource, Operation, Page, PciCreated, Scope, SessionId, TokenId, TypeId, UpdateApiKey, UpdateApiToken,
    UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

use super::{PAN_REQUEST, keys, token};

/// The account that everything belongs to, and another one.
pub const ACCOUNT: &str = "ACC-1";
pub const OTHER: &str = "ACC-2";

const CARD: &[u8] = br#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}"#;

/// Sends nothing.
struct Nowhere;

impl Forwarder for Nowhere {
    fn forward(&self, _: &Destination, _: &str, _: &[u8]) -> Result<ForwardResponse, Error> {
        Ok(ForwardResponse::new(204, Vec::new()))
    }
}

/// A vault, and what an account has in it.
pub struct World {
    pub vault: Vault,
    pub generic: TokenId,
    pub pci: TokenId,
    pub session: SessionId,
    pub refresh: SessionId,
    pub type_id: TypeId,
    /// By what it lets others do with it: a credential is changed by those only who may do what it may.
    pub key_to_update: ApiKeyId,
    pub key_to_delete: ApiKeyId,
    pub token_to_update: ApiTokenId,
    pub token_to_delete: ApiTokenId,
}

impl World {
    pub fn new() -> Self {
        Self::with(VaultOptions::new())
    }

    pub fn with(options: VaultOptions) -> Self {
        let options = options.forwarder(Nowhere).allow_destination("https://psp.example").unwrap();
        let vault = options.fingerprints(Fingerprints::On).open_with(MemoryStore::new(), keys()).unwrap();
        for id in [ACCOUNT, OTHER] {
            vault.define_account(DefineAccount::new(id, "Shop").unwrap()).unwrap();
        }
        for (id, scope) in [
            ("CREATE", Scope::AdminApiTokensCreate),
            ("UPDATE", Scope::AdminApiTokensUpdate),
            ("DELETE", Scope::AdminApiTokensDelete),
        ] {
            vault.define_module(DefineModule::new(id, "Module", "Lets", [scope]).unwrap()).unwrap();
        }
        let owner = client_of(&vault, ACCOUNT);
        let key = |scope| owner.create_api_key(CreateApiKey::new([scope]).unwrap()).unwrap().id;
        let api_token =
            |module| owner.create_api_token(CreateApiToken::new(ACCOUNT, "Till", [module]).unwrap()).unwrap().id;
        let PciCreated::Session(session) = owner.create_pci(CreatePci::session()).unwrap() else { panic!("a token") };
        let pci = token(owner.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).unwrap()).id;
        Self {
            generic: owner.create_generic(payload()).unwrap().id,
            pci,
            session: session.session_id,
            refresh: owner.refresh_security_code(pci).unwrap(),
            type_id: owner.create_type(CreateType::new("anything", "{}").unwrap()).unwrap().id,
            key_to_update: key(Scope::AdminApiKeysUpdate),
            key_to_delete: key(Scope::AdminApiKeysDelete),
            token_to_update: api_token("UPDATE"),
            token_to_delete: api_token("DELETE"),
            vault,
        }
    }
}

/// A client of an account that may do everything.
pub fn client_of(vault: &Vault, account: &str) -> Client {
    let request = CreateApiKey::new(Scope::ALL.iter().copied()).unwrap().account(account).unwrap();
    vault.authenticate(vault.create_api_key(request).unwrap().key_value.expose()).unwrap()
}

pub fn payload() -> CreateGeneric {
    CreateGeneric::new([("pin", "1234")]).unwrap()
}

fn card() -> CompleteSession {
    CompleteSession::from_json(CARD).unwrap()
}

fn pan_source() -> tokenvault::PanSource {
    let expiry = tokenvault::card::CardExpiry::new(6, 2031).unwrap();
    tokenvault::PanSource::new(Pan::parse("5555555555554444").unwrap(), expiry)
}

type Call = fn(&Client, &World) -> Result<(), Error>;

/// Each operation of a client, on what the world has for it.
pub const ALL: &[(Operation, Call)] = &[
    (Operation::CreateGeneric, |client, _| client.create_generic(payload()).map(drop)),
    (Operation::CreateGeneric, |client, _| client.create_generic_many([Ok(payload())]).next().unwrap().map(drop)),
    (Operation::CreatePci, |client, _| {
        client.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).map(drop)
    }),
    (Operation::CreatePci, |client, _| client.create_pci(CreatePci::session()).map(drop)),
    (Operation::CreatePci, |client, _| client.create_pci_many([Ok(CreatePci::session())]).next().unwrap().map(drop)),
    (Operation::CompleteSession, |client, world| client.complete_session(world.session, card()).map(drop)),
    (Operation::CompleteSecurityCode, |client, world| {
        client.complete_security_code(world.refresh, SecurityCode::parse("123").unwrap())
    }),
    (Operation::ViewGeneric, |client, world| client.generic(world.generic).map(drop)),
    (Operation::ViewGeneric, |client, world| client.generic_many([world.generic]).next().unwrap().map(drop)),
    (Operation::ViewPci, |client, world| client.pci(world.pci).map(drop)),
    (Operation::ViewPci, |client, world| client.pci_many([world.pci]).next().unwrap().map(drop)),
    (Operation::ListGeneric, |client, _| client.list_generic(Page::default()).map(drop)),
    (Operation::ListPci, |client, _| client.list_pci(Page::default()).map(drop)),
    (Operation::ViewSession, |client, world| client.session(world.session).map(drop)),
    (Operation::SecurityCodeAvailable, |client, world| client.security_code_available(world.pci).map(drop)),
    (Operation::UpdateGeneric, |client, world| {
        client.update_generic(world.generic, UpdateGeneric::new().expires_in(60).unwrap()).map(drop)
    }),
    (Operation::UpdateGeneric, |client, world| client.update_generic(world.generic, UpdateGeneric::new()).map(drop)),
    (Operation::UpdatePci, |client, world| {
        client.update_pci(world.pci, UpdatePci::new().expiry_year(2031).unwrap()).map(drop)
    }),
    (Operation::UpdatePci, |client, world| client.update_pci(world.pci, UpdatePci::new()).map(drop)),
    (Operation::ReplaceAccountNumber, |client, world| client.replace_account_number(world.pci, pan_source()).map(drop)),
    (Operation::RefreshSecurityCode, |client, world| client.refresh_security_code(world.pci).map(drop)),
    (Operation::DeleteSecurityCode, |client, world| client.delete_security_code(world.pci)),
    (Operation::DeleteGeneric, |client, world| client.delete_generic(world.generic)),
    (Operation::DeletePci, |client, world| client.delete_pci(world.pci)),
    (Operation::GenericPayload, |client, world| client.generic_payload(world.generic, |_| ())),
    (Operation::RevealPci, |client, world| client.reveal_pci(world.pci, |_| ())),
    (Operation::UseSecurityCode, |client, world| client.use_security_code(world.pci, |_| ())),
    (Operation::Fill, |client, world| client.fill(world.pci, Body::Form("c={{ account_number }}"), |_| ())),
    (Operation::Fill, |client, world| client.fill(world.pci, Body::Form("c={{ security_code }}"), |_| ())),
    (Operation::Forward, |client, world| {
        client.forward(world.pci, "https://psp.example/x", Body::Form("c={{ account_number }}")).map(drop)
    }),
    (Operation::FindByAccountNumber, |client, _| {
        client.find_by_account_number(&Pan::parse("4111111111111111").unwrap()).map(drop)
    }),
    (Operation::Inquire, |client, world| {
        let source = format!(r#"{{"type":"pci_token","id":"{}"}}"#, world.pci);
        client.inquire(InquirySource::from_json(source.as_bytes()).unwrap()).map(drop)
    }),
    (Operation::CreateType, |client, _| client.create_type(CreateType::new("n", "{}").unwrap()).map(drop)),
    (Operation::TypeById, |client, world| client.type_by_id(world.type_id).map(drop)),
    (Operation::ListTypes, |client, _| client.list_types(Page::default()).map(drop)),
    (Operation::DeleteType, |client, world| client.delete_type(world.type_id)),
    (Operation::CreateApiKey, |client, _| {
        client.create_api_key(CreateApiKey::new([Scope::AdminApiKeysCreate]).unwrap()).map(drop)
    }),
    (Operation::ViewApiKey, |client, world| client.api_key(world.key_to_update).map(drop)),
    (Operation::ListApiKeys, |client, _| client.list_api_keys(Page::default()).map(drop)),
    (Operation::UpdateApiKey, |client, world| {
        client.update_api_key(world.key_to_update, &UpdateApiKey::new([Scope::AdminApiKeysUpdate]).unwrap()).map(drop)
    }),
    (Operation::DeleteApiKey, |client, world| client.delete_api_key(world.key_to_delete)),
    (Operation::CreateApiToken, |client, _| {
        client.create_api_token(CreateApiToken::new(ACCOUNT, "Till", ["CREATE"]).unwrap()).map(drop)
    }),
    (Operation::ViewApiToken, |client, world| client.api_token(world.token_to_update).map(drop)),
    (Operation::ListApiTokens, |client, _| client.list_api_tokens(&ApiTokenQuery::new()).map(drop)),
    (Operation::UpdateApiToken, |client, world| {
        client.update_api_token(world.token_to_update, &UpdateApiToken::new().name("Door").unwrap()).map(drop)
    }),
    (Operation::EnableApiToken, |client, world| client.enable_api_token(world.token_to_update).map(drop)),
    (Operation::DisableApiToken, |client, world| client.disable_api_token(world.token_to_update).map(drop)),
    (Operation::DeleteApiToken, |client, world| client.delete_api_token(world.token_to_delete).map(drop)),
    (Operation::Sweep, |client, _| client.sweep().map(drop)),
    (Operation::Stats, |client, _| client.stats().map(drop)),
    (Operation::Compact, |client, _| client.compact().map(drop)),
];
