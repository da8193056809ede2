//! Promise: whatever is done in whatever order, a vault answers as a sorted map would, in memory and on disk, reopened or not.
//!
//! The model keeps, of each token, what was asked for, and writes the JSON of its view and the text of its secret from that.
//! An expired token stays in it until somebody asks or sweeps, so that the counts of the vault are held to it as well.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::card::Pan;
use tokenvault::{
    Body, CreateGeneric, CreatePci, CreateType, Duplicates, Error, ErrorKind, Fingerprints, Page, PanSource, Payload,
    TokenId, TypeId, UpdateGeneric, UpdatePci, Vault, VaultOptions,
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

/// A card; the name is already written as JSON writes it.
#[derive(Clone, Debug)]
struct Card {
    number: &'static str,
    month: u8,
    year: u16,
    name: Option<String>,
}

/// What a change says of a field.
#[derive(Clone, Debug)]
enum Edit<T> {
    Nothing,
    Null,
    Is(T),
}

impl<T: Clone> Edit<T> {
    fn on(&self, field: &mut Option<T>) {
        match self {
            Self::Nothing => {}
            Self::Null => *field = None,
            Self::Is(value) => *field = Some(value.clone()),
        }
    }

    /// The member of a request, and a comma.
    fn member(&self, name: &str, write: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Null => format!(r#""{name}":null,"#),
            Self::Is(value) => format!(r#""{name}":{},"#, write(value)),
        }
    }
}

/// A change; month, year and name are said of cards alone.
#[derive(Clone, Debug)]
struct Update {
    month: Option<u8>,
    year: Option<u16>,
    name: Edit<String>,
    metadata: Edit<Pairs>,
    lifetime: Edit<u32>,
}

/// A request for a token, with what is not in its JSON.
#[derive(Clone, Debug)]
struct Asked {
    what: Wanted,
    extras: Extras,
    key: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Payload(Pairs),
    Card(Card, Duplicates),
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
    Fill {
        which: Index,
    },
    Delete {
        pci: bool,
        which: Index,
    },
    Update {
        pci: bool,
        which: Index,
        update: Update,
    },
    Replace {
        which: Index,
        card: Card,
    },
    Many {
        pci: bool,
        which: Vec<Index>,
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
    CreateType {
        most: usize,
    },
    CreateTyped {
        which: Index,
        payload: Pairs,
        extras: Extras,
    },
    ListTyped {
        which: Index,
        limit: usize,
        after: Option<Index>,
    },
    DeleteType {
        which: Index,
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

fn name() -> impl Strategy<Value = String> {
    text("[^\\pC]{1,60}")
}

fn card() -> impl Strategy<Value = Card> {
    let number = prop::sample::select(NUMBERS.to_vec());
    (number, 1_u8..=12, 2000_u16..=9999, prop::option::of(name())).prop_map(|(number, month, year, name)| Card {
        number,
        month,
        year,
        name,
    })
}

fn edit<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Edit<T>> {
    prop_oneof![2 => Just(Edit::Nothing), 1 => Just(Edit::Null), 2 => value.prop_map(Edit::Is)]
}

fn update() -> impl Strategy<Value = Update> {
    let date = (prop::option::of(1_u8..=12), prop::option::of(2000_u16..=9999));
    (date, edit(name()), edit(pairs(text(".{1,80}"))), edit(1_u32..30))
        .prop_map(|((month, year), name, metadata, lifetime)| Update { month, year, name, metadata, lifetime })
}

fn step() -> impl Strategy<Value = Step> {
    let scalar = prop_oneof![
        text(".{1,80}"),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-1e9..1e9).prop_map(|value: f64| format!("{value:?}")),
        Just("1.50e+2".to_owned()),
    ];
    let payload = pairs(scalar).boxed();
    let typed = (any::<Index>(), payload.clone(), extras()).prop_map(|(which, payload, extras)| Step::CreateTyped {
        which,
        payload,
        extras,
    });
    let list_typed = (any::<Index>(), 1_usize..4, prop::option::of(any::<Index>()));
    let key = || prop::option::of(prop::sample::select(vec!["a", "b", "c", "d"]));
    let duplicates = [Duplicates::Allow, Duplicates::Allow, Duplicates::ReturnExisting, Duplicates::UpdateExisting];
    let wanted = (card(), prop::sample::select(duplicates.to_vec())).prop_map(|(card, what)| Wanted::Card(card, what));
    let asked = |(what, extras, key)| Step::Create(Asked { what, extras, key });
    let generic = (payload.prop_map(Wanted::Payload), extras(), key()).prop_map(asked);
    let pci = (wanted, extras(), key()).prop_map(asked);
    let one = (any::<bool>(), any::<Index>());
    let list = (any::<bool>(), 1_usize..6, prop::option::of(any::<Index>()));
    prop_oneof![
        3 => generic,
        4 => pci,
        2 => any::<Index>().prop_map(|which| Step::Repeat { which }),
        1 => prop::sample::select(NUMBERS.to_vec()).prop_map(|number| Step::Find { number }),
        2 => one.clone().prop_map(|(pci, which)| Step::View { pci, which }),
        2 => one.clone().prop_map(|(pci, which)| Step::Reveal { pci, which }),
        1 => any::<Index>().prop_map(|which| Step::Fill { which }),
        2 => one.clone().prop_map(|(pci, which)| Step::Delete { pci, which }),
        3 => (one, update()).prop_map(|((pci, which), update)| Step::Update { pci, which, update }),
        1 => (any::<Index>(), card()).prop_map(|(which, card)| Step::Replace { which, card }),
        1 => (any::<bool>(), prop::collection::vec(any::<Index>(), 0..6)).prop_map(|(pci, which)| Step::Many { pci, which }),
        2 => list.prop_map(|(pci, limit, after)| Step::List { pci, limit, after }),
        1 => (any::<bool>(), 1_usize..8).prop_map(|(pci, limit)| Step::Walk { pci, limit }),
        1 => (0_usize..4).prop_map(|most| Step::CreateType { most }),
        2 => typed,
        1 => list_typed.prop_map(|(which, limit, after)| Step::ListTyped { which, limit, after }),
        1 => any::<Index>().prop_map(|which| Step::DeleteType { which }),
        2 => (0_i64..15_000).prop_map(|millis| Step::Advance { millis }),
        1 => prop::sample::select(vec![DAY / 2, DAY - 1, DAY]).prop_map(|millis| Step::Advance { millis }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
    ]
}

/// A token of the model.
struct Held {
    created_at: i64,
    expires_at: Option<i64>,
    metadata: Option<Pairs>,
    what: What,
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

/// What a token stands for.
enum What {
    Payload(String),
    Card(Card),
}

impl Held {
    fn view(&self, id: TokenId) -> String {
        let mut view = format!(r#"{{"id":"{id}","#);
        if let What::Card(card) = &self.what {
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

    fn secret(&self) -> String {
        match &self.what {
            What::Payload(payload) => payload.clone(),
            What::Card(card) => format!(r#"{{{}"account_number":"{}"}}"#, card.printed(), card.number),
        }
    }
}

impl Card {
    /// What is printed beside the number, as members.
    fn printed(&self) -> String {
        let name = self.name.as_ref().map(|name| format!(r#""cardholder_name":{name},"#)).unwrap_or_default();
        format!(r#"{name}"expiry_month":{},"expiry_year":{},"#, self.month, self.year)
    }

    fn source(&self) -> String {
        format!(r#"{{"type":"pan",{}"account_number":"{}"}}"#, self.printed(), self.number)
    }
}

/// A vault, and what it should hold.
struct Twin<'a> {
    open: &'a dyn Fn(HandClock) -> Vault,
    vault: Vault,
    clock: HandClock,
    now: i64,
    /// Generic tokens, then PCI tokens.
    held: [BTreeMap<TokenId, Held>; 2],
    /// Every id that was ever given out, those of tokens that are gone included.
    ids: Vec<TokenId>,
    /// The types that are there, and how many pairs a payload of each has at most.
    types: BTreeMap<TypeId, usize>,
    /// Every id of a type that was ever given out.
    type_ids: Vec<TypeId>,
    /// The types of tokens, those that are gone included.
    typed: BTreeMap<TokenId, TypeId>,
    /// By kind and key; expired ones stay until they are swept or replaced.
    entries: BTreeMap<(bool, &'static str), Entry>,
    /// Every request for a token that was ever made.
    asked: Vec<Asked>,
    /// How many records were sealed and kept.
    sealed: u64,
    /// How many more may have been sealed for cards that were taken for new.
    guessed: u64,
}

impl<'a> Twin<'a> {
    fn begin(open: &'a dyn Fn(HandClock) -> Vault) -> Self {
        let clock = HandClock::at(BEGIN);
        let now = DateTime::parse_from_rfc3339(BEGIN).unwrap().timestamp_millis();
        let (vault, held, ids) = (open(clock.clone()), Default::default(), Vec::new());
        let (types, entries) = Default::default();
        let (type_ids, asked) = Default::default();
        Self {
            open,
            vault,
            clock,
            now,
            held,
            ids,
            types,
            type_ids,
            typed: BTreeMap::new(),
            entries,
            asked,
            sealed: 0,
            guessed: 0,
        }
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
            Step::View { pci, which } => self.ask(pci, which, Self::view, Held::view)?,
            Step::Reveal { pci, which } => self.ask(pci, which, Self::reveal, |held, _| held.secret())?,
            Step::Fill { which } => self.ask(true, which, Self::fill, |held, _| held.secret())?,
            Step::Update { pci, which, update } => self.update(pci, which, &update)?,
            Step::Replace { which, card } => self.replace(which, card)?,
            Step::Many { pci, which } => self.many(pci, &which)?,
            Step::Delete { pci, which } => self.delete(pci, which)?,
            Step::List { pci, limit, after } => {
                self.list(pci, limit, self.any_id(after), None)?;
            }
            Step::Walk { pci, limit } => {
                let mut after = None;
                while let Some(last) = self.list(pci, limit, after, None)? {
                    after = Some(last);
                }
            }
            Step::CreateType { most } => self.create_type(most)?,
            Step::CreateTyped { which, payload, extras } => self.create_typed(which, &payload, extras)?,
            Step::ListTyped { which, limit, after } => self.list_typed(which, limit, after)?,
            Step::DeleteType { which } => self.delete_type(which)?,
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
        let pci = matches!(asked.what, Wanted::Card(..));
        let answer = self.ask_for(asked);
        let text = format!("{:?} {:?}", asked.what, asked.extras);
        let Some(key) = asked.key else { return self.make(asked, &answer.unwrap()).map(drop) };
        if let Some(entry) = self.entries.get(&(pci, key)).filter(|entry| self.now < entry.expires_at) {
            let (is_same, target) = (entry.asked == text, entry.target);
            return self.is_replay(pci, is_same, target, answer);
        }
        let target = self.make(asked, &answer.unwrap())?;
        self.entries.insert((pci, key), Entry { asked: text, target, expires_at: self.now + DAY });
        Ok(())
    }

    /// What the vault answers, as JSON.
    fn ask_for(&self, asked: &Asked) -> Result<String, Error> {
        let Asked { what, extras, key } = asked;
        match what {
            Wanted::Payload(payload) => {
                let members = extras_members(extras, "expiration_time");
                let json = format!(r#"{{{members}"payload":{}}}"#, object(payload));
                let request = CreateGeneric::from_json(json.as_bytes()).unwrap();
                let request = key.iter().try_fold(request, |request, key| request.idempotency_key(key)).unwrap();
                self.vault.create_generic(request).map(|created| serde_json::to_string(&created).unwrap())
            }
            Wanted::Card(card, duplicates) => {
                let json = format!(r#"{{{}"source":{}}}"#, extras_members(extras, "expires_in"), card.source());
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
        let held = self.held[usize::from(pci)].get(&target);
        if let Some(held) = held.filter(|held| is_same && self.lives(held)) {
            prop_assert_eq!(answer.unwrap(), held.view(target));
            return Ok(());
        }
        prop_assert_eq!(answer.unwrap_err().kind(), ErrorKind::Conflict);
        if is_same {
            // It was looked for, and found expired.
            self.held[usize::from(pci)].remove(&target);
        }
        Ok(())
    }

    /// Makes, changes or finds a token in the model, and holds the answer to its view.
    fn make(&mut self, asked: &Asked, answer: &str) -> Result<TokenId, TestCaseError> {
        let Made { id } = serde_json::from_str(answer).unwrap();
        let extras = asked.extras.clone();
        match &asked.what {
            Wanted::Payload(payload) => self.keep(false, id, What::Payload(object(payload)), extras, answer)?,
            Wanted::Card(card, Duplicates::Allow) => {
                self.keep(true, id, What::Card(card.clone()), extras, answer)?;
            }
            Wanted::Card(card, duplicates) => {
                self.guessed += 1;
                let Some(existing) = self.oldest(card.number) else {
                    self.keep(true, id, What::Card(card.clone()), extras, answer)?;
                    return Ok(id);
                };
                prop_assert_eq!(id, existing);
                if *duplicates == Duplicates::UpdateExisting {
                    let expires_at = extras.lifetime.map(|seconds| self.now + 1_000 * i64::from(seconds));
                    let held = self.held[1].get_mut(&id).unwrap();
                    let created_at = held.created_at;
                    let (metadata, what) = (extras.metadata, What::Card(card.clone()));
                    *held = Held { created_at, expires_at, metadata, what };
                    self.sealed += 1;
                }
                prop_assert_eq!(answer, self.held[1][&id].view(id));
            }
        }
        Ok(id)
    }

    /// The tokens of a card, expired ones included, the oldest first.
    fn of_card(&self, number: &str) -> Vec<TokenId> {
        let of_card = |held: &Held| matches!(&held.what, What::Card(card) if card.number == number);
        let of_card = self.held[1].iter().filter(|(_, held)| of_card(held));
        let mut ids: Vec<_> = of_card.map(|(id, held)| (held.created_at, *id)).collect();
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

    fn create_type(&mut self, most: usize) -> Result<(), TestCaseError> {
        let schema = format!(r#"{{"maxProperties":{most}}}"#);
        let made = self.vault.create_type(CreateType::new("a type", &schema).unwrap()).unwrap();
        prop_assert_eq!(serde_json::to_string(&made.schema).unwrap(), schema);
        self.types.insert(made.id, most);
        self.type_ids.push(made.id);
        self.sealed += 1;
        Ok(())
    }

    fn create_typed(&mut self, which: Index, payload: &Pairs, extras: Extras) -> Result<(), TestCaseError> {
        if self.type_ids.is_empty() {
            return Ok(());
        }
        let type_id = *which.get(&self.type_ids);
        let secret = object(payload);
        let members = extras_members(&extras, "expiration_time");
        let json = format!(r#"{{{members}"type_id":"{type_id}","payload":{secret}}}"#);
        let created = self.vault.create_generic(CreateGeneric::from_json(json.as_bytes()).unwrap());
        let refused = match self.types.get(&type_id) {
            Some(most) if payload.len() <= *most => None,
            Some(_) => Some("$.payload"),
            None => Some("$.type_id"),
        };
        if let Some(path) = refused {
            let error = created.unwrap_err();
            prop_assert_eq!(error.violations()[0].path(), path);
            return Ok(());
        }
        let created = created.unwrap();
        self.typed.insert(created.id, type_id);
        self.keep(false, created.id, What::Payload(secret), extras, &serde_json::to_string(&created).unwrap())
    }

    fn list_typed(&self, which: Index, limit: usize, after: Option<Index>) -> Result<(), TestCaseError> {
        if self.type_ids.is_empty() {
            return Ok(());
        }
        let type_id = *which.get(&self.type_ids);
        if self.types.contains_key(&type_id) {
            return self.list(false, limit, self.any_id(after), Some(type_id)).map(drop);
        }
        let refused = self.vault.list_generic(Page::first(limit).of_type(type_id)).unwrap_err();
        prop_assert_eq!(refused.violations()[0].path(), "$.type_id");
        Ok(())
    }

    fn delete_type(&mut self, which: Index) -> Result<(), TestCaseError> {
        if self.type_ids.is_empty() {
            return Ok(());
        }
        let type_id = *which.get(&self.type_ids);
        let mut expected = Err(ErrorKind::NotFound);
        if self.types.contains_key(&type_id) {
            let tokens = self.held[0].iter().filter(|(id, _)| self.typed.get(id) == Some(&type_id));
            let tokens: Vec<_> = tokens.map(|(id, held)| (*id, self.lives(held))).collect();
            // One after the other is read, up to the first that lives.
            for (id, _) in tokens.iter().take_while(|(_, lives)| !lives) {
                self.held[0].remove(id);
            }
            expected = if tokens.iter().any(|(_, lives)| *lives) { Err(ErrorKind::Conflict) } else { Ok(()) };
        }
        if expected.is_ok() {
            self.types.remove(&type_id);
        }
        prop_assert_eq!(self.vault.delete_type(type_id).map_err(|error| error.kind()), expected);
        Ok(())
    }

    fn any_id(&self, which: Option<Index>) -> Option<TokenId> {
        which.filter(|_| !self.ids.is_empty()).map(|which| *which.get(&self.ids))
    }

    /// Adds a token to the model, and holds the answer to the view that it must have.
    fn keep(&mut self, pci: bool, id: TokenId, what: What, extras: Extras, answer: &str) -> Result<(), TestCaseError> {
        let expires_at = extras.lifetime.map(|seconds| self.now + 1_000 * i64::from(seconds));
        let held = Held { created_at: self.now, expires_at, metadata: extras.metadata, what };
        prop_assert_eq!(answer, held.view(id));
        let before = self.held[usize::from(pci)].insert(id, held);
        prop_assert!(before.is_none(), "an id was given out twice");
        self.ids.push(id);
        self.sealed += 1;
        Ok(())
    }

    fn update(&mut self, pci: bool, which: Index, update: &Update) -> Result<(), TestCaseError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = *which.get(&self.ids);
        let lifetime = if pci { "expires_in" } else { "expiration_time" };
        let mut json = update.metadata.member("metadata", object) + &update.lifetime.member(lifetime, u32::to_string);
        if pci {
            json += &update.name.member("cardholder_name", String::clone);
            json += &update.month.map(|month| format!(r#""expiry_month":{month},"#)).unwrap_or_default();
            json += &update.year.map(|year| format!(r#""expiry_year":{year},"#)).unwrap_or_default();
        }
        let asks_for_nothing = json.is_empty();
        let json = format!("{{{}}}", json.trim_end_matches(','));
        let answer = if pci {
            let updated = self.vault.update_pci(id, UpdatePci::from_json(json.as_bytes()).unwrap());
            updated.map(|token| serde_json::to_string(&token).unwrap())
        } else {
            let updated = self.vault.update_generic(id, UpdateGeneric::from_json(json.as_bytes()).unwrap());
            updated.map(|token| serde_json::to_string(&token).unwrap())
        };
        let now = self.now;
        self.changed(pci, id, answer, asks_for_nothing, |held| {
            update.metadata.on(&mut held.metadata);
            match update.lifetime {
                Edit::Nothing => {}
                Edit::Null => held.expires_at = None,
                Edit::Is(seconds) => held.expires_at = Some(now + 1_000 * i64::from(seconds)),
            }
            if let What::Card(card) = &mut held.what {
                update.name.on(&mut card.name);
                card.month = update.month.unwrap_or(card.month);
                card.year = update.year.unwrap_or(card.year);
            }
        })
    }

    fn replace(&mut self, which: Index, card: Card) -> Result<(), TestCaseError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = *which.get(&self.ids);
        let source = PanSource::from_json(card.source().as_bytes()).unwrap();
        let answer = self.vault.replace_account_number(id, source);
        let answer = answer.map(|token| serde_json::to_string(&token).unwrap());
        self.changed(true, id, answer, false, |held| held.what = What::Card(card))
    }

    /// Holds the answer to a change to what the model makes of it.
    fn changed(
        &mut self,
        pci: bool,
        id: TokenId,
        answer: Result<String, Error>,
        asks_for_nothing: bool,
        change: impl FnOnce(&mut Held),
    ) -> Result<(), TestCaseError> {
        let now = self.now;
        let held = self.held[usize::from(pci)].get_mut(&id);
        if let Some(held) = held.filter(|held| held.expires_at.is_none_or(|at| now < at)) {
            change(held);
            prop_assert_eq!(answer.unwrap(), held.view(id));
            self.sealed += u64::from(!asks_for_nothing);
        } else {
            prop_assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
            self.held[usize::from(pci)].remove(&id);
        }
        Ok(())
    }

    /// Asks for many at once, some of them twice, of the other kind, expired or gone.
    fn many(&mut self, pci: bool, which: &[Index]) -> Result<(), TestCaseError> {
        let which = which.iter().filter(|_| !self.ids.is_empty());
        let ids: Vec<_> = which.map(|which| *which.get(&self.ids)).collect();
        let answers: Vec<_> = if pci {
            let views = self.vault.pci_many(ids.clone());
            views.map(|view| view.map(|token| serde_json::to_string(&token).unwrap())).collect()
        } else {
            let views = self.vault.generic_many(ids.clone());
            views.map(|view| view.map(|token| serde_json::to_string(&token).unwrap())).collect()
        };
        prop_assert_eq!(answers.len(), ids.len());
        for (id, answer) in ids.into_iter().zip(answers) {
            match self.held[usize::from(pci)].get(&id) {
                Some(held) if self.lives(held) => prop_assert_eq!(answer.unwrap(), held.view(id)),
                _ => {
                    prop_assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
                    self.held[usize::from(pci)].remove(&id);
                }
            }
        }
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

    /// The secret of a PCI token by way of a template.
    fn fill(&self, _: bool, id: TokenId) -> Result<String, Error> {
        const NAME: &str = r#""cardholder_name":"{{ cardholder_name }}","#;
        const REST: &str = r#""expiry_month":"{{ expiry_month | unwrap }}","expiry_year":"{{ expiry_year | unwrap }}","account_number":"{{ account_number }}""#;
        let fill = |name: &str| {
            let template = format!("{{{name}{REST}}}");
            self.vault.fill(id, Body::Json(&template), |filled| String::from_utf8(filled.to_vec()).unwrap())
        };
        fill(NAME).or_else(|error| if error.kind() == ErrorKind::Validation { fill("") } else { Err(error) })
    }

    /// Asks for a token by an id that may be of the other kind, expired or gone.
    fn ask(
        &mut self,
        pci: bool,
        which: Index,
        ask: fn(&Self, bool, TokenId) -> Result<String, Error>,
        expected: fn(&Held, TokenId) -> String,
    ) -> Result<(), TestCaseError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = *which.get(&self.ids);
        let answer = ask(self, pci, id);
        match self.held[usize::from(pci)].get(&id) {
            Some(held) if self.lives(held) => prop_assert_eq!(answer.unwrap(), expected(held, id)),
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
    fn list(
        &self,
        pci: bool,
        limit: usize,
        after: Option<TokenId>,
        of_type: Option<TypeId>,
    ) -> Result<Option<TokenId>, TestCaseError> {
        let page = after.into_iter().fold(Page::first(limit), Page::after);
        let page = of_type.into_iter().fold(page, Page::of_type);
        let json = if pci {
            serde_json::to_string(&self.vault.list_pci(page).unwrap()).unwrap()
        } else {
            serde_json::to_string(&self.vault.list_generic(page).unwrap()).unwrap()
        };
        let held = self.held[usize::from(pci)].iter();
        let held = held.filter(|(id, _)| of_type.is_none_or(|of_type| self.typed.get(id) == Some(&of_type)));
        let mut behind = held.filter(|(id, held)| after.is_none_or(|after| **id > after) && self.lives(held));
        let data: Vec<_> = behind.by_ref().take(limit).collect();
        let next = behind.next().and(data.last()).map(|(id, _)| **id);
        let kind = if pci { "pci" } else { "generic" };
        let filter = of_type.map(|type_id| format!("&type_id={type_id}")).unwrap_or_default();
        let links = next.map(|last| format!(r#""next":"/api/{kind}/tokens?limit={limit}{filter}&after={last}""#));
        let views: Vec<_> = data.iter().map(|(id, held)| held.view(**id)).collect();
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
        prop_assert_eq!(stats.payload_types, u64::try_from(self.types.len()).unwrap());
        let sealed = stats.key_epochs[0].sealed_records;
        prop_assert!((self.sealed..=self.sealed + self.guessed).contains(&sealed));
        Ok(())
    }
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
