//! Properties of the request parsers, called by tests, replayed seeds and fuzz targets.
//!
//! Each takes any bytes at all. A reference that shares no code with the crate says whether the bytes are a request: it reads
//! them through `serde_json`, and schemes from the published table. Crate and reference must agree; what is accepted must come
//! back from a vault as it was asked for; what is refused must say so without quoting it.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokenvault::card::{CardExpiry, MaskStyle, Pan, Scheme};
use tokenvault::store::MemoryStore;
use tokenvault::{
    CreateGeneric, CreatePci, Error, ErrorKind, KeyManager, Metadata, PanSource, PciCreated, UpdateGeneric, UpdatePci,
    Vault, VaultOptions,
};

use super::cards::card;

const SCHEMES: &str = include_str!("../data/card-schemes.csv");

/// Any bytes as a request for a generic token.
///
/// # Panics
/// If the property does not hold.
pub fn create_generic_json(bytes: &[u8]) {
    let asked = generic_asked(bytes);
    match CreateGeneric::from_json(bytes) {
        Err(refusal) => {
            assert!(asked.is_none(), "refused: {refusal}");
            check_refusal(bytes, &refusal);
        }
        Ok(request) => {
            assert_eq!(format!("{request:?}"), "CreateGeneric(..)");
            let Some(asked) = asked else { panic!("accepted, and the reference refuses it") };
            let vault = vault();
            let token = vault.create_generic(request).unwrap();
            assert_eq!(vault.generic(token.id).unwrap(), token);
            asked.extras.check(token.metadata.as_ref(), token.expires_at.map(|at| at - token.created_at));
            let held = |payload: &tokenvault::Payload| {
                assert_eq!(payload.len(), asked.payload.len());
                for ((key, value), (asked_key, asked_value)) in payload.iter().zip(&asked.payload) {
                    assert_eq!(key, asked_key);
                    let literal = value.as_number().and_then(|number| number.as_literal().map(str::to_owned));
                    let text = value.as_str().map(|text| Scalar::Text(text.to_owned()));
                    let held = text.or(value.as_bool().map(Scalar::Bool)).or(literal.map(Scalar::Number));
                    assert!(held.as_ref() == Some(asked_value), "a value of the payload is another one");
                }
            };
            vault.generic_payload(token.id, held).unwrap();
        }
    }
}

/// Any bytes as a request for a PCI token.
///
/// # Panics
/// If the property does not hold.
pub fn create_pci_json(bytes: &[u8]) {
    let asked = pci_asked(bytes);
    match CreatePci::from_json(bytes) {
        Err(refusal) => {
            assert!(asked.is_none(), "refused: {refusal}");
            check_refusal(bytes, &refusal);
        }
        Ok(request) => {
            assert_eq!(format!("{request:?}"), "CreatePci(..)");
            let Some(PciAsked { card: asked, extras }) = asked else {
                panic!("accepted, and the reference refuses it")
            };
            let vault = vault();
            let (token, asked) = match (vault.create_pci(request).unwrap(), asked) {
                (PciCreated::Token(token), Some(asked)) => (token, asked),
                (PciCreated::Session(session), None) => {
                    let token = vault.complete_session(session.session_id, a_card()).unwrap();
                    assert_eq!(vault.session(session.session_id).unwrap().token_id, Some(token.id));
                    (token, CardAsked::a_card())
                }
                _ => panic!("a session for a token, or a token for a session"),
            };
            assert_eq!(vault.pci(token.id).unwrap(), token);
            extras.check(token.metadata.as_ref(), token.expires_at.map(|at| at - token.created_at));
            let card = &token.card;
            let scheme = card.scheme.map(|scheme| scheme.to_string());
            assert_eq!(scheme.as_deref(), scheme_of(&asked.account_number));
            assert_eq!(card.masked_account_number, masked(&asked.account_number, 6));
            assert_eq!((card.expiry_month, card.expiry_year), asked.expiry);
            assert_eq!(card.cardholder_name, asked.name);
            let same = |card: &tokenvault::Card| {
                card.account_number() == asked.account_number
                    && (card.expiry().month(), card.expiry().year()) == asked.expiry
                    && card.cardholder_name() == asked.name.as_deref()
            };
            assert!(vault.reveal_pci(token.id, same).unwrap(), "the card is another one");
            let code = vault.use_security_code(token.id, str::to_owned).ok();
            assert!(code == asked.security_code, "the security code is another one");
        }
    }
}

/// Any bytes as a request to change a token, of either kind.
///
/// # Panics
/// If the property does not hold.
pub fn update_json(bytes: &[u8]) {
    let vault = vault();
    let request = CreateGeneric::new([("pin", "1234")]).and_then(|request| request.metadata([("was", "there")]));
    let generic = vault.create_generic(request.unwrap().expires_in(60).unwrap()).unwrap();
    let asked = UpdateAsked::of(bytes, "expiration_time", &[]);
    match UpdateGeneric::from_json(bytes) {
        Err(refusal) => {
            assert!(asked.is_none(), "refused: {refusal}");
            check_refusal(bytes, &refusal);
        }
        Ok(request) => {
            assert_eq!(format!("{request:?}"), "UpdateGeneric(..)");
            let Some(asked) = asked else { panic!("accepted, and the reference refuses it") };
            let after = vault.update_generic(generic.id, request).unwrap();
            assert_eq!(vault.generic(generic.id).unwrap(), after);
            asked.check(after.metadata.as_ref(), after.expires_at.map(|at| at - after.created_at));
        }
    }
    let request = CreatePci::new(card().cardholder_name("Was There").unwrap()).metadata([("was", "there")]).unwrap();
    let PciCreated::Token(pci) = vault.create_pci(request.expires_in(60).unwrap()).unwrap() else {
        panic!("a session")
    };
    let asked = UpdateAsked::of(bytes, "expires_in", &["expiry_month", "expiry_year", "cardholder_name"]);
    match UpdatePci::from_json(bytes) {
        Err(refusal) => {
            assert!(asked.is_none(), "refused: {refusal}");
            check_refusal(bytes, &refusal);
        }
        Ok(request) => {
            assert_eq!(format!("{request:?}"), "UpdatePci(..)");
            let Some(mut asked) = asked else { panic!("accepted, and the reference refuses it") };
            let after = vault.update_pci(pci.id, request).unwrap();
            assert_eq!(vault.pci(pci.id).unwrap(), after);
            let expiry = (asked.month.unwrap_or(12), asked.year.unwrap_or(2025));
            let name = std::mem::replace(&mut asked.name, Edit::Nothing).on("Was There".to_owned());
            asked.check(after.metadata.as_ref(), after.expires_at.map(|at| at - after.created_at));
            assert_eq!((i64::from(after.card.expiry_month), i64::from(after.card.expiry_year)), expiry);
            assert_eq!(after.card.cardholder_name, name);
            let same = |card: &tokenvault::Card| {
                card.account_number() == "4111111111111111"
                    && (i64::from(card.expiry().month()), i64::from(card.expiry().year())) == expiry
                    && card.cardholder_name() == name.as_deref()
            };
            assert!(vault.reveal_pci(pci.id, same).unwrap(), "the card is another one");
        }
    }
}

/// Any bytes as an account number: handed in on its own, and within a request.
///
/// # Panics
/// If the property does not hold.
pub fn account_number(bytes: &[u8]) {
    let Ok(number) = std::str::from_utf8(bytes) else { return };
    let expected = account_number_rule(number);
    let quoted = serde_json::to_string(number).unwrap();
    let request =
        format!(r#"{{"source":{{"type":"pan","account_number":{quoted},"expiry_month":12,"expiry_year":2025}}}}"#);
    let request = (request.len() <= 65_536).then(|| CreatePci::from_json(request.as_bytes()));
    match Pan::parse(number) {
        Ok(pan) => {
            assert_eq!(expected, None);
            assert_eq!(pan.scheme().map(Scheme::as_str), scheme_of(number));
            assert_eq!(pan.mask(MaskStyle::FirstSixLastFour), masked(number, 6));
            assert_eq!(pan.mask(MaskStyle::LastFour), masked(number, 0));
            assert_eq!(format!("{pan:?}"), "Pan(..)");
            assert!(request.is_some_and(|request| request.is_ok()));
        }
        Err(refusal) => {
            check_words(&refusal);
            let told = |error: &Error| {
                let [violation] = error.violations() else { panic!("not one violation") };
                (violation.path().to_owned(), violation.message().to_owned())
            };
            let Some(expected) = expected else { panic!("refused, and the reference accepts it") };
            assert_eq!(told(&refusal), ("$".to_owned(), expected.to_owned()));
            if let Some(refusal) = request.map(Result::unwrap_err) {
                check_words(&refusal);
                assert_eq!(told(&refusal), ("$.source.account_number".to_owned(), expected.to_owned()));
            }
        }
    }
}

fn vault() -> Vault {
    VaultOptions::new().open_with(MemoryStore::new(), KeyManager::from_key(&mut [7; 32])).unwrap()
}

// The reference.

/// The members of an object in document order, duplicates included.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

impl Members {
    /// The members of an object whose names are all different.
    fn of(json: &str) -> Option<Self> {
        let members: Self = serde_json::from_str(json).ok()?;
        let mut names: Vec<_> = members.0.iter().map(|(name, _)| name).collect();
        names.sort();
        names.windows(2).all(|two| two[0] != two[1]).then_some(members)
    }

    /// Whether it has no member but these.
    fn only(self, names: &[&str]) -> Option<Self> {
        self.0.iter().all(|(name, _)| names.contains(&name.as_str())).then_some(self)
    }

    /// The value of a member; null is none.
    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.get()).filter(|value| *value != "null")
    }

    /// A member that may be absent, read by `read`; `Err` if it is there and wrong.
    fn optional<T>(&self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Wrong> {
        self.value(name).map(|value| read(value).ok_or(Wrong)).transpose()
    }
}

/// A member is there and breaks a rule.
struct Wrong;

/// A value of a payload.
#[derive(PartialEq, Eq)]
enum Scalar {
    Text(String),
    Bool(bool),
    Number(String),
}

struct ExtrasAsked {
    metadata: Option<Vec<(String, String)>>,
    lifetime: Option<i64>,
}

impl ExtrasAsked {
    fn of(request: &Members, lifetime: &str) -> Option<Self> {
        let pair = |key: String, value: &str| Some((key, text(value, 80)?));
        let metadata = request.optional("metadata", |map| pairs(map, pair)).ok()?;
        let lifetime = request.optional(lifetime, |literal| integer(literal, 1, 2_592_000)).ok()?;
        Some(Self { metadata, lifetime })
    }

    fn check(&self, metadata: Option<&Metadata>, lifetime: Option<chrono::TimeDelta>) {
        let metadata =
            metadata.map(|map| map.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>());
        assert_eq!(metadata, self.metadata);
        assert_eq!(lifetime.map(|lifetime| lifetime.num_milliseconds()), self.lifetime.map(|seconds| seconds * 1000));
    }
}

struct GenericAsked {
    payload: Vec<(String, Scalar)>,
    extras: ExtrasAsked,
}

fn generic_asked(bytes: &[u8]) -> Option<GenericAsked> {
    let request = Members::of(request_text(bytes)?)?.only(&["payload", "metadata", "expiration_time", "type_id"])?;
    request.value("type_id").is_none().then_some(())?;
    let payload = pairs(request.value("payload")?, |key, value| {
        let value = match value {
            "true" => Scalar::Bool(true),
            "false" => Scalar::Bool(false),
            _ if value.starts_with('"') => Scalar::Text(text(value, 80)?),
            _ if value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
                is_kept_exactly(value).then(|| Scalar::Number(value.to_owned()))?
            }
            _ => return None,
        };
        Some((key, value))
    })?;
    let extras = ExtrasAsked::of(&request, "expiration_time")?;
    Some(GenericAsked { payload, extras })
}

struct PciAsked {
    /// `None` for a session.
    card: Option<CardAsked>,
    extras: ExtrasAsked,
}

struct CardAsked {
    account_number: String,
    expiry: (u8, u16),
    name: Option<String>,
    security_code: Option<String>,
}

/// Completes any session.
fn a_card() -> PanSource {
    let CardAsked { account_number, expiry: (month, year), .. } = CardAsked::a_card();
    PanSource::new(Pan::parse(&account_number).unwrap(), CardExpiry::new(month, year).unwrap())
}

impl CardAsked {
    fn a_card() -> Self {
        Self { account_number: "4111111111111111".to_owned(), expiry: (12, 2025), name: None, security_code: None }
    }
}

fn pci_asked(bytes: &[u8]) -> Option<PciAsked> {
    const SOURCE: [&str; 6] =
        ["type", "account_number", "expiry_month", "expiry_year", "cardholder_name", "security_code"];
    let request = Members::of(request_text(bytes)?)?.only(&["source", "metadata", "expires_in"])?;
    let source = Members::of(request.value("source")?)?.only(&SOURCE)?;
    let extras = ExtrasAsked::of(&request, "expires_in")?;
    match text(source.value("type")?, 80)?.as_str() {
        "pan" => {}
        "session" => {
            let has_a_card = SOURCE.iter().any(|name| *name != "type" && source.value(name).is_some());
            return (!has_a_card).then_some(PciAsked { card: None, extras });
        }
        _ => return None,
    }
    let account_number = text(source.value("account_number")?, 19)?;
    account_number_rule(&account_number).is_none().then_some(())?;
    let month = integer(source.value("expiry_month")?, 1, 12)?;
    let year = integer(source.value("expiry_year")?, 2000, 9999)?;
    let is_control = |c| matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}');
    let name = source.optional("cardholder_name", |name| text(name, 255).filter(|name| !name.contains(is_control)));
    let is_code = |code: &String| code.len() >= 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    let security_code = source.optional("security_code", |code| text(code, 4).filter(is_code)).ok()?;
    let expiry = (u8::try_from(month).unwrap(), u16::try_from(year).unwrap());
    Some(PciAsked { card: Some(CardAsked { account_number, expiry, name: name.ok()?, security_code }), extras })
}

/// What an update says of a field.
enum Edit<T> {
    Nothing,
    /// What it is from now on; a null is none.
    Is(Option<T>),
}

impl<T> Edit<T> {
    /// A field of an update, read by `read`; `Err` if it is there and wrong.
    fn of(value: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Result<Self, Wrong> {
        match value {
            None => Ok(Self::Nothing),
            Some("null") => Ok(Self::Is(None)),
            Some(value) => read(value).map(|value| Self::Is(Some(value))).ok_or(Wrong),
        }
    }

    fn on(self, before: T) -> Option<T> {
        match self {
            Self::Nothing => Some(before),
            Self::Is(value) => value,
        }
    }
}

/// What an update names.
struct UpdateAsked {
    metadata: Edit<Vec<(String, String)>>,
    lifetime: Edit<i64>,
    name: Edit<String>,
    month: Option<i64>,
    year: Option<i64>,
}

impl UpdateAsked {
    fn of(bytes: &[u8], lifetime: &str, more: &[&str]) -> Option<Self> {
        let names = [&["metadata", lifetime], more].concat();
        let request = Members::of(request_text(bytes)?)?.only(&names)?;
        let raw = |name: &str| request.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.get());
        let is_control = |c| matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}');
        let pair = |key: String, value: &str| Some((key, text(value, 80)?));
        let name = |name: &str| text(name, 255).filter(|name| !name.contains(is_control));
        Some(Self {
            metadata: Edit::of(raw("metadata"), |map| pairs(map, pair)).ok()?,
            lifetime: Edit::of(raw(lifetime), |literal| integer(literal, 1, 2_592_000)).ok()?,
            name: Edit::of(raw("cardholder_name"), name).ok()?,
            month: raw("expiry_month").map(|month| integer(month, 1, 12).ok_or(Wrong)).transpose().ok()?,
            year: raw("expiry_year").map(|year| integer(year, 2000, 9999).ok_or(Wrong)).transpose().ok()?,
        })
    }

    /// What was there is metadata of one pair, and a lifetime of a minute from just before.
    fn check(self, metadata: Option<&Metadata>, lifetime: Option<chrono::TimeDelta>) {
        let was = vec![("was".to_owned(), "there".to_owned())];
        let metadata = metadata.map(|map| map.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
        assert_eq!(metadata, self.metadata.on(was));
        let is_new = matches!(self.lifetime, Edit::Is(_));
        let expected = self.lifetime.on(60);
        assert_eq!(lifetime.is_some(), expected.is_some());
        if let Some((lifetime, seconds)) = lifetime.zip(expected) {
            let passed = lifetime - chrono::TimeDelta::seconds(seconds);
            let limit = if is_new { chrono::TimeDelta::minutes(1) } else { chrono::TimeDelta::zero() };
            assert!(passed >= chrono::TimeDelta::zero() && passed <= limit, "it does not count from the change");
        }
    }
}

/// The text of a request that is neither too large nor something else than UTF-8. What is too deep has no accepted shape.
fn request_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.len() <= 65_536)
}

/// The pairs of a caller's map; `None` if they break a rule.
fn pairs<T>(json: &str, each: impl Fn(String, &str) -> Option<T>) -> Option<Vec<T>> {
    let Members(members) = Members::of(json)?;
    if members.len() > 20 || members.iter().any(|(key, _)| !(1..=20).contains(&key.chars().count())) {
        return None;
    }
    members.into_iter().map(|(key, value)| each(key, value.get())).collect()
}

/// A string of 1 to `most` characters.
fn text(json: &str, most: usize) -> Option<String> {
    let text: String = serde_json::from_str(json).ok()?;
    (1..=most).contains(&text.chars().count()).then_some(text)
}

/// A plain integer within a range.
fn integer(literal: &str, least: i64, most: i64) -> Option<i64> {
    let digits = literal.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = literal.parse().ok().filter(|_| digits)?;
    (least..=most).contains(&number).then_some(number)
}

/// Whether a literal of JSON is exactly an `i64`, a `u64`, or a double whose shortest form has its digits.
fn is_kept_exactly(literal: &str) -> bool {
    if literal.len() > 80 {
        return false;
    }
    if !literal.contains(['.', 'e', 'E']) && literal.parse::<i128>().is_ok_and(is_64_bits) {
        return true;
    }
    let nearest: f64 = literal.parse().unwrap();
    nearest.is_finite() && plain(&format!("{nearest:e}")) == plain(literal)
}

fn is_64_bits(number: i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number)
}

/// Sign, digits without zeros around them, and where the point stands before the first; an exponent beyond reach is none.
fn plain(literal: &str) -> Option<(bool, String, i64)> {
    let lower = literal.to_ascii_lowercase();
    let (number, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let (whole, fraction) =
        number.trim_start_matches('-').split_once('.').unwrap_or((number.trim_start_matches('-'), ""));
    let point = i64::try_from(whole.len()).unwrap() + exponent.parse::<i32>().ok().map(i64::from)?;
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let leading = i64::try_from(all.len() - digits.len()).unwrap();
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { 0 } else { point - leading };
    Some((literal.starts_with('-'), digits.to_owned(), point))
}

/// The first rule that an account number breaks, in the order of the contract.
pub fn account_number_rule(number: &str) -> Option<&'static str> {
    if number.is_empty() {
        Some("must not be empty")
    } else if number.len() > 19 {
        Some("must be at most 19 ASCII digits")
    } else if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("must be ASCII digits only, without separators")
    } else if number.len() < 13 {
        Some("must have 13 to 19 digits")
    } else if !passes_luhn(number) {
        Some("fails the Luhn check")
    } else if scheme_of(number).is_none() {
        Some("no supported scheme")
    } else {
        None
    }
}

/// The check of ISO/IEC 7812-1, annex B, as a table: what each digit counts where it is doubled.
pub fn passes_luhn(digits: &str) -> bool {
    const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| (at % 2 == 1, byte - b'0'))
        .map(|(doubled, digit)| if doubled { DOUBLED[usize::from(digit)] } else { digit.into() })
        .sum();
    sum.is_multiple_of(10)
}

/// A row of the published table.
pub struct SchemeRow {
    pub first: &'static str,
    pub last: &'static str,
    pub lengths: Vec<usize>,
    /// `None` for a carve-out.
    pub scheme: Option<&'static str>,
}

/// The published table.
pub static SCHEME_ROWS: LazyLock<Vec<SchemeRow>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let cells: Vec<_> = line.split(',').collect();
        let lengths = cells[2].split(' ').filter_map(|length| length.parse().ok()).collect();
        let scheme = Some(cells[3]).filter(|scheme| *scheme != "none");
        SchemeRow { first: cells[0], last: cells[1], lengths, scheme }
    };
    SCHEMES.lines().skip(1).map(row).collect()
});

/// The scheme of a number by the published table: the longest prefix that fits decides, and then its lengths.
pub fn scheme_of(number: &str) -> Option<&'static str> {
    let fits = |row: &&SchemeRow| {
        number.get(..row.first.len()).is_some_and(|prefix| row.first <= prefix && prefix <= row.last)
    };
    let row = SCHEME_ROWS.iter().filter(fits).max_by_key(|row| row.first.len())?;
    row.scheme.filter(|_| row.lengths.contains(&number.len()))
}

/// A number of which the first few and the last four digits are seen.
pub fn masked(number: &str, first: usize) -> String {
    let (rest, tail) = number.split_at(number.len() - 4);
    let (head, hidden) = rest.split_at(first);
    format!("{head}{}{tail}", "*".repeat(hidden.len()))
}

// What a refusal may say.

/// Every message there is, but those with a number in them. None can be part of a value.
const MESSAGES: &[&str] = &[
    "unknown field",
    "unknown field; did you mean `expiration_time`?",
    "unknown field; did you mean `expires_in`?",
    "duplicate field",
    "duplicate key",
    "is required",
    "cannot be cleared",
    "must be an object",
    "must be a string",
    "must be an integer",
    "must be a plain integer, without fraction or exponent",
    "must be a string, a number or a boolean",
    "must be `pan` or `session`",
    "must be `pan`",
    "must be absent where the type is `session`",
    "must not be empty",
    "must not contain a lone surrogate",
    "must not contain control characters",
    "key must not be empty",
    "key must be at most 20 characters",
    "must be at most 80 characters",
    "must be at most 255 characters",
    "must have at most 20 pairs",
    "must be exactly a 64-bit integer or a double that gives back the same digits; send any other number as text",
    "must be from 1 to 2592000 seconds",
    "must be from 1 to 12",
    "must be from 2000 to 9999",
    "must be at most 19 ASCII digits",
    "must be ASCII digits only, without separators",
    "must be ASCII digits only",
    "must have 13 to 19 digits",
    "must have 3 or 4 digits",
    "fails the Luhn check",
    "no supported scheme",
];

/// What may stand before the name of a wrong member.
const PARENTS: [&str; 4] = ["$.metadata", "$.payload", "$.source", "$"];

fn check_refusal(bytes: &[u8], refusal: &Error) {
    check_words(refusal);
    let violations = refusal.violations();
    assert!((1..=101).contains(&violations.len()));
    let mut paths: Vec<_> = violations.iter().take(100).map(tokenvault::Violation::path).collect();
    paths.sort_unstable();
    assert!(paths.windows(2).all(|two| two[0] != two[1]), "a path is told twice: {refusal}");
    let offset = violations[0].message().split_once(" at byte ").map(|(what, offset)| (what, offset.parse().unwrap()));
    if let Some((what, offset)) = offset {
        assert_eq!((violations.len(), violations[0].path()), (1, "$"));
        check_offset(bytes, what, offset);
    }
}

/// Every word of a refusal is ours, or a harmless name of the caller's: so no value is among them.
fn check_words(refusal: &Error) {
    assert_eq!((refusal.kind(), refusal.code(), refusal.message()), (ErrorKind::Validation, 422, "Validation error"));
    assert!(std::error::Error::source(refusal).is_none());
    let violations = refusal.violations();
    for violation in violations {
        let (path, message) = (violation.path(), violation.message());
        let is_numbered = |before: &str, after: &str| {
            let number = message.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            path == "$" && number.is_some_and(|number| number.len() < 6 && number.bytes().all(|b| b.is_ascii_digit()))
        };
        let known = MESSAGES.contains(&message)
            || message == "must be a UUID in hyphenated form"
            || is_numbered("and ", " more")
            || [
                "malformed JSON",
                "invalid UTF-8",
                "byte order mark",
                "more than 32 levels deep",
                "request is larger than 64 KiB",
            ]
            .iter()
            .any(|what| is_numbered(&format!("{what} at byte "), ""));
        assert!(known, "a message that is not ours");
        assert!(
            PARENTS.iter().any(|parent| path.strip_prefix(parent).is_some_and(is_harmless)),
            "a path that is not ours"
        );
    }
    // What is shown and printed is made of these and nothing else.
    let listed: Vec<_> = violations.iter().map(|own| format!("{} {}", own.path(), own.message())).collect();
    assert_eq!(refusal.to_string(), format!("Validation error: {}", listed.join("; ")));
    let listed: Vec<_> =
        violations.iter().map(|own| serde_json::json!({"path": own.path(), "message": own.message()})).collect();
    let body = serde_json::json!({"code": 422, "classifier": "VALIDATION_ERROR", "message": "Validation error", "validation_errors": listed});
    assert_eq!(serde_json::to_value(refusal).unwrap(), body);
    let debug = format!("Error {{ kind: Validation, detail: None, violations: {violations:?}, source: None }}");
    assert_eq!(format!("{refusal:?}"), debug);
}

/// Whether what follows a known parent is nothing, a position, or a name that can hold no account number.
fn is_harmless(rest: &str) -> bool {
    if let Some(position) = rest.strip_prefix("[#").and_then(|rest| rest.strip_suffix(']')) {
        return position.len() < 6 && position.bytes().all(|byte| byte.is_ascii_digit());
    }
    let Some(name) = rest.strip_prefix('.') else { return rest.is_empty() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let digits = name.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    // Behind `$`, what looks like one name may be two.
    (1..=50).contains(&name.len()) && name.bytes().all(plain) && digits < 6
}

/// The offset is that of the first byte with which nothing well-formed can go on.
fn check_offset(bytes: &[u8], what: &str, offset: usize) {
    assert!(offset <= bytes.len());
    match what {
        "request is larger than 64 KiB" => assert!(bytes.len() > 65_536 && offset == 65_536),
        "byte order mark" => assert!(bytes.starts_with(b"\xef\xbb\xbf") && offset == 0),
        "invalid UTF-8" => assert_eq!(std::str::from_utf8(bytes).unwrap_err().valid_up_to(), offset),
        "more than 32 levels deep" => assert!(b"[{".contains(&bytes[offset])),
        _ => {
            assert!(goes_on(&bytes[..offset]), "malformed before byte {offset}");
            assert!(offset == bytes.len() || !goes_on(&bytes[..=offset]), "well-formed at byte {offset}");
        }
    }
}

/// Whether these bytes could be the beginning of JSON, as `serde_json` sees it once a number or a `\u` escape at their end is
/// complete.
fn goes_on(bytes: &[u8]) -> bool {
    let begins = |rest: &[u8]| {
        let text = [bytes, rest].concat();
        serde_json::from_slice::<IgnoredAny>(&text).map_or_else(|error| error.is_eof(), |IgnoredAny| true)
    };
    if ends_in_an_escape(bytes) { begins(b"0000") } else { begins(b"") || begins(b"0") }
}

fn ends_in_an_escape(bytes: &[u8]) -> bool {
    let Some(at) = bytes.windows(2).rposition(|two| two == b"\\u").filter(|at| bytes.len() - at < 6) else {
        return false;
    };
    bytes[..=at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}
