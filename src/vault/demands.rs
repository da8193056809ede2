//! What the vault itself demands of a request, by whatever rules it was read: a scheme, and no card data where they do not
//! belong.

use crate::card::{CardholderName, guard};
use crate::error::{Error, ErrorKind, Rule, Violation};
use crate::metadata::Metadata;
use crate::pairs::Name;
use crate::payload::{Payload, PayloadNumber};
use crate::request::PanSource;
use crate::rules::CardDataGuard;
use crate::schema::Schema;
use crate::vault::options::Policy;

/// Judges the values of one request, and tells everything that is wrong with them at once.
pub(super) struct Demands {
    policy: Policy,
    found: Vec<Violation>,
}

impl Demands {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, found: Vec::new() }
    }

    /// A card as it is handed in, in the object at `path`.
    pub(super) fn source(mut self, path: &str, source: &PanSource) -> Self {
        if let Err(Rule(rule)) = source.pan.check_scheme(self.policy.rules.schemes()) {
            self.add(Violation::new(format!("{path}.account_number"), rule));
        }
        self.name(path, source.name.as_ref())
    }

    /// A cardholder's name, in the object at `path`.
    pub(super) fn name(mut self, path: &str, name: Option<&CardholderName>) -> Self {
        self.text(name.map_or("", CardholderName::as_str), || format!("{path}.cardholder_name"));
        self
    }

    pub(super) fn payload(mut self, payload: &Payload) -> Self {
        for (at, (key, value)) in payload.iter().enumerate() {
            let path = || path_of("$.payload", key, at);
            self.text(key, path);
            self.text(value.as_str().unwrap_or_default(), path);
            let literal = value.as_number().and_then(PayloadNumber::as_literal);
            self.text(literal.unwrap_or_default(), path);
        }
        self
    }

    /// A payload under the schema of its type, if it has one.
    pub(super) fn schema(mut self, schema: Option<&Schema>, payload: &Payload) -> Self {
        for violation in schema.and_then(|schema| schema.check(payload).err()).unwrap_or_default() {
            self.add(violation);
        }
        self
    }

    pub(super) fn metadata(mut self, metadata: Option<&Metadata>) -> Self {
        for (at, (key, value)) in metadata.into_iter().flat_map(Metadata::iter).enumerate() {
            let path = || path_of("$.metadata", key, at);
            self.text(key, path);
            self.text(value, path);
        }
        self
    }

    /// Whatever was judged elsewhere: its violations are told with the others.
    ///
    /// # Errors
    /// What is no violation.
    pub(super) fn judged<T>(mut self, judged: Result<T, Error>) -> Result<(Self, Option<T>), Error> {
        match judged {
            Ok(value) => Ok((self, Some(value))),
            Err(error) if error.kind() == ErrorKind::Validation => {
                for violation in error.violations() {
                    self.add(violation.clone());
                }
                Ok((self, None))
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses the request if anything was found.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.found.is_empty() { Ok(()) } else { Err(Error::validation(self.found, 0)) }
    }

    fn text(&mut self, text: &str, path: impl FnOnce() -> String) {
        if self.policy.guard == CardDataGuard::On
            && let Err(Rule(rule)) = guard::check_text(text)
        {
            self.add(Violation::new(path(), rule));
        }
    }

    /// One violation a path: the first.
    fn add(&mut self, violation: Violation) {
        if self.found.iter().all(|other| other.path() != violation.path()) {
            self.found.push(violation);
        }
    }
}

/// The path of a pair of a caller's map, `at` counted from 0. A key that may hold a number is not shown.
fn path_of(map: &str, key: &str, at: usize) -> String {
    format!("{map}{}", Name { key, position: at + 1 })
}
