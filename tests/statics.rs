//! Promise: a type that holds a secret can be moved, lent and wiped, and nothing else. What would copy, print, compare or
//! serialise it does not compile; its `Debug` is its name.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod common;

use std::borrow::Borrow;
use std::fmt::{Display, LowerHex};
use std::hash::Hash;
use std::ops::Deref;

use common::{PAN_REQUEST, keys, token, vault};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokenvault::card::{CardExpiry, Pan, SecurityCode};
use tokenvault::{
    BinDirectory, Body, Card, CompleteSecurityCode, CompleteSession, CreateGeneric, CreatePci, Destination, Error,
    ForwardResponse, Forwarder, Inquiry, InquirySource, Issuer, KeyManager, Page, PanSource, Payload, PayloadNumber,
    PayloadValue, Rules, Sweeper, UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

macro_rules! holds_a_secret {
    ($($secret:ty),+ $(,)?) => {$(
        assert_not_impl_any!(
            $secret: Clone, Copy, Display, LowerHex, Serialize, Deserialize<'static>, DeserializeOwned, PartialEq, Eq,
            PartialOrd, Hash, Deref, AsRef<[u8]>, AsRef<str>, Into<String>, Into<Vec<u8>>, Borrow<str>, Borrow<[u8]>,
            PartialEq<str>, PartialEq<[u8]>, IntoIterator
        );
    )+};
}

holds_a_secret!(
    Pan,
    Payload,
    PayloadValue<'static>,
    PayloadNumber<'static>,
    Card,
    PanSource,
    SecurityCode,
    CompleteSecurityCode,
    CompleteSession,
    CreateGeneric,
    CreatePci,
    InquirySource,
    UpdateGeneric,
    UpdatePci,
    KeyManager,
    VaultOptions,
);

// What was filled may come back in a response; a destination is what was parsed, and nothing makes one.
assert_not_impl_any!(ForwardResponse: Clone, Display, Serialize, Deserialize<'static>, AsRef<[u8]>);
assert_not_impl_any!(Destination: Clone, Display, Serialize, Deserialize<'static>, From<&'static str>, std::str::FromStr);
assert_not_impl_any!(Body<'static>: Display, Serialize, Deserialize<'static>);
assert_impl_all!(Body<'static>: Copy, Send, Sync);
assert_impl_all!(InquirySource: Send);
assert_impl_all!(Inquiry: Clone, Serialize, DeserializeOwned, PartialEq, Send, Sync);
assert_impl_all!(Issuer: Clone, Default, Serialize, DeserializeOwned, PartialEq, Send, Sync);
assert_impl_all!(dyn Forwarder: Send, Sync);
assert_impl_all!(dyn BinDirectory: Send, Sync);
assert_not_impl_any!(Vault: Serialize, Display, Deref, PartialEq);
assert_not_impl_any!(Error: Deserialize<'static>);

assert_impl_all!(Vault: Clone, Send, Sync);
assert_impl_all!(Error: Clone, Send, Sync, std::error::Error, Serialize);
assert_impl_all!(KeyManager: Send, Sync);
assert_impl_all!(Sweeper: Send, Sync);
// What is lent can be used across threads and awaits.
assert_impl_all!(Pan: Send, Sync);
assert_impl_all!(Card: Send, Sync);
assert_impl_all!(Payload: Send, Sync);
assert_impl_all!(CreateGeneric: Send);
assert_impl_all!(CreatePci: Send);
assert_impl_all!(CompleteSecurityCode: Send);
assert_impl_all!(CompleteSession: Send);
assert_impl_all!(SecurityCode: Send, Sync);
assert_impl_all!(UpdateGeneric: Send, Sync);
assert_impl_all!(UpdatePci: Send, Sync);
assert_impl_all!(Rules: Copy, Send, Sync);

#[test]
fn debug_is_the_name_of_the_type() {
    let pan = Pan::parse("4111111111111111").unwrap();
    assert_eq!(format!("{pan:?} {pan:#?}"), "Pan(..) Pan(..)");
    let source = PanSource::new(pan, CardExpiry::new(12, 2025).unwrap()).cardholder_name("Jo").unwrap();
    assert_eq!(format!("{source:?} {source:#?}"), "PanSource(..) PanSource(..)");
    let request = CreatePci::new(source).metadata([("a", "b")]).unwrap().idempotency_key("k").unwrap();
    assert_eq!(format!("{request:?} {request:#?}"), "CreatePci(..) CreatePci(..)");
    let source = PanSource::new(Pan::parse("4111111111111111").unwrap(), CardExpiry::new(12, 2025).unwrap());
    let source = source.security_code("123").unwrap();
    assert_eq!(format!("{source:?}"), "PanSource(..)");
    assert_eq!(format!("{:#?}", CompleteSession::from(source)), "CompleteSession(..)");
    let code = tokenvault::card::SecurityCode::parse("123").unwrap();
    assert_eq!(format!("{:#?}", CompleteSecurityCode::from(code)), "CompleteSecurityCode(..)");
    let code = SecurityCode::parse("123").unwrap();
    assert_eq!(format!("{code:?} {code:#?}"), "SecurityCode(..) SecurityCode(..)");
    assert_eq!(format!("{:?}", keys()), "KeyManager(..)");
    assert_eq!(format!("{:?}", KeyManager::from_passphrase("open".to_owned()).unwrap()), "KeyManager(..)");
    assert_eq!(format!("{:?}", PayloadValue::from("1234")), "PayloadValue(..)");
    assert_eq!(format!("{:?}", PayloadValue::from(true)), "PayloadValue(..)");
    assert_eq!(format!("{:?}", PayloadNumber::from(1234)), "PayloadNumber(..)");
    assert_eq!(format!("{:?}", Payload::new([("pin", "1234")]).unwrap()), "Payload(..)");
    let update = UpdatePci::new().cardholder_name("Jo").unwrap();
    assert_eq!(format!("{update:?} {update:#?}"), "UpdatePci(..) UpdatePci(..)");
    let update = UpdateGeneric::new().metadata([("a", "b")]).unwrap();
    assert_eq!(format!("{update:?} {update:#?}"), "UpdateGeneric(..) UpdateGeneric(..)");
    let request = CreateGeneric::new([("pin", "1234")]).unwrap().idempotency_key("k").unwrap();
    assert_eq!(format!("{request:#?}"), "CreateGeneric(..)");
}

#[test]
fn what_is_lent_shows_its_name_too() {
    let (vault, _) = vault();
    let pci = token(vault.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).unwrap());
    let generic = vault.create_generic(CreateGeneric::new([("pin", 1234)]).unwrap()).unwrap();
    assert_eq!(vault.reveal_pci(pci.id, |card| format!("{card:?} {card:#?}")).unwrap(), "Card(..) Card(..)");
    let shown = vault.generic_payload(generic.id, |payload| {
        let value = payload.get("pin").unwrap();
        format!("{payload:?} {value:?} {:?}", value.as_number().unwrap())
    });
    assert_eq!(shown.unwrap(), "Payload(..) PayloadValue(..) PayloadNumber(..)");
    assert_eq!(format!("{:?}", vault.list_pci(Page::default()).unwrap().data), format!("{:?}", [pci]));
}

#[test]
fn a_vault_shows_whether_it_is_closed() {
    let (vault, _) = vault();
    assert_eq!(format!("{vault:?}"), "Vault { closed: false, .. }");
    vault.close().unwrap();
    assert_eq!(format!("{vault:?}"), "Vault { closed: true, .. }");
    assert_eq!(format!("{:?}", VaultOptions::new()), "VaultOptions { mask: None, .. }");
}
