//! Promise: whatever is done in whatever order, a vault answers as a sorted map would, in memory and on disk, reopened or not.
//!
//! The model keeps, of each token, the JSON of its view and the text of its secret, both written here from what was asked for.
//! An expired token stays in it until somebody asks or sweeps, so that the counts of the vault are held to it as well. Beside
//! the tokens it keeps, of each idempotency key, what was asked for and which token came of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::card::Pan;
use tokenvault::{
    CreateGeneric, CreatePci, Duplicates, Error, ErrorKind, Fingerprints, Page, Payload, TokenId, Vault, VaultOptions,
};

use common::clock::HandClock;
use common::requests::{masked, scheme_of};
use common::shared::Shared;
use common::{keys, token};

const BEGIN: &str = "2026-01-02T03:04:05.678Z";

const NUMBERS: [&str; 5] =
    ["4111111111111111", "4222222222222", "378282246310005", "30569309025904", "6205500000000000004"];

/// How long an idempotency key is remembered, in milliseconds.
const DAY: i64 = 86_400_000;

/// Pairs of JSON, each already written as JSON writes it.
type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug)]
struct Extras {
    metadata: Option<Pairs>,
    lifetime: Option<u32>,
}

/// A request for a token, with what is not in its JSON.
#[derive(Clone, Debug)]
struct Asked {
    what: What,
    extras: Extras,
    key: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum What {
    Payload(Pairs),
    Card { number: &'static str, expiry: (u8, u16), name: Option<String>, duplicates: Duplicates },
}

#[derive(Clone, Debug)]
enum Step {
    Create(Asked),
    /// Something that was asked for before.
    Repeat {
        which: Index,
    },
    Find {
        number: &'static str,
    },
    View {
        pci: bool,
        which: Index,
    },
    Reveal {
        pci: bool,
        which: Index,
    },
    Delete {
        pci: bool,
        which: Index,
    },
    List {
        pci: bool,
        limit: usize,
        after: Option<Index>,
    },
    Walk {
        pci: bool,
        limit: usize,
    },
    Advance {
        millis: i64,
    },
    Sweep,
    Reopen,
}

fn pairs(value: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Pairs> {
    // A map, so that no key comes twice.
    prop::collection::btree_map(".{1,20}", value, 0..5)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (serde_json::to_string(&key).unwrap(), value)).collect())
}

fn text(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern.prop_map(|text| serde_json::to_string(&text).unwrap())
}

fn extras() -> impl Strategy<Value = Extras> {
    let metadata = prop::option::of(pairs(text(".{1,80}")));
    (metadata, prop::option::of(1_u32..30)).prop_map(|(metadata, lifetime)| Extras { metadata, lifetime })
}

fn step() -> impl Strategy<Value = Step> {
    let scalar = prop_oneof![
        text(".{1,80}"),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-1e9..1e9).prop_map(|value: f64| format!("{value:?}")),
        Just("1.50e+2".to_owned()),
    ];
    let key = prop::option::of(prop::sample::select(vec!["a", "b", "c", "d"]));
    let generic = (pairs(scalar), extras(), key.clone())
        .prop_map(|(payload, extras, key)| Step::Create(Asked { what: What::Payload(payload), extras, key }));
    let name = prop::option::of(text("[^\\pC]{1,60}"));
    let number = prop::sample::select(NUMBERS.to_vec());
    let duplicates = [Duplicates::Allow, Duplicates::Allow, Duplicates::ReturnExisting, Duplicates::UpdateExisting];
    let card = (number.clone(), (1_u8..=12, 2000_u16..=9999), name, prop::sample::select(duplicates.to_vec()))
        .prop_map(|(number, expiry, name, duplicates)| What::Card { number, expiry, name, duplicates });
    let pci = (card, extras(), key).prop_map(|(what, extras, key)| Step::Create(Asked { what, extras, key }));
    let one = (any::<bool>(), any::<Index>());
    let list = (any::<bool>(), 1_usize..6, prop::option::of(any::<Index>()));
    prop_oneof![
        3 => generic,
        4 => pci,
        2 => any::<Index>().prop_map(|which| Step::Repeat { which }),
        1 => number.prop_map(|number| Step::Find { number }),
        2 => one.clone().prop_map(|(pci, which)| Step::View { pci, which }),
        2 => one.clone().prop_map(|(pci, which)| Step::Reveal { pci, which }),
        2 => one.prop_map(|(pci, which)| Step::Delete { pci, which }),
        2 => list.prop_map(|(pci, limit, after)| Step::List { pci, limit, after }),
        1 => (any::<bool>(), 1_usize..8).prop_map(|(pci, limit)| Step::Walk { pci, limit }),
        2 => (0_i64..15_000).prop_map(|millis| Step::Advance { millis }),
        1 => prop::sample::select(vec![DAY / 2, DAY - 1, DAY]).prop_map(|millis| Step::Advance { millis }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
    ]
}

/// A token of the model.
struct Held {
    view: String,
    secret: String,
    created_at: i64,
    expires_at: Option<i64>,
    /// The number of a card.
    number: Option<&'static str>,
}

/// What an idempotency key has led to.
struct Entry {
    /// The request, as text.
    asked: String,
    target: TokenId,
    expires_at: i64,
}

/// Of an answer, which token it tells of.
#[derive(serde::Deserialize)]
struct Made {
    id: TokenId,
}

/// A vault, and what it should hold.
struct Twin<'a> {
    open: &'a dyn Fn(HandClock) -> Vault,
    vault: Vault,
    clock: HandClock,
    now: i64,
    /// Generic tokens, then PCI tokens.
    held: [BTreeMap<TokenId, Held>; 2],
    /// By kind and key; expired ones stay until they are swept or replaced.
    entries: BTreeMap<(bool, &'static str), Entry>,
    /// Every request that was ever made.
    asked: Vec<Asked>,
    /// Every id that was ever given out, those of tokens that are gone included.
    ids: Vec<TokenId>,
    /// How often a record was sealed and kept.
    sealed: u64,
    /// How often one may have been sealed for a card that was taken for new.
    guessed: u64,
}

impl<'a> Twin<'a> {
    fn begin(open: &'a dyn Fn(HandClock) -> Vault) -> Self {
        let clock = HandClock::at(BEGIN);
        let now = DateTime::parse_from_rfc3339(BEGIN).unwrap().timestamp_millis();
        let vault = open(clock.clone());
        let (held, entries) = Default::default();
        Self { open, vault, clock, now, held, entries, asked: Vec::new(), ids: Vec::new(), sealed: 0, guessed: 0 }
    }

    fn lives(&self, held: &Held) -> bool {
        held.expires_at.is_none_or(|at| self.now < at)
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Create(asked) => {
                self.create(&asked)?;
                self.asked.push(asked);
            }
            Step::Repeat { .. } if self.asked.is_empty() => {}
            Step::Repeat { which } => self.create(&which.get(&self.asked).clone())?,
            Step::Find { number } => self.find(number)?,
            Step::View { pci, which } => self.ask(pci, which, Self::view, |held| &held.view)?,
            Step::Reveal { pci, which } => {
                self.ask(pci, which, Self::reveal, |held| &held.secret)?;
            }
            Step::Delete { pci, which } => self.delete(pci, which)?,
            Step::List { pci, limit, after } => {
                let after = after.filter(|_| !self.ids.is_empty()).map(|which| *which.get(&self.ids));
                self.list(pci, limit, after)?;
            }
            Step::Walk { pci, limit } => {
                let mut after = None;
                while let Some(last) = self.list(pci, limit, after)? {
                    after = Some(last);
                }
            }
            Step::Advance { millis } => {
                self.clock.advance_millis(millis);
                self.now += millis;
            }
            Step::Sweep => self.sweep()?,
            Step::Reopen => {
                self.vault.close().unwrap();
                self.vault = (self.open)(self.clock.clone());
            }
        }
        self.counts_agree()
    }

    /// Asks for a token, and holds the answer to what the model makes of it.
    fn create(&mut self, asked: &Asked) -> Result<(), TestCaseError> {
        let (kind, card, secret) = asked.words();
        let answer = self.ask_for(asked);
        let text = format!("{:?} {:?}", asked.what, asked.extras);
        if let Some(key) = asked.key {
            let entry = self.entries.get(&(kind, key)).filter(|entry| self.now < entry.expires_at);
            if let Some(Entry { asked, target, .. }) = entry {
                let (is_same, target) = (*asked == text, *target);
                return self.is_replay(kind, is_same, target, answer);
            }
        }
        let id = self.make(asked, &card, secret, &answer.unwrap())?;
        if let Some(key) = asked.key {
            let entry = Entry { asked: text, target: id, expires_at: self.now + DAY };
            self.entries.insert((kind, key), entry);
        }
        Ok(())
    }

    /// What the vault answers, as JSON.
    fn ask_for(&self, asked: &Asked) -> Result<String, Error> {
        let Asked { what, extras, key } = asked;
        match what {
            What::Payload(payload) => {
                let members = extras_members(extras, "expiration_time");
                let json = format!(r#"{{{members}"payload":{}}}"#, object(payload));
                let request = CreateGeneric::from_json(json.as_bytes()).unwrap();
                let request = key.iter().try_fold(request, |request, key| request.idempotency_key(key)).unwrap();
                self.vault.create_generic(request).map(|created| serde_json::to_string(&created).unwrap())
            }
            What::Card { number, expiry, name, duplicates } => {
                let members = extras_members(extras, "expires_in");
                let fields = card_fields(*expiry, name.as_ref());
                let json = format!(r#"{{{members}"source":{{"type":"pan",{fields},"account_number":"{number}"}}}}"#);
                let request = CreatePci::from_json(json.as_bytes()).unwrap().duplicates(*duplicates);
                let request = key.iter().try_fold(request, |request, key| request.idempotency_key(key)).unwrap();
                self.vault.create_pci(request).map(|created| serde_json::to_string(&token(created)).unwrap())
            }
        }
    }

    /// Holds an answer to what stands already, or to a conflict.
    fn is_replay(
        &mut self,
        pci: bool,
        is_same: bool,
        target: TokenId,
        answer: Result<String, Error>,
    ) -> Result<(), TestCaseError> {
        match self.held[usize::from(pci)].get(&target) {
            Some(held) if is_same && self.lives(held) => prop_assert_eq!(&answer.unwrap(), &held.view),
            _ => {
                prop_assert_eq!(answer.unwrap_err().kind(), ErrorKind::Conflict);
                let expired = self.held[usize::from(pci)].get(&target).is_some_and(|held| !self.lives(held));
                if is_same && expired {
                    self.held[usize::from(pci)].remove(&target);
                }
            }
        }
        Ok(())
    }

    /// Makes, changes or finds a token in the model, and holds the answer to its view.
    fn make(&mut self, asked: &Asked, card: &str, secret: String, answer: &str) -> Result<TokenId, TestCaseError> {
        let (number, duplicates) = match asked.what {
            What::Card { number, duplicates, .. } => (Some(number), duplicates),
            What::Payload(_) => (None, Duplicates::Allow),
        };
        self.guessed += u64::from(duplicates != Duplicates::Allow);
        let existing = number.filter(|_| duplicates != Duplicates::Allow).and_then(|number| self.oldest(number));
        if let Some(id) = existing.filter(|_| duplicates == Duplicates::ReturnExisting) {
            prop_assert_eq!(answer, &self.held[1][&id].view);
            return Ok(id);
        }
        let id = serde_json::from_str::<Made>(answer).unwrap().id;
        prop_assert!(existing.is_none_or(|existing| existing == id), "another token was changed");
        let created_at = existing.map_or(self.now, |id| self.held[1][&id].created_at);
        let expires_at = asked.extras.lifetime.map(|seconds| self.now + 1_000 * i64::from(seconds));
        let mut view = format!(r#"{{"id":"{id}",{card}"created_at":"{}""#, instant(created_at));
        if let Some(at) = expires_at {
            write!(view, r#","expires_at":"{}""#, instant(at)).unwrap();
        }
        if let Some(metadata) = &asked.extras.metadata {
            write!(view, r#","metadata":{}"#, object(metadata)).unwrap();
        }
        view.push('}');
        prop_assert_eq!(answer, &view);
        let held = Held { view, secret, created_at, expires_at, number };
        let before = self.held[usize::from(number.is_some())].insert(id, held);
        prop_assert_eq!(before.is_some(), existing.is_some(), "an id was given out twice");
        self.sealed += 1;
        if existing.is_none() {
            self.ids.push(id);
        }
        Ok(id)
    }

    /// The tokens of a card, expired ones included, the oldest first.
    fn of_card(&self, number: &str) -> Vec<TokenId> {
        let mut ids: Vec<_> = self.held[1]
            .iter()
            .filter(|(_, held)| held.number == Some(number))
            .map(|(id, held)| (held.created_at, *id))
            .collect();
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// The oldest live token of a card; older ones that have expired are in the way, and removed.
    fn oldest(&mut self, number: &str) -> Option<TokenId> {
        for id in self.of_card(number) {
            if self.lives(&self.held[1][&id]) {
                return Some(id);
            }
            self.held[1].remove(&id);
        }
        None
    }

    fn find(&self, number: &str) -> Result<(), TestCaseError> {
        let found = self.vault.find_by_account_number(&Pan::parse(number).unwrap()).unwrap();
        let live: Vec<_> = self.of_card(number).into_iter().filter(|id| self.lives(&self.held[1][id])).collect();
        prop_assert_eq!(found, live);
        Ok(())
    }

    fn view(&self, pci: bool, id: TokenId) -> Result<String, Error> {
        if pci {
            return self.vault.pci(id).map(|token| serde_json::to_string(&token).unwrap());
        }
        self.vault.generic(id).map(|token| serde_json::to_string(&token).unwrap())
    }

    fn reveal(&self, pci: bool, id: TokenId) -> Result<String, Error> {
        if !pci {
            return self.vault.generic_payload(id, written);
        }
        self.vault.reveal_pci(id, |card| {
            let name = card.cardholder_name().map(|name| serde_json::to_string(name).unwrap());
            let name = name.map(|name| format!(r#""cardholder_name":{name},"#)).unwrap_or_default();
            let (month, year) = (card.expiry().month(), card.expiry().year());
            let expiry = format!(r#""expiry_month":{month},"expiry_year":{year}"#);
            format!(r#"{{{name}{expiry},"account_number":"{}"}}"#, card.account_number())
        })
    }

    /// Asks for a token by an id that may be of the other kind, expired or gone.
    fn ask(
        &mut self,
        pci: bool,
        which: Index,
        ask: fn(&Self, bool, TokenId) -> Result<String, Error>,
        expected: fn(&Held) -> &String,
    ) -> Result<(), TestCaseError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = *which.get(&self.ids);
        let answer = ask(self, pci, id);
        match self.held[usize::from(pci)].get(&id) {
            Some(held) if self.lives(held) => prop_assert_eq!(&answer.unwrap(), expected(held)),
            _ => {
                prop_assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
                self.held[usize::from(pci)].remove(&id);
            }
        }
        Ok(())
    }

    fn delete(&mut self, pci: bool, which: Index) -> Result<(), TestCaseError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = *which.get(&self.ids);
        let deleted = if pci { self.vault.delete_pci(id) } else { self.vault.delete_generic(id) };
        let removed = self.held[usize::from(pci)].remove(&id);
        let lived = removed.is_some_and(|held| self.lives(&held));
        prop_assert_eq!(deleted.map_err(|error| error.kind()), if lived { Ok(()) } else { Err(ErrorKind::NotFound) });
        Ok(())
    }

    /// Holds a page to the model; answers where the next one begins.
    fn list(&self, pci: bool, limit: usize, after: Option<TokenId>) -> Result<Option<TokenId>, TestCaseError> {
        let page = after.into_iter().fold(Page::first(limit), Page::after);
        let json = if pci {
            serde_json::to_string(&self.vault.list_pci(page).unwrap()).unwrap()
        } else {
            serde_json::to_string(&self.vault.list_generic(page).unwrap()).unwrap()
        };
        let held = self.held[usize::from(pci)].iter();
        let mut behind = held.filter(|(id, held)| after.is_none_or(|after| **id > after) && self.lives(held));
        let data: Vec<_> = behind.by_ref().take(limit).collect();
        let next = behind.next().and(data.last()).map(|(id, _)| **id);
        let kind = if pci { "pci" } else { "generic" };
        let links = next.map(|last| format!(r#""next":"/api/{kind}/tokens?limit={limit}&after={last}""#));
        let views: Vec<_> = data.iter().map(|(_, held)| held.view.as_str()).collect();
        let expected = format!(r#"{{"data":[{}],"links":{{{}}}}}"#, views.join(","), links.unwrap_or_default());
        prop_assert_eq!(json, expected);
        Ok(next)
    }

    fn sweep(&mut self) -> Result<(), TestCaseError> {
        let report = self.vault.sweep().unwrap();
        let now = self.now;
        let removed = [0, 1].map(|kind| {
            let before = self.held[kind].len();
            self.held[kind].retain(|_, held| held.expires_at.is_none_or(|at| now < at));
            u64::try_from(before - self.held[kind].len()).unwrap()
        });
        prop_assert_eq!([report.expired_generic, report.expired_pci], removed);
        let entries = self.entries.len();
        self.entries.retain(|_, entry| now < entry.expires_at);
        let forgotten = u64::try_from(entries - self.entries.len()).unwrap();
        prop_assert_eq!([report.expired_other, report.expired_sessions, report.remaining], [forgotten, 0, 0]);
        Ok(())
    }

    fn counts_agree(&self) -> Result<(), TestCaseError> {
        let stats = self.vault.stats().unwrap();
        let [generic, pci] = [0, 1].map(|kind| self.held[kind].len());
        let expiring = self.held.iter().flat_map(BTreeMap::values).filter(|held| held.expires_at.is_some()).count();
        let counted = [stats.generic_tokens, stats.pci_tokens, stats.expiring_tokens];
        prop_assert_eq!(counted, [generic, pci, expiring].map(|count| u64::try_from(count).unwrap()));
        let sealed = stats.key_epochs[0].sealed_records;
        prop_assert!((self.sealed..=self.sealed + self.guessed).contains(&sealed));
        Ok(())
    }
}

impl Asked {
    /// Whether it is for a card; the card of its view, and its secret, as JSON.
    fn words(&self) -> (bool, String, String) {
        match &self.what {
            What::Payload(payload) => (false, String::new(), object(payload)),
            What::Card { number, expiry, name, .. } => {
                let fields = card_fields(*expiry, name.as_ref());
                let (mask, scheme) = (masked(number, 6), scheme_of(number).unwrap());
                let card = format!(r#""card":{{{fields},"masked_account_number":"{mask}","scheme":"{scheme}"}},"#);
                (true, card, format!(r#"{{{fields},"account_number":"{number}"}}"#))
            }
        }
    }
}

fn card_fields((month, year): (u8, u16), name: Option<&String>) -> String {
    let name = name.map(|name| format!(r#""cardholder_name":{name},"#)).unwrap_or_default();
    format!(r#"{name}"expiry_month":{month},"expiry_year":{year}"#)
}

fn object(pairs: &Pairs) -> String {
    let members: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn extras_members(extras: &Extras, lifetime: &str) -> String {
    let metadata = extras.metadata.as_ref().map(|metadata| format!(r#""metadata":{},"#, object(metadata)));
    let lifetime = extras.lifetime.map(|seconds| format!(r#""{lifetime}":{seconds},"#));
    metadata.unwrap_or_default() + &lifetime.unwrap_or_default()
}

fn instant(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A payload as its request wrote it.
fn written(payload: &Payload) -> String {
    let pairs = payload.iter().map(|(key, value)| {
        let text = value.as_str().map(|text| serde_json::to_string(text).unwrap());
        let truth = value.as_bool().map(|truth| truth.to_string());
        let number = value.as_number().and_then(|number| number.as_literal().map(str::to_owned));
        (serde_json::to_string(key).unwrap(), text.or(truth).or(number).unwrap())
    });
    object(&pairs.collect())
}

fn options(clock: HandClock) -> VaultOptions {
    VaultOptions::new().clock(clock).fingerprints(Fingerprints::On)
}

fn agree(open: &dyn Fn(HandClock) -> Vault, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut twin = Twin::begin(open);
    steps.into_iter().try_for_each(|step| twin.take(step))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_vault_in_memory_answers_as_the_model(steps in prop::collection::vec(step(), 1..70)) {
        let shared = Shared::default();
        agree(&|clock| options(clock).open_with(shared.clone(), keys()).unwrap(), steps)?;
    }
}

#[cfg(feature = "sled")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_vault_on_disk_answers_as_the_model(steps in prop::collection::vec(step(), 1..50)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        agree(&|clock| options(clock).open_or_create(&path, keys()).unwrap(), steps)?;
    }
}
