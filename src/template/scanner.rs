//! A walk over a template that collects its placeholders and what is wrong with them.

use std::ops::Range;

use crate::error::{Error, Rule, Violation};
use crate::template::placeholder::{Name, Placeholder};

const OPEN: &[u8] = b"{{";
const CLOSE: &[u8] = b"}}";
const UNKNOWN: Rule = Rule("unknown placeholder");
const UNTERMINATED: Rule = Rule("unterminated placeholder");
/// What to say of `unwrap` in any other place.
pub(super) const UNWRAP_MISPLACED: Rule = Rule("`unwrap` outside a JSON string that holds nothing else");

/// The template is not of its kind; the scanner stands at the byte that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) Rule);

/// A place that a value takes.
pub(super) struct Slot {
    /// The bytes of the template that it replaces.
    pub(super) at: Range<usize>,
    pub(super) name: Name,
    /// Whether the value stands there as a bare JSON number.
    pub(super) is_number: bool,
}

/// What is wrong in a template, and at which bytes.
#[derive(Clone, Default)]
pub(super) struct Flaws {
    listed: Vec<(usize, Rule)>,
    unlisted: usize,
    /// Where the template could not be read on.
    broken_off: Option<(usize, Rule)>,
}

impl Flaws {
    /// The template cannot be read on at this byte.
    pub(super) fn break_off(&mut self, at: usize, rule: Rule) {
        self.broken_off = Some((at, rule));
    }

    /// The placeholder at this byte breaks a rule.
    pub(super) fn note(&mut self, at: usize, rule: Rule) {
        if self.listed.len() < Error::MOST_VIOLATIONS {
            self.listed.push((at, rule));
        } else {
            self.unlisted += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.broken_off.is_none()
    }

    /// A violation each, in the order of the template: the byte and the rule, never the text.
    pub(super) fn into_error(mut self) -> Error {
        self.listed.sort_by_key(|(at, _)| *at);
        let placeholders = self.listed.into_iter().map(|(at, rule)| Violation::new(format!("$[{at}]"), rule.0));
        // As of a request that is malformed; every placeholder that was read stands before it.
        let broken = |(at, rule): (usize, Rule)| Violation::new("$", format!("{} at byte {at}", rule.0));
        Error::validation(placeholders.chain(self.broken_off.map(broken)).collect(), self.unlisted)
    }
}

/// A place in a template, and what was found before it.
pub(super) struct Scanner<'t> {
    text: &'t [u8],
    pub(super) at: usize,
    slots: Vec<Slot>,
    flaws: Flaws,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, slots: Vec::new(), flaws: Flaws::default() }
    }

    /// The places of values and what is wrong, with what ended the walk early.
    pub(super) fn finish(mut self, read: Result<(), Malformed>) -> (Vec<Slot>, Flaws) {
        if let Err(Malformed(rule)) = read {
            self.flaws.break_off(self.at, rule);
        }
        (self.slots, self.flaws)
    }

    pub(super) fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn take_if(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes bytes as long as they are of a kind; answers how many there were.
    pub(super) fn take_while(&mut self, is_meant: impl Fn(u8) -> bool) -> usize {
        let taken = self.rest().iter().take_while(|byte| is_meant(**byte)).count();
        self.at += taken;
        taken
    }

    pub(super) fn is_at_placeholder(&self) -> bool {
        self.rest().starts_with(OPEN)
    }

    /// A value stands at these bytes.
    pub(super) fn slot(&mut self, at: Range<usize>, name: Name, is_number: bool) {
        self.slots.push(Slot { at, name, is_number });
    }

    pub(super) fn flaw(&mut self, at: usize, rule: Rule) {
        self.flaws.note(at, rule);
    }

    /// Takes the placeholder that begins here. One that is unknown is noted and passed over; of one that is not closed before
    /// an end of its surroundings, or before another one begins, only the braces are.
    pub(super) fn placeholder(&mut self, ends: &[u8]) -> Option<Placeholder> {
        let start = self.at;
        let read = self.read_placeholder();
        if read.is_some() {
            return read;
        }
        let is_end = |byte: u8| byte < b' ' || ends.contains(&byte);
        while self.peek().is_some_and(|byte| !is_end(byte)) && !self.is_at_placeholder() {
            if self.rest().starts_with(CLOSE) {
                self.at += CLOSE.len();
                self.flaw(start, UNKNOWN);
                return None;
            }
            self.at += 1;
        }
        self.at = start + OPEN.len();
        self.flaw(start, UNTERMINATED);
        None
    }

    fn read_placeholder(&mut self) -> Option<Placeholder> {
        self.at += OPEN.len();
        let name = self.word();
        let unwrap = self.take_if(b'|');
        if unwrap && self.word() != b"unwrap" {
            return None;
        }
        let name = Name::of(name).filter(|_| self.rest().starts_with(CLOSE))?;
        self.at += CLOSE.len();
        Some(Placeholder { name, unwrap })
    }

    /// A word with the spaces around it.
    fn word(&mut self) -> &'t [u8] {
        self.take_while(|byte| byte == b' ');
        let word = self.rest();
        let length = self.take_while(|byte| byte.is_ascii_lowercase() || byte == b'_');
        self.take_while(|byte| byte == b' ');
        word.get(..length).unwrap_or_default()
    }

    /// Takes a placeholder where a value has no place.
    pub(super) fn misplaced(&mut self, ends: &[u8], rule: Rule) {
        let start = self.at;
        if self.placeholder(ends).is_some() {
            self.flaw(start, rule);
        }
    }

    /// Takes a placeholder where a value, as text, has its place.
    pub(super) fn text_value(&mut self, ends: &[u8]) {
        let start = self.at;
        match self.placeholder(ends) {
            Some(placeholder) if placeholder.unwrap => self.flaw(start, UNWRAP_MISPLACED),
            Some(placeholder) => self.slot(start..self.at, placeholder.name, false),
            None => {}
        }
    }
}
