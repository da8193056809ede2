//! What a generic token stands for: a small map of secrets, in one wiped block from birth to wipe.
//!
//! The block is also what is sealed: a count, then for each pair the key's length (u8), the key, the value's kind (u8) and,
//! for text and numbers, the value's length (u16, little-endian) and its bytes.

mod number;

use std::fmt;
use std::ops::Range;

pub use self::number::PayloadNumber;

use crate::cursor::Cursor;
use crate::error::{Error, Rule};
use crate::pairs;
use crate::secret::SecretBytes;

/// Room for a payload of the usual size; a larger one moves, and wipes what it leaves.
const USUAL: usize = 256;

const TEXT: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;

/// Up to 20 pairs: keys of 1 to 20 characters; values are text of 1 to 80 characters, booleans or numbers.
///
/// It cannot be printed, cloned or serialised, and is wiped when dropped.
pub struct Payload {
    block: SecretBytes,
    /// Where the pairs stand in the block, which may be a whole opened record.
    at: Range<usize>,
}

/// A value of a payload: text, a boolean or a number.
pub struct PayloadValue<'a>(Value<'a>);

enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Number(PayloadNumber<'a>),
}

impl<'a> PayloadValue<'a> {
    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self.0 {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.0 {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&PayloadNumber<'a>> {
        match &self.0 {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Whether it obeys the rules of a request.
    fn is_valid(&self) -> bool {
        match &self.0 {
            Value::Text(text) => pairs::check_value(text).is_ok(),
            Value::Bool(_) => true,
            Value::Number(number) => number.as_literal().is_some_and(|literal| PayloadNumber::check(literal).is_ok()),
        }
    }

    /// A number as it stands in JSON.
    pub(crate) fn literal(literal: &'a str) -> Result<Self, Rule> {
        PayloadNumber::check(literal).map(|number| Self(Value::Number(number)))
    }
}

impl<'a> From<&'a str> for PayloadValue<'a> {
    fn from(text: &'a str) -> Self {
        Self(Value::Text(text))
    }
}

impl<'a> From<&'a String> for PayloadValue<'a> {
    fn from(text: &'a String) -> Self {
        Self(Value::Text(text))
    }
}

impl From<bool> for PayloadValue<'_> {
    fn from(value: bool) -> Self {
        Self(Value::Bool(value))
    }
}

impl<'a> From<PayloadNumber<'a>> for PayloadValue<'a> {
    fn from(number: PayloadNumber<'a>) -> Self {
        Self(Value::Number(number))
    }
}

impl fmt::Debug for PayloadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadValue(..)")
    }
}

impl Payload {
    /// Checks pairs of a key and a value.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every pair that breaks a rule, at `$.payload.<key>`, or at `$.payload[#n]` if its key cannot be
    /// shown; at `$.payload` if they are too many.
    pub fn new<'a, K: AsRef<str>, V: Into<PayloadValue<'a>>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        let mut payload = Self::default();
        pairs::collect("$.payload", pairs, |key, value| payload.insert(key, &value.into()))?;
        Ok(payload)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<PayloadValue<'_>> {
        self.iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// Every pair, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, PayloadValue<'_>)> {
        Pairs(Cursor::new(self.expose().get(1..).unwrap_or_default())).map_while(Result::ok)
    }

    /// How many pairs there are, 0 to 20.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expose().first().copied().map_or(0, usize::from)
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a checked pair. The caller counts them.
    pub(crate) fn insert(&mut self, key: &str, value: &PayloadValue<'_>) -> Result<(), Rule> {
        let key = pairs::check_key(key)?;
        if self.get(key).is_some() {
            return Err(pairs::DUPLICATE);
        }
        match &value.0 {
            Value::Text(text) => self.push(key, TEXT, Some(pairs::check_value(text)?)),
            Value::Bool(false) => self.push(key, FALSE, None),
            Value::Bool(true) => self.push(key, TRUE, None),
            Value::Number(number) => number.with_literal(|literal| {
                let literal = literal?;
                self.push(key, NUMBER, Some(pairs::check_value(literal)?))
            }),
        }
    }

    fn push(&mut self, key: &str, kind: u8, value: Option<&str>) -> Result<(), Rule> {
        const TOO_LONG: Rule = Rule("is too long");
        let key_length = u8::try_from(key.len()).map_err(|_| TOO_LONG)?;
        self.block.push(&[key_length]);
        self.block.push(key.as_bytes());
        self.block.push(&[kind]);
        if let Some(value) = value {
            let length = u16::try_from(value.len()).map_err(|_| TOO_LONG)?;
            self.block.push(&length.to_le_bytes());
            self.block.push(value.as_bytes());
        }
        if let Some(count) = self.block.expose_mut().first_mut() {
            *count = count.saturating_add(1);
        }
        self.at.end = self.block.expose().len();
        Ok(())
    }

    /// Takes over an opened record in which a payload stands at `at`; `None` if it is not one by the rules of a request.
    pub(crate) fn adopt(block: SecretBytes, at: Range<usize>) -> Option<Self> {
        let payload = Self { block, at };
        let (count, rest) = payload.expose().split_first()?;
        let (mut keys, mut pairs) = ([""; pairs::MOST], 0);
        for pair in Pairs(Cursor::new(rest)) {
            let (key, value) = pair.ok()?;
            if keys.contains(&pairs::check_key(key).ok()?) || !value.is_valid() {
                return None;
            }
            *keys.get_mut(pairs)? = key;
            pairs += 1;
        }
        (pairs == usize::from(*count)).then_some(payload)
    }

    /// Hands over the pairs, each as it is sealed and where it stands, in an order that does not depend on how they came.
    pub(crate) fn canonical(&self, to: &mut dyn FnMut(&[u8])) {
        let Some((count, rest)) = self.expose().split_first() else { return };
        let (mut pairs, mut from) = (Pairs(Cursor::new(rest)), 0);
        // Only where they stand is written down; the pairs themselves stay.
        let mut stand = [&[][..]; pairs::MOST];
        let stand = stand.get_mut(..usize::from(*count)).unwrap_or_default();
        for pair in &mut *stand {
            if pairs.next().is_none() {
                break;
            }
            let end = pairs.0.position();
            *pair = rest.get(from..end).unwrap_or_default();
            from = end;
        }
        stand.sort_unstable();
        to(&[*count]);
        for pair in &*stand {
            to(pair);
        }
    }

    /// The pairs as they are sealed.
    pub(crate) fn expose(&self) -> &[u8] {
        self.block.expose().get(self.at.clone()).unwrap_or_default()
    }
}

impl Default for Payload {
    /// No pair.
    fn default() -> Self {
        let mut block = SecretBytes::with_room(USUAL);
        block.push(&[0]);
        Self { block, at: 0..1 }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(..)")
    }
}

/// Walks the pairs of a block, without another look at what was checked when they came; ends after what is not a pair.
struct Pairs<'a>(Cursor<'a>);

/// What stands where a pair should is not one.
struct NotAPair;

impl<'a> Pairs<'a> {
    fn pair(&mut self) -> Option<(&'a str, PayloadValue<'a>)> {
        let length = self.0.u8()?;
        let key = self.0.text(length)?;
        let value = match self.0.u8()? {
            TEXT => Value::Text(self.value()?),
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            NUMBER => Value::Number(PayloadNumber::of_block(self.value()?)),
            _ => return None,
        };
        Some((key, PayloadValue(value)))
    }

    fn value(&mut self) -> Option<&'a str> {
        let length = self.0.u16()?;
        self.0.text(length)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a str, PayloadValue<'a>), NotAPair>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_at_end() {
            return None;
        }
        let pair = self.pair().ok_or(NotAPair);
        if pair.is_err() {
            self.0 = Cursor::new(&[]);
        }
        Some(pair)
    }
}
