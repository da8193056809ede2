//! What the model holds, and how it is written as JSON.

use std::fmt::Write as _;

use chrono::DateTime;
use tokenvault::{Duplicates, SessionId, TokenId};

use crate::common::kinds::{GENERIC, Kind, PCI};
use crate::common::requests::{masked, scheme_of};

/// Pairs of JSON, each already written as JSON writes it.
pub type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub struct Extras {
    pub metadata: Option<Pairs>,
    pub lifetime: Option<u32>,
}

impl Extras {
    /// The members of a request, with `lifetime` as the name of the lifetime.
    pub fn members(&self, lifetime: &str) -> String {
        let metadata = self.metadata.as_ref().map(|metadata| format!(r#""metadata":{},"#, object(metadata)));
        let lifetime = self.lifetime.map(|seconds| format!(r#""{lifetime}":{seconds},"#));
        metadata.unwrap_or_default() + &lifetime.unwrap_or_default()
    }

    pub fn end(&self, now: i64) -> Option<i64> {
        self.lifetime.map(|seconds| now + 1_000 * i64::from(seconds))
    }
}

/// A card; the name is already written as JSON writes it.
#[derive(Clone, Debug)]
pub struct Card {
    pub number: &'static str,
    pub month: u8,
    pub year: u16,
    pub name: Option<String>,
}

impl Card {
    /// What is printed beside the number, as members.
    pub fn printed(&self) -> String {
        let name = self.name.as_ref().map(|name| format!(r#""cardholder_name":{name},"#)).unwrap_or_default();
        format!(r#"{name}"expiry_month":{},"expiry_year":{},"#, self.month, self.year)
    }
}

/// A token.
#[derive(Clone)]
pub struct Held {
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub metadata: Option<Pairs>,
    pub what: What,
}

/// What a token stands for.
#[derive(Clone)]
pub enum What {
    Payload(String),
    /// A card, and whether the vault can find it by its number.
    Card(Card, Indexed),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    Yes,
    No,
}

impl Held {
    pub fn kind(&self) -> &'static Kind {
        if let What::Payload(_) = self.what { &GENERIC } else { &PCI }
    }

    pub fn is_of_card(&self, number: &str) -> bool {
        matches!(&self.what, What::Card(card, _) if card.number == number)
    }

    pub fn view(&self, id: TokenId) -> String {
        let mut view = format!(r#"{{"id":"{id}","#);
        if let What::Card(card, _) = &self.what {
            let (mask, scheme) = (masked(card.number, 6), scheme_of(card.number).unwrap());
            let shown = format!(r#""masked_account_number":"{mask}","scheme":"{scheme}""#);
            write!(view, r#""card":{{{}{shown}}},"#, card.printed()).unwrap();
        }
        write!(view, r#""created_at":"{}""#, instant(self.created_at)).unwrap();
        if let Some(at) = self.expires_at {
            write!(view, r#","expires_at":"{}""#, instant(at)).unwrap();
        }
        if let Some(metadata) = &self.metadata {
            write!(view, r#","metadata":{}"#, object(metadata)).unwrap();
        }
        view + "}"
    }

    pub fn secret(&self) -> String {
        match &self.what {
            What::Payload(payload) => payload.clone(),
            What::Card(card, _) => format!(r#"{{{}"account_number":"{}"}}"#, card.printed(), card.number),
        }
    }
}

/// A session.
#[derive(Clone)]
pub struct Session {
    pub expires_at: i64,
    pub awaits: Awaits,
    pub is_completed: bool,
    /// The token that it has become, or is about.
    pub token: Option<TokenId>,
}

/// What a session waits for, or did.
#[derive(Clone)]
pub enum Awaits {
    Card(Extras, Duplicates),
    Code,
}

impl Session {
    pub fn view(&self) -> String {
        let status = if self.is_completed { "completed" } else { "open" };
        let token = self.token.map(|token| format!(r#","token_id":"{token}""#)).unwrap_or_default();
        format!(r#"{{"status":"{status}"{token}}}"#)
    }
}

/// A security code, and when it ends.
#[derive(Clone)]
pub struct Code {
    pub digits: &'static str,
    pub until: i64,
}

/// What an idempotency key has led to.
#[derive(Clone)]
pub struct Entry {
    /// All by which the request is compared.
    pub compared: String,
    pub target: Target,
    pub expires_at: i64,
}

#[derive(Clone, Copy)]
pub enum Target {
    Token(TokenId),
    Session(SessionId),
}

pub fn object(pairs: &Pairs) -> String {
    let members: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn instant(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
