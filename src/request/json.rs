//! A strict, bounded reader of JSON (RFC 8259) that copies nothing and keeps nothing.
//!
//! It hands out each name and value as it stands in the request. A general parser would unescape into, and quote values in,
//! memory that nobody wipes, and costs more than all checks together; `tests` below hold this one to `serde_json`'s judgement.

use crate::error::{Error, Violation};
use crate::lexer::{self, Reach};
use crate::request::limits;
use crate::request::text::Token;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why the text cannot be read on; the reader stands at the byte that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    Json,
    TooDeep,
}

fn refused(what: &str, offset: usize) -> Error {
    Error::validation(vec![Violation::new("$", format!("{what} at byte {offset}"))], 0)
}

/// A place in a request, and what is read from there on. A copy reads the same again.
#[derive(Clone)]
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    /// Begins a request that is small enough and UTF-8.
    pub(super) fn begin(bytes: &'de [u8]) -> Result<Self, Error> {
        if bytes.len() > limits::BYTES {
            return Err(refused("request is larger than 64 KiB", limits::BYTES));
        }
        if bytes.starts_with(BYTE_ORDER_MARK) {
            return Err(refused("byte order mark", 0));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| refused("invalid UTF-8", error.valid_up_to()))?;
        let mut reader = Self { text, at: 0, depth: 0 };
        reader.skip_space();
        Ok(reader)
    }

    /// Ends the request: only white space may be left.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.peek().is_none() { Ok(()) } else { Err(Malformed::Json) }
    }

    /// Says what is wrong with the text, and at which byte.
    pub(super) fn refusal(&self, malformed: Malformed) -> Error {
        let what = match malformed {
            Malformed::Json => "malformed JSON",
            Malformed::TooDeep => "more than 32 levels deep",
        };
        refused(what, self.at)
    }

    /// Whether the value that comes is an object.
    pub(super) fn is_at_object(&self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Whether the value that comes is an array.
    pub(super) fn is_at_array(&self) -> bool {
        self.peek() == Some(b'[')
    }

    /// Whether the value that comes can only be null.
    pub(super) fn is_at_null(&self) -> bool {
        self.peek() == Some(b'n')
    }

    /// What is read, as it stands in the request.
    pub(super) fn as_it_stands(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<&'de str, Malformed> {
        let start = self.at;
        read(self)?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// The value that comes, whatever it is.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Token<'de>, Malformed> {
        let start = self.at;
        let mut escapes = false;
        match self.peek() {
            Some(b'"') => escapes = self.string()?,
            Some(b'{') => self.members(|reader, _| reader.value().map(|_| ()))?,
            Some(b'[') => self.elements(|reader| reader.value().map(|_| ()))?,
            Some(b't') => self.piece(lexer::literal(self.rest(), b"true"))?,
            Some(b'f') => self.piece(lexer::literal(self.rest(), b"false"))?,
            Some(b'n') => self.piece(lexer::literal(self.rest(), b"null"))?,
            _ => self.piece(lexer::number(self.rest()))?,
        }
        Ok(self.token(start, escapes))
    }

    /// Hands out each name of the object that comes, in document order, to a reader of its value.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, Token<'de>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.enter(b'{')?;
        if self.take_if(b'}') {
            return self.leave();
        }
        loop {
            let start = self.at;
            let escapes = self.string()?;
            let name = self.token(start, escapes);
            self.skip_space();
            self.take(b':')?;
            self.skip_space();
            each(self, name)?;
            self.skip_space();
            if self.take_if(b'}') {
                return self.leave();
            }
            self.take(b',')?;
            self.skip_space();
        }
    }

    /// Stands at each element of the array that comes, in document order, for a reader of it.
    pub(super) fn elements(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.enter(b'[')?;
        if self.take_if(b']') {
            return self.leave();
        }
        loop {
            each(self)?;
            self.skip_space();
            if self.take_if(b']') {
                return self.leave();
            }
            self.take(b',')?;
            self.skip_space();
        }
    }

    /// Takes the bracket that opens an object or array, and the space behind it.
    fn enter(&mut self, bracket: u8) -> Result<(), Malformed> {
        if self.depth == limits::LEVELS {
            return Err(Malformed::TooDeep);
        }
        self.depth += 1;
        self.take(bracket)?;
        self.skip_space();
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends whoever has entered")]
    fn leave(&mut self) -> Result<(), Malformed> {
        self.depth -= 1;
        Ok(())
    }

    /// Takes a string; answers whether anything in it is escaped.
    #[inline]
    fn string(&mut self) -> Result<bool, Malformed> {
        self.take(b'"')?;
        let mut escapes = false;
        loop {
            let special = self.rest().iter().position(|byte| lexer::is_special(*byte));
            self.at += special.unwrap_or(self.rest().len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.piece(lexer::escape(self.rest()))?,
                _ => return Err(Malformed::Json),
            }
            escapes = true;
        }
        self.at += 1;
        Ok(escapes)
    }

    /// Takes a piece of the grammar, or as much of it as is right.
    #[inline]
    fn piece(&mut self, reach: Reach) -> Result<(), Malformed> {
        let (Ok(taken) | Err(taken)) = reach;
        self.at += taken;
        reach.map(drop).map_err(|_| Malformed::Json)
    }

    #[inline]
    fn skip_space(&mut self) {
        while self.peek().is_some_and(lexer::is_space) {
            self.at += 1;
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take_if(byte) { Ok(()) } else { Err(Malformed::Json) }
    }

    #[inline]
    fn take_if(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn token(&self, start: usize, escapes: bool) -> Token<'de> {
        Token { raw: self.text.get(start..self.at).unwrap_or_default(), escapes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// Reads one value and nothing behind it.
    fn read(text: &str) -> Option<&str> {
        let mut reader = Reader::begin(text.as_bytes()).ok()?;
        let value = reader.value().ok()?;
        reader.end().ok()?;
        Some(value.raw)
    }

    fn as_serde_json_reads(text: &str) -> Option<&str> {
        serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
    }

    #[test]
    fn what_is_malformed_is_named_by_its_first_byte() {
        let cases = [
            ("", 0),
            ("{", 1),
            ("{\"a\"", 4),
            ("{\"a\":1}x", 7),
            ("{\"a\" 1}", 5),
            ("{a:1}", 1),
            ("{\"a\":01}", 6),
            ("{\"a\":\"\u{1}\"}", 6),
            ("{\"a\":\"\\x\"}", 7),
            ("[1,]", 3),
        ];
        for (text, offset) in cases {
            let mut reader = Reader::begin(text.as_bytes()).unwrap();
            let error = reader.value().err().or_else(|| reader.end().err()).unwrap();
            assert_eq!((error, reader.at), (Malformed::Json, offset), "{text}");
        }
    }

    #[test]
    fn thirty_two_levels_are_read_and_one_more_is_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert!(read(&nested(32)).is_some());
            assert!(read(&nested(33)).is_none());
        }
    }

    /// JSON, more or less: every piece of the grammar, in any order.
    fn almost_json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(":"),
            Just(","),
            Just(" "),
            Just("\n"),
            Just("\""),
            Just("\"a\""),
            Just("\"\\u00e9\""),
            Just("\"\\"),
            Just("\\u12"),
            Just("\\n"),
            Just("0"),
            Just("-"),
            Just("12"),
            Just("."),
            Just("e"),
            Just("E+"),
            Just("true"),
            Just("false"),
            Just("null"),
            Just("nul"),
            Just("\t"),
            Just("é"),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<f64>()
                .prop_filter("JSON has no such number", |value| value.is_finite())
                .prop_map(|value| format!("{value:e}")),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<String>().prop_map(|value| serde_json::to_string(&value).unwrap()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(" , "))),
                proptest::collection::vec((any::<String>(), inner), 0..4).prop_map(|members| {
                    let member = |(name, value): (String, String)| {
                        format!("{}:\t{value}", serde_json::to_string(&name).unwrap())
                    };
                    format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn json_is_read_as_serde_json_reads_it(text in json()) {
            prop_assert_eq!(read(&text), Some(text.as_str()));
            prop_assert_eq!(read(&text), as_serde_json_reads(&text));
        }

        #[test]
        fn what_is_nearly_json_is_judged_as_serde_json_judges_it(text in almost_json()) {
            prop_assert_eq!(read(&text), as_serde_json_reads(&text), "{}", text);
        }

        #[test]
        fn a_changed_byte_is_judged_as_serde_json_judges_it(text in json(), at: prop::sample::Index, byte in 0_u8..128) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert_eq!(read(&text), as_serde_json_reads(&text), "{}", text);
            }
        }
    }
}
