//! Promise: a root key comes in through every door in the forms that are told, and in no other; whoever comes with no key, or
//! the wrong one, hears `KEY_FAILURE` and which door it was, and never a digit of a key.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unnecessary_wraps,
    reason = "a test"
)]
#![cfg(unix)]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::forge::{BY_KEY, FIRST_SIX_LAST_FOUR, Forger};
use common::shared::Shared;
use common::text::{base64, hex, unhex};
use tokenvault::store::Store;
use tokenvault::{CreateGeneric, Error, ErrorKind, KeyManager, KeyWrapper, Vault, VaultOptions};

/// Told apart from any other bytes in whatever form it is printed.
const KEY: [u8; 32] =
    *b"\xd7\x0fk+\xffQ\x93\xc1\x00\x8a=\xe6w\x12\xb4\xfe\x9d/\xab\\\x01n\xf0P\xc8\x7f\x3e\x95\xda\x24\x68\xbf";

const VARIABLE: &str = "TOKENVAULT_TEST_KEY";

/// A vault of the key.
fn store() -> Shared {
    let store = Shared::default();
    VaultOptions::new().open_with(store.clone(), KeyManager::from_key(&mut KEY.clone())).unwrap();
    store
}

fn open(keys: KeyManager) -> Result<Vault, Error> {
    VaultOptions::new().open_with(store(), keys)
}

/// Says no, by its kind, without a piece of what was handed in.
fn refused<T>(result: Result<T, Error>, given: &[u8]) -> Error {
    let Err(error) = result else { panic!("nothing was refused") };
    assert_eq!(error.kind(), ErrorKind::KeyFailure, "{error}");
    let mut told = format!("{error} {error:?} {error:#?} {}", serde_json::to_string(&error).unwrap());
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        told = format!("{told} {cause} {cause:?}");
        source = cause.source();
    }
    for piece in
        given.windows(8).filter_map(|piece| std::str::from_utf8(piece).ok()).filter(|piece| !piece.trim().is_empty())
    {
        assert!(!told.contains(piece), "{piece:?} of the key stands in {told}");
    }
    for form in [hex(&KEY), base64(&KEY)] {
        assert!(form.as_bytes().windows(8).all(|piece| !told.contains(std::str::from_utf8(piece).unwrap())), "{told}");
    }
    error
}

#[test]
fn a_key_handed_in_is_wiped() {
    let mut key = KEY;
    let keys = KeyManager::from_key(&mut key);
    assert_eq!(key, [0; 32]);
    open(keys).unwrap();
    refused(open(KeyManager::from_key(&mut [0; 32])), &[]);
}

#[test]
fn a_generated_key_is_nobody_elses() {
    let store = Shared::default();
    VaultOptions::new().open_with(store.clone(), KeyManager::generate().unwrap()).unwrap();
    refused(VaultOptions::new().open_with(store, KeyManager::generate().unwrap()), &[]);
}

/// The text forms of a key, each with whether it is one.
fn texts() -> Vec<(Vec<u8>, bool)> {
    let (lower, upper) = (hex(&KEY), hex(&KEY).to_uppercase());
    let mixed: String =
        lower.chars().enumerate().map(|(at, c)| if at % 3 == 0 { c.to_ascii_uppercase() } else { c }).collect();
    let (padded, unpadded) = (base64(&KEY) + "=", base64(&KEY));
    let url = padded.replace('+', "-").replace('/', "_");
    assert_ne!(padded, url, "the key tells the alphabets apart");
    let mut texts = Vec::new();
    for good in [&lower, &upper, &mixed, &padded, &unpadded] {
        for end in ["", "\n", "\r\n", "  ", " \t\n\n"] {
            texts.push((format!("{good}{end}").into_bytes(), true));
        }
        for begin in [" ", "\n", "0x", "\u{feff}", "\""] {
            texts.push((format!("{begin}{good}").into_bytes(), false));
        }
        for length in [0, 1, 16, 31, good.len() / 2, good.len() - 2] {
            texts.push((good.as_bytes()[..length].to_vec(), false));
        }
        texts.push((good.replacen(char::from(good.as_bytes()[5]), "!", 1).into_bytes(), false));
        texts.push((good.replacen(char::from(good.as_bytes()[5]), "é", 1).into_bytes(), false));
        texts.push((format!("{good}{good}").into_bytes(), false));
        texts.push((format!("{good}0").into_bytes(), false));
        texts.push((format!("{good}=").into_bytes(), *good == unpadded));
        texts.push((format!("{good}==").into_bytes(), false));
    }
    texts.push((url.into_bytes(), false));
    // Of the right length, and longer than a key by its last bits.
    texts.push(((unpadded[..42].to_owned() + "/").into_bytes(), false));
    texts.push(((unpadded[..42].to_owned() + "/=").into_bytes(), false));
    texts.push((lower.replace('d', "g").into_bytes(), false));
    texts.push((b" ".repeat(64), false));
    texts.push((b"\xff\xfe".repeat(32), false));
    texts
}

/// A root key from the environment is read in a child, since a test cannot change its own environment soundly.
fn in_a_child(value: Option<&OsStr>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "the_child_reads_its_environment", "--include-ignored", "--nocapture"]);
    match value {
        Some(value) => child.env(VARIABLE, value),
        None => child.env_remove(VARIABLE),
    };
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, told) = text.split_once("told: ").unwrap();
    told.lines().next().unwrap().to_owned()
}

#[test]
#[ignore = "only as a child of the test of the environment"]
fn the_child_reads_its_environment() {
    match KeyManager::from_env(VARIABLE) {
        Ok(keys) => {
            open(keys).unwrap();
            println!("told: opened");
        }
        Err(error) => {
            let given = std::env::var_os(VARIABLE).unwrap_or_default();
            println!("told: {}", refused::<()>(Err(error), given.as_encoded_bytes()));
        }
    }
}

#[test]
fn a_key_from_the_environment() {
    use std::os::unix::ffi::OsStringExt;

    assert_eq!(
        in_a_child(None),
        format!("The key is wrong or unavailable: the environment variable {VARIABLE} is not set")
    );
    let no_key = format!(
        "The key is wrong or unavailable: {VARIABLE} does not hold 64 hexadecimal digits or base64 of 32 bytes"
    );
    let picked = texts().into_iter().enumerate().filter(|(at, (_, good))| *good || at % 4 == 0).map(|(_, text)| text);
    for (text, good) in picked.chain([(b"\xff\xfe".repeat(32), false), (Vec::new(), false)]) {
        let told = in_a_child(Some(&OsString::from_vec(text.clone())));
        assert_eq!(told, if good { "opened" } else { &no_key }, "{:?}", String::from_utf8_lossy(&text));
    }
}

/// A folder for key files.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, content: &[u8], mode: u32) -> PathBuf {
        let path = self.path("key");
        drop(fs::remove_file(&path));
        fs::write(&path, content).unwrap();
        set_mode(&path, mode);
        path
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_from_a_file() {
    let files = Files::new();
    open(KeyManager::from_key_file(files.write(&KEY, 0o600)).unwrap()).unwrap();
    for (text, good) in texts() {
        let path = files.write(&text, 0o400);
        if good {
            open(KeyManager::from_key_file(&path).unwrap()).unwrap();
        } else if text.len() == 32 {
            // Any 32 bytes are a key: another one.
            refused(open(KeyManager::from_key_file(&path).unwrap()), &text);
        } else {
            let error = refused(KeyManager::from_key_file(&path), &text);
            assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        }
    }
}

#[test]
fn thirty_two_bytes_are_a_key_whatever_they_are() {
    let files = Files::new();
    for byte in [0, b'\n', b' ', 0xff, b'a'] {
        let store = Shared::default();
        VaultOptions::new().open_with(store.clone(), KeyManager::from_key(&mut [byte; 32])).unwrap();
        let keys = KeyManager::from_key_file(files.write(&[byte; 32], 0o600)).unwrap();
        VaultOptions::new().open_with(store, keys).unwrap();
    }
}

#[test]
fn a_key_file_of_a_wrong_length_is_refused_by_its_length() {
    let files = Files::new();
    for length in [0, 1, 31, 33, 42, 45, 63, 65, 127, 128, 256, 257, 258, 1 << 20] {
        let content: Vec<u8> = KEY.iter().copied().cycle().take(length).collect();
        let error = refused(KeyManager::from_key_file(files.write(&content, 0o600)), &content);
        let told = length.min(257);
        assert!(error.message().contains(&format!("it has {told} bytes")) || length > 256, "{error}");
    }
}

#[test]
fn a_key_file_that_others_can_reach_is_refused() {
    let files = Files::new();
    for open_to_others in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777, 0o440] {
        let path = files.write(&KEY, open_to_others);
        let error = refused(KeyManager::from_key_file(&path), &KEY);
        assert!(error.message().contains(&format!("mode {open_to_others:03o}")), "{error}");
        assert!(error.message().contains("chmod 600"), "{error}");
    }
    for own in [0o600, 0o400, 0o700] {
        KeyManager::from_key_file(files.write(&KEY, own)).unwrap();
    }
}

#[test]
fn a_key_file_that_is_none_is_refused_by_its_name() {
    let files = Files::new();
    let folder = files.path("folder");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o700);
    for path in [files.path("missing"), folder, files.path("missing/key")] {
        let error = refused(KeyManager::from_key_file(&path), &[]);
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{error} says why");
    }
}

#[test]
fn a_new_key_file_is_its_owners_and_is_never_written_over() {
    let files = Files::new();
    let path = files.path("new");
    let store = Shared::default();
    VaultOptions::new().open_with(store.clone(), KeyManager::create_key_file(&path).unwrap()).unwrap();
    assert_eq!(mode(&path), 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.len() == 65 && text.ends_with('\n') && unhex(text.trim_end()).len() == 32);
    VaultOptions::new().open_with(store, KeyManager::from_key_file(&path).unwrap()).unwrap();

    let error = refused(KeyManager::create_key_file(&path), text.as_bytes());
    assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    // Not through a link either, whether it leads somewhere or not.
    for (link, target) in [("link", path.clone()), ("dangling", files.path("nowhere"))] {
        std::os::unix::fs::symlink(&target, files.path(link)).unwrap();
        refused(KeyManager::create_key_file(files.path(link)), text.as_bytes());
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(!files.path("nowhere").exists());
    refused(KeyManager::create_key_file(files.path("missing/key")), &[]);
}

#[test]
fn a_pass_phrase() {
    let phrase = |text: &str| KeyManager::from_passphrase(text.to_owned());
    let store = Shared::default();
    VaultOptions::new().open_with(store.clone(), phrase("correct horse battery").unwrap()).unwrap();
    VaultOptions::new().open_with(store.copy(), phrase("correct horse battery").unwrap()).unwrap();
    for wrong in ["correct horse battery ", "Correct horse battery", "incorrect donkey"] {
        refused(VaultOptions::new().open_with(store.copy(), phrase(wrong).unwrap()), wrong.as_bytes());
    }
    let error = refused(phrase(""), &[]);
    assert!(error.message().contains("empty"), "{error}");
    // The same words in two vaults are two keys.
    let other = Shared::default();
    VaultOptions::new().open_with(other.clone(), phrase("correct horse battery").unwrap()).unwrap();
    assert_ne!(store.anchor()[42..58], other.anchor()[42..58]);
}

/// Settings that ask for a derivation of this cost.
fn access(memory_kib: u32, passes: u32, lanes: u32) -> Vec<u8> {
    let costs = [memory_kib, passes, lanes].map(u32::to_le_bytes).concat();
    [&[2][..], b"sixteen of salt!", &costs].concat()
}

#[test]
fn a_cost_that_nobody_can_pay_is_refused_before_it_is_paid() {
    let forger = Forger::new(KEY);
    let gib = 1024 * 1024;
    for (memory_kib, passes, lanes) in [
        (u32::MAX, 3, 4),
        (gib + 1, 1, 1),
        (65_536, 33, 4),
        (65_536, u32::MAX, 4),
        (65_536, 3, 17),
        (65_536, 3, u32::MAX),
        (u32::MAX, u32::MAX, u32::MAX),
        // Impossible by RFC 9106: at least one pass, one lane, and eight blocks a lane.
        (65_536, 0, 4),
        (65_536, 3, 0),
        (0, 3, 4),
        (7, 1, 1),
        (31, 1, 4),
    ] {
        let settings = forger.settings(FIRST_SIX_LAST_FOUR, &access(memory_kib, passes, lanes));
        let store = Shared::default();
        store.write_anchor(&forger.anchor_of(1, &settings, &forger.ring())).unwrap();
        let began = Instant::now();
        let keys = KeyManager::from_passphrase("correct horse".to_owned()).unwrap();
        let error = VaultOptions::new().open_with(store, keys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{memory_kib} {passes} {lanes}: {error}");
        assert!(began.elapsed() < Duration::from_millis(100), "{memory_kib} {passes} {lanes}");
    }
    // The least that there is, to show that the costs alone are refused.
    let settings = forger.settings(FIRST_SIX_LAST_FOUR, &access(8, 1, 1));
    let store = Shared::default();
    store.write_anchor(&forger.anchor_of(1, &settings, &forger.ring())).unwrap();
    let keys = KeyManager::from_passphrase("correct horse".to_owned()).unwrap();
    refused(VaultOptions::new().open_with(store, keys), b"correct horse");
}

/// A key service that does as it is told.
struct Service {
    wrap: fn(&[u8; 32]) -> Result<Vec<u8>, Error>,
    unwrap: fn(&[u8], &mut [u8; 32]) -> Result<(), Error>,
}

impl KeyWrapper for Service {
    fn wrap_key(&self, key: &[u8; 32]) -> Result<Vec<u8>, Error> {
        (self.wrap)(key)
    }

    fn unwrap_key(&self, wrapped: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
        (self.unwrap)(wrapped, key)
    }
}

fn flip(key: &[u8; 32]) -> Result<Vec<u8>, Error> {
    Ok(key.iter().map(|byte| !byte).collect())
}

fn flip_back(wrapped: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
    key.iter_mut().zip(wrapped).for_each(|(to, from)| *to = !from);
    Ok(())
}

fn service(unwrap: fn(&[u8], &mut [u8; 32]) -> Result<(), Error>) -> KeyManager {
    KeyManager::from_wrapper(Service { wrap: flip, unwrap })
}

#[test]
fn a_key_service_wraps_a_key_of_each_vault() {
    let (store, other) = (Shared::default(), Shared::default());
    for store in [&store, &other] {
        let vault = VaultOptions::new().open_with(store.clone(), service(flip_back)).unwrap();
        let token = vault.create_generic(CreateGeneric::new([("pin", "1234")]).unwrap()).unwrap();
        vault.close().unwrap();
        let vault = VaultOptions::new().open_with(store.clone(), service(flip_back)).unwrap();
        vault
            .generic_payload(token.id, |payload| assert_eq!(payload.get("pin").unwrap().as_str(), Some("1234")))
            .unwrap();
    }
    // What the service answered stands in the anchor, behind magic, version, checksum, vault, mask, sort and length.
    let wrapped = |store: &Shared| store.anchor()[8 + 2 + 32 + 16 + 1 + 1 + 2..][..32].to_vec();
    assert_ne!(wrapped(&store), wrapped(&other), "each vault has a key of its own");
}

#[test]
fn a_key_service_that_fails_is_heard() {
    let store = Shared::default();
    VaultOptions::new().open_with(store.clone(), service(flip_back)).unwrap();
    let open = |unwrap| VaultOptions::new().open_with(store.copy(), service(unwrap));

    let error = refused(open(|_, _| Err(Error::key_failure("the service has lost it"))), &[]);
    assert!(error.message().contains("the service has lost it"), "{error}");
    let error = open(|_, _| Err(Error::unavailable("the service sleeps"))).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "the service sleeps"));
    // A key that is not the vault's is a wrong key, not damage.
    refused(open(|_, _| Ok(())), &[]);
    refused(
        open(|_, key| {
            *key = KEY;
            Ok(())
        }),
        &[],
    );
    open(flip_back).unwrap();

    let store = Shared::default();
    let failing = Service { wrap: |_| Err(Error::unavailable("the service sleeps")), unwrap: flip_back };
    let error = VaultOptions::new().open_with(store.clone(), KeyManager::from_wrapper(failing)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(store.read_anchor().unwrap(), None, "no vault was founded on a key that nobody has");
}

#[test]
fn a_key_service_may_answer_8_kib_and_no_more() {
    const MOST: usize = 8 * 1024;
    fn padded(key: &[u8; 32], length: usize) -> Vec<u8> {
        key.iter().map(|byte| !byte).chain(std::iter::repeat(0x77)).take(length).collect()
    }
    let most = Service { wrap: |key| Ok(padded(key, MOST)), unwrap: flip_back };
    let store = Shared::default();
    VaultOptions::new().open_with(store.clone(), KeyManager::from_wrapper(most)).unwrap();
    VaultOptions::new().open_with(store, service(flip_back)).unwrap();

    for wrap in [|key: &[u8; 32]| Ok(padded(key, MOST + 1)), |key: &[u8; 32]| Ok(padded(key, 1 << 17))] {
        let store = Shared::default();
        let keys = KeyManager::from_wrapper(Service { wrap, unwrap: flip_back });
        let error = refused(VaultOptions::new().open_with(store.clone(), keys), &[]);
        assert!(error.message().contains("8 KiB"), "{error}");
        assert_eq!(store.read_anchor().unwrap(), None);
    }

    // What cannot be unwrapped again makes no vault.
    let empty = Service { wrap: |_| Ok(Vec::new()), unwrap: flip_back };
    let store = Shared::default();
    let error = refused(VaultOptions::new().open_with(store.clone(), KeyManager::from_wrapper(empty)), &[]);
    assert!(error.message().contains("does not unwrap what it has wrapped"), "{error}");
    assert_eq!(store.read_anchor().unwrap(), None);
}

#[test]
fn no_error_of_a_vault_shows_its_key() {
    let forger = Forger::new(KEY);
    let store = Shared::default();
    store.write_anchor(&forger.anchor()).unwrap();
    let wrong = KeyManager::from_key(&mut [1; 32]);
    refused(VaultOptions::new().open_with(store, wrong), &KEY);
    // A ring that is damaged although its seal is right.
    let store = Shared::default();
    let settings = forger.settings(FIRST_SIX_LAST_FOUR, BY_KEY);
    store.write_anchor(&forger.anchor_of(1, &settings, &KEY)).unwrap();
    let error = VaultOptions::new().open_with(store, KeyManager::from_key(&mut KEY.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!format!("{error} {error:?}").contains(&hex(&KEY)[..8]));
}
