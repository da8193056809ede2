//! What lets a request be sent twice and done once: the key by which the caller names it, and the one form in which two
//! requests are compared, whatever the order of their fields.

use std::fmt;

use zeroize::Zeroizing;

use crate::card::CardholderName;
use crate::error::{Error, Rule};
use crate::id::SessionId;
use crate::metadata::Metadata;
use crate::request::access::{CreateApiKey, CreateApiToken};
use crate::request::generic::CreateGeneric;
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::Extras;
use crate::request::payload_type::CreateType;
use crate::request::pci::CreatePci;
use crate::request::source::{PanSource, Source};

/// Takes a form part by part, each where it stands.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) + 'a;

/// A caller's name for a request: 1 to 64 characters. Wiped when dropped, since it may be made of anything; never stored.
pub(crate) struct IdempotencyKey(Zeroizing<String>);

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}

impl IdempotencyKey {
    const MOST_CHARACTERS: usize = 64;

    pub(super) fn new(key: &str) -> Result<Self, Error> {
        Self::check(key).map_err(|rule| rule.at("$.idempotency_key"))
    }

    fn check(key: &str) -> Result<Self, Rule> {
        if key.is_empty() {
            return Err(Rule("must not be empty"));
        }
        if key.chars().nth(Self::MOST_CHARACTERS).is_some() {
            return Err(Rule("must be at most 64 characters"));
        }
        Ok(Self(Zeroizing::new(key.to_owned())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request in the one form in which it is compared. Two requests have the same form if and only if they ask for the same:
/// fields and pairs stand in a fixed order, each behind its length or its kind. A security code is not in it. Hashes of these
/// bytes are stored, so that they are the same on every machine and in every release.
pub(crate) trait Canonical {
    fn write(&self, to: &mut Sink<'_>);
}

impl Canonical for CreateGeneric {
    fn write(&self, to: &mut Sink<'_>) {
        self.payload.canonical(to);
        option(self.type_id, to, |type_id, to| to(type_id.as_bytes()));
        self.extras.write(to);
    }
}

impl Canonical for CreatePci {
    fn write(&self, to: &mut Sink<'_>) {
        let card = match &self.source {
            Source::Pan(card) => Some(card),
            Source::Session => None,
        };
        option(card, to, |card, to| card.write(to));
        self.extras.write(to);
        to(&[self.duplicates.as_byte()]);
    }
}

/// The completion of a session: the card alone does not say which.
impl Canonical for (SessionId, &PanSource) {
    fn write(&self, to: &mut Sink<'_>) {
        to(self.0.as_bytes());
        self.1.write(to);
    }
}

/// The completion of a session with a security code, which is not compared.
impl Canonical for SessionId {
    fn write(&self, to: &mut Sink<'_>) {
        to(self.as_bytes());
    }
}

impl Canonical for CreateType {
    fn write(&self, to: &mut Sink<'_>) {
        text(self.name.as_bytes(), to);
        // What was read once is read again; what was not would be compared as it stands.
        let json = self.schema.json.as_bytes();
        match Reader::begin(json).map(|mut reader| form(&mut reader)) {
            Ok(Ok(form)) => to(&form),
            Ok(Err(_)) | Err(_) => text(json, to),
        }
    }
}

impl Canonical for CreateApiKey {
    fn write(&self, to: &mut Sink<'_>) {
        // By name: so it is the same whatever the order of scopes.
        length(self.scopes.iter().count(), to);
        self.scopes.iter().for_each(|scope| text(scope.as_str().as_bytes(), to));
        option(self.lifetime, to, |seconds, to| to(&seconds.to_le_bytes()));
        option(self.account.as_deref(), to, |account, to| text(account.as_bytes(), to));
    }
}

impl Canonical for CreateApiToken {
    fn write(&self, to: &mut Sink<'_>) {
        for part in [&self.account, &self.name] {
            text(part.as_bytes(), to);
        }
        for part in [&self.icon, &self.description] {
            option(part.as_deref(), to, |part, to| text(part.as_bytes(), to));
        }
        length(self.modules.len(), to);
        self.modules.iter().for_each(|module| text(module.as_bytes(), to));
    }
}

impl Canonical for PanSource {
    fn write(&self, to: &mut Sink<'_>) {
        // Fed to a keyed hash from the block in which it stands.
        text(self.pan.expose(), to);
        to(&[self.expiry.month()]);
        to(&self.expiry.year().to_le_bytes());
        option(self.name.as_ref(), to, |name: &CardholderName, to| text(name.as_str().as_bytes(), to));
    }
}

impl Canonical for Extras {
    fn write(&self, to: &mut Sink<'_>) {
        option(self.lifetime, to, |lifetime, to| to(&lifetime.seconds().to_le_bytes()));
        option(self.metadata.as_ref(), to, |metadata: &Metadata, to| {
            let mut pairs: Vec<_> = metadata.iter().collect();
            pairs.sort_unstable();
            length(pairs.len(), to);
            for (key, value) in pairs {
                text(key.as_bytes(), to);
                text(value.as_bytes(), to);
            }
        });
    }
}

/// Whether it is there, then what it is.
fn option<T>(value: Option<T>, to: &mut Sink<'_>, write: impl FnOnce(T, &mut Sink<'_>)) {
    to(&[u8::from(value.is_some())]);
    if let Some(value) = value {
        write(value, to);
    }
}

/// A value of JSON in one form, whatever the order of members and the white space: its kind, how many parts it has, and each
/// behind its length. It stands in memory that nobody wipes, for a schema is no secret.
fn form(reader: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let mut parts = Vec::new();
    let kind = if reader.is_at_object() {
        let mut members = Vec::new();
        reader.members(|reader, key| {
            let key = key.text().map_or_else(|_| Vec::new(), |key| key.as_str().as_bytes().to_vec());
            members.push([key, form(reader)?]);
            Ok(())
        })?;
        members.sort_unstable();
        parts = members.concat();
        b'{'
    } else if reader.is_at_array() {
        reader.elements(|reader| {
            parts.push(form(reader)?);
            Ok(())
        })?;
        b'['
    } else {
        let value = reader.value()?;
        let characters = value.text();
        parts.push(characters.as_ref().map_or(value.raw, |text| text.as_str()).as_bytes().to_vec());
        if characters.is_ok() { b'"' } else { b'=' }
    };
    let mut form = vec![kind];
    let mut put = |bytes: &[u8]| form.extend_from_slice(bytes);
    length(parts.len(), &mut put);
    for part in &parts {
        text(part, &mut put);
    }
    Ok(form)
}

fn text(bytes: &[u8], to: &mut Sink<'_>) {
    length(bytes.len(), to);
    to(bytes);
}

/// No request is so large that this would not hold a length in it.
fn length(length: usize, to: &mut Sink<'_>) {
    to(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::duplicates::Duplicates;

    fn form(request: &dyn Canonical) -> Vec<u8> {
        let mut form = Vec::new();
        request.write(&mut |part| form.extend_from_slice(part));
        form
    }

    fn generic(json: &str) -> Vec<u8> {
        form(&CreateGeneric::from_json(json.as_bytes()).unwrap())
    }

    fn pci(members: &str, source: &str) -> Vec<u8> {
        let source = format!(r#"{{"type":"pan","account_number":"4111111111111111","expiry_month":1{source}}}"#);
        form(&CreatePci::from_json(format!(r#"{{{members}"source":{source}}}"#).as_bytes()).unwrap())
    }

    // What is fed, byte by byte: entries that are kept for a day hold its hash.

    #[test]
    fn the_form_of_a_generic_token_is_this_one() {
        let payload =
            generic(r#"{"payload":{"b":true,"a":"1"},"metadata":{"y":"2","x":"é"},"expiration_time":2592000}"#);
        let (pairs, metadata) =
            (*b"\x02\x01a\0\x01\x001\x01b\x02", *b"\x02\0\0\0\x01\0\0\0x\x02\0\0\0\xc3\xa9\x01\0\0\0y\x01\0\0\x002");
        let expected = [&pairs[..], b"\0", b"\x01\0\x8d\x27\0", b"\x01", &metadata].concat();
        assert_eq!(payload, expected, "{}", payload.escape_ascii());

        let type_id = "01234567-89ab-4def-8123-456789abcdef";
        let typed = generic(&format!(r#"{{"payload":{{}},"type_id":"{type_id}"}}"#));
        assert_eq!(typed, *b"\0\x01\x01\x23\x45\x67\x89\xab\x4d\xef\x81\x23\x45\x67\x89\xab\xcd\xef\0\0");
    }

    #[test]
    fn the_form_of_a_card_is_this_one() {
        let number_and_date = *b"\x10\0\0\x004111111111111111\x01\xee\x07";
        let named = pci(r#""expires_in":60,"#, r#","expiry_year":2030,"cardholder_name":"Jo""#);
        let expected = [b"\x01", &number_and_date[..], b"\x01\x02\0\0\0Jo", b"\x01\x3c\0\0\0", b"\0", b"\0"].concat();
        assert_eq!(named, expected, "{}", named.escape_ascii());
        let session = CreatePci::session().duplicates(Duplicates::ReturnExisting);
        assert_eq!(form(&session), [0, 0, 0, 1]);

        let card = br#"{"type":"pan","account_number":"4111111111111111","expiry_month":1,"expiry_year":2030}"#;
        let completion = form(&(SessionId::from(Uuid::from_bytes([7; 16])), &PanSource::from_json(card).unwrap()));
        assert_eq!(completion, [&[7; 16], &number_and_date[..], b"\0"].concat());
    }

    #[test]
    fn the_form_of_a_type_is_this_one() {
        let schema = r#" {"x":[1.0, null, "\u00e9"], "type" : "object"} "#;
        let creation = form(&CreateType::new("Konto", schema).unwrap());
        let number = *b"\x0c\0\0\0=\x01\0\0\0\x03\0\0\x001.0";
        let null = *b"\x0d\0\0\0=\x01\0\0\0\x04\0\0\0null";
        let text = *b"\x0b\0\0\0\"\x01\0\0\0\x02\0\0\0\xc3\xa9";
        let list = [b"\x35\0\0\0[\x03\0\0\0", &number[..], &null, &text].concat();
        let object = *b"\x0f\0\0\0\"\x01\0\0\0\x06\0\0\0object";
        let expected = [b"\x05\0\0\0Konto{\x04\0\0\0\x04\0\0\0type", &object[..], b"\x01\0\0\0x", &list].concat();
        assert_eq!(creation, expected, "{}", creation.escape_ascii());
    }

    #[test]
    fn a_key_has_1_to_64_characters() {
        for good in ["k", &"k".repeat(64), &"☃".repeat(64)] {
            assert_eq!(IdempotencyKey::new(good).unwrap().as_str(), good);
        }
        for bad in ["", &"k".repeat(65), &"☃".repeat(65)] {
            let error = IdempotencyKey::new(bad).err().unwrap();
            assert_eq!(error.violations()[0].path(), "$.idempotency_key");
        }
    }

    #[test]
    fn order_and_null_do_not_matter() {
        let one = generic(r#"{"payload":{"a":"1","b":true},"metadata":{"x":"1","y":"2"},"expiration_time":5}"#);
        let other = generic(r#"{"expiration_time":5,"metadata":{"y":"2","x":"1"},"payload":{"b":true,"a":"\u0031"}}"#);
        assert_eq!(one, other);
        assert_eq!(generic(r#"{"payload":{},"metadata":null}"#), generic(r#"{"payload":{},"expiration_time":null}"#));
        let code = pci("", r#","expiry_year":2030,"security_code":"123","cardholder_name":null"#);
        assert_eq!(code, pci("", r#","security_code":"9999","expiry_year":2030"#));
    }

    #[test]
    fn whatever_is_asked_for_matters() {
        let mut forms = vec![
            generic(r#"{"payload":{}}"#),
            generic(r#"{"payload":{},"metadata":{}}"#),
            generic(r#"{"payload":{},"expiration_time":1}"#),
            generic(r#"{"payload":{},"metadata":{"a":"b"}}"#),
            generic(r#"{"payload":{"a":"b"}}"#),
            generic(r#"{"payload":{"a":"1"}}"#),
            generic(r#"{"payload":{"a":1}}"#),
            generic(r#"{"payload":{"a":1.0}}"#),
            generic(r#"{"payload":{"a":1e0}}"#),
            generic(r#"{"payload":{"a":true}}"#),
            generic(r#"{"payload":{"a":false}}"#),
            generic(r#"{"payload":{"a":"true"}}"#),
            generic(r#"{"payload":{"a":"b","c":"d"}}"#),
            generic(r#"{"payload":{"a":"bc","d":"e"}}"#),
            pci("", r#","expiry_year":2030"#),
            pci("", r#","expiry_year":2031"#),
            pci("", r#","expiry_year":2030,"cardholder_name":"Jo""#),
            pci(r#""expires_in":1,"#, r#","expiry_year":2030"#),
            pci(r#""metadata":{},"#, r#","expiry_year":2030"#),
            pci(r#""metadata":{"Jo":"Jo"},"#, r#","expiry_year":2030"#),
        ];
        let all = forms.len();
        forms.sort();
        forms.dedup();
        assert_eq!(forms.len(), all);
    }

    type Pairs = Vec<(String, String)>;

    /// Pairs with few letters, so that lengths are what tells them apart.
    fn pairs() -> impl Strategy<Value = Pairs> {
        proptest::collection::btree_map("[ab]{1,3}", "[ab]{1,3}", 0..4).prop_map(|pairs| pairs.into_iter().collect())
    }

    proptest! {
        #[test]
        fn forms_are_the_same_exactly_if_the_pairs_are(
            one in (pairs(), pairs()),
            other in (pairs(), pairs()),
            turn in 0_usize..4,
        ) {
            let ask = |(payload, metadata): &(Pairs, Pairs)| {
                let request = CreateGeneric::new(payload.iter().map(|(key, value)| (key, value))).unwrap();
                form(&request.metadata(metadata.iter().map(|(key, value)| (key, value))).unwrap())
            };
            prop_assert_eq!(ask(&one) == ask(&other), one == other);
            let mut turned = one.clone();
            for pairs in [&mut turned.0, &mut turned.1] {
                let by = turn % pairs.len().max(1);
                pairs.rotate_left(by);
            }
            prop_assert_eq!(ask(&one), ask(&turned));
        }
    }
}
