//! Collects every violation of a request: one a path, in document order, missing fields last.

use std::fmt;

use crate::error::{Error, Rule, Violation};
use crate::pairs::Name;
use crate::rules::Rules;
use crate::schema::Member;

/// Where in a request: a chain of names up to the request itself, rendered only when something is wrong there.
pub(super) enum Path<'a> {
    /// The request.
    Root,
    /// A field that the publication names.
    Field(&'a Path<'a>, &'static str),
    /// A member that the caller named, and its position in its object, from 1.
    Key(&'a Path<'a>, &'a str, usize),
    /// A member of an object within a schema, and its position, from 1.
    Member(&'a Path<'a>, &'a str, usize),
    /// An element of an array, by its position from 0.
    Element(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Key(parent, key, position) => write!(f, "{parent}{}", Name { key, position: *position }),
            Self::Member(parent, key, position) => write!(f, "{parent}{}", Member { key, position: *position }),
            Self::Element(parent, position) => write!(f, "{parent}[{position}]"),
        }
    }
}

/// A place among the violations.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    found: usize,
    unlisted: usize,
}

/// The violations found so far, and the rules that they break.
pub(super) struct Report {
    pub(super) rules: Rules,
    found: Vec<Violation>,
    missing: Vec<Violation>,
    /// Violations beyond those that an error lists.
    unlisted: usize,
}

impl Report {
    /// Nothing is wrong yet.
    pub(super) fn under(rules: Rules) -> Self {
        Self { rules, found: Vec::new(), missing: Vec::new(), unlisted: 0 }
    }

    /// Notes a broken rule, unless something else is wrong at that path already.
    pub(super) fn refuse(&mut self, path: &Path<'_>, rule: Rule) {
        self.refuse_before(self.mark(), path, rule);
    }

    /// The place of what is noted next.
    pub(super) fn mark(&self) -> Mark {
        Mark { found: self.found.len(), unlisted: self.unlisted }
    }

    /// Notes what was found elsewhere, one violation a path.
    pub(super) fn take_over(&mut self, found: Vec<Violation>) {
        let room = Error::MOST_VIOLATIONS.saturating_sub(self.found.len());
        self.unlisted += found.len().saturating_sub(room);
        self.found.extend(found.into_iter().take(room));
    }

    /// Whether nothing was noted since `mark`.
    pub(super) fn is_clean_since(&self, mark: Mark) -> bool {
        self.found.len() == mark.found && self.unlisted == mark.unlisted
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
