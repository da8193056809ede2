//! `update`, `replace-account-number`: one JSON object in, the token as it is afterwards out.

use tokenvault::{PanSource, UpdateGeneric, UpdatePci, Vault};
use uuid::Uuid;

use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::print;
use crate::values::Kind;

/// Changes what standard input names.
pub(crate) fn update(vault: &Vault, kind: Kind, id: Uuid, out: &mut Output) -> Result<(), Failure> {
    let (fields, rules) = (input::request()?, vault.rules());
    match kind {
        Kind::Generic => {
            let request = UpdateGeneric::from_json_with(&fields, rules)?;
            print(vault.update_generic(id.into(), request), out)
        }
        Kind::Pci => {
            let request = UpdatePci::from_json_with(&fields, rules)?;
            print(vault.update_pci(id.into(), request), out)
        }
    }
}

/// Puts the card that standard input holds in the place of another.
pub(crate) fn replace(vault: &Vault, id: Uuid, out: &mut Output) -> Result<(), Failure> {
    let source = PanSource::from_json_with(&input::request()?, vault.rules())?;
    print(vault.replace_account_number(id.into(), source), out)
}
