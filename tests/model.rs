//! Promise: whatever is done in whatever order, a vault answers as a sorted map would, in memory and on disk, reopened or not.
//!
//! The model keeps, of each token, the JSON of its view and the text of its secret, both written here from what was asked for.
//! An expired token stays in it until somebody asks or sweeps, so that the counts of the vault are held to it as well.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokenvault::{Body, CreateGeneric, CreatePci, Error, ErrorKind, Page, Payload, TokenId, Vault, VaultOptions};

use common::clock::HandClock;
use common::requests::{masked, scheme_of};
use common::shared::Shared;
use common::{keys, token};

const BEGIN: &str = "2026-01-02T03:04:05.678Z";

const NUMBERS: [&str; 5] =
    ["4111111111111111", "4222222222222", "378282246310005", "30569309025904", "6205500000000000004"];

/// Pairs of JSON, each already written as JSON writes it.
type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug)]
struct Extras {
    metadata: Option<Pairs>,
    lifetime: Option<u32>,
}

#[derive(Clone, Debug)]
enum Step {
    CreateGeneric { payload: Pairs, extras: Extras },
    CreatePci { number: &'static str, month: u8, year: u16, name: Option<String>, extras: Extras },
    View { pci: bool, which: Index },
    Reveal { pci: bool, which: Index },
    Fill { which: Index },
    Delete { pci: bool, which: Index },
    List { pci: bool, limit: usize, after: Option<Index> },
    Walk { pci: bool, limit: usize },
    Advance { millis: i64 },
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
    let generic = (pairs(scalar), extras()).prop_map(|(payload, extras)| Step::CreateGeneric { payload, extras });
    let name = prop::option::of(text("[^\\pC]{1,60}"));
    let pci = (prop::sample::select(NUMBERS.to_vec()), 1_u8..=12, 2000_u16..=9999, name, extras())
        .prop_map(|(number, month, year, name, extras)| Step::CreatePci { number, month, year, name, extras });
    let one = (any::<bool>(), any::<Index>());
    let list = (any::<bool>(), 1_usize..6, prop::option::of(any::<Index>()));
    prop_oneof![
        3 => generic,
        3 => pci,
        2 => one.clone().prop_map(|(pci, which)| Step::View { pci, which }),
        2 => one.clone().prop_map(|(pci, which)| Step::Reveal { pci, which }),
        1 => any::<Index>().prop_map(|which| Step::Fill { which }),
        2 => one.prop_map(|(pci, which)| Step::Delete { pci, which }),
        2 => list.prop_map(|(pci, limit, after)| Step::List { pci, limit, after }),
        1 => (any::<bool>(), 1_usize..8).prop_map(|(pci, limit)| Step::Walk { pci, limit }),
        2 => (0_i64..15_000).prop_map(|millis| Step::Advance { millis }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
    ]
}

/// A token of the model.
struct Held {
    view: String,
    secret: String,
    expires_at: Option<i64>,
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
}

impl<'a> Twin<'a> {
    fn begin(open: &'a dyn Fn(HandClock) -> Vault) -> Self {
        let clock = HandClock::at(BEGIN);
        let now = DateTime::parse_from_rfc3339(BEGIN).unwrap().timestamp_millis();
        Self { open, vault: open(clock.clone()), clock, now, held: Default::default(), ids: Vec::new() }
    }

    fn lives(&self, held: &Held) -> bool {
        held.expires_at.is_none_or(|at| self.now < at)
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::CreateGeneric { payload, extras } => self.create_generic(&payload, &extras)?,
            Step::CreatePci { number, month, year, name, extras } => {
                self.create_pci(number, (month, year), name.as_deref(), &extras)?;
            }
            Step::View { pci, which } => self.ask(pci, which, Self::view, |held| &held.view)?,
            Step::Reveal { pci, which } => {
                self.ask(pci, which, Self::reveal, |held| &held.secret)?;
            }
            Step::Fill { which } => self.ask(true, which, Self::fill, |held| &held.secret)?,
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

    fn create_generic(&mut self, payload: &Pairs, extras: &Extras) -> Result<(), TestCaseError> {
        let secret = object(payload);
        let json = format!(r#"{{{}"payload":{secret}}}"#, extras_members(extras, "expiration_time"));
        let created = self.vault.create_generic(CreateGeneric::from_json(json.as_bytes()).unwrap()).unwrap();
        self.keep(false, created.id, "", secret, extras, &serde_json::to_string(&created).unwrap())
    }

    fn create_pci(
        &mut self,
        number: &str,
        (month, year): (u8, u16),
        name: Option<&str>,
        extras: &Extras,
    ) -> Result<(), TestCaseError> {
        let name = name.map(|name| format!(r#""cardholder_name":{name},"#)).unwrap_or_default();
        let expiry = format!(r#""expiry_month":{month},"expiry_year":{year}"#);
        let members = extras_members(extras, "expires_in");
        let json = format!(r#"{{{members}"source":{{"type":"pan",{name}{expiry},"account_number":"{number}"}}}}"#);
        let created = token(self.vault.create_pci(CreatePci::from_json(json.as_bytes()).unwrap()).unwrap());
        let (mask, scheme) = (masked(number, 6), scheme_of(number).unwrap());
        let card = format!(r#""card":{{{name}{expiry},"masked_account_number":"{mask}","scheme":"{scheme}"}},"#);
        let secret = format!(r#"{{{name}{expiry},"account_number":"{number}"}}"#);
        self.keep(true, created.id, &card, secret, extras, &serde_json::to_string(&created).unwrap())
    }

    /// Adds a token to the model, and holds the answer to the view that it must have.
    fn keep(
        &mut self,
        pci: bool,
        id: TokenId,
        card: &str,
        secret: String,
        extras: &Extras,
        answer: &str,
    ) -> Result<(), TestCaseError> {
        let expires_at = extras.lifetime.map(|seconds| self.now + 1_000 * i64::from(seconds));
        let mut view = format!(r#"{{"id":"{id}",{card}"created_at":"{}""#, instant(self.now));
        if let Some(at) = expires_at {
            write!(view, r#","expires_at":"{}""#, instant(at)).unwrap();
        }
        if let Some(metadata) = &extras.metadata {
            write!(view, r#","metadata":{}"#, object(metadata)).unwrap();
        }
        view.push('}');
        prop_assert_eq!(answer, &view);
        let before = self.held[usize::from(pci)].insert(id, Held { view, secret, expires_at });
        prop_assert!(before.is_none(), "an id was given out twice");
        self.ids.push(id);
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
        prop_assert_eq!([report.expired_other, report.expired_sessions, report.remaining], [0, 0, 0]);
        Ok(())
    }

    fn counts_agree(&self) -> Result<(), TestCaseError> {
        let stats = self.vault.stats().unwrap();
        let [generic, pci] = [0, 1].map(|kind| self.held[kind].len());
        let expiring = self.held.iter().flat_map(BTreeMap::values).filter(|held| held.expires_at.is_some()).count();
        let counted = [stats.generic_tokens, stats.pci_tokens, stats.expiring_tokens];
        prop_assert_eq!(counted, [generic, pci, expiring].map(|count| u64::try_from(count).unwrap()));
        prop_assert_eq!(stats.key_epochs[0].sealed_records, u64::try_from(self.ids.len()).unwrap());
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

fn agree(open: &dyn Fn(HandClock) -> Vault, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut twin = Twin::begin(open);
    steps.into_iter().try_for_each(|step| twin.take(step))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_vault_in_memory_answers_as_the_model(steps in prop::collection::vec(step(), 1..70)) {
        let shared = Shared::default();
        agree(&|clock| VaultOptions::new().clock(clock).open_with(shared.clone(), keys()).unwrap(), steps)?;
    }
}

#[cfg(feature = "sled")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_vault_on_disk_answers_as_the_model(steps in prop::collection::vec(step(), 1..50)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        agree(&|clock| VaultOptions::new().clock(clock).open_or_create(&path, keys()).unwrap(), steps)?;
    }
}
