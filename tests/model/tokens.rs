//! What is done with tokens that there are, or were.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::card::Pan;
use tokenvault::{Body, Error, ErrorKind, Page, TokenId, TypeId, Vault};

use crate::common::kinds::{Kind, PCI, json};
use crate::held::{Held, Indexed, What};
use crate::step::{Edit, Handed, Update};
use crate::twin::{Stage, Twin, granted, pick, refused, refused_at};

impl Twin<'_> {
    /// Asks for a token by an id that may be of the other kind, expired or gone.
    pub fn ask(
        &mut self,
        kind: &Kind,
        which: Index,
        ask: fn(&Vault, TokenId) -> Result<String, Error>,
        expected: fn(&Held, TokenId) -> String,
    ) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.ids) else { return Ok(()) };
        let answer = ask(&self.vault, id);
        let Some(held) = self.live(kind, id) else { return refused(ErrorKind::NotFound, answer) };
        prop_assert_eq!(granted(answer)?, expected(held, id));
        Ok(())
    }

    /// Asks for many at once, some of them twice, of the other kind, expired or gone.
    pub fn many(&mut self, kind: &Kind, which: &[Index]) -> Result<(), TestCaseError> {
        let ids: Vec<_> = which.iter().filter_map(|which| pick(*which, &self.ids)).collect();
        let answers = (kind.many)(&self.vault, ids.clone());
        prop_assert_eq!(answers.len(), ids.len());
        for (id, answer) in ids.into_iter().zip(answers) {
            match self.live(kind, id) {
                Some(held) => prop_assert_eq!(granted(answer)?, held.view(id)),
                None => refused(ErrorKind::NotFound, answer)?,
            }
        }
        Ok(())
    }

    pub fn delete(&mut self, kind: &Kind, which: Index) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.ids) else { return Ok(()) };
        let deleted = (kind.delete)(&self.vault, id);
        if self.live(kind, id).is_none() {
            return refused(ErrorKind::NotFound, deleted);
        }
        self.remove(id);
        granted(deleted)?;
        Ok(())
    }

    pub fn update(&mut self, kind: &Kind, which: Index, update: &Update) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.ids) else { return Ok(()) };
        let request = update.json(kind);
        let answer = (kind.update)(&self.vault, id, &request);
        let lifetime = if let Edit::Is(seconds) = update.lifetime { Some(1_000 * i64::from(seconds)) } else { None };
        let end = lifetime.map(|lifetime| self.now + lifetime);
        if self.live(kind, id).is_none() {
            return refused(ErrorKind::NotFound, answer);
        }
        self.admit(end);
        let held = self.held.get_mut(&id).unwrap();
        update.metadata.on(&mut held.metadata);
        match update.lifetime {
            Edit::Nothing => {}
            Edit::Null => held.expires_at = None,
            Edit::Is(_) => held.expires_at = end,
        }
        if let What::Card(card, _) = &mut held.what {
            update.name.on(&mut card.name);
            card.month = update.month.unwrap_or(card.month);
            card.year = update.year.unwrap_or(card.year);
        }
        prop_assert_eq!(granted(answer)?, held.view(id));
        self.limit_code(id);
        self.sealed += u64::from(request != "{}");
        Ok(())
    }

    /// A security code ends with its token, also when that is changed.
    pub fn limit_code(&mut self, id: TokenId) {
        let end = self.held[&id].expires_at;
        if let (Some(code), Some(end)) = (self.codes.get_mut(&id), end) {
            code.until = code.until.min(end);
        }
    }

    /// Another card for a token: the security code is that of the new one, if it has any.
    pub fn replace(&mut self, which: Index, handed: Handed) -> Result<(), TestCaseError> {
        let Some(id) = pick(which, &self.ids) else { return Ok(()) };
        let answer = self.vault.replace_account_number(id, handed.source());
        let indexed = self.indexed();
        let Some(held) = self.live(&PCI, id) else { return refused(ErrorKind::NotFound, answer) };
        held.what = What::Card(handed.card, indexed);
        prop_assert_eq!(json(granted(answer)?), held.view(id));
        self.codes.remove(&id);
        self.keep_code(id, handed.code);
        self.sealed += 1;
        Ok(())
    }

    /// Whether a card that is sealed now can be found by its number.
    pub fn indexed(&self) -> Indexed {
        if self.stage == Stage::Off { Indexed::No } else { Indexed::Yes }
    }

    /// The tokens of a card, expired ones included, the oldest first.
    pub fn of_card(&self, number: &str) -> Vec<TokenId> {
        let of_card = self.held.iter().filter(|(_, held)| held.is_of_card(number));
        let mut ids: Vec<_> = of_card.map(|(id, held)| (held.created_at, *id)).collect();
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    pub fn find(&mut self, number: &str) -> Result<(), TestCaseError> {
        let found = self.vault.find_by_account_number(&Pan::parse(number).unwrap());
        if self.stage != Stage::Complete {
            return refused_at("$", found);
        }
        let (live, gone): (Vec<_>, Vec<_>) =
            self.of_card(number).into_iter().partition(|id| self.lives(&self.held[id]));
        prop_assert_eq!(granted(found)?, live);
        let last = gone.into_iter().filter_map(|id| self.held[&id].expires_at).max();
        self.pass_over(last);
        Ok(())
    }

    /// Holds a page to the model; answers where the next one begins.
    pub fn list(
        &mut self,
        kind: &Kind,
        limit: usize,
        after: Option<TokenId>,
        of_type: Option<TypeId>,
    ) -> Result<Option<TokenId>, TestCaseError> {
        let page = after.into_iter().fold(Page::first(limit), Page::after);
        let page = of_type.into_iter().fold(page, Page::of_type);
        let answer = (kind.page)(&self.vault, page).unwrap();

        let held = self.held.iter().filter(|(id, held)| held.kind() == kind && after.is_none_or(|after| **id > after));
        let held = held.filter(|(id, _)| of_type.is_none_or(|of_type| self.typed.get(id) == Some(&of_type)));
        let (mut views, mut ids, mut passed) = (Vec::new(), Vec::new(), None);
        for (id, held) in held {
            if !self.lives(held) {
                passed = passed.max(held.expires_at);
            } else if ids.len() < limit {
                views.push(held.view(*id));
                ids.push(*id);
            } else {
                // One more tells that there is a next page, and nothing behind it is looked at.
                ids.push(*id);
                break;
            }
        }
        let next = if ids.len() > limit { Some(ids[limit - 1]) } else { None };
        let filter = of_type.map(|type_id| format!("&type_id={type_id}")).unwrap_or_default();
        let path = format!("/api/{}/tokens?limit={limit}{filter}", kind.name);
        let links = next.map(|last| format!(r#""next":"{path}&after={last}""#)).unwrap_or_default();
        prop_assert_eq!(answer, format!(r#"{{"data":[{}],"links":{{{links}}}}}"#, views.join(",")));
        self.pass_over(passed);
        Ok(next)
    }
}

/// The secret of a PCI token by way of a template.
pub fn fill(vault: &Vault, id: TokenId) -> Result<String, Error> {
    const NAME: &str = r#""cardholder_name":"{{ cardholder_name }}","#;
    const REST: &str = r#""expiry_month":"{{ expiry_month | unwrap }}","expiry_year":"{{ expiry_year | unwrap }}","account_number":"{{ account_number }}""#;
    let fill = |name: &str| {
        let template = format!("{{{name}{REST}}}");
        vault.fill(id, Body::Json(&template), |filled| String::from_utf8(filled.to_vec()).unwrap())
    };
    fill(NAME).or_else(|error| if error.kind() == ErrorKind::Validation { fill("") } else { Err(error) })
}
