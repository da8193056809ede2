//! Promise: what is filled goes to the registered forwarder and to an allowed origin, or nowhere.
//!
//! The forwarder gets the destination as it was parsed, so that what was compared is what is called.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use common::{PAN_REQUEST, keys, token, violations};
use tokenvault::store::MemoryStore;
use tokenvault::{
    Body, CreatePci, Destination, Error, ErrorKind, ForwardResponse, Forwarder, TokenId, Vault, VaultOptions,
};

/// Destination, host, media type, body.
type Sent = (String, String, String, Vec<u8>);

/// Keeps what it is to send, and answers 202.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Sent>>>);

impl Forwarder for Recorder {
    fn forward(&self, destination: &Destination, content_type: &str, body: &[u8]) -> Result<ForwardResponse, Error> {
        let sent =
            (destination.as_str().to_owned(), destination.host().to_owned(), content_type.to_owned(), body.to_vec());
        self.0.lock().unwrap().push(sent);
        Ok(ForwardResponse::new(202, b"{}".to_vec()))
    }
}

impl Recorder {
    fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A vault with a card that may forward to these origins.
fn vault(forwarder: impl Forwarder, allowed: &[&str]) -> (Vault, TokenId) {
    let options = VaultOptions::new().forwarder(forwarder);
    let options = allowed.iter().try_fold(options, |options, origin| options.allow_destination(origin)).unwrap();
    let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
    let id = token(vault.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).unwrap()).id;
    (vault, id)
}

const BODY: Body<'_> = Body::Form("n={{ account_number }}");

#[test]
fn the_body_is_sent_as_it_was_filled_and_the_response_answered() {
    let recorder = Recorder::default();
    let (vault, id) = vault(recorder.clone(), &["https://psp.example", "https://other.example"]);
    for (body, content_type, filled) in [
        (BODY, "application/x-www-form-urlencoded", "n=4111111111111111"),
        (Body::Json(r#"["{{ account_number }}"]"#), "application/json", r#"["4111111111111111"]"#),
        (Body::Xml("<n>{{ account_number }}</n>"), "application/xml", "<n>4111111111111111</n>"),
    ] {
        let response = vault.forward(id, "https://psp.example/charges?a=b", body).unwrap();
        assert_eq!(response, ForwardResponse::new(202, b"{}".to_vec()));
        let sent = ["https://psp.example/charges?a=b", "psp.example", content_type].map(str::to_owned);
        assert_eq!(recorder.take(), [(sent[0].clone(), sent[1].clone(), sent[2].clone(), filled.as_bytes().to_vec())]);
    }
    vault.forward(id, "https://other.example", BODY).unwrap();
    assert_eq!(recorder.take().len(), 1);
}

#[test]
fn a_vault_forwards_nowhere_unless_it_was_told_to() {
    let forbidden = |vault: &Vault, id| {
        let error = vault.forward(id, "https://psp.example", BODY).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, 403));
        let body =
            r#"{"code":403,"classifier":"FORBIDDEN","message":"Not allowed to access this resource or feature"}"#;
        assert_eq!(serde_json::to_string(&error).unwrap(), body);
        error.to_string()
    };
    let recorder = Recorder::default();
    let (listless, id) = vault(recorder.clone(), &[]);
    assert!(forbidden(&listless, id).ends_with("the destination is not on the vault's list"));
    let options = VaultOptions::new().allow_destination("https://psp.example").unwrap();
    let mute = options.open_with(MemoryStore::new(), keys()).unwrap();
    assert!(forbidden(&mute, id).ends_with("the vault was opened without a forwarder"));
    assert!(recorder.take().is_empty());
}

#[test]
fn only_the_same_origin_is_allowed_however_it_is_spelled() {
    let recorder = Recorder::default();
    let (vault, id) = vault(recorder.clone(), &["https://psp.example", "https://bücher.example"]);
    for (destination, called) in [
        ("https://psp.example", "https://psp.example/"),
        ("https://psp.example/", "https://psp.example/"),
        ("https://psp.example:443/a", "https://psp.example/a"),
        ("https://psp.example:/a", "https://psp.example/a"),
        ("HTTPS://PSP.Example/A", "https://psp.example/A"),
        ("  https://psp.example/a \n", "https://psp.example/a"),
        ("https://psp.exa\tmple/a\nb", "https://psp.example/ab"),
        ("ht\ntps://psp.example", "https://psp.example/"),
        (r"https:\\psp.example\a", "https://psp.example/a"),
        ("https:psp.example/a", "https://psp.example/a"),
        ("https:////psp.example/a", "https://psp.example/a"),
        ("https://psp.example/../a/./b", "https://psp.example/a/b"),
        ("https://%70sp.example/", "https://psp.example/"),
        ("https://ｐｓｐ.example/", "https://psp.example/"),
        ("https://psp。example/", "https://psp.example/"),
        ("https://psp.ex\u{ad}ample/", "https://psp.example/"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://bu\u{308}cher.example/", "https://xn--bcher-kva.example/"),
        // What follows the host is no part of the origin, whatever it looks like.
        (r"https://psp.example\@evil.example", "https://psp.example/@evil.example"),
        ("https://psp.example/@evil.example", "https://psp.example/@evil.example"),
        ("https://psp.example#@evil.example", "https://psp.example/#@evil.example"),
        ("https://psp.example?@evil.example", "https://psp.example/?@evil.example"),
    ] {
        vault.forward(id, destination, BODY).unwrap_or_else(|error| panic!("{destination:?}: {error}"));
        let sent = recorder.take();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent.first().unwrap().0, called, "{destination:?}");
    }
    for destination in [
        "",
        "psp.example",
        "//psp.example",
        "/charges",
        "http://psp.example",
        "ftp://psp.example",
        "wss://psp.example",
        "file:///psp.example",
        "data:,https://psp.example",
        "blob:https://psp.example/8744c9ea-a02b-4ae6-875c-b64fc333e3ef",
        "javascript:https://psp.example",
        "view-source:https://psp.example",
        "https://",
        "https:///",
        "https://psp.example.",
        "https://psp.example..",
        "https://.psp.example",
        "https://www.psp.example",
        "https://psp.example.evil.example",
        "https://evil.example/psp.example",
        "https://evil.example#https://psp.example",
        "https://evil.example?https://psp.example",
        "https://evil.example\\@psp.example",
        "https://evil.example\\.psp.example",
        "https://psp.example@evil.example",
        "https://psp.example:443@evil.example",
        "https://user@psp.example",
        "https://user:secret@psp.example",
        "https://:secret@psp.example",
        "https://psp.example:444",
        "https://psp.example:80",
        "https://psp.example:0",
        "https://psp.example:65536",
        "https://psp.example:x",
        "https://psp.example%00.evil.example",
        "https://psp.example%2f.evil.example",
        "https://psp.example%40evil.example",
        "https://psp.exam ple",
        "https://psp\u{0}.example",
        "https://psp․example",
        "https://рsp.example",
        "https://bucher.example",
        "https://xn--bcher-kv.example",
        "https://[::1]",
        "https://127.0.0.1",
        "https://2130706433",
    ] {
        let error = vault.forward(id, destination, BODY).map(|_| destination).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{destination:?}");
    }
    assert!(recorder.take().is_empty());
}

#[test]
fn an_origin_that_is_none_cannot_be_allowed() {
    for origin in [
        "",
        "psp.example",
        "http://psp.example",
        "https://psp.example/charges",
        "https://psp.example?a",
        "https://psp.example?",
        "https://psp.example#a",
        "https://psp.example:8443",
        "https://user@psp.example",
        "https://*.psp.example/*",
        "https://",
        "*",
    ] {
        let error = VaultOptions::new().allow_destination(origin).map(|_| origin).unwrap_err();
        let said = "must be an origin with https and the default port, as in `https://psp.example`";
        assert_eq!(violations(&error), [("$.destination", said)]);
    }
    for origin in
        ["https://psp.example", "https://psp.example/", "https://PSP.example:443", "https://10.0.0.1", "https://[::1]"]
    {
        assert!(VaultOptions::new().allow_destination(origin).is_ok(), "{origin}");
    }
}

#[test]
fn nothing_is_sent_unless_everything_holds() {
    let recorder = Recorder::default();
    let (vault, id) = vault(recorder.clone(), &["https://psp.example"]);
    let nobody: TokenId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    let refused = |id, destination, body| vault.forward(id, destination, body).unwrap_err().kind();
    // What is not allowed comes before what is wrong, and that before what is not there.
    assert_eq!(refused(nobody, "https://evil.example", Body::Json("{{")), ErrorKind::Forbidden);
    assert_eq!(refused(nobody, "https://psp.example", Body::Json("{{")), ErrorKind::Validation);
    assert_eq!(refused(nobody, "https://psp.example", BODY), ErrorKind::NotFound);
    assert_eq!(refused(id, "https://psp.example", Body::Form("{{ cardholder_name }}")), ErrorKind::Validation);
    vault.delete_security_code(id).unwrap();
    assert_eq!(refused(id, "https://psp.example", Body::Form("{{ security_code }}")), ErrorKind::Validation);
    vault.close().unwrap();
    assert_eq!(refused(id, "https://psp.example", BODY), ErrorKind::Unavailable);
    assert!(recorder.take().is_empty());
}

/// Fails, or panics.
struct Broken(bool);

impl Forwarder for Broken {
    fn forward(&self, _: &Destination, _: &str, _: &[u8]) -> Result<ForwardResponse, Error> {
        assert!(!self.0, "as it pleases");
        Err(Error::unavailable("the destination cannot be reached"))
    }
}

#[test]
fn what_the_forwarder_answers_is_answered_and_its_panic_passes_on() {
    let (failing, id) = vault(Broken(false), &["https://psp.example"]);
    let error = failing.forward(id, "https://psp.example", BODY).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "the destination cannot be reached"));
    let (panicking, id) = vault(Broken(true), &["https://psp.example"]);
    assert!(catch_unwind(AssertUnwindSafe(|| panicking.forward(id, "https://psp.example", BODY))).is_err());
    assert!(panicking.pci(id).is_ok());
}

#[test]
fn neither_destination_nor_response_shows_what_it_may_hold() {
    struct Shown;
    impl Forwarder for Shown {
        fn forward(&self, destination: &Destination, _: &str, _: &[u8]) -> Result<ForwardResponse, Error> {
            assert_eq!(format!("{destination:?}"), "Destination(https://psp.example, ..)");
            Ok(ForwardResponse::new(500, b"4111111111111111".to_vec()))
        }
    }
    let (vault, id) = vault(Shown, &["https://psp.example"]);
    let response = vault.forward(id, "https://psp.example/key/a1b2?token=c3", BODY).unwrap();
    assert_eq!(format!("{response:?}"), "ForwardResponse { status: 500, .. }");
}
