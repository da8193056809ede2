//! Types of payloads, and the tokens that have one.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::{CreateGeneric, CreateType, ErrorKind, Page};

use crate::common::kinds::{GENERIC, json};
use crate::held::{Extras, Pairs, What, object};
use crate::twin::{Twin, granted, pick, refused, refused_at};

impl Twin<'_> {
    pub fn create_type(&mut self, most: usize) -> Result<(), TestCaseError> {
        let schema = format!(r#"{{"maxProperties":{most}}}"#);
        let made = self.vault.create_type(CreateType::new("a type", &schema).unwrap()).unwrap();
        prop_assert_eq!(json(&made.schema), schema);
        self.types.insert(made.id, most);
        self.type_ids.push(made.id);
        self.sealed += 1;
        Ok(())
    }

    pub fn create_typed(&mut self, which: Index, payload: &Pairs, extras: &Extras) -> Result<(), TestCaseError> {
        let Some(type_id) = pick(which, &self.type_ids) else { return Ok(()) };
        let (members, secret) = (extras.members(GENERIC.lifetime), object(payload));
        let request = format!(r#"{{{members}"type_id":"{type_id}","payload":{secret}}}"#);
        let created = self.vault.create_generic(CreateGeneric::from_json(request.as_bytes()).unwrap());
        match self.types.get(&type_id) {
            Some(most) if payload.len() <= *most => {}
            Some(_) => return refused_at("$.payload", created),
            None => return refused_at("$.type_id", created),
        }
        let id = self.keep(What::Payload(secret), extras.clone(), &json(granted(created)?))?;
        self.typed.insert(id, type_id);
        Ok(())
    }

    pub fn list_typed(&mut self, which: Index, limit: usize, after: Option<Index>) -> Result<(), TestCaseError> {
        let Some(type_id) = pick(which, &self.type_ids) else { return Ok(()) };
        if self.types.contains_key(&type_id) {
            let after = after.and_then(|which| pick(which, &self.ids));
            return self.list(&GENERIC, limit, after, Some(type_id)).map(drop);
        }
        refused_at("$.type_id", self.vault.list_generic(Page::first(limit).of_type(type_id)))
    }

    pub fn delete_type(&mut self, which: Index) -> Result<(), TestCaseError> {
        let Some(type_id) = pick(which, &self.type_ids) else { return Ok(()) };
        let deleted = self.vault.delete_type(type_id);
        if !self.types.contains_key(&type_id) {
            return refused(ErrorKind::NotFound, deleted);
        }
        // One after the other is read, up to the first that lives.
        let tokens = self.held.keys().filter(|id| self.typed.get(id) == Some(&type_id));
        let tokens: Vec<_> = tokens.copied().collect();
        if tokens.into_iter().any(|id| self.live(&GENERIC, id).is_some()) {
            return refused(ErrorKind::Conflict, deleted);
        }
        self.types.remove(&type_id);
        granted(deleted)?;
        Ok(())
    }
}
