//! Collects every violation of a request: one a path, in document order, missing fields last.

use std::fmt;

use crate::error::{Error, Rule, Violation};

/// The longest key of a caller that stands in a path.
const LONGEST_SHOWN: usize = 40;
/// So many digits in a row, and a key could hold what no message may show.
const DIGITS_IN_A_ROW: usize = 6;
/// So many digits in all, and a key could be an account number with separators.
const DIGITS_IN_ALL: usize = 13;

/// Where in a request: a chain of names up to the request itself, rendered only when something is wrong there.
pub(super) enum Path<'a> {
    /// The request.
    Root,
    /// A field that the publication names.
    Field(&'a Path<'a>, &'static str),
    /// A member that the caller named, and its position in its object, from 1.
    Key(&'a Path<'a>, &'a str, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Key(parent, key, _) if may_be_shown(key) => write!(f, "{parent}.{key}"),
            Self::Key(parent, _, position) => write!(f, "{parent}[#{position}]"),
        }
    }
}

/// Whether a caller's key is certain to hold no account number; otherwise its position stands for it.
fn may_be_shown(key: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let in_a_row = key.as_bytes().split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0);
    let in_all = key.bytes().filter(u8::is_ascii_digit).count();
    (1..=LONGEST_SHOWN).contains(&key.len())
        && key.bytes().all(harmless)
        && in_a_row < DIGITS_IN_A_ROW
        && in_all < DIGITS_IN_ALL
}

/// A place among the violations.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    found: usize,
    unlisted: usize,
}

/// The violations found so far.
#[derive(Default)]
pub(super) struct Report {
    found: Vec<Violation>,
    missing: Vec<Violation>,
    /// Violations beyond those that an error lists.
    unlisted: usize,
}

impl Report {
    /// Notes a broken rule, unless something else is wrong at that path already.
    pub(super) fn refuse(&mut self, path: &Path<'_>, rule: Rule) {
        self.refuse_before(self.mark(), path, rule);
    }

    /// The place of what is noted next.
    pub(super) fn mark(&self) -> Mark {
        Mark { found: self.found.len(), unlisted: self.unlisted }
    }

    /// Notes a broken rule of something that began where [`Report::mark`] was taken.
    pub(super) fn refuse_before(&mut self, mark: Mark, path: &Path<'_>, rule: Rule) {
        let violation = Violation::new(path.to_string(), rule.0);
        if self.tells_of(violation.path()) {
            return;
        }
        self.found.insert(mark.found.min(self.found.len()), violation);
        if self.found.len() > Error::MOST_VIOLATIONS {
            self.found.truncate(Error::MOST_VIOLATIONS);
            self.unlisted += 1;
        }
    }

    /// Notes that a required field is absent, unless something else is wrong at that path already.
    pub(super) fn miss(&mut self, path: &Path<'_>) {
        let violation = Violation::new(path.to_string(), "is required");
        if !self.tells_of(violation.path()) {
            self.missing.push(violation);
        }
    }

    fn tells_of(&self, path: &str) -> bool {
        self.found.iter().any(|violation| violation.path() == path)
    }

    /// Keeps what a check gave, or notes the rule that it names.
    pub(super) fn keep<T>(&mut self, path: &Path<'_>, checked: Result<T, Rule>) -> Option<T> {
        checked.map_err(|rule| self.refuse(path, rule)).ok()
    }

    /// Forgets what was noted since `mark`.
    pub(super) fn forget_since(&mut self, mark: Mark) {
        self.found.truncate(mark.found);
        self.unlisted = mark.unlisted;
    }

    /// The value, if nothing was noted.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Error> {
        match value {
            Some(value) if self.found.is_empty() && self.missing.is_empty() => Ok(value),
            _ => {
                self.found.append(&mut self.missing);
                Err(Error::validation(self.found, self.unlisted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_could_hold_an_account_number_is_shown_by_its_position() {
        let at = |key| Path::Key(&Path::Root, key, 3).to_string();
        let (longest, too_long) = ("k".repeat(40), "k".repeat(41));
        for shown in ["iban", "a.b-c_D9", "order_2026-11-21", "12345", &longest] {
            assert_eq!(at(shown), format!("$.{shown}"));
        }
        for hidden in ["", "4111111111111111", "x123456", "4111-1111-1111-1111", "a b", "é", "a$", &too_long] {
            assert_eq!(at(hidden), "$[#3]");
        }
    }
}
