//! What comes of requests for tokens and sessions: alone, many at once, and again.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::{CreateGeneric, Duplicates, Error, ErrorKind, SessionId, TokenId};

use crate::common::kinds::{GENERIC, Kind, PCI, json};
use crate::held::{Awaits, Code, Entry, Extras, Held, Session, Target, What, object};
use crate::step::{Asked, Completion, DAY, Handed, MINUTE, Wanted};
use crate::twin::{KEEPS_CODES, Operation, Stage, Twin, granted, pick, refused, refused_at};

/// How long a session takes what it waits for, in milliseconds, and how long a security code is kept.
pub const QUARTER_OF_AN_HOUR: i64 = 15 * MINUTE;

/// Of an answer, which token it tells of.
#[derive(serde::Deserialize)]
struct Made {
    id: TokenId,
}

/// Of an answer, which session it tells of.
#[derive(serde::Deserialize)]
struct Opened {
    session_id: SessionId,
}

fn told<'a, T: serde::Deserialize<'a>>(answer: &'a str) -> Result<T, TestCaseError> {
    serde_json::from_str(answer).map_err(|error| TestCaseError::fail(format!("{answer}: {error}")))
}

/// What the vault answers, as JSON.
type Answer = Result<String, Error>;

impl Twin<'_> {
    pub fn create(&mut self, asked: Asked) -> Result<(), TestCaseError> {
        if asked.duplicates() != Duplicates::Allow {
            self.settle()?;
        }
        let answer = match asked.what {
            Wanted::Payload(_) => self.vault.create_generic(asked.generic().unwrap()).map(json),
            Wanted::Card(..) | Wanted::Session(_) => self.vault.create_pci(asked.pci().unwrap()).map(json),
        };
        self.answered(&asked, answer)?;
        self.asked.push(asked);
        Ok(())
    }

    /// Many at once are as one after the other in some order, and what was refused before it came here harms no other.
    pub fn create_many(&mut self, kind: &Kind, group: Vec<Option<Asked>>) -> Result<(), TestCaseError> {
        // What is looked for and then not needed is its own affair as well.
        let looks = group.iter().flatten().any(|asked| asked.duplicates() != Duplicates::Allow);
        if looks {
            self.sweep()?;
        } else {
            self.settle()?;
        }
        let refusal = || CreateGeneric::from_json(b"").map(drop).unwrap_err();
        let answers: Vec<Answer> = if *kind == GENERIC {
            let requests = group.iter().map(|asked| asked.as_ref().map_or_else(|| Err(refusal()), Asked::generic));
            self.vault.create_generic_many(requests).map(|made| made.map(json)).collect()
        } else {
            let requests = group.iter().map(|asked| asked.as_ref().map_or_else(|| Err(refusal()), Asked::pci));
            self.vault.create_pci_many(requests).map(|made| made.map(json)).collect()
        };
        prop_assert_eq!(answers.len(), group.len());
        // Each may be planned anew when it shares no commit after all, and once more when somebody got ahead.
        self.guessed += 3 * u64::try_from(group.len()).unwrap();
        for (request, answer) in group.into_iter().zip(answers) {
            match request {
                None => refused_at("$", answer)?,
                Some(request) => {
                    self.answered(&request, answer)?;
                    self.asked.push(request);
                }
            }
        }
        Ok(())
    }

    /// Holds an answer to what the model makes of the request.
    fn answered(&mut self, asked: &Asked, answer: Answer) -> Result<(), TestCaseError> {
        let cannot_look = asked.duplicates() != Duplicates::Allow && self.stage != Stage::Complete;
        if cannot_look {
            return refused_at("$.duplicates", answer);
        }
        let operation = if *asked.kind() == GENERIC { Operation::CreateGeneric } else { Operation::CreatePci };
        let compared = asked.compared();
        let handed = if let Wanted::Card(handed, _) = &asked.what { Some(handed) } else { None };
        let Some(answer) = self.unless_replayed(operation, asked.key, &compared, handed, answer)? else {
            return Ok(());
        };
        let answer = granted(answer)?;
        let target = match &asked.what {
            Wanted::Payload(payload) => {
                Target::Token(self.keep(What::Payload(object(payload)), asked.extras.clone(), &answer)?)
            }
            Wanted::Card(handed, duplicates) => {
                Target::Token(self.make(handed, *duplicates, asked.extras.clone(), &answer)?)
            }
            Wanted::Session(duplicates) => {
                let Opened { session_id } = told(&answer)?;
                prop_assert_eq!(answer, format!(r#"{{"session_id":"{session_id}"}}"#));
                self.open_session(session_id, Awaits::Card(asked.extras.clone(), *duplicates), None, None)?;
                Target::Session(session_id)
            }
        };
        self.remember(operation, asked.key, compared, target);
        Ok(())
    }

    /// Holds an answer to what stands already or to a conflict, if the idempotency key is known; otherwise hands it back.
    fn unless_replayed(
        &mut self,
        operation: Operation,
        key: Option<&'static str>,
        compared: &str,
        handed: Option<&Handed>,
        answer: Answer,
    ) -> Result<Option<Answer>, TestCaseError> {
        let Some(key) = key else { return Ok(Some(answer)) };
        self.admit(Some(self.now + DAY));
        let entry = self.entries.get(&(operation, key)).filter(|entry| !self.is_over(entry.expires_at));
        let Some(entry) = entry else { return Ok(Some(answer)) };
        if entry.compared != compared {
            refused(ErrorKind::Conflict, answer)?;
            return Ok(None);
        }
        let standing = match entry.target {
            Target::Session(id) => self.live_session(id).map(|_| format!(r#"{{"session_id":"{id}"}}"#)),
            Target::Token(id) => {
                let kind = if operation == Operation::CreateGeneric { &GENERIC } else { &PCI };
                let view = self.live(kind, id).map(|held| held.view(id));
                // Not for a token that is another card's by now.
                let is_of_card = |handed: &&Handed| matches!(&self.held[&id].what, What::Card(card, _) if card.number == handed.card.number);
                if let Some(handed) = handed.filter(|handed| view.is_some() && is_of_card(handed)) {
                    self.keep_code(id, handed.code);
                }
                view
            }
        };
        match standing {
            Some(view) => prop_assert_eq!(granted(answer)?, view),
            None => refused(ErrorKind::Conflict, answer)?,
        }
        Ok(None)
    }

    fn remember(&mut self, operation: Operation, key: Option<&'static str>, compared: String, target: Target) {
        if let Some(key) = key {
            self.entries.insert((operation, key), Entry { compared, target, expires_at: self.now + DAY });
        }
    }

    /// Adds a token to the model, and holds the answer to the view that it must have.
    pub fn keep(&mut self, what: What, extras: Extras, answer: &str) -> Result<TokenId, TestCaseError> {
        let Made { id } = told(answer)?;
        let expires_at = extras.end(self.now);
        self.admit(expires_at);
        let held = Held { created_at: self.now, expires_at, metadata: extras.metadata, what };
        prop_assert_eq!(answer, held.view(id));
        prop_assert!(self.held.insert(id, held).is_none(), "an id was given out twice");
        self.ids.push(id);
        self.sealed += 1;
        Ok(id)
    }

    /// Makes, changes or finds the token of a card in the model, and holds the answer to its view.
    fn make(
        &mut self,
        handed: &Handed,
        duplicates: Duplicates,
        extras: Extras,
        answer: &str,
    ) -> Result<TokenId, TestCaseError> {
        let what = What::Card(handed.card.clone(), self.indexed());
        let mut standing = None;
        if duplicates != Duplicates::Allow {
            self.guessed += 1;
            standing = self.oldest(handed.card.number);
        }
        let id = match standing {
            None => self.keep(what, extras, answer)?,
            Some(id) => {
                if duplicates == Duplicates::UpdateExisting {
                    let expires_at = extras.end(self.now);
                    self.admit(expires_at);
                    let held = self.held.get_mut(&id).unwrap();
                    *held = Held { created_at: held.created_at, expires_at, metadata: extras.metadata, what };
                    self.limit_code(id);
                    self.sealed += 1;
                }
                prop_assert_eq!(answer, self.held[&id].view(id));
                id
            }
        };
        self.keep_code(id, handed.code);
        Ok(id)
    }

    /// The oldest live token of a card; older ones that have expired are in the way, and removed.
    fn oldest(&mut self, number: &str) -> Option<TokenId> {
        self.of_card(number).into_iter().find(|id| self.live(&PCI, *id).is_some())
    }

    /// A security code came for a token, if one did: it takes the place of the one before.
    pub fn keep_code(&mut self, id: TokenId, code: Option<&'static str>) {
        let Some(digits) = code else { return };
        let until = self.now + QUARTER_OF_AN_HOUR;
        let until = self.held[&id].expires_at.map_or(until, |end| end.min(until));
        self.codes.remove(&id);
        if *KEEPS_CODES {
            self.codes.insert(id, Code { digits, until });
        }
    }

    /// Adds a session to the model; that of a security code ends with its token.
    pub fn open_session(
        &mut self,
        id: SessionId,
        awaits: Awaits,
        token: Option<TokenId>,
        end: Option<i64>,
    ) -> Result<(), TestCaseError> {
        let expires_at = self.now + QUARTER_OF_AN_HOUR;
        let expires_at = end.map_or(expires_at, |end| end.min(expires_at));
        self.admit(Some(expires_at));
        let session = Session { expires_at, awaits, is_completed: false, token };
        prop_assert!(self.sessions.insert(id, session).is_none(), "an id was given out twice");
        self.session_ids.push(id);
        self.sealed += 1;
        Ok(())
    }

    pub fn complete(&mut self, which: Index, completion: Completion) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.session_ids) else { return Ok(()) };
        self.complete_session(id, &completion)?;
        self.completions.push((id, completion));
        Ok(())
    }

    pub fn complete_again(&mut self, which: Index, code: Option<&'static str>) -> Result<(), TestCaseError> {
        if self.completions.is_empty() {
            return Ok(());
        }
        let (id, Completion { handed, key }) = which.get(&self.completions).clone();
        self.complete_session(id, &Completion { handed: Handed { code, ..handed }, key })
    }

    /// Hands in the card that a session waits for, which gets what was given with the session.
    fn complete_session(&mut self, id: SessionId, completion: &Completion) -> Result<(), TestCaseError> {
        self.settle()?;
        let Completion { handed, key } = completion;
        let answer = self.vault.complete_session(id, completion.request()).map(json);
        let compared = format!("{id} {:?}", handed.card);
        let replayed = self.unless_replayed(Operation::Complete, *key, &compared, Some(handed), answer)?;
        let Some(answer) = replayed else { return Ok(()) };
        let Some(session) = self.live_session(id) else { return refused(ErrorKind::NotFound, answer) };
        let Awaits::Card(extras, duplicates) = session.awaits.clone() else {
            return refused_at("$.session_id", answer);
        };
        if session.is_completed {
            return refused(ErrorKind::Conflict, answer);
        }
        if duplicates != Duplicates::Allow {
            self.guessed += 1;
        }
        let token = self.make(handed, duplicates, extras, &granted(answer)?)?;
        let session = self.sessions.get_mut(&id).unwrap();
        (session.is_completed, session.token) = (true, Some(token));
        self.sealed += 1;
        self.remember(Operation::Complete, *key, compared, Target::Token(token));
        Ok(())
    }
}
