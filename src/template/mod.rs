//! A body with placeholders for the values of a card: read once, checked as a whole, filled into one wiped buffer.
//!
//! Reading and filling are linear in the template and never recurse; a value is escaped for its place and never read again.

mod form;
mod json;
mod placeholder;
mod scanner;
mod xml;

use std::fmt;

use self::placeholder::Name;
use self::scanner::{Flaws, Scanner, Slot};
use crate::card::CardExpiry;
use crate::error::{Error, Rule};
use crate::secret::SecretBytes;

/// At most this many bytes of a template.
const MOST_BYTES: usize = 1024 * 1024;
/// At most this many bytes of a filled body: a long name can stand in the place of every placeholder.
const MOST_FILLED: usize = 2 * MOST_BYTES;

const NO_CARDHOLDER_NAME: Rule = Rule("placeholder for a cardholder name that the token lacks");
const NO_SECURITY_CODE: Rule = Rule("placeholder for a security code that the token lacks");
const BEYOND_XML: Rule = Rule("placeholder for a value with a character that XML lacks");

/// A body with placeholders, and the kind of text that it is, which says how values are escaped.
///
/// | placeholder | stands for |
/// |---|---|
/// | `{{ account_number }}` | the account number, 13 to 19 digits |
/// | `{{ cardholder_name }}` | the name printed on the card, if one was given |
/// | `{{ expiry_year }}` | four digits |
/// | `{{ expiry_month }}` | two digits |
/// | `{{ security_code }}` | the security code, while the vault has it |
///
/// Spaces inside the braces are optional. Whatever begins with two braces is a placeholder, and one that is unknown or not
/// closed is refused; text that is meant as two braces escapes one of them as its kind of body does. A value that looks
/// like a placeholder is not expanded.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Body<'a> {
    /// Well-formed JSON (RFC 8259), at most 64 levels deep, with placeholders within string values and nowhere else.
    ///
    /// `"{{ expiry_month | unwrap }}"`, a string that holds nothing else, becomes the native value without the quotes: `4` and
    /// `2027` for month and year; the other values are text, whose native value is the string as it is without `unwrap`.
    Json(&'a str),
    /// Names and values as `application/x-www-form-urlencoded` has them: ASCII without spaces, everything else
    /// percent-encoded. Values are percent-encoded, a space as `+`.
    Form(&'a str),
    /// XML 1.0 in UTF-8 without a document type declaration, with placeholders in the text of elements and in the values of
    /// attributes. It is not checked further than it takes to know these places.
    Xml(&'a str),
}

impl<'a> Body<'a> {
    /// Takes bytes for the text of a kind of body: `Body::from_utf8(bytes, Body::Json)`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$`: there are more than 1 MiB, or they are not UTF-8.
    ///
    /// ```
    /// use tokenvault::Body;
    ///
    /// let body = Body::from_utf8(br#"{"card":"{{ account_number }}"}"#, Body::Json)?;
    /// assert_eq!(body.content_type(), "application/json");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn from_utf8(bytes: &'a [u8], kind: fn(&'a str) -> Self) -> Result<Self, Error> {
        check_size(bytes).map_err(Flaws::into_error)?;
        let invalid = |error: std::str::Utf8Error| unreadable(error.valid_up_to(), Rule("invalid UTF-8")).into_error();
        std::str::from_utf8(bytes).map(kind).map_err(invalid)
    }

    /// The media type of the kind, for instance `application/json`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
            Self::Xml(_) => "application/xml",
        }
    }

    fn text(self) -> &'a str {
        match self {
            Self::Json(text) | Self::Form(text) | Self::Xml(text) => text,
        }
    }

    /// Hands out a value as the body spells it, part by part.
    fn escape(self, value: &str, put: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Json(_) => json::escape(value, put),
            Self::Form(_) => form::escape(value, put),
            Self::Xml(_) => xml::escape(value, put),
        }
    }
}

impl fmt::Debug for Body<'_> {
    /// The kind alone: a template can hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json(..)",
            Self::Form(_) => "Form(..)",
            Self::Xml(_) => "Xml(..)",
        })
    }
}

/// What placeholders stand for.
pub(crate) struct Values<'a> {
    account_number: &'a str,
    cardholder_name: Option<&'a str>,
    expiry_year: String,
    expiry_month: String,
    /// None unless it is set.
    pub(crate) security_code: Option<&'a str>,
}

impl<'a> Values<'a> {
    /// The values of a card.
    pub(crate) fn new(account_number: &'a str, expiry: CardExpiry, cardholder_name: Option<&'a str>) -> Self {
        let (expiry_year, expiry_month) = (format!("{:04}", expiry.year()), format!("{:02}", expiry.month()));
        Self { account_number, cardholder_name, expiry_year, expiry_month, security_code: None }
    }

    fn text(&self, name: Name) -> Result<&str, Rule> {
        match name {
            Name::AccountNumber => Ok(self.account_number),
            Name::Cardholder => self.cardholder_name.ok_or(NO_CARDHOLDER_NAME),
            Name::ExpiryYear => Ok(&self.expiry_year),
            Name::ExpiryMonth => Ok(&self.expiry_month),
            Name::SecurityCode => self.security_code.ok_or(NO_SECURITY_CODE),
        }
    }
}

/// A template that has been read, with all that is wrong in it.
pub(crate) struct Template<'t> {
    body: Body<'t>,
    slots: Vec<Slot>,
    flaws: Flaws,
}

impl<'t> Template<'t> {
    /// Reads a template. What is wrong in it is told when it is filled, together with the values that are not there.
    pub(crate) fn read(body: Body<'t>) -> Self {
        let text = body.text().as_bytes();
        if let Err(flaws) = check_size(text) {
            return Self { body, slots: Vec::new(), flaws };
        }
        let mut scanner = Scanner::new(text);
        let read = match body {
            Body::Json(_) => json::read(&mut scanner),
            Body::Form(_) => form::read(&mut scanner),
            Body::Xml(_) => xml::read(&mut scanner),
        };
        let (slots, flaws) = scanner.finish(read);
        Self { body, slots, flaws }
    }

    /// What is wrong whatever the values are.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.flaws.is_empty() { Ok(()) } else { Err(self.flaws.clone().into_error()) }
    }

    /// Whether it has a placeholder for the security code.
    pub(crate) fn wants_security_code(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.name, Name::SecurityCode))
    }

    /// How many bytes the body has when it is filled with these values; everything is checked with that.
    pub(crate) fn room(&self, values: &Values<'_>) -> Result<usize, Error> {
        let (mut room, mut flaws) = (self.body.text().len(), self.flaws.clone());
        for slot in &self.slots {
            match self.value(slot, values) {
                Ok(value) => {
                    room -= slot.at.len();
                    self.put(slot, value, &mut |part| room += part.len());
                }
                Err(rule) => flaws.note(slot.at.start, rule),
            }
        }
        if !flaws.is_empty() {
            return Err(flaws.into_error());
        }
        if room > MOST_FILLED {
            return Err(Rule("filled body would be larger than 2 MiB").at("$"));
        }
        Ok(room)
    }

    /// The body with these values: well-formed if the template is, and each value as it was once it is parsed.
    pub(crate) fn fill(&self, values: &Values<'_>) -> Result<SecretBytes, Error> {
        let mut filled = SecretBytes::with_room(self.room(values)?);
        self.write(values, &mut |part| filled.push(part));
        Ok(filled)
    }

    /// Hands out the body part by part, once [`Template::room`] has been asked for.
    pub(crate) fn write(&self, values: &Values<'_>, put: &mut dyn FnMut(&[u8])) {
        let text = self.body.text().as_bytes();
        let mut behind = 0;
        for slot in &self.slots {
            put(text.get(behind..slot.at.start).unwrap_or_default());
            self.put(slot, self.value(slot, values).unwrap_or_default(), put);
            behind = slot.at.end;
        }
        put(text.get(behind..).unwrap_or_default());
    }

    fn value<'v>(&self, slot: &Slot, values: &'v Values<'_>) -> Result<&'v str, Rule> {
        let value = values.text(slot.name)?;
        match self.body {
            Body::Xml(_) if !xml::can_hold(value) => Err(BEYOND_XML),
            _ => Ok(value),
        }
    }

    fn put(&self, slot: &Slot, value: &str, put: &mut dyn FnMut(&[u8])) {
        if slot.is_number {
            // JSON has no number that begins with a zero.
            put(value.trim_start_matches('0').as_bytes());
        } else {
            self.body.escape(value, put);
        }
    }
}

fn check_size(template: &[u8]) -> Result<(), Flaws> {
    if template.len() <= MOST_BYTES {
        return Ok(());
    }
    Err(unreadable(MOST_BYTES, Rule("template is larger than 1 MiB")))
}

fn unreadable(at: usize, rule: Rule) -> Flaws {
    let mut flaws = Flaws::default();
    flaws.break_off(at, rule);
    flaws
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn fill(body: Body<'_>, name: &str) -> Result<String, Error> {
        let mut values = Values::new("4539184724659184", CardExpiry::new(4, 2027)?, Some(name));
        values.security_code = Some("007");
        let template = Template::read(body);
        let filled = template.fill(&values)?;
        assert_eq!(filled.len(), template.room(&values)?, "the room is the length");
        Ok(String::from_utf8(filled.expose().to_vec()).unwrap())
    }

    #[test]
    fn each_placeholder_has_its_value() {
        let names = "{{account_number}},{{cardholder_name}},{{expiry_year}},{{expiry_month}},{{security_code}}";
        assert_eq!(fill(Body::Form(names), "Jo").unwrap(), "4539184724659184,Jo,2027,04,007");
    }

    #[test]
    fn the_buffer_is_of_the_size_that_was_computed() {
        let values = Values::new("4539184724659184", CardExpiry::new(4, 2027).unwrap(), Some("\"\u{1}é"));
        for body in
            [Body::Json(r#"["{{cardholder_name}}","{{expiry_month|unwrap}}"]"#), Body::Form("{{cardholder_name}}")]
        {
            let template = Template::read(body);
            let filled = template.fill(&values).unwrap().into_sealed();
            assert_eq!(filled.capacity(), filled.len(), "it never grew");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_json(name in any::<String>()) {
            let filled = fill(Body::Json(r#"{"a":"<{{ cardholder_name }}>","b":"{{cardholder_name|unwrap}}"}"#), &name).unwrap();
            let value: Value = serde_json::from_str(&filled).unwrap();
            prop_assert_eq!(value["a"].as_str().unwrap(), format!("<{name}>"));
            prop_assert_eq!(value["b"].as_str(), Some(name.as_str()));
        }

        #[test]
        fn any_text_comes_back_from_a_form(name in any::<String>()) {
            let filled = fill(Body::Form("a=%3C{{cardholder_name}}%3E&{{cardholder_name}}=b"), &name).unwrap();
            let pairs: Vec<_> = form_urlencoded::parse(filled.as_bytes()).into_owned().collect();
            prop_assert_eq!(pairs, [("a".to_owned(), format!("<{name}>")), (name, "b".to_owned())]);
        }

        #[test]
        fn any_text_that_xml_has_comes_back_from_it(name in any::<String>(), odd in "[\t\n\r '\"<>&\u{85}\u{2028}\u{fffd}\u{fffe}\u{ffff}\u{1}]*") {
            let name = name + &odd;
            let body = Body::Xml("<a b=\"{{cardholder_name}}\" c='{{cardholder_name}}'>{{cardholder_name}}</a>");
            if let Ok(filled) = fill(body, &name) {
                let document = roxmltree::Document::parse(&filled).unwrap();
                let root = document.root_element();
                prop_assert_eq!(root.attribute("b"), Some(name.as_str()));
                prop_assert_eq!(root.attribute("c"), Some(name.as_str()));
                prop_assert_eq!(root.text().unwrap_or_default(), name.as_str());
            } else {
                let plain = format!("<a><![CDATA[{}]]></a>", name.replace("]]>", ""));
                prop_assert!(roxmltree::Document::parse(&plain).is_err(), "{:?} was refused", name);
            }
        }
    }
}
