//! The rows of a record in the indexes: named once, for whoever writes and whoever removes them.

use uuid::Uuid;

use crate::access::ApiTokenStatus;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TypeId;
use crate::record::{self, Fingerprint, Header, Kind, SecretHash};
use crate::seal::HASH;
use crate::store::Table;
use crate::vault::fingerprint::fingerprint_key;
use crate::vault::listing::id_of;
use crate::vault::payload_type::use_key;

/// What rows are made of beside the header of a record.
#[derive(Default)]
pub(super) struct Leads {
    /// The type of a generic token.
    pub(super) type_id: Option<TypeId>,
    /// As it stands in the view of a PCI token.
    pub(super) fingerprint: Option<Fingerprint>,
    /// What a credential is known by, as long as it can be good.
    secret: Option<SecretHash>,
    /// What an API token is.
    status: Option<ApiTokenStatus>,
    /// Where the modules of an API token stand.
    modules: Vec<Uuid>,
}

impl Leads {
    /// What the plain view of a record says, but for the type of a generic token, which whoever seals it knows.
    pub(super) fn of(kind: Kind, view: &[u8]) -> Self {
        match kind {
            Kind::Pci => Self { fingerprint: record::fingerprint(view), ..Self::default() },
            Kind::ApiKey => {
                let secret = record::api_key_view(view).ok().map(|key| key.secret);
                Self { secret, ..Self::default() }
            }
            Kind::ApiToken => record::api_token_view(view).ok().map_or_else(Self::default, |token| {
                let secret = Some(token.secret).filter(|_| token.status != ApiTokenStatus::Deleted);
                Self { secret, status: Some(token.status), modules: token.modules, ..Self::default() }
            }),
            _ => Self::default(),
        }
    }

    /// The same, of a token of a type.
    pub(super) fn of_type(self, type_id: Option<TypeId>) -> Self {
        Self { type_id, ..self }
    }

    /// What lists of an account ask for without a look at the record: the type of a generic token, the status of an API token.
    fn listed(&self) -> Vec<u8> {
        match (self.type_id, self.status) {
            (Some(type_id), _) => type_id.as_bytes().to_vec(),
            (None, Some(status)) => vec![status.as_byte()],
            (None, None) => Vec::new(),
        }
    }
}

/// A row: table, key and value.
pub(super) type Row = (Table, Vec<u8>, Vec<u8>);

/// The rows of a record in the indexes: they come and go with it.
pub(super) fn rows(header: &Header, id: Uuid, leads: &Leads) -> impl Iterator<Item = Row> {
    let bare = |table, key| (table, key, Vec::new());
    let expiry = header.expires_at.map(|at| bare(Table::Expiry, expiry_key(at, header.kind, id)));
    let own = (header.kind == Kind::Type).then(|| bare(Table::TypeUse, id.as_bytes().to_vec()));
    let of_type = leads.type_id.map(|type_id| bare(Table::TypeUse, use_key(type_id, id)));
    let of_card = leads.fingerprint.map(|print| bare(Table::Fingerprint, fingerprint_key(&print, header, id)));
    let is_owned = header.owner != 0 && can_be_owned(header.kind);
    let owned = is_owned.then(|| (Table::Owned, owned_key(header.owner, header.kind, id), leads.listed()));
    let credential = || [&[header.kind.as_byte()], id.as_bytes().as_slice()].concat();
    let secret = leads.secret.map(|secret| (Table::Secret, secret_key(&secret), credential()));
    let modules: Vec<Row> =
        leads.modules.iter().map(|module| bare(Table::ModuleUse, module_use_key(*module, id))).collect();
    [expiry, own, of_type, of_card, owned, secret].into_iter().flatten().chain(modules)
}

/// Whether an account is told what it has of a kind. Entries of idempotency keys have no list, and the rest is root's.
fn can_be_owned(kind: Kind) -> bool {
    !matches!(kind, Kind::Replay | Kind::State | Kind::Account | Kind::Module)
}

/// A key of the expiry index: the instant, so that keys sort by it, then the kind and the id.
pub(super) fn expiry_key(expires_at: Timestamp, kind: Kind, id: Uuid) -> Vec<u8> {
    let mut key = Vec::with_capacity(25);
    key.extend_from_slice(&expires_at.as_millis().to_be_bytes());
    key.push(kind.as_byte());
    key.extend_from_slice(id.as_bytes());
    key
}

/// A key of what belongs to an account: its number, the kind and the id.
fn owned_key(owner: u32, kind: Kind, id: Uuid) -> Vec<u8> {
    [owned_prefix(owner, kind).as_slice(), id.as_bytes()].concat()
}

/// The id in such a key.
pub(super) fn owned_id(key: &[u8]) -> Result<Uuid, Error> {
    id_of(key.get(OWNER_AND_KIND..).unwrap_or_default())
}

/// The kind and the id in such a key.
pub(super) fn owned_record(key: &[u8]) -> Result<(Kind, Uuid), Error> {
    let kind = key.get(OWNER_AND_KIND - 1).copied().and_then(Kind::from_byte);
    let kind = kind.ok_or_else(|| Error::corrupt("a row in the store names no kind"))?;
    Ok((kind, owned_id(key)?))
}

/// Bytes before the id.
const OWNER_AND_KIND: usize = 5;

fn owned_prefix(owner: u32, kind: Kind) -> [u8; OWNER_AND_KIND] {
    let [a, b, c, d] = owner.to_be_bytes();
    [a, b, c, d, kind.as_byte()]
}

/// From the first key of what an account has of a kind, or behind the id that `from` is, up to behind the last.
pub(super) fn owned_of(owner: u32, kind: Kind, from: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let prefix = owned_prefix(owner, kind);
    ([prefix.as_slice(), from].concat(), [prefix.as_slice(), &[0xff; 17]].concat())
}

/// From the first key of what belongs to an account up to behind the last.
pub(super) fn owned(owner: u32) -> (Vec<u8>, Vec<u8>) {
    let first = owner.to_be_bytes();
    (first.to_vec(), [first.as_slice(), &[0xff]].concat())
}

/// Where a secret leads to its credential.
pub(super) fn secret_key(secret: &SecretHash) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + HASH);
    key.extend_from_slice(&secret.key.to_be_bytes());
    key.extend_from_slice(&secret.hash);
    key
}

/// The key that says that an API token has a module.
fn module_use_key(module: Uuid, token: Uuid) -> Vec<u8> {
    [*module.as_bytes(), *token.as_bytes()].concat()
}

/// From the first key of an API token that has a module up to behind the last.
pub(super) fn module_uses(module: Uuid) -> (Vec<u8>, Vec<u8>) {
    let id = module.as_bytes().as_slice();
    (id.to_vec(), [id, &[0xff; 17]].concat())
}
