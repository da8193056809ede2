//! The life of a token: made, seen, lent, listed, deleted; in memory and on disk, across a restart.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
use tokenvault::store::MemoryStore;
use tokenvault::*;

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    for mem in [true, false] {
        let v = if mem {
            VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap()
        } else {
            Vault::create(dir.path().join("v"), KeyManager::from_key(&mut [1; 32])).unwrap()
        };
        let r = CreatePci::from_json(br#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"123"}}"#).unwrap();
        let PciCreated::Token(t) = v.create_pci(r).unwrap() else { panic!() };
        println!("{}", serde_json::to_string(&t).unwrap());
        assert_eq!(v.pci(t.id).unwrap(), t);
        assert_eq!(v.reveal_pci(t.id, |c| c.account_number().to_owned()).unwrap(), "4111111111111111");
        let g = v
            .create_generic(CreateGeneric::new([("iban", "DE89370400440532013000")]).unwrap().expires_in(3600).unwrap())
            .unwrap();
        println!("{}", serde_json::to_string(&g).unwrap());
        println!("{:?}", v.list_pci(Page::first(20)).unwrap());
        println!("{:?} {:?}", v.sweep().unwrap(), v.stats().unwrap());
        v.close().unwrap();
        assert_eq!(v.pci(t.id).unwrap_err().code(), 503);
        if !mem {
            let v = Vault::open(dir.path().join("v"), KeyManager::from_key(&mut [1; 32])).unwrap();
            assert_eq!(v.pci(t.id).unwrap(), t);
            drop(v);
            let e = Vault::open(dir.path().join("v"), KeyManager::from_key(&mut [2; 32])).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::KeyFailure, "{e}");
        }
    }
    for bad in [
        "",
        "{",
        "[1]",
        "{\"source\":{\"type\":\"pan\",\"account_number\":\"4111 1111\",\"expiry_month\":13}, \"expire_in\":3}",
        "{\"source\":null}",
        "{\"a\":1}x",
        "{\"a\" 1}",
        "12",
        "{\"source\":{\"type\":\"session\",\"zz\":1}}",
    ] {
        println!("{bad}: {}", serde_json::to_string(&CreatePci::from_json(bad.as_bytes()).unwrap_err()).unwrap());
    }
}
