//! The members of an object: those that a publication names, or the pairs of a caller's own map.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::error::Rule;
use crate::pairs;
use crate::request::document::{Malformed, members};
use crate::request::report::{Path, Report};
use crate::request::text::{Text, Token};

const UNKNOWN: Rule = Rule("unknown field");
const DUPLICATE: Rule = Rule("duplicate field");

/// Names that a caller may have meant for a lifetime, without case and punctuation. A misspelling of either published name
/// is found by its distance.
const LIFETIME_LIKE: [&str; 8] =
    ["ttl", "expiry", "expires", "expiresat", "expiration", "expirationdate", "lifetime", "validfor"];
/// At most this many edits make a misspelling.
const MISSPELT: usize = 3;

/// The fields of an object, as the publication names them.
pub(super) struct Fields {
    pub(super) names: &'static [&'static str],
    /// What to say of an unknown field that looks like a lifetime, where the object has one.
    pub(super) lifetime: Option<Rule>,
}

impl Fields {
    /// Hands out each field that is there and not null, and notes unknown and duplicate ones. Answers which were handed out.
    pub(super) fn read<'de>(
        &self,
        object: &'de str,
        path: &Path<'_>,
        report: &mut Report,
        mut each: impl FnMut(&'static str, &Path<'_>, Token<'de>, &mut Report) -> Result<(), Malformed>,
    ) -> Result<Present, Malformed> {
        let (mut seen, mut present, mut position) = (Present::default(), Present::default(), 0);
        members(object, |quoted, value| {
            position += 1;
            let name = match Text::of_quoted(quoted) {
                Ok(name) => name,
                Err(rule) => {
                    report.refuse(&Path::Key(path, "", position), rule);
                    return Ok(());
                }
            };
            let Some(known) = self.names.iter().find(|known| **known == name.as_str()) else {
                let rule = self.unknown(name.as_str());
                report.refuse(&Path::Key(path, name.as_str(), position), rule);
                return Ok(());
            };
            let path = Path::Field(path, known);
            if !seen.insert(known) {
                report.refuse(&path, DUPLICATE);
                return Ok(());
            }
            if value.0 == "null" {
                return Ok(());
            }
            present.insert(known);
            each(known, &path, value, report)
        })?;
        Ok(present)
    }

    fn unknown(&self, name: &str) -> Rule {
        self.lifetime.filter(|_| looks_like_a_lifetime(name)).unwrap_or(UNKNOWN)
    }
}

/// Fields found in an object: few, so a list serves.
#[derive(Default)]
pub(super) struct Present {
    names: [&'static str; 8],
    count: usize,
}

impl Present {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.iter().take(self.count).any(|own| *own == name)
    }

    /// Adds a name; false if it was there.
    fn insert(&mut self, name: &'static str) -> bool {
        if self.contains(name) {
            return false;
        }
        if let Some(slot) = self.names.get_mut(self.count) {
            *slot = name;
            self.count += 1;
        }
        true
    }
}

/// Whether a name could be meant for `expires_in` or `expiration_time`: such a field is never passed over.
fn looks_like_a_lifetime(name: &str) -> bool {
    if name.len() > 40 {
        return false;
    }
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let near = |meant: &str| strsim::osa_distance(&plain, meant) <= MISSPELT;
    LIFETIME_LIKE.contains(&plain.as_str()) || near("expiresin") || near("expirationtime")
}

/// A caller's map under way.
pub(super) trait Pairs: Default {
    fn insert(&mut self, key: &str, value: Token<'_>) -> Result<(), Rule>;
}

/// Reads a caller's own map by the rules that every such map obeys.
pub(super) fn read_pairs<P: Pairs>(object: &str, path: &Path<'_>, report: &mut Report) -> Result<P, Malformed> {
    let mark = report.mark();
    let (mut pairs, mut position) = (P::default(), 0);
    let (hasher, mut seen) = (RandomState::new(), HashSet::new());
    members(object, |quoted, value| {
        position += 1;
        let key = match Text::of_quoted(quoted) {
            Ok(key) => key,
            Err(rule) => {
                report.refuse(&Path::Key(path, "", position), rule);
                return Ok(());
            }
        };
        if position > pairs::MOST && position % pairs::MOST == 1 {
            // Too many already: what is kept from here on only serves to check the rest.
            pairs = P::default();
        }
        let fresh = seen.insert(hasher.hash_one(key.as_str()));
        let inserted = if fresh { pairs.insert(key.as_str(), value) } else { Err(pairs::DUPLICATE) };
        if let Err(rule) = inserted {
            report.refuse(&Path::Key(path, key.as_str(), position), rule);
        }
        Ok(())
    })?;
    if position > pairs::MOST {
        report.refuse_before(mark, path, pairs::TOO_MANY);
    }
    Ok(pairs)
}
