//! A vault, and what it should hold: time, sweeps, counts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::store::MemoryStore;
use tokenvault::{Error, ErrorKind, Fingerprints, SessionId, TokenId, TypeId, Vault, VaultOptions, Violation};

use crate::common::clock::HandClock;
use crate::common::kinds::{GENERIC, Kind, PCI};
use crate::common::{PAN_REQUEST, keys, token};
use crate::held::{Code, Entry, Held, Indexed, Session, What};
use crate::step::{Asked, Completion, Step};

const BEGIN: &str = "2026-01-02T03:04:05.678Z";

/// What two requests with the same idempotency key must have in common to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    CreateGeneric,
    CreatePci,
    Complete,
}

/// How far the fingerprints are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Off,
    Partial,
    Complete,
}

/// Whether security codes are kept here at all: where no memory can be locked, none is.
pub static KEEPS_CODES: LazyLock<bool> = LazyLock::new(|| {
    let vault = VaultOptions::new().open_with(MemoryStore::new(), keys()).unwrap();
    let request = tokenvault::CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap();
    vault.security_code_available(token(vault.create_pci(request).unwrap()).id).unwrap()
});

#[derive(Clone)]
pub struct Twin<'a> {
    open: &'a dyn Fn(VaultOptions) -> Vault,
    pub vault: Vault,
    clock: HandClock,
    pub now: i64,
    /// The latest expiry that a list or a search has passed over: what ends by then is gone, though the clock goes back.
    seen: Option<i64>,
    /// Tokens of both kinds.
    pub held: BTreeMap<TokenId, Held>,
    pub codes: BTreeMap<TokenId, Code>,
    pub sessions: BTreeMap<SessionId, Session>,
    pub entries: BTreeMap<(Operation, &'static str), Entry>,
    /// The types that are there, and how many pairs a payload of each has at most.
    pub types: BTreeMap<TypeId, usize>,
    /// The types of tokens, those that are gone included.
    pub typed: BTreeMap<TokenId, TypeId>,
    /// Every id that was ever given out, also of what is gone.
    pub ids: Vec<TokenId>,
    pub session_ids: Vec<SessionId>,
    pub type_ids: Vec<TypeId>,
    /// Every request for a token or a session that was ever made.
    pub asked: Vec<Asked>,
    /// Every completion that was ever tried.
    pub completions: Vec<(SessionId, Completion)>,
    pub stage: Stage,
    fingerprints: Fingerprints,
    /// How many records were sealed and kept.
    pub sealed: u64,
    /// How many more may have been sealed, for what was then not to be done.
    pub guessed: u64,
}

impl<'a> Twin<'a> {
    pub fn begin(open: &'a dyn Fn(VaultOptions) -> Vault, fingerprints: Fingerprints) -> Self {
        let clock = HandClock::at(BEGIN);
        let vault = open(VaultOptions::new().clock(clock.clone()).fingerprints(fingerprints));
        Self {
            open,
            vault,
            clock,
            now: DateTime::parse_from_rfc3339(BEGIN).unwrap().timestamp_millis(),
            seen: None,
            held: BTreeMap::new(),
            codes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            entries: BTreeMap::new(),
            types: BTreeMap::new(),
            typed: BTreeMap::new(),
            ids: Vec::new(),
            session_ids: Vec::new(),
            type_ids: Vec::new(),
            asked: Vec::new(),
            completions: Vec::new(),
            stage: if fingerprints == Fingerprints::On { Stage::Complete } else { Stage::Off },
            fingerprints,
            sealed: 0,
            guessed: 0,
        }
    }

    pub fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Create(asked) => self.create(asked)?,
            Step::Repeat { which, code } => {
                Step::again(&self.asked, which, code).map_or(Ok(()), |asked| self.create(asked))?;
            }
            Step::CreateMany(kind, group) => self.create_many(kind, group)?,
            Step::Find { number } => self.find(number)?,
            Step::View(kind, which) => self.ask(kind, which, kind.view, Held::view)?,
            Step::Reveal(kind, which) => self.ask(kind, which, kind.lent, |held, _| held.secret())?,
            Step::Fill(which) => self.ask(&PCI, which, crate::tokens::fill, |held, _| held.secret())?,
            Step::Delete(kind, which) => self.delete(kind, which)?,
            Step::Update(kind, which, update) => self.update(kind, which, &update)?,
            Step::Replace(which, handed) => self.replace(which, handed)?,
            Step::Many(kind, which) => self.many(kind, &which)?,
            Step::List { kind, limit, after } => {
                let after = after.and_then(|which| pick(which, &self.ids));
                self.list(kind, limit, after, None)?;
            }
            Step::Walk { kind, limit } => {
                let mut after = None;
                while let Some(last) = self.list(kind, limit, after, None)? {
                    after = Some(last);
                }
            }
            Step::Session(which) => self.session(which)?,
            Step::Complete(which, completion) => self.complete(which, completion)?,
            Step::CompleteAgain { which, code } => self.complete_again(which, code)?,
            Step::Code(deed, which) => self.code(deed, which)?,
            Step::Refresh(which) => self.refresh(which)?,
            Step::CompleteRefresh(which, code) => self.complete_refresh(which, code)?,
            Step::CreateType { most } => self.create_type(most)?,
            Step::CreateTyped { which, payload, extras } => self.create_typed(which, &payload, &extras)?,
            Step::ListTyped { which, limit, after } => self.list_typed(which, limit, after)?,
            Step::DeleteType(which) => self.delete_type(which)?,
            Step::Move { millis } => {
                self.clock.advance_millis(millis);
                self.now += millis;
            }
            Step::Sweep => self.sweep()?,
            Step::Index => self.index()?,
            Step::Reopen => self.reopen(),
            Step::KeepFingerprints => {
                self.fingerprints = Fingerprints::On;
                self.reopen();
            }
        }
        self.counts_agree()
    }

    /// Opens the vault anew: every security code is gone.
    fn reopen(&mut self) {
        self.vault.close().unwrap();
        let options = VaultOptions::new().clock(self.clock.clone()).fingerprints(self.fingerprints);
        self.vault = (self.open)(options);
        self.codes.clear();
        if (self.stage, self.fingerprints) == (Stage::Off, Fingerprints::On) {
            let has_cards = self.held.values().any(|held| *held.kind() == PCI);
            self.stage = if has_cards { Stage::Partial } else { Stage::Complete };
        }
    }

    /// Whether what ends at an instant is gone.
    pub fn is_over(&self, end: i64) -> bool {
        end <= self.now || self.seen.is_some_and(|seen| end <= seen)
    }

    pub fn lives(&self, held: &Held) -> bool {
        held.expires_at.is_none_or(|at| !self.is_over(at))
    }

    /// A token of a kind that is there; one that has expired is removed, since somebody has asked for it.
    pub fn live(&mut self, kind: &Kind, id: TokenId) -> Option<&mut Held> {
        let held = self.held.get(&id).filter(|held| held.kind() == kind)?;
        if !self.lives(held) {
            self.remove(id);
        }
        self.held.get_mut(&id)
    }

    /// Removes a token, and its security code with it.
    pub fn remove(&mut self, id: TokenId) -> Option<Held> {
        self.codes.remove(&id);
        self.held.remove(&id)
    }

    /// A list or a search has passed over what ended at this instant, if over anything.
    pub fn pass_over(&mut self, end: Option<i64>) {
        self.seen = self.seen.max(end);
    }

    /// Something is to be made that ends at this instant. If that was seen as past, then what was seen as gone goes, so that the
    /// new one can stay.
    pub fn admit(&mut self, end: Option<i64>) {
        let Some(seen) = self.seen.filter(|seen| end.is_some_and(|end| end <= *seen)) else { return };
        self.remove_until(seen);
        self.seen = None;
    }

    /// Sees to it that nothing that is gone stands while the clock is back: how a vault looks for duplicates, and how it shares
    /// commits, is its own affair, and decides what it removes on the way.
    pub fn settle(&mut self) -> Result<(), TestCaseError> {
        if self.seen.is_some_and(|seen| seen > self.now) { self.sweep() } else { Ok(()) }
    }

    /// Removes what ends by an instant, and counts generic tokens, PCI tokens, sessions and idempotency keys.
    fn remove_until(&mut self, until: i64) -> [u64; 4] {
        let expired = self.held.iter().filter(|(_, held)| held.expires_at.is_some_and(|at| at <= until));
        let expired: Vec<_> = expired.map(|(id, _)| *id).collect();
        let of_kind = |kind| expired.iter().filter(|id| self.held[id].kind() == kind).count();
        let (generic, pci) = (of_kind(&GENERIC), of_kind(&PCI));
        for id in expired {
            self.remove(id);
        }
        let (sessions, entries) = (self.sessions.len(), self.entries.len());
        self.sessions.retain(|_, session| session.expires_at > until);
        self.entries.retain(|_, entry| entry.expires_at > until);
        let counts = [generic, pci, sessions - self.sessions.len(), entries - self.entries.len()];
        counts.map(|count| u64::try_from(count).unwrap())
    }

    pub fn sweep(&mut self) -> Result<(), TestCaseError> {
        let report = self.vault.sweep().unwrap();
        let removed = self.remove_until(self.seen.max(Some(self.now)).unwrap());
        self.codes.retain(|_, code| self.now < code.until);
        let told = [report.expired_generic, report.expired_pci, report.expired_sessions, report.expired_other];
        prop_assert_eq!((told, report.remaining), (removed, 0));
        Ok(())
    }

    /// Gives fingerprints to the cards that have none.
    fn index(&mut self) -> Result<(), TestCaseError> {
        self.settle()?;
        let answer = self.vault.index_fingerprints();
        if self.stage == Stage::Off {
            return refused_at("$.fingerprints", answer);
        }
        let report = answer.unwrap();
        let mut counted = [0, 0];
        if self.stage == Stage::Partial {
            // What is sealed anew must be able to stay.
            let is_bare = |held: &&Held| matches!(held.what, What::Card(_, Indexed::No));
            let ends: Vec<_> = self.held.values().filter(is_bare).map(|held| held.expires_at).collect();
            for end in ends {
                self.admit(end);
            }
            for held in self.held.values_mut() {
                let What::Card(_, indexed) = &mut held.what else { continue };
                counted[usize::from(*indexed == Indexed::Yes)] += 1;
                *indexed = Indexed::Yes;
            }
            self.stage = Stage::Complete;
            self.sealed += counted[0];
            self.guessed += u64::try_from(self.ids.len()).unwrap();
        }
        prop_assert_eq!(([report.indexed, report.already], report.remaining), (counted, 0));
        Ok(())
    }

    fn counts_agree(&self) -> Result<(), TestCaseError> {
        let stats = self.vault.stats().unwrap();
        let of_kind = |kind| self.held.values().filter(|held| held.kind() == kind).count();
        let expiring = self.held.values().filter(|held| held.expires_at.is_some()).count();
        let expected = [of_kind(&GENERIC), of_kind(&PCI), expiring, self.types.len(), self.sessions.len()];
        let counted =
            [stats.generic_tokens, stats.pci_tokens, stats.expiring_tokens, stats.payload_types, stats.sessions];
        prop_assert_eq!(counted, expected.map(|count| u64::try_from(count).unwrap()));
        let sealed = stats.key_epochs[0].sealed_records;
        prop_assert!(
            (self.sealed..=self.sealed + self.guessed).contains(&sealed),
            "{} sealed, {} to {} expected",
            sealed,
            self.sealed,
            self.sealed + self.guessed
        );
        Ok(())
    }
}

/// One of many, if there is any: every other time one of the latest, so that much is done to one and the same.
pub fn pick<T: Copy>(which: Index, among: &[T]) -> Option<T> {
    const LATEST: usize = 2;
    let many = among.len();
    let latest = || many - 1 - which.index(LATEST.min(many));
    let place = (many > 0).then(|| which.index(2 * many))?;
    among.get(if place < many { place } else { latest() }).copied()
}

/// What is asked for must be granted.
pub fn granted<T>(answer: Result<T, Error>) -> Result<T, TestCaseError> {
    answer.map_err(|error| TestCaseError::fail(format!("refused: {error}")))
}

/// What a refusal is.
pub fn refused<T: std::fmt::Debug>(kind: ErrorKind, answer: Result<T, Error>) -> Result<(), TestCaseError> {
    prop_assert_eq!(answer.map_err(|error| error.kind()).err(), Some(kind));
    Ok(())
}

/// What a refusal is that finds one field wrong.
pub fn refused_at<T: std::fmt::Debug>(path: &str, answer: Result<T, Error>) -> Result<(), TestCaseError> {
    let violations = answer.map_err(|error| error.violations().to_vec()).err().unwrap_or_default();
    prop_assert_eq!(violations.iter().map(Violation::path).collect::<Vec<_>>(), [path]);
    Ok(())
}
