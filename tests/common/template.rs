//! The property of templates, called by tests, replayed seeds and the fuzz target.
//!
//! A reference that shares no code with the crate says what becomes of a template. It puts a plain word in the place of each
//! placeholder, lets the parser that the kind of body is known by read that, and exchanges the words in what was read. The
//! filled body, read by the same parser, must say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::MemoryStore;
use tokenvault::{Body, CreatePci, Error, ErrorKind, KeyManager, PanSource, TokenId, Vault, VaultOptions};

use super::token;

pub const NUMBER: &str = "4539184724659184";
const YEAR: u16 = 2031;
const MONTH: u8 = 4;

/// Names that a template could trip over: none, a plain one, one like a placeholder, one of every special character, one that
/// XML cannot hold, the longest.
const NAMES: [Option<&str>; 6] = [
    None,
    Some("Jo Q. Holder"),
    Some("{{ account_number }}"),
    Some("\"}\\u0041 &amp;%41+<a b='c'>]]>--> é\u{2028}\u{10ffff}"),
    Some("\u{ffff}"),
    None,
];

/// A card, and the name on it.
type Card = (TokenId, Option<String>);

/// A vault with a card of each name.
static CARDS: LazyLock<(Vault, Vec<Card>)> = LazyLock::new(|| {
    let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::from_key(&mut [7; 32])).unwrap();
    let mut names: Vec<_> = NAMES.iter().map(|name| name.map(str::to_owned)).collect();
    *names.last_mut().unwrap() = Some("\u{10fffd}".repeat(255));
    let tokens = names.into_iter().map(|name| {
        let card = PanSource::new(Pan::parse(NUMBER).unwrap(), CardExpiry::new(MONTH, YEAR).unwrap());
        let card = name.iter().try_fold(card, |card, name| card.cardholder_name(name)).unwrap();
        (token(vault.create_pci(CreatePci::new(card)).unwrap()).id, name)
    });
    let tokens = tokens.collect();
    (vault, tokens)
});

/// Any bytes as a template. The first byte says which kind of body it is and which card fills it.
///
/// # Panics
/// If the property does not hold.
pub fn template(bytes: &[u8]) {
    let Some((choice, template)) = bytes.split_first() else { return };
    let (vault, id, name) = chosen(*choice);
    let body = match kind(*choice, template) {
        Ok(body) => body,
        Err(refusal) => {
            let valid = std::str::from_utf8(template).map_err(|error| error.valid_up_to());
            assert!(template.len() > 1 << 20 || valid.is_err());
            return check_refusal(template, &refusal);
        }
    };
    let text = std::str::from_utf8(template).unwrap();
    let expected = Reference { text, name }.fill(body);
    match vault.fill(id, body, <[u8]>::to_vec) {
        Err(refusal) => {
            check_refusal(template, &refusal);
            // The longest name becomes 12 bytes a character, in a form.
            let most = text.len() + text.matches("{{").count() * 12 * 255;
            let is_too_large = refusal.violations()[0].message() == TOO_LARGE && most > 2 << 20;
            assert!(is_too_large || !matches!(expected, Expected::Filled(_)), "refused: {refusal}");
        }
        Ok(filled) => {
            let filled = String::from_utf8(filled).unwrap();
            assert!(filled.len() <= 2 << 20);
            match expected {
                Expected::Refused(why) => panic!("accepted, although {why}"),
                Expected::Unknown => {
                    let is_json = || serde_json::from_str::<&RawValue>(&filled).is_ok();
                    assert!(!matches!(body, Body::Json(_)) || is_json(), "the filled body is malformed");
                }
                Expected::Filled(expected) => {
                    let Some(read) = Read::of(body, &filled) else { panic!("the filled body is malformed") };
                    assert!(read == expected, "the filled body says something else");
                }
            }
        }
    }
}

/// Whether such bytes are a template and a card that fills it.
pub fn is_filled(bytes: &[u8]) -> bool {
    let Some((choice, template)) = bytes.split_first() else { return false };
    let (vault, id, _) = chosen(*choice);
    kind(*choice, template).and_then(|body| vault.fill(id, body, |_| ())).is_ok()
}

fn chosen(choice: u8) -> (&'static Vault, TokenId, Option<&'static str>) {
    let (vault, tokens) = &*CARDS;
    let (id, name) = &tokens[usize::from(choice / 3) % tokens.len()];
    (vault, *id, name.as_deref())
}

fn kind(choice: u8, template: &[u8]) -> Result<Body<'_>, Error> {
    Body::from_utf8(template, [Body::Json, Body::Form, Body::Xml][usize::from(choice % 3)])
}

/// What the reference makes of a template.
enum Expected {
    Filled(Read),
    Refused(&'static str),
    /// It is not of its kind, and the crate does not check the kind as far as the parser does.
    Unknown,
}

struct Reference<'a> {
    text: &'a str,
    name: Option<&'a str>,
}

/// The template with words in the place of its placeholders: a mark that it does not hold, the number of the placeholder, `Q`.
struct Plain {
    text: String,
    mark: String,
    slots: Vec<Slot>,
}

/// What stands in the place of a word.
struct Slot {
    value: String,
    /// The value as JSON has it where it is not text.
    number: Option<u16>,
    unwrap: bool,
    /// Whether quotes stand around it.
    is_quoted: bool,
}

impl Reference<'_> {
    fn fill(&self, body: Body<'_>) -> Expected {
        let Some(plain) = self.exchange() else { return Expected::Refused("a placeholder is none") };
        match body {
            Body::Json(_) => plain.json(),
            Body::Form(_) => plain.form(),
            Body::Xml(_) => plain.xml(),
            _ => unreachable!("a kind of body"),
        }
    }

    /// Puts a word in the place of each placeholder; `None` if one is unknown, not closed or without a value.
    fn exchange(&self) -> Option<Plain> {
        // It begins with no digit of base 16 and no letter of an escape, and no other part of it begins as it does.
        let mark = (0..1 << 20).map(|n| format!("Y{n}Z")).find(|mark| !self.text.contains(mark)).unwrap();
        let (mut plain, mut slots, mut rest) = (String::new(), Vec::new(), self.text);
        while let Some((before, behind)) = rest.split_once("{{") {
            let (inner, behind) = behind.split_once("}}")?;
            let (name, unwrap) = match inner.split_once('|') {
                Some((name, unwrap)) => (name, unwrap.trim_matches(' ') == "unwrap"),
                None => (inner, false),
            };
            if !unwrap && inner.contains('|') {
                return None;
            }
            let (value, number) = match name.trim_matches(' ') {
                "account_number" => (NUMBER.to_owned(), None),
                "cardholder_name" => (self.name?.to_owned(), None),
                "expiry_year" => (YEAR.to_string(), Some(YEAR)),
                "expiry_month" => (format!("{MONTH:02}"), Some(MONTH.into())),
                _ => return None,
            };
            let is_quoted = before.ends_with('"') && behind.starts_with('"');
            write!(plain, "{before}{mark}{}Q", slots.len()).unwrap();
            slots.push(Slot { value, number, unwrap, is_quoted });
            rest = behind;
        }
        Some(Plain { text: plain + rest, mark, slots })
    }
}

impl Plain {
    fn json(&self) -> Expected {
        if serde_json::from_str::<&RawValue>(&self.text).is_err() {
            return Expected::Refused("it is no JSON");
        }
        if levels(&self.text) > 64 {
            return Expected::Refused("it is too deep");
        }
        // Lone surrogates and numbers beyond a double are well-formed, and the parser does not read them.
        let Some(Read::Json(mut read)) = Read::json(&self.text) else {
            return Expected::Unknown;
        };
        let mut texts = Vec::new();
        read.texts(&mut texts);
        if !self.are_all_in(&texts) {
            return Expected::Refused("a placeholder is in no string value");
        }
        let alone: BTreeSet<usize> = texts.iter().filter_map(|text| self.only_word(text)).collect();
        let is_misused = |(at, slot): (usize, &Slot)| slot.unwrap && !(slot.is_quoted && alone.contains(&at));
        if self.slots.iter().enumerate().any(is_misused) {
            return Expected::Refused("`unwrap` is not alone in its string");
        }
        read.fill(self);
        Expected::Filled(Read::Json(read))
    }

    fn form(&self) -> Expected {
        let hexadecimal = |text: &str| text.len() >= 2 && text.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        if !self.text.bytes().all(|byte| byte.is_ascii_graphic()) || !self.text.split('%').skip(1).all(hexadecimal) {
            return Expected::Refused("it is no form");
        }
        let Read::Texts(read) = Read::form(&self.text) else { unreachable!() };
        self.texts(&read)
    }

    fn xml(&self) -> Expected {
        if self.slots.iter().any(|slot| slot.value.contains(['\u{fffe}', '\u{ffff}'])) {
            return Expected::Refused("XML has no such character");
        }
        match Read::xml(&self.text) {
            // The parser takes the first for text, and the second for no attribute; and it lets a declaration go on behind its
            // end, where that stands between quotes.
            Some(Read::Texts(read))
                if !self.text.contains("<![CDATA[")
                    && !self.text.contains("xmlns")
                    && !self.text.split("?>").next().is_some_and(leaves_a_quote_open) =>
            {
                self.texts(&read)
            }
            _ => Expected::Unknown,
        }
    }

    fn texts(&self, read: &[String]) -> Expected {
        if self.slots.iter().any(|slot| slot.unwrap) {
            return Expected::Refused("nothing can be unwrapped in it");
        }
        if !self.are_all_in(read) {
            return Expected::Refused("a placeholder is in no text and no attribute");
        }
        Expected::Filled(Read::Texts(read.iter().map(|text| self.filled(text)).collect()))
    }

    /// Every word in a text: what stands before it and its number; and what stands behind the last.
    fn words<'a>(&self, text: &'a str) -> (Vec<(&'a str, usize)>, &'a str) {
        let (mut words, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once(&self.mark) {
            let (number, behind) = behind.split_once('Q').unwrap();
            words.push((before, number.parse().unwrap()));
            rest = behind;
        }
        (words, rest)
    }

    fn are_all_in(&self, texts: &[String]) -> bool {
        let words = texts.iter().flat_map(|text| self.words(text).0).map(|(_, number)| number);
        words.collect::<BTreeSet<_>>().len() == self.slots.len()
    }

    /// The number of the word that is all of a text.
    fn only_word(&self, text: &str) -> Option<usize> {
        let (words, "") = self.words(text) else { return None };
        <[_; 1]>::try_from(words).ok().filter(|[word]| word.0.is_empty()).map(|[word]| word.1)
    }

    /// The values in the place of the words.
    fn filled(&self, text: &str) -> String {
        let (words, rest) = self.words(text);
        let fill = |filled: String, (before, number): (&str, usize)| filled + before + &self.slots[number].value;
        words.into_iter().fold(String::new(), fill) + rest
    }
}

fn leaves_a_quote_open(text: &str) -> bool {
    let close = |open: Option<char>, c: char| match open {
        Some(quote) if quote == c => None,
        None if matches!(c, '"' | '\'') => Some(c),
        open => open,
    };
    text.chars().fold(None, close).is_some()
}

/// How many objects and arrays are open at most.
fn levels(json: &str) -> usize {
    let (mut open, mut most, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match (in_string, byte) {
            _ if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => open += 1,
            (false, b'}' | b']') => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// What a parser reads in a body: the texts of a form or of XML in their order, or the tree of JSON.
#[derive(PartialEq)]
enum Read {
    Texts(Vec<String>),
    Json(Json),
}

impl Read {
    fn of(body: Body<'_>, text: &str) -> Option<Self> {
        match body {
            Body::Json(_) => Self::json(text),
            Body::Form(_) => Some(Self::form(text)),
            _ => Self::xml(text),
        }
    }

    fn json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self::Json)
    }

    fn form(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self::Texts(pairs.flat_map(|(name, value)| [name.into_owned(), value.into_owned()]).collect())
    }

    /// The values of attributes and the texts of elements, and between them everything else.
    fn xml(text: &str) -> Option<Self> {
        let document = roxmltree::Document::parse(text).ok()?;
        let mut texts = Vec::new();
        for node in document.descendants() {
            texts.extend(node.attributes().map(|attribute| attribute.value().to_owned()));
            texts.push(node.text().filter(|_| node.is_text()).unwrap_or_default().to_owned());
        }
        // The parser leaves a carriage return as it is if a reference follows. No value has one.
        Some(Self::Texts(texts.iter().map(|text| text.replace('\r', "\n")).collect()))
    }
}

/// JSON with every member, those with the same name too.
enum Json {
    Text(String),
    /// Numbers by their bits, `true`, `false`, `null` by their words.
    Other(String),
    Number(f64),
    List(Vec<Json>),
    Members(Vec<(String, Json)>),
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) | (Self::Other(one), Self::Other(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one.to_bits() == other.to_bits(),
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Members(one), Self::Members(other)) => one == other,
            _ => false,
        }
    }
}

impl Json {
    fn texts(&self, texts: &mut Vec<String>) {
        match self {
            Self::Text(text) => texts.push(text.clone()),
            Self::List(values) => values.iter().for_each(|value| value.texts(texts)),
            Self::Members(members) => members.iter().for_each(|(_, value)| value.texts(texts)),
            Self::Other(_) | Self::Number(_) => {}
        }
    }

    fn fill(&mut self, plain: &Plain) {
        match self {
            Self::Text(text) => {
                let unwrapped = plain.only_word(text).map(|number| &plain.slots[number]).filter(|slot| slot.unwrap);
                *self = match unwrapped.and_then(|slot| slot.number) {
                    Some(number) => Self::Number(number.into()),
                    None => Self::Text(plain.filled(text)),
                };
            }
            Self::List(values) => values.iter_mut().for_each(|value| value.fill(plain)),
            Self::Members(members) => members.iter_mut().for_each(|(_, value)| value.fill(plain)),
            Self::Other(_) | Self::Number(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        #[allow(clippy::cast_precision_loss, reason = "both sides lose alike")]
        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Other(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Other("null".to_owned()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Number(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = values.next_element()? {
                    list.push(value);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(member) = members.next_entry()? {
                    list.push(member);
                }
                Ok(Json::Members(list))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

const TOO_LARGE: &str = "filled body would be larger than 2 MiB";

/// What is said of a placeholder.
const OF_PLACEHOLDERS: [&str; 8] = [
    "unknown placeholder",
    "unterminated placeholder",
    "placeholder outside a string value",
    "placeholder outside the text of an element and the value of an attribute",
    "`unwrap` outside a JSON string that holds nothing else",
    "placeholder for a cardholder name that the token lacks",
    "placeholder for a security code that the token lacks",
    "placeholder for a value with a character that XML lacks",
];

/// What is said of a template, with the byte.
const OF_TEMPLATES: [&str; 8] = [
    "template is larger than 1 MiB",
    "invalid UTF-8",
    "malformed JSON",
    "more than 64 levels deep",
    "character that a form must percent-encode",
    "`%` without two hexadecimal digits",
    "malformed XML",
    "document type declaration",
];

/// Every word is ours, and every byte that is named is one where that could be wrong.
fn check_refusal(template: &[u8], refusal: &Error) {
    assert_eq!((refusal.kind(), refusal.message()), (ErrorKind::Validation, "Validation error"));
    assert!(std::error::Error::source(refusal).is_none());
    let violations = refusal.violations();
    assert!((1..=101).contains(&violations.len()));
    let mut told = BTreeMap::new();
    for (position, violation) in violations.iter().enumerate() {
        let (path, message) = (violation.path(), violation.message());
        let is_last = position + 1 == violations.len();
        assert!(told.insert(path.to_owned(), message).is_none(), "a path is told twice: {refusal}");
        if let Some(at) = path.strip_prefix("$[").and_then(|path| path.strip_suffix(']')) {
            let at: usize = at.parse().unwrap();
            assert!(template[at..].starts_with(b"{{"), "{path} is no placeholder");
            assert!(OF_PLACEHOLDERS.contains(&message), "a message that is not ours");
            let before = violations[..position].iter().filter_map(|other| other.path().get(2..other.path().len() - 1));
            assert!(before.clone().all(|other| other.parse::<usize>().unwrap() < at), "out of order: {refusal}");
        } else if let Some((what, at)) = message.split_once(" at byte ") {
            assert!(OF_TEMPLATES.contains(&what), "a message that is not ours");
            assert!(is_last && at.parse::<usize>().unwrap() <= template.len());
        } else {
            let more = message.strip_prefix("and ").and_then(|rest| rest.strip_suffix(" more"));
            let is_count = more.is_some_and(|more| more.parse::<usize>().is_ok());
            assert!(is_count || message == TOO_LARGE, "a message that is not ours");
            assert!(is_last && path == "$");
        }
    }
}
