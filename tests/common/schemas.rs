//! The property of schemas, called by tests, replayed seeds and the fuzz target.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokenvault::store::MemoryStore;
use tokenvault::{CreateGeneric, CreateType, Error, ErrorKind, KeyManager, VaultOptions};

/// Longer than any schema and all payloads under it take, with a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// Payloads that a schema is tried on. No part of their values is a word of a refusal.
const PAYLOADS: [&str; 6] = [
    "{}",
    r#"{"a":"qzjx0","b":"73154188629"}"#,
    r#"{"iban":"qzjx1 qzjx2","limit":7315418862.5,"joint":true,"n":-73154188629}"#,
    r#"{"a":7315418862931471,"4111111111111111":"qzjx3","größe":"qzjx4","a/b~c":"qzjx5","":null}"#,
    r#"{"a":7315418862931471,"4111111111111111":"qzjx3","größe":"qzjx4","a/b~c":"qzjx5"}"#,
    r#"{"a":1.5e300,"b":"qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx qzjx"}"#,
];
const VALUES: [&str; 3] = ["qzjx", "7315418862", "4111111111111111"];

/// Every message there is of a schema, but those with a number in them.
const OF_SCHEMAS: [&str; 14] = [
    "duplicate key",
    "is not what JSON Schema 2020-12 allows here",
    "must be `https://json-schema.org/draft/2020-12/schema`",
    "must be a URI reference",
    "must be a regular expression of bounded size, without look-around and back-references",
    "must be a schema that stands on its own",
    "must be at most 32 KiB",
    "must be at most 32 levels deep",
    "must have no number beyond those of 64 bits",
    "must lead to a schema within this one",
    "must not contain a lone surrogate",
    "must not lead back to where it stands",
    "unfolds to more than 10000 nodes",
    "unfolds to more than 100 schemas within each other",
];

/// What a message of a schema with a byte offset begins with.
const OF_TEXTS: [&str; 5] =
    ["malformed JSON", "invalid UTF-8", "byte order mark", "more than 32 levels deep", "request is larger than 64 KiB"];

/// Every message there is of a payload under a schema.
const OF_PAYLOADS: [&str; 18] = [
    "does not satisfy the schema of its type",
    "has a key that the schema does not allow",
    "has fewer pairs than the schema allows",
    "has more pairs than the schema allows",
    "is less than the schema allows",
    "is longer than the schema allows",
    "is more than the schema allows",
    "is not allowed by the schema of its type",
    "is required",
    "is shorter than the schema allows",
    "lacks a pair that the schema requires",
    "must be a multiple of what the schema states",
    "must be of a type that the schema allows",
    "must be one of the values that the schema lists",
    "must be the value that the schema states",
    "must match the pattern of the schema",
    "must not satisfy the schema of `not`",
    "must satisfy at least one of the schemas of `anyOf`",
];
const ONE_OF: &str = "must satisfy exactly one of the schemas of `oneOf`";

/// Any bytes as a schema: refused with paths and words of ours, or kept, given back, and fit to judge payloads; in bounded time.
///
/// # Panics
/// If the property does not hold.
pub fn schema(bytes: &[u8]) {
    let start = Instant::now();
    match CreateType::new("a type", bytes) {
        Err(refusal) => check_refusal(&refusal),
        Ok(request) => check_type(bytes, request),
    }
    assert!(start.elapsed() < LONGEST, "took {:?}", start.elapsed());
}

fn check_type(bytes: &[u8], request: CreateType) {
    assert!(bytes.trim_ascii().len() <= 32 * 1024);
    let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::from_key(&mut [7; 32])).unwrap();
    let made = vault.create_type(request).unwrap();
    assert_eq!(made.schema, serde_json::from_slice::<Value>(bytes).unwrap());
    assert_eq!(vault.type_by_id(made.id).unwrap(), made);
    for payload in PAYLOADS {
        let Ok(request) = CreateGeneric::from_json(format!(r#"{{"payload":{payload}}}"#).as_bytes()) else { continue };
        match vault.create_generic(request.type_id(made.id)) {
            Ok(token) => vault.delete_generic(token.id).unwrap(),
            Err(refusal) => check_violations(bytes, &refusal),
        }
    }
    vault.delete_type(made.id).unwrap();
}

fn check_refusal(refusal: &Error) {
    assert_eq!(refusal.kind(), ErrorKind::Validation, "{refusal}");
    let violations = refusal.violations();
    assert!((1..=101).contains(&violations.len()));
    for violation in violations {
        let (path, message) = (violation.path(), violation.message());
        let of_text = message.split_once(" at byte ").is_some_and(|(what, _)| OF_TEXTS.contains(&what));
        let more = path == "$" && message.starts_with("and ") && message.ends_with(" more");
        assert!(OF_SCHEMAS.contains(&message) || of_text || more, "a message that is not ours: {message}");
        let rest = path.strip_prefix("$.schema");
        assert!(more || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])), "{path}");
        assert!(is_harmless(path), "{path}");
    }
    check_paths(refusal);
}

fn check_violations(schema: &[u8], refusal: &Error) {
    assert_eq!(refusal.kind(), ErrorKind::Validation, "{refusal}");
    assert!(!refusal.violations().is_empty());
    for violation in refusal.violations() {
        let (path, message) = (violation.path(), violation.message());
        let more = path == "$" && message.starts_with("and ") && message.ends_with(" more");
        assert!(OF_PAYLOADS.contains(&message) || message == ONE_OF || more, "a message that is not ours: {message}");
        assert!(more || path.starts_with("$.payload"), "{path}");
        assert!(is_harmless(path), "{path}");
    }
    check_paths(refusal);
    // A schema may have these words itself, as the names of pairs that it requires.
    let schema = String::from_utf8_lossy(schema);
    let shown = format!("{refusal} {refusal:?} {}", serde_json::to_string(refusal).unwrap());
    for value in VALUES.iter().filter(|value| !schema.contains(**value)) {
        assert!(!shown.contains(value), "a value is shown");
    }
}

/// No path is told twice.
fn check_paths(refusal: &Error) {
    let mut paths: Vec<_> = refusal.violations().iter().take(100).map(tokenvault::Violation::path).collect();
    paths.sort_unstable();
    assert!(paths.windows(2).all(|two| two[0] != two[1]), "a path is told twice: {refusal}");
}

/// Whether a path is made of characters that the house rule allows, and no account number.
fn is_harmless(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"$_.-[]#".contains(&byte);
    let digits = path.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    path.bytes().all(plain) && digits < 6
}
