//! The members of an object: those that a publication names, or the pairs of a caller's own map.

use zeroize::Zeroizing;

use crate::error::{Error, Rule};
use crate::pairs;
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Path, Report};
use crate::request::seen::Seen;
use crate::request::text::Token;
use crate::rules::{Rules, UnknownFields};

/// What to say of a value that is no object.
pub(super) const NOT_AN_OBJECT: Rule = Rule("must be an object");
const UNKNOWN: Rule = Rule("unknown field");
const DUPLICATE: Rule = Rule("duplicate field");

/// Names that a caller may have meant for a lifetime, without case and punctuation. A misspelling of either published name
/// is found by its distance.
const LIFETIME_LIKE: [&str; 8] =
    ["ttl", "expiry", "expires", "expiresat", "expiration", "expirationdate", "lifetime", "validfor"];
/// The longest name that is compared.
const LONGEST_LIKENESS: usize = 40;
/// At most this many edits make a misspelling.
const MISSPELT: usize = 3;

/// What a null stands for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Null {
    /// As if the field were not there.
    Absent,
    /// A value like others, for the reader of the field.
    Value,
}

/// Reads a request and nothing behind it; answers every violation at once.
pub(super) fn read_json<T>(
    json: &[u8],
    rules: Rules,
    read: impl FnOnce(&mut Reader<'_>, &mut Report) -> Result<Option<T>, Malformed>,
) -> Result<T, Error> {
    let (mut reader, mut report) = (Reader::begin(json)?, Report::under(rules));
    let request = read(&mut reader, &mut report);
    match request.and_then(|request| reader.end().map(|()| request)) {
        Ok(request) => report.finish(request),
        Err(malformed) => Err(reader.refusal(malformed)),
    }
}

/// The fields of an object, at most 32, as the publication names and orders them.
pub(super) struct Fields<F: 'static> {
    pub(super) named: &'static [(&'static str, F)],
    /// What to say of an unknown field that looks like a lifetime, where the object has one.
    pub(super) lifetime: Option<Rule>,
    pub(super) null: Null,
}

impl<F: Copy + PartialEq> Fields<F> {
    /// Reads the request itself; `None`, and noted, if it is no object.
    pub(super) fn read_request<'de>(
        &self,
        reader: &mut Reader<'de>,
        report: &mut Report,
        each: impl FnMut(F, &Path<'_>, &mut Reader<'de>, &mut Report) -> Result<(), Malformed>,
    ) -> Result<Option<Present<F>>, Malformed> {
        if reader.is_at_object() {
            return self.read(&Path::Root, reader, report, each).map(Some);
        }
        reader.value()?;
        report.refuse(&Path::Root, NOT_AN_OBJECT);
        Ok(None)
    }

    /// Hands out each field that is there, and notes unknown and duplicate ones. Answers which were handed out.
    pub(super) fn read<'de>(
        &self,
        path: &Path<'_>,
        reader: &mut Reader<'de>,
        report: &mut Report,
        mut each: impl FnMut(F, &Path<'_>, &mut Reader<'de>, &mut Report) -> Result<(), Malformed>,
    ) -> Result<Present<F>, Malformed> {
        let (mut seen, mut present, mut position) = (0_u32, Present { named: self.named, bits: 0 }, 0);
        let mut ignored = Seen::default();
        reader.members(|reader, name| {
            position += 1;
            let name = match name.text() {
                Ok(name) => name,
                Err(rule) => {
                    report.refuse(&Path::Key(path, "", position), rule);
                    return reader.value().map(|_| ());
                }
            };
            let Some((bit, (known, field))) = find(self.named, |(known, _)| *known == name.as_str()) else {
                let rule = self.unknown(name.as_str(), report.rules);
                let rule = rule.or_else(|| (!ignored.is_new(name.as_str())).then_some(DUPLICATE));
                if let Some(rule) = rule {
                    report.refuse(&Path::Key(path, name.as_str(), position), rule);
                }
                return reader.value().map(|_| ());
            };
            let path = Path::Field(path, known);
            if seen & bit != 0 {
                report.refuse(&path, DUPLICATE);
                return reader.value().map(|_| ());
            }
            seen |= bit;
            if self.null == Null::Absent && reader.is_at_null() {
                return reader.value().map(|_| ());
            }
            present.bits |= bit;
            each(field, &path, reader, report)
        })?;
        Ok(present)
    }

    /// What to say of a name that is none of the fields, if anything: of one that may be a lifetime, always.
    fn unknown(&self, name: &str, rules: Rules) -> Option<Rule> {
        if looks_like_a_lifetime(name) {
            return Some(self.lifetime.unwrap_or(UNKNOWN));
        }
        (rules.fields() == UnknownFields::Refuse).then_some(UNKNOWN)
    }
}

/// The fields that an object has.
pub(super) struct Present<F: 'static> {
    named: &'static [(&'static str, F)],
    bits: u32,
}

impl<F: Copy + PartialEq> Present<F> {
    /// Notes a field that is required of the object at `path` and absent.
    pub(super) fn require(&self, required: F, path: &Path<'_>, report: &mut Report) {
        let found = find(self.named, |(_, field)| *field == required);
        if let Some((_, (name, _))) = found.filter(|(bit, _)| self.bits & bit == 0) {
            report.miss(&Path::Field(path, name));
        }
    }
}

/// The row of a field, and the bit that stands for it.
#[inline]
fn find<T: Copy>(rows: &[T], is_meant: impl Fn(&T) -> bool) -> Option<(u32, T)> {
    let mut bit = 1;
    for row in rows {
        if is_meant(row) {
            return Some((bit, *row));
        }
        bit <<= 1;
    }
    None
}

/// Whether a name could be meant for `expires_in` or `expiration_time`: such a field is never passed over.
fn looks_like_a_lifetime(name: &str) -> bool {
    if name.len() > LONGEST_LIKENESS {
        return false;
    }
    // A name of the caller's can be a secret of any kind: letters only, in one block, wiped.
    let mut letters = Zeroizing::new(String::with_capacity(name.len()));
    letters.extend(name.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()));
    let near = |meant: &str| strsim::osa_distance(&letters, meant) <= MISSPELT;
    LIFETIME_LIKE.contains(&letters.as_str()) || near("expiresin") || near("expirationtime")
}

/// A caller's map under way.
pub(super) trait Pairs: Default {
    fn insert(&mut self, key: &str, value: Token<'_>) -> Result<(), Rule>;
}

/// Reads a caller's own map by the rules that every such map obeys.
pub(super) fn read_pairs<P: Pairs>(
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    report: &mut Report,
) -> Result<P, Malformed> {
    let mark = report.mark();
    let (mut pairs, mut seen, mut position) = (P::default(), Seen::default(), 0);
    reader.members(|reader, key| {
        let value = reader.value()?;
        position += 1;
        let key = match key.text() {
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
        let is_new = seen.is_new(key.as_str());
        let inserted = if is_new { pairs.insert(key.as_str(), value) } else { Err(pairs::DUPLICATE) };
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
