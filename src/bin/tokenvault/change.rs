//! `update`, `replace-account-number`: one JSON object in, the token or credential as it is afterwards out.

use tokenvault::{Authority, PanSource, UpdateApiKey, UpdateApiToken, UpdateGeneric, UpdatePci, Vault};
use uuid::Uuid;

use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::print;
use crate::values::{ChangedKind, Name};

/// Changes what standard input names.
pub(crate) fn update(
    vault: &Vault<impl Authority>,
    kind: ChangedKind,
    id: &Name,
    out: &mut Output,
) -> Result<(), Failure> {
    let (fields, rules) = (input::request()?, vault.rules());
    match kind {
        ChangedKind::Generic => {
            let request = UpdateGeneric::from_json_with(&fields, rules)?;
            print(vault.update_generic(id.uuid().into(), request), out)
        }
        ChangedKind::Pci => {
            let request = UpdatePci::from_json_with(&fields, rules)?;
            print(vault.update_pci(id.uuid().into(), request), out)
        }
        ChangedKind::ApiKey => {
            let request = UpdateApiKey::from_json_with(&fields, rules)?;
            print(vault.update_api_key(id.uuid().into(), &request), out)
        }
        ChangedKind::ApiToken => {
            let request = UpdateApiToken::from_json_with(&fields, rules)?;
            print(id.api_token().and_then(|id| vault.update_api_token(id, &request)), out)
        }
    }
}

/// Puts the card that standard input holds in the place of another.
pub(crate) fn replace(vault: &Vault<impl Authority>, id: Uuid, out: &mut Output) -> Result<(), Failure> {
    let source = PanSource::from_json_with(&input::request()?, vault.rules())?;
    print(vault.replace_account_number(id.into(), source), out)
}
