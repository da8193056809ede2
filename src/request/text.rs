//! JSON strings and values as they stand in the request: nothing is copied unless an escape asks for it, and then into
//! memory that is wiped.

use crate::error::Rule;
use crate::secret::SecretBytes;

const LONE_SURROGATE: Rule = Rule("must not contain a lone surrogate");

/// A well-formed JSON value, as it stands in the request.
#[derive(Clone, Copy)]
pub(super) struct Token<'de> {
    pub(super) raw: &'de str,
    /// Whether it is a string in which anything is escaped.
    pub(super) escapes: bool,
}

/// What a value is, by its first byte.
pub(super) enum Shape<'de> {
    /// A string, within its quotes.
    Text(&'de str),
    Number(&'de str),
    Bool(bool),
    Null,
    Object,
    Array,
}

impl<'de> Token<'de> {
    #[inline]
    pub(super) fn shape(self) -> Shape<'de> {
        match self.raw.as_bytes().first() {
            Some(b'"') => Shape::Text(within_quotes(self.raw)),
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::Array,
            Some(b't') => Shape::Bool(true),
            Some(b'f') => Shape::Bool(false),
            Some(b'n') => Shape::Null,
            _ => Shape::Number(self.raw),
        }
    }

    /// A string.
    #[inline]
    pub(super) fn text(self) -> Result<Text<'de>, Rule> {
        match self.shape() {
            Shape::Text(raw) if self.escapes => Text::unescape(raw),
            Shape::Text(raw) => Ok(Text::Plain(raw)),
            _ => Err(Rule("must be a string")),
        }
    }

    /// A string that is not empty.
    #[inline]
    pub(super) fn filled_text(self) -> Result<Text<'de>, Rule> {
        let text = self.text()?;
        if text.as_str().is_empty() { Err(Rule("must not be empty")) } else { Ok(text) }
    }

    /// A plain integer; one that is negative or beyond a `u64` breaks the rule of its field.
    #[inline]
    pub(super) fn integer(self, out_of_range: Rule) -> Result<u64, Rule> {
        let Shape::Number(literal) = self.shape() else { return Err(Rule("must be an integer")) };
        if literal.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            return Err(Rule("must be a plain integer, without fraction or exponent"));
        }
        literal.parse().map_err(|_| out_of_range)
    }
}

/// A string's characters.
pub(super) enum Text<'de> {
    /// Nothing was escaped: they stand in the request.
    Plain(&'de str),
    /// In wiped memory of our own.
    Unescaped(SecretBytes),
}

impl<'de> Text<'de> {
    fn unescape(raw: &'de str) -> Result<Self, Rule> {
        if !raw.as_bytes().contains(&b'\\') {
            return Ok(Self::Plain(raw));
        }
        let mut text = SecretBytes::with_room(raw.len());
        let mut parts = raw.split('\\');
        text.push(parts.next().unwrap_or_default().as_bytes());
        let mut lead = None;
        while let Some(part) = parts.next() {
            let (escape, rest) = part.split_at_checked(1).unwrap_or_default();
            let (character, rest) = match escape {
                "u" => match unit(rest, lead.take())? {
                    Unit::Character(character, rest) => (character, rest),
                    Unit::Lead(unit) => {
                        lead = Some(unit);
                        continue;
                    }
                },
                // Two backslashes in a row split into an empty part and the one behind it.
                "" => ('\\', parts.next().unwrap_or_default()),
                other => (single(other), rest),
            };
            if lead.is_some() {
                return Err(LONE_SURROGATE);
            }
            text.push(character.encode_utf8(&mut [0; 4]).as_bytes());
            text.push(rest.as_bytes());
        }
        if lead.is_some() { Err(LONE_SURROGATE) } else { Ok(Self::Unescaped(text)) }
    }

    /// The characters, for the check that decides what they may become.
    #[inline]
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            // Looked at where it stands; whoever keeps it copies it into wiped memory.
            Self::Unescaped(text) => std::str::from_utf8(text.expose()).unwrap_or_default(),
        }
    }
}

/// What a `\u` escape says.
enum Unit<'de> {
    /// A character, and the text behind the escape.
    Character(char, &'de str),
    /// The first half of a pair, with the second right behind it.
    Lead(u32),
}

/// Reads four hexadecimal digits (RFC 8259, section 7), after the first half of a pair if there was one.
fn unit(digits: &str, lead: Option<u32>) -> Result<Unit<'_>, Rule> {
    let (digits, rest) = digits.split_at_checked(4).ok_or(LONE_SURROGATE)?;
    let unit = u32::from_str_radix(digits, 16).map_err(|_| LONE_SURROGATE)?;
    match (lead, unit) {
        (None, 0xd800..0xdc00) if rest.is_empty() => Ok(Unit::Lead(unit)),
        (Some(lead), 0xdc00..0xe000) => {
            let code = 0x10000 + ((lead - 0xd800) << 10) + (unit - 0xdc00);
            char::from_u32(code).map(|character| Unit::Character(character, rest)).ok_or(LONE_SURROGATE)
        }
        (None, _) => char::from_u32(unit).map(|character| Unit::Character(character, rest)).ok_or(LONE_SURROGATE),
        (Some(_), _) => Err(LONE_SURROGATE),
    }
}

/// The character of an escape of one letter.
fn single(escape: &str) -> char {
    match escape {
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        other => other.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

#[inline]
fn within_quotes(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &str) -> Result<Text<'_>, Rule> {
        Token { raw, escapes: raw.contains('\\') }.text()
    }

    /// Writes every character as an escape.
    fn escaped(text: &str) -> String {
        text.encode_utf16().fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}"))
    }

    #[test]
    fn every_escape_of_json_is_read() {
        let text = read(r#""a\"\\\/\b\f\n\r\té\ud83d\ude00\\\\z""#).ok().unwrap();
        assert_eq!(text.as_str(), "a\"\\/\u{8}\u{c}\n\r\té😀\\\\z");
    }

    #[test]
    fn a_lone_surrogate_is_refused() {
        for raw in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83dx""#,
            r#""\ud83d\n""#,
            r#""\ud83d\\ude00""#,
            r#""\ud83d\ud83d""#,
            r#""\ude00\ud83d""#,
        ] {
            assert_eq!(read(raw).err(), Some(LONE_SURROGATE), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_what_we_read(text in any::<String>()) {
            let quoted = serde_json::to_string(&text).unwrap();
            let every_character_escaped = format!("\"{}\"", escaped(&text));
            for quoted in [quoted, every_character_escaped] {
                let read = read(&quoted).ok().map(|read| read.as_str().to_owned());
                prop_assert_eq!(read.as_ref(), Some(&text));
            }
        }

        #[test]
        fn any_string_that_is_json_is_read_as_serde_json_reads_it_or_refused_by_both(raw in r#"(\\u[dD][89abAB][0-9a-f]{2}|\\u[dD][cdefCDEF][0-9a-f]{2}|\\u00[0-9a-f]{2}|\\\\|\\"|\\n|[a-zé])*"#) {
            let quoted = format!("\"{raw}\"");
            let ours = read(&quoted).ok().map(|text| text.as_str().to_owned());
            prop_assert_eq!(ours, serde_json::from_str::<String>(&quoted).ok());
        }
    }
}
