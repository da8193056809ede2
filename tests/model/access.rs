//! Callers: root, and those who hold credentials of two accounts or of none, do the same steps on one vault. What each of them is
//! answered follows from what it may do at that moment and from what is its account's.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::MemoryStore;
use tokenvault::{
    ApiKeyId, ApiTokenId, Authority, Client, CreateApiKey, CreateApiToken, CreateGeneric, CreatePci, DefineAccount,
    DefineModule, Duplicates, Error, ErrorKind, Fingerprints, GenericToken, Metadata, Page, PanSource, PciCreated,
    PciToken, Scope, TokenId, UpdateApiKey, UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

use crate::common::clock::HandClock;
use crate::common::keys;
use crate::twin::pick;

const NUMBERS: [&str; 2] = ["4111111111111111", "5555555555554444"];

/// What every credential may do at first.
const WIDE: [Scope; 9] = [
    Scope::GenericTokensCreate,
    Scope::GenericTokensRead,
    Scope::GenericTokensUpdate,
    Scope::GenericTokensDelete,
    Scope::PciTokensCreate,
    Scope::PciTokensRead,
    Scope::PciTokensUpdate,
    Scope::PciTokensDelete,
    Scope::PciTokensFind,
];
/// What it may still do once that was taken back.
const NARROW: [Scope; 2] = [Scope::GenericTokensRead, Scope::PciTokensCreate];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Root,
    /// An API key without an account.
    Anybody,
    /// Two API keys of one account.
    First,
    Second,
    /// API tokens: one of that account, one of another.
    Till,
    Other,
}

impl Who {
    const ALL: [Self; 6] = [Self::Root, Self::Anybody, Self::First, Self::Second, Self::Till, Self::Other];

    fn account(self) -> Option<&'static str> {
        match self {
            Self::Root | Self::Anybody => None,
            Self::First | Self::Second | Self::Till => Some("ACC-1"),
            Self::Other => Some("ACC-2"),
        }
    }

    /// The module, if it has an API token.
    fn module(self) -> Option<&'static str> {
        match self {
            Self::Till => Some("TILL"),
            Self::Other => Some("OTHER"),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Payload,
    Card(usize),
}

/// A request for a token, as it is compared with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    what: What,
    lifetime: Option<u32>,
    duplicates: Duplicates,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Create(Who, Asked, Option<&'static str>),
    View(Who, Index),
    Label(Who, Index),
    Delete(Who, Index),
    List(Who),
    Find(Who, usize),
    /// An API token is disabled, or enabled again.
    Switch(Who, bool),
    /// A credential may do more, or less, from now on.
    Grant(Who, bool),
    /// A credential ends for ever, and another one takes its place.
    Renew(Who),
    Wait(u32),
    Sweep,
}

pub fn step() -> impl Strategy<Value = Step> {
    let who = || select(Who::ALL.to_vec());
    let which = any::<Index>;
    let what = prop_oneof![Just(What::Payload), (0..NUMBERS.len()).prop_map(What::Card)];
    let lifetime = prop::option::weighted(0.3, select(vec![1, 30]));
    let key = prop::option::weighted(0.4, select(vec!["k", "l"]));
    let duplicates = select(vec![Duplicates::Allow, Duplicates::ReturnExisting, Duplicates::UpdateExisting]);
    let create = (who(), what, lifetime, duplicates, key).prop_map(|(who, what, lifetime, duplicates, key)| {
        let duplicates = if what == What::Payload { Duplicates::Allow } else { duplicates };
        Step::Create(who, Asked { what, lifetime, duplicates }, key)
    });
    prop_oneof![
        8 => create,
        3 => (who(), which()).prop_map(|(who, which)| Step::View(who, which)),
        2 => (who(), which()).prop_map(|(who, which)| Step::Label(who, which)),
        2 => (who(), which()).prop_map(|(who, which)| Step::Delete(who, which)),
        2 => who().prop_map(Step::List),
        2 => (who(), 0..NUMBERS.len()).prop_map(|(who, number)| Step::Find(who, number)),
        1 => (who(), any::<bool>()).prop_map(|(who, on)| Step::Switch(who, on)),
        1 => (who(), any::<bool>()).prop_map(|(who, wide)| Step::Grant(who, wide)),
        1 => who().prop_map(Step::Renew),
        1 => select(vec![1, 1000, 30_000]).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
    ]
}

/// Takes the steps, and then lists what each caller has.
pub fn agree(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let lists = Who::ALL.map(Step::List);
    steps.into_iter().chain(lists).try_for_each(|step| world.take(step))
}

/// A token that was made and not deleted.
#[derive(Debug)]
struct Held {
    account: Option<&'static str>,
    what: What,
    created_at: i64,
    expires_at: Option<i64>,
    label: Option<String>,
}

/// A credential and whoever has authenticated with it.
struct Holder {
    id: Named,
    client: Client,
    secret: String,
    is_on: bool,
    is_wide: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Root,
    Key(ApiKeyId),
    Token(ApiTokenId),
}

/// What an answer says of a token.
#[derive(Debug, PartialEq)]
struct Seen {
    id: TokenId,
    number: Option<String>,
    expires_at: Option<i64>,
    label: Option<String>,
}

struct World {
    vault: Vault,
    clock: HandClock,
    now: i64,
    holders: BTreeMap<Who, Holder>,
    held: BTreeMap<TokenId, Held>,
    /// Every token that was ever made, and whether it is a card's.
    ids: Vec<(TokenId, bool)>,
    /// What idempotency keys have led to, by credential.
    entries: BTreeMap<(Named, bool, &'static str), (Asked, TokenId)>,
    labels: u32,
}

/// Lets somebody do something: root and clients have the same methods, and are of two types.
macro_rules! by {
    ($world:ident, $who:expr, |$vault:ident| $does:expr) => {
        match $world.holders.get(&$who) {
            None => {
                let $vault = &$world.vault;
                $does
            }
            Some(holder) => {
                let $vault = &holder.client;
                $does
            }
        }
    };
}

impl World {
    fn new() -> Self {
        let clock = HandClock::at("2026-01-02T03:04:05.678Z");
        let options = VaultOptions::new().clock(clock.clone()).fingerprints(Fingerprints::On);
        let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
        for account in ["ACC-1", "ACC-2"] {
            vault.define_account(DefineAccount::new(account, "Shop").unwrap()).unwrap();
        }
        let mut world = Self {
            vault,
            clock,
            now: 0,
            holders: BTreeMap::new(),
            held: BTreeMap::new(),
            ids: Vec::new(),
            entries: BTreeMap::new(),
            labels: 0,
        };
        for who in &Who::ALL[1..] {
            world.renew(*who);
        }
        world
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Create(who, asked, key) => self.create(who, asked, key),
            Step::View(who, which) => self.view(who, which),
            Step::Label(who, which) => self.label(who, which),
            Step::Delete(who, which) => self.delete(who, which),
            Step::List(who) => self.list(who),
            Step::Find(who, number) => self.find(who, number),
            Step::Switch(who, on) => self.switch(who, on),
            Step::Grant(who, wide) => {
                self.grant(who, wide);
                Ok(())
            }
            Step::Renew(who) => self.end(who),
            Step::Wait(millis) => {
                self.clock.advance_millis(millis.into());
                self.now += i64::from(millis);
                Ok(())
            }
            Step::Sweep => {
                prop_assert_eq!(self.vault.sweep().unwrap().remaining, 0);
                Ok(())
            }
        }
    }

    // Credentials.

    /// A new credential in the place of whatever somebody had.
    fn renew(&mut self, who: Who) {
        let (id, secret) = if let Some(module) = who.module() {
            let scopes = DefineModule::new(module, "M", "D", WIDE).unwrap();
            self.vault.define_module(scopes).unwrap();
            let request = CreateApiToken::new(who.account().unwrap(), "Till", [module]).unwrap();
            let made = self.vault.create_api_token(request).unwrap();
            (Named::Token(made.id), made.token.unwrap().expose().to_owned())
        } else {
            let request = CreateApiKey::new(WIDE).unwrap();
            let request = who.account().into_iter().fold(request, |request, id| request.account(id).unwrap());
            let made = self.vault.create_api_key(request).unwrap();
            (Named::Key(made.id), made.key_value.expose().to_owned())
        };
        let client = self.vault.authenticate(&secret).unwrap();
        self.holders.insert(who, Holder { id, client, secret, is_on: true, is_wide: true });
    }

    fn end(&mut self, who: Who) -> Result<(), TestCaseError> {
        let Some(old) = self.holders.remove(&who) else { return Ok(()) };
        match old.id {
            Named::Key(id) => self.vault.delete_api_key(id).unwrap(),
            Named::Token(id) => drop(self.vault.delete_api_token(id).unwrap()),
            Named::Root => {}
        }
        self.renew(who);
        let refused = [old.client.list_generic(Page::default()).err(), self.vault.authenticate(&old.secret).err()];
        prop_assert_eq!(refused.map(kind), [Some(ErrorKind::Unauthorized); 2]);
        Ok(())
    }

    fn switch(&mut self, who: Who, on: bool) -> Result<(), TestCaseError> {
        let Some(holder) = self.holders.get_mut(&who) else { return Ok(()) };
        let Named::Token(id) = holder.id else { return Ok(()) };
        let token = if on { self.vault.enable_api_token(id) } else { self.vault.disable_api_token(id) };
        prop_assert!(token.is_ok());
        holder.is_on = on;
        prop_assert_eq!(self.vault.authenticate(&holder.secret).is_ok(), on);
        Ok(())
    }

    fn grant(&mut self, who: Who, wide: bool) {
        let Some(holder) = self.holders.get_mut(&who) else { return };
        let scopes = if wide { &WIDE[..] } else { &NARROW };
        let scopes = || scopes.iter().copied();
        match holder.id {
            Named::Key(id) => drop(self.vault.update_api_key(id, &UpdateApiKey::new(scopes()).unwrap()).unwrap()),
            Named::Token(_) => {
                let module = DefineModule::new(who.module().unwrap(), "M", "D", scopes()).unwrap();
                self.vault.define_module(module).unwrap();
            }
            Named::Root => {}
        }
        holder.is_wide = wide;
    }

    /// What whoever lacks one of these scopes is answered.
    fn refusal(&self, who: Who, scopes: &[Scope]) -> Option<ErrorKind> {
        let holder = self.holders.get(&who)?;
        let has = |scope| if holder.is_wide { WIDE.contains(scope) } else { NARROW.contains(scope) };
        let refused = if holder.is_on { ErrorKind::Forbidden } else { ErrorKind::Unauthorized };
        (!holder.is_on || !scopes.iter().all(has)).then_some(refused)
    }

    // Tokens.

    fn lives(&self, held: &Held) -> bool {
        held.expires_at.is_none_or(|at| self.now < at)
    }

    /// A token that is there for somebody.
    fn seen(&self, who: Who, id: TokenId) -> Option<Seen> {
        let held = self.held.get(&id)?;
        let is_seen = who.account().is_none_or(|account| held.account == Some(account)) && self.lives(held);
        let number = match held.what {
            What::Card(number) => Some(NUMBERS[number].get(..6).unwrap().to_owned()),
            What::Payload => None,
        };
        is_seen.then(|| Seen { id, number, expires_at: held.expires_at, label: held.label.clone() })
    }

    /// The live tokens of a card, the oldest first.
    fn of_card(&self, number: usize) -> Vec<(i64, TokenId)> {
        let is_meant = |held: &Held| held.what == What::Card(number) && self.lives(held);
        let mut found: Vec<_> =
            self.held.iter().filter(|(_, held)| is_meant(held)).map(|(id, held)| (held.created_at, *id)).collect();
        found.sort_unstable();
        found
    }

    /// What an answer is held to: the refusal, or what is seen, or that it is not there.
    fn compare(
        refusal: Option<ErrorKind>,
        expected: Result<Seen, ErrorKind>,
        answer: Result<Seen, Error>,
    ) -> Result<(), TestCaseError> {
        let expected = refusal.map_or(expected, Err);
        prop_assert_eq!(answer.map_err(|error| error.kind()), expected);
        Ok(())
    }

    fn create(&mut self, who: Who, asked: Asked, key: Option<&'static str>) -> Result<(), TestCaseError> {
        let is_card = asked.what != What::Payload;
        let needed: &[Scope] = match (asked.what, asked.duplicates) {
            (What::Payload, _) => &[Scope::GenericTokensCreate],
            (_, Duplicates::Allow) => &[Scope::PciTokensCreate],
            (_, Duplicates::ReturnExisting) => &[Scope::PciTokensCreate, Scope::PciTokensFind],
            _ => &[Scope::PciTokensCreate, Scope::PciTokensFind, Scope::PciTokensUpdate],
        };
        let refusal = self.refusal(who, needed);
        let start = self.start();
        let answer = by!(self, who, |vault| match asked.what {
            What::Payload => vault.create_generic(payload(asked, key)).map(|token| seen_generic(&token, start)),
            What::Card(_) => vault.create_pci(card(asked, key)).map(|created| match created {
                PciCreated::Token(token) => seen_card(&token, start),
                PciCreated::Session(_) => unreachable!("none was asked for"),
            }),
        });
        if refusal.is_some() {
            return Self::compare(refusal, Err(ErrorKind::NotFound), answer);
        }
        let named = self.holders.get(&who).map_or(Named::Root, |holder| holder.id);
        let entry = key.map(|key| (named, is_card, key));
        if let Some((first, target)) = entry.and_then(|entry| self.entries.get(&entry)) {
            let again = if *first == asked { self.seen(who, *target) } else { None };
            return Self::compare(None, again.ok_or(ErrorKind::Conflict), answer);
        }
        let Ok(answer) = answer else { return Err(TestCaseError::fail(format!("{answer:?}"))) };
        let known = match (asked.what, asked.duplicates) {
            (What::Payload, _) | (_, Duplicates::Allow) => None,
            // Whoever is of no account has the cards of no account.
            (What::Card(number), _) => {
                self.of_card(number).into_iter().find(|(_, id)| self.held[id].account == who.account())
            }
        };
        let expires_at = asked.lifetime.map(|seconds| self.now + i64::from(seconds) * 1000);
        let id = known.map_or(answer.id, |(_, id)| id);
        if known.is_none() {
            prop_assert!(!self.ids.iter().any(|(known, _)| *known == id), "an id that is another's");
            let (account, created_at) = (who.account(), self.now);
            self.held.insert(id, Held { account, what: asked.what, created_at, expires_at, label: None });
            self.ids.push((id, is_card));
        } else if asked.duplicates == Duplicates::UpdateExisting {
            let held = self.held.get_mut(&id).unwrap();
            (held.expires_at, held.label) = (expires_at, None);
        }
        if let Some(entry) = entry {
            self.entries.insert(entry, (asked, id));
        }
        prop_assert_eq!(Some(answer), self.seen(who, id));
        Ok(())
    }

    fn view(&self, who: Who, which: Index) -> Result<(), TestCaseError> {
        let Some((id, is_card)) = pick(which, &self.ids) else { return Ok(()) };
        let scope = if is_card { Scope::PciTokensRead } else { Scope::GenericTokensRead };
        let start = self.start();
        let answer = by!(self, who, |vault| view(vault, (id, is_card), start));
        Self::compare(self.refusal(who, &[scope]), self.seen(who, id).ok_or(ErrorKind::NotFound), answer)
    }

    fn label(&mut self, who: Who, which: Index) -> Result<(), TestCaseError> {
        let Some((id, is_card)) = pick(which, &self.ids) else { return Ok(()) };
        let scope = if is_card { Scope::PciTokensUpdate } else { Scope::GenericTokensUpdate };
        self.labels += 1;
        let label = self.labels.to_string();
        let start = self.start();
        let answer = by!(self, who, |vault| relabel(vault, (id, is_card), &label, start));
        let refusal = self.refusal(who, &[scope]);
        let is_there = self.seen(who, id).is_some();
        if let (None, true, Some(held)) = (refusal, is_there, self.held.get_mut(&id)) {
            held.label = Some(label);
        }
        Self::compare(refusal, self.seen(who, id).ok_or(ErrorKind::NotFound), answer)
    }

    fn delete(&mut self, who: Who, which: Index) -> Result<(), TestCaseError> {
        let Some((id, is_card)) = pick(which, &self.ids) else { return Ok(()) };
        let scope = if is_card { Scope::PciTokensDelete } else { Scope::GenericTokensDelete };
        let answer = by!(self, who, |vault| if is_card { vault.delete_pci(id) } else { vault.delete_generic(id) });
        let missing = if self.seen(who, id).is_some() { None } else { Some(ErrorKind::NotFound) };
        let expected = self.refusal(who, &[scope]).or(missing);
        prop_assert_eq!(kind(answer.err()), expected);
        if expected.is_none() {
            self.held.remove(&id);
        }
        Ok(())
    }

    /// Both lists, page by page.
    fn list(&self, who: Who) -> Result<(), TestCaseError> {
        let start = self.start();
        for is_card in [false, true] {
            let (mut listed, mut page) = (Vec::new(), Page::first(2));
            let ended = loop {
                let next = by!(self, who, |vault| list(vault, is_card, page, start));
                match next {
                    Ok((seen, next)) => {
                        listed.extend(seen);
                        let (true, Some(last)) = (next, listed.last()) else { break None };
                        page = Page::first(2).after(last.id);
                    }
                    Err(error) => break Some(error.kind()),
                }
            };
            let scope = if is_card { Scope::PciTokensRead } else { Scope::GenericTokensRead };
            let refusal = self.refusal(who, &[scope]);
            prop_assert_eq!(ended, refusal);
            if refusal.is_none() {
                let of_kind = |id: &TokenId| self.ids.contains(&(*id, is_card));
                let own = self.held.keys().filter(|id| of_kind(id)).filter_map(|id| self.seen(who, *id));
                prop_assert_eq!(listed, own.collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    fn find(&self, who: Who, number: usize) -> Result<(), TestCaseError> {
        let pan = Pan::parse(NUMBERS[number]).unwrap();
        let answer = by!(self, who, |vault| vault.find_by_account_number(&pan));
        let refusal = self.refusal(who, &[Scope::PciTokensFind]);
        let found = self.of_card(number).into_iter().map(|(_, id)| id).filter(|id| self.seen(who, *id).is_some());
        let expected = refusal.map_or_else(|| Ok(found.collect::<Vec<_>>()), Err);
        prop_assert_eq!(answer.map_err(|error| error.kind()), expected);
        Ok(())
    }

    /// When it began, in ms.
    fn start(&self) -> i64 {
        tokenvault::Clock::now(&self.clock).timestamp_millis() - self.now
    }
}

fn view<A: Authority>(vault: &Vault<A>, (id, is_card): (TokenId, bool), start: i64) -> Result<Seen, Error> {
    if is_card {
        vault.pci(id).map(|token| seen_card(&token, start))
    } else {
        vault.generic(id).map(|token| seen_generic(&token, start))
    }
}

fn relabel<A: Authority>(
    vault: &Vault<A>,
    (id, is_card): (TokenId, bool),
    label: &str,
    start: i64,
) -> Result<Seen, Error> {
    if is_card {
        let update = UpdatePci::new().metadata([("n", label)]).unwrap();
        vault.update_pci(id, update).map(|token| seen_card(&token, start))
    } else {
        let update = UpdateGeneric::new().metadata([("n", label)]).unwrap();
        vault.update_generic(id, update).map(|token| seen_generic(&token, start))
    }
}

/// A page, and whether there is a next one.
fn list<A: Authority>(vault: &Vault<A>, is_card: bool, page: Page, start: i64) -> Result<(Vec<Seen>, bool), Error> {
    if is_card {
        let list = vault.list_pci(page)?;
        Ok((list.data.iter().map(|token| seen_card(token, start)).collect(), list.links.next.is_some()))
    } else {
        let list = vault.list_generic(page)?;
        Ok((list.data.iter().map(|token| seen_generic(token, start)).collect(), list.links.next.is_some()))
    }
}

fn kind(error: Option<Error>) -> Option<ErrorKind> {
    error.map(|error| error.kind())
}

fn payload(asked: Asked, key: Option<&str>) -> CreateGeneric {
    let request = CreateGeneric::new([("pin", "1234")]).unwrap();
    let request =
        asked.lifetime.into_iter().fold(request, |request, seconds| request.expires_in(seconds.into()).unwrap());
    key.into_iter().fold(request, |request, key| request.idempotency_key(key).unwrap())
}

fn card(asked: Asked, key: Option<&str>) -> CreatePci {
    let What::Card(number) = asked.what else { unreachable!("a payload") };
    let source = PanSource::new(Pan::parse(NUMBERS[number]).unwrap(), CardExpiry::new(12, 2031).unwrap());
    let request = CreatePci::new(source).duplicates(asked.duplicates);
    let request =
        asked.lifetime.into_iter().fold(request, |request, seconds| request.expires_in(seconds.into()).unwrap());
    key.into_iter().fold(request, |request, key| request.idempotency_key(key).unwrap())
}

fn label_of(metadata: Option<&Metadata>) -> Option<String> {
    metadata.and_then(|metadata| metadata.get("n")).map(str::to_owned)
}

fn seen_generic(token: &GenericToken, start: i64) -> Seen {
    let expires_at = token.expires_at.map(|at| at.timestamp_millis() - start);
    Seen { id: token.id, number: None, expires_at, label: label_of(token.metadata.as_ref()) }
}

fn seen_card(token: &PciToken, start: i64) -> Seen {
    let expires_at = token.expires_at.map(|at| at.timestamp_millis() - start);
    let number = token.card.masked_account_number.get(..6).map(str::to_owned);
    Seen { id: token.id, number, expires_at, label: label_of(token.metadata.as_ref()) }
}
