//! What becomes of sessions and security codes.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::{Body, ErrorKind, SessionId, TokenId};

use crate::common::kinds::{PCI, json};
use crate::held::{Awaits, Session};
use crate::step::{Deed, security_code};
use crate::twin::{KEEPS_CODES, Twin, granted, pick, refused, refused_at};

impl Twin<'_> {
    /// A session that is there: not behind its end, nor without the token whose security code it is about.
    pub fn live_session(&mut self, id: SessionId) -> Option<&mut Session> {
        let session = self.sessions.get(&id)?;
        if self.is_over(session.expires_at) {
            self.sessions.remove(&id);
            return None;
        }
        let about = session.token.filter(|_| matches!(session.awaits, Awaits::Code));
        if let Some(token) = about {
            self.live(&PCI, token)?;
        }
        self.sessions.get_mut(&id)
    }

    pub fn session(&mut self, which: Index) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.session_ids) else { return Ok(()) };
        let answer = self.vault.session(id);
        let Some(session) = self.live_session(id) else { return refused(ErrorKind::NotFound, answer) };
        prop_assert_eq!(json(granted(answer)?), session.view());
        Ok(())
    }

    /// Opens a session for another security code of a token.
    pub fn refresh(&mut self, which: Index) -> Result<(), TestCaseError> {
        let Some(token) = pick(which, &self.ids) else { return Ok(()) };
        let answer = self.vault.refresh_security_code(token);
        let Some(held) = self.live(&PCI, token) else { return refused(ErrorKind::NotFound, answer) };
        let end = held.expires_at;
        self.open_session(granted(answer)?, Awaits::Code, Some(token), end)
    }

    /// Hands in the security code that a session waits for.
    pub fn complete_refresh(&mut self, which: Index, code: &'static str) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.session_ids) else { return Ok(()) };
        let answer = self.vault.complete_security_code(id, security_code(code));
        let Some(session) = self.live_session(id) else { return refused(ErrorKind::NotFound, answer) };
        let (Awaits::Code, Some(token)) = (session.awaits.clone(), session.token) else {
            return refused_at("$.session_id", answer);
        };
        if session.is_completed {
            return refused(ErrorKind::Conflict, answer);
        }
        if !*KEEPS_CODES {
            return refused(ErrorKind::Unavailable, answer);
        }
        session.is_completed = true;
        granted(answer)?;
        self.keep_code(token, Some(code));
        self.sealed += 1;
        Ok(())
    }

    pub fn code(&mut self, deed: Deed, which: Index) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.ids) else { return Ok(()) };
        // All as text, so that whatever is done can be compared.
        let vault = &self.vault;
        let answer = match deed {
            Deed::Look => vault.security_code_available(id).map(|is_there| is_there.to_string()),
            Deed::Use => vault.use_security_code(id, str::to_owned),
            Deed::Fill => {
                let form = Body::Form("{{ security_code }}");
                vault.fill(id, form, |filled| String::from_utf8(filled.to_vec()).unwrap())
            }
            Deed::Delete => vault.delete_security_code(id).map(|()| String::new()),
        };
        if self.live(&PCI, id).is_none() {
            return refused(ErrorKind::NotFound, answer);
        }
        let digits = self.standing_code(id);
        if !matches!(deed, Deed::Look) {
            self.codes.remove(&id);
        }
        match (deed, digits) {
            (Deed::Look, digits) => prop_assert_eq!(granted(answer)?, digits.is_some().to_string()),
            (Deed::Delete, _) => prop_assert_eq!(granted(answer)?, ""),
            (Deed::Use | Deed::Fill, Some(digits)) => prop_assert_eq!(granted(answer)?, digits),
            (Deed::Use, None) => refused(ErrorKind::NotFound, answer)?,
            (Deed::Fill, None) => refused(ErrorKind::Validation, answer)?,
        }
        Ok(())
    }

    /// The code of a token; one that has lapsed goes, since somebody has asked for it.
    fn standing_code(&mut self, id: TokenId) -> Option<&'static str> {
        if self.codes.get(&id).is_some_and(|code| code.until <= self.now) {
            self.codes.remove(&id);
        }
        self.codes.get(&id).map(|code| code.digits)
    }
}
