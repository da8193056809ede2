//! What may be done to a vault, and how it is thought up.
//!
//! Time goes in minutes, and a few milliseconds on top: a security code is also taken away by a thread with a steady clock, which
//! must never come first.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokenvault::card::SecurityCode;
use tokenvault::{CompleteSession, CreateGeneric, CreatePci, Duplicates, Error, PanSource};

use crate::common::kinds::{GENERIC, Kind, PCI};
use crate::held::{Card, Extras, Pairs, object};

pub const NUMBERS: [&str; 5] =
    ["4111111111111111", "4222222222222", "378282246310005", "30569309025904", "6205500000000000004"];

pub const MINUTE: i64 = 60_000;

/// How long an idempotency key is remembered, in milliseconds.
pub const DAY: i64 = 86_400_000;

/// What a change says of a field.
#[derive(Clone, Debug)]
pub enum Edit<T> {
    Nothing,
    Null,
    Is(T),
}

impl<T: Clone> Edit<T> {
    pub fn on(&self, field: &mut Option<T>) {
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
pub struct Update {
    pub month: Option<u8>,
    pub year: Option<u16>,
    pub name: Edit<String>,
    pub metadata: Edit<Pairs>,
    pub lifetime: Edit<u32>,
}

impl Update {
    /// As it is asked of a token of this kind.
    pub fn json(&self, kind: &Kind) -> String {
        let mut json = self.metadata.member("metadata", object) + &self.lifetime.member(kind.lifetime, u32::to_string);
        if *kind == PCI {
            json += &self.name.member("cardholder_name", String::clone);
            json += &self.month.map(|month| format!(r#""expiry_month":{month},"#)).unwrap_or_default();
            json += &self.year.map(|year| format!(r#""expiry_year":{year},"#)).unwrap_or_default();
        }
        format!("{{{}}}", json.trim_end_matches(','))
    }
}

/// A card as it is handed in.
#[derive(Clone, Debug)]
pub struct Handed {
    pub card: Card,
    pub code: Option<&'static str>,
}

impl Handed {
    fn json(&self) -> String {
        let code = self.code.map(|code| format!(r#""security_code":"{code}","#)).unwrap_or_default();
        let Card { number, .. } = self.card;
        format!(r#"{{"type":"pan",{code}{}"account_number":"{number}"}}"#, self.card.printed())
    }

    pub fn source(&self) -> PanSource {
        PanSource::from_json(self.json().as_bytes()).unwrap()
    }
}

/// A request for a token or a session, with what is not in its JSON.
#[derive(Clone, Debug)]
pub struct Asked {
    pub what: Wanted,
    pub extras: Extras,
    pub key: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub enum Wanted {
    Payload(Pairs),
    Card(Handed, Duplicates),
    Session(Duplicates),
}

impl Asked {
    pub fn kind(&self) -> &'static Kind {
        if let Wanted::Payload(_) = self.what { &GENERIC } else { &PCI }
    }

    pub fn duplicates(&self) -> Duplicates {
        match self.what {
            Wanted::Payload(_) => Duplicates::Allow,
            Wanted::Card(_, duplicates) | Wanted::Session(duplicates) => duplicates,
        }
    }

    /// The same with another security code, if it has one.
    fn with_code(mut self, other: Option<&'static str>) -> Self {
        if let Wanted::Card(Handed { code, .. }, _) = &mut self.what {
            *code = other;
        }
        self
    }

    /// All by which two requests are compared.
    pub fn compared(&self) -> String {
        format!("{:?}", self.clone().with_code(None))
    }

    pub fn generic(&self) -> Result<CreateGeneric, Error> {
        let Wanted::Payload(payload) = &self.what else { panic!("asks for a card") };
        let json = format!(r#"{{{}"payload":{}}}"#, self.extras.members(GENERIC.lifetime), object(payload));
        let request = CreateGeneric::from_json(json.as_bytes())?;
        self.key.iter().try_fold(request, |request, key| request.idempotency_key(key))
    }

    pub fn pci(&self) -> Result<CreatePci, Error> {
        let source = match &self.what {
            Wanted::Payload(_) => panic!("asks for no card"),
            Wanted::Card(handed, _) => handed.json(),
            Wanted::Session(_) => r#"{"type":"session"}"#.to_owned(),
        };
        let json = format!(r#"{{{}"source":{source}}}"#, self.extras.members(PCI.lifetime));
        let request = CreatePci::from_json(json.as_bytes())?.duplicates(self.duplicates());
        self.key.iter().try_fold(request, |request, key| request.idempotency_key(key))
    }
}

/// A card for a session.
#[derive(Clone, Debug)]
pub struct Completion {
    pub handed: Handed,
    pub key: Option<&'static str>,
}

impl Completion {
    pub fn request(&self) -> CompleteSession {
        let request = CompleteSession::from(self.handed.source());
        self.key.iter().try_fold(request, |request, key| request.idempotency_key(key)).unwrap()
    }
}

/// What is done with a security code.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Look,
    Use,
    Fill,
    Delete,
}

#[derive(Clone, Debug)]
pub enum Step {
    Create(Asked),
    /// Something that was asked for before, perhaps with another security code.
    Repeat {
        which: Index,
        code: Option<&'static str>,
    },
    /// Many of one kind; `None` was refused before it came to the vault.
    CreateMany(&'static Kind, Vec<Option<Asked>>),
    Find {
        number: &'static str,
    },
    View(&'static Kind, Index),
    Reveal(&'static Kind, Index),
    Fill(Index),
    Delete(&'static Kind, Index),
    Update(&'static Kind, Index, Update),
    Replace(Index, Handed),
    Many(&'static Kind, Vec<Index>),
    List {
        kind: &'static Kind,
        limit: usize,
        after: Option<Index>,
    },
    Walk {
        kind: &'static Kind,
        limit: usize,
    },
    Session(Index),
    Complete(Index, Completion),
    /// A completion that was tried before, perhaps with another security code.
    CompleteAgain {
        which: Index,
        code: Option<&'static str>,
    },
    Code(Deed, Index),
    Refresh(Index),
    CompleteRefresh(Index, &'static str),
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
    DeleteType(Index),
    /// On, or back.
    Move {
        millis: i64,
    },
    Sweep,
    Index,
    Reopen,
    /// Opens the vault anew, and from here on it keeps fingerprints.
    KeepFingerprints,
}

fn pairs(value: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Pairs> {
    // A map, so that no key comes twice.
    prop::collection::btree_map(".{1,20}", value, 0..5)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (serde_json::to_string(&key).unwrap(), value)).collect())
}

fn text(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern.prop_map(|text| serde_json::to_string(&text).unwrap())
}

/// In seconds: some end with sessions and security codes, some before, some behind.
fn lifetime() -> impl Strategy<Value = u32> {
    prop_oneof![Just(60), Just(900), (1_u32..=30).prop_map(|minutes| 60 * minutes)]
}

fn extras() -> impl Strategy<Value = Extras> {
    let metadata = prop::option::of(pairs(text(".{1,80}")));
    (metadata, prop::option::of(lifetime())).prop_map(|(metadata, lifetime)| Extras { metadata, lifetime })
}

fn name() -> impl Strategy<Value = String> {
    text("[^\\pC]{1,60}")
}

fn code() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(select(vec!["123", "0000", "987"]))
}

fn handed() -> impl Strategy<Value = Handed> {
    let card = (select(&NUMBERS[..]), 1_u8..=12, 2000_u16..=9999, prop::option::of(name()));
    (card, code())
        .prop_map(|((number, month, year, name), code)| Handed { card: Card { number, month, year, name }, code })
}

fn edit<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Edit<T>> {
    prop_oneof![2 => Just(Edit::Nothing), 1 => Just(Edit::Null), 2 => value.prop_map(Edit::Is)]
}

fn update() -> impl Strategy<Value = Update> {
    let date = (prop::option::of(1_u8..=12), prop::option::of(2000_u16..=9999));
    (date, edit(name()), edit(pairs(text(".{1,80}"))), edit(lifetime()))
        .prop_map(|((month, year), name, metadata, lifetime)| Update { month, year, name, metadata, lifetime })
}

fn payload() -> impl Strategy<Value = Pairs> {
    pairs(prop_oneof![
        text(".{1,80}"),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-1e9..1e9).prop_map(|value: f64| format!("{value:?}")),
        Just("1.50e+2".to_owned()),
    ])
}

fn key() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(select(vec!["a", "b", "c", "d"]))
}

fn generic() -> impl Strategy<Value = Asked> {
    (payload().prop_map(Wanted::Payload), extras(), key()).prop_map(|(what, extras, key)| Asked { what, extras, key })
}

fn pci() -> impl Strategy<Value = Asked> {
    let duplicates =
        || select(vec![Duplicates::Allow, Duplicates::Allow, Duplicates::ReturnExisting, Duplicates::UpdateExisting]);
    let what = prop_oneof![
        3 => (handed(), duplicates()).prop_map(|(handed, duplicates)| Wanted::Card(handed, duplicates)),
        1 => duplicates().prop_map(Wanted::Session),
    ];
    (what, extras(), key()).prop_map(|(what, extras, key)| Asked { what, extras, key })
}

/// Some of them twice, some refused before they come to the vault.
fn group(asked: impl Strategy<Value = Asked> + 'static) -> impl Strategy<Value = Vec<Option<Asked>>> {
    let one = (prop::option::weighted(0.9, asked), prop::option::weighted(0.3, any::<Index>()));
    prop::collection::vec(one, 0..6).prop_map(|ones| {
        let mut group: Vec<Option<Asked>> = Vec::new();
        for (asked, again) in ones {
            let again = again.filter(|_| !group.is_empty()).map(|again| again.get(&group).clone());
            group.push(again.unwrap_or(asked));
        }
        group
    })
}

fn creation() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => generic().prop_map(Step::Create),
        5 => pci().prop_map(Step::Create),
        2 => (any::<Index>(), code()).prop_map(|(which, code)| Step::Repeat { which, code }),
        1 => group(generic()).prop_map(|group| Step::CreateMany(&GENERIC, group)),
        2 => group(pci()).prop_map(|group| Step::CreateMany(&PCI, group)),
    ]
}

fn kind() -> impl Strategy<Value = &'static Kind> {
    select(vec![&GENERIC, &PCI])
}

fn of_tokens() -> impl Strategy<Value = Step> {
    let list = (kind(), 1_usize..6, prop::option::of(any::<Index>()));
    let many = (kind(), prop::collection::vec(any::<Index>(), 0..6));
    prop_oneof![
        1 => select(&NUMBERS[..]).prop_map(|number| Step::Find { number }),
        2 => (kind(), any::<Index>()).prop_map(|(kind, which)| Step::View(kind, which)),
        2 => (kind(), any::<Index>()).prop_map(|(kind, which)| Step::Reveal(kind, which)),
        1 => any::<Index>().prop_map(Step::Fill),
        2 => (kind(), any::<Index>()).prop_map(|(kind, which)| Step::Delete(kind, which)),
        3 => (kind(), any::<Index>(), update()).prop_map(|(kind, which, update)| Step::Update(kind, which, update)),
        1 => (any::<Index>(), handed()).prop_map(|(which, handed)| Step::Replace(which, handed)),
        1 => many.prop_map(|(kind, which)| Step::Many(kind, which)),
        3 => list.prop_map(|(kind, limit, after)| Step::List { kind, limit, after }),
        1 => (kind(), 1_usize..8).prop_map(|(kind, limit)| Step::Walk { kind, limit }),
    ]
}

fn of_sessions() -> impl Strategy<Value = Step> {
    let complete = (any::<Index>(), handed(), key());
    let deed = select(vec![Deed::Look, Deed::Use, Deed::Fill, Deed::Delete]);
    let code_for = (any::<Index>(), select(vec!["111", "2222"]));
    prop_oneof![
        2 => any::<Index>().prop_map(Step::Session),
        4 => complete.prop_map(|(which, handed, key)| Step::Complete(which, Completion { handed, key })),
        1 => (any::<Index>(), code()).prop_map(|(which, code)| Step::CompleteAgain { which, code }),
        4 => (deed, any::<Index>()).prop_map(|(deed, which)| Step::Code(deed, which)),
        2 => any::<Index>().prop_map(Step::Refresh),
        3 => code_for.prop_map(|(which, code)| Step::CompleteRefresh(which, code)),
    ]
}

fn of_types() -> impl Strategy<Value = Step> {
    let typed = (any::<Index>(), payload(), extras());
    let list = (any::<Index>(), 1_usize..4, prop::option::of(any::<Index>()));
    prop_oneof![
        1 => (0_usize..4).prop_map(|most| Step::CreateType { most }),
        2 => typed.prop_map(|(which, payload, extras)| Step::CreateTyped { which, payload, extras }),
        1 => list.prop_map(|(which, limit, after)| Step::ListTyped { which, limit, after }),
        1 => any::<Index>().prop_map(Step::DeleteType),
    ]
}

fn of_time() -> impl Strategy<Value = Step> {
    let minutes = |minutes: std::ops::RangeInclusive<i64>| minutes.prop_map(|minutes| minutes * MINUTE);
    let more = prop_oneof![2 => Just(0), 1 => 1_i64..40];
    let some = prop_oneof![2 => minutes(0..=2), 2 => minutes(0..=15), 2 => minutes(-30..=-1)];
    prop_oneof![
        4 => (some, more).prop_map(|(millis, more)| Step::Move { millis: millis + more }),
        1 => select(vec![DAY / 2, DAY - 1, DAY]).prop_map(|millis| Step::Move { millis }),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => creation(),
        14 => of_tokens(),
        9 => of_sessions(),
        4 => of_types(),
        4 => of_time(),
        1 => Just(Step::Sweep),
        1 => Just(Step::Index),
        1 => Just(Step::Reopen),
        1 => Just(Step::KeepFingerprints),
    ]
}

pub fn security_code(code: &str) -> SecurityCode {
    SecurityCode::parse(code).unwrap()
}

impl Step {
    /// What was asked for before, once more.
    pub fn again(asked: &[Asked], which: Index, code: Option<&'static str>) -> Option<Asked> {
        (!asked.is_empty()).then(|| which.get(asked).clone().with_code(code))
    }
}
