//! The rows of a record in the indexes: the same whether they are written with it or removed with it.

use uuid::Uuid;

use crate::access::ApiTokenStatus;
use crate::clock::Timestamp;
use crate::id::TypeId;
use crate::record::{self, Header, Kind};
use crate::store::{Batch, Table};
use crate::vault::access::secret_row;
use crate::vault::fingerprint::fingerprint_key;
use crate::vault::payload_type::use_key;

/// A row of an index.
type Row = (Table, Vec<u8>, Vec<u8>);

/// The rows of a record that stands, or will stand, so: by its header, and by its view as it is before it is sealed.
pub(super) fn rows(header: &Header, id: Uuid, view: &[u8]) -> Vec<Row> {
    let Header { kind, owner, expires_at, .. } = *header;
    let mut rows = Vec::new();
    let mut add = |table, key: Vec<u8>| rows.push((table, key, Vec::new()));
    if let Some(expires_at) = expires_at {
        add(Table::Expiry, expiry_key(expires_at, kind, id));
    }
    if owner != 0 && kind != Kind::Replay {
        add(Table::Owned, owned_key(owner, kind, id));
    }
    match kind {
        Kind::Generic => {
            if let Some(type_id) = record::type_of(view) {
                add(Table::TypeUse, use_key(type_id, id));
            }
        }
        Kind::Pci => {
            if let Some(fingerprint) = record::fingerprint(view) {
                add(Table::Fingerprint, fingerprint_key(&fingerprint, owner, id));
            }
        }
        Kind::Type => add(Table::TypeUse, id.as_bytes().to_vec()),
        Kind::ApiKey => {
            if let Ok(key) = record::api_key_view(view) {
                rows.push(secret_row(&key.secret, kind, id));
            }
        }
        Kind::ApiToken => {
            if let Ok(token) = record::api_token_view(view) {
                token.modules.iter().for_each(|module| add(Table::ModuleUse, module_use_key(*module, id)));
                if token.status != ApiTokenStatus::Deleted {
                    rows.push(secret_row(&token.secret, kind, id));
                }
            }
        }
        Kind::Session | Kind::Replay | Kind::State | Kind::Account | Kind::Module => {}
    }
    rows
}
