//! `update`, `replace-account-number`: one JSON object in, the token as it is afterwards out.

use tokenvault::{PanSource, UpdateGeneric, UpdatePci, Vault};

use crate::arguments::Kind;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::{print, token_id};

/// Changes what standard input names.
pub(crate) fn update(vault: &Vault, kind: Kind, id: &str, out: &mut Output) -> Result<(), Failure> {
    let (fields, rules) = (input::request()?, vault.rules());
    let id = token_id(id);
    match kind {
        Kind::Generic => {
            let request = UpdateGeneric::from_json_with(&fields, rules)?;
            print(vault.update_generic(id?, request), out)
        }
        Kind::Pci => {
            let request = UpdatePci::from_json_with(&fields, rules)?;
            print(vault.update_pci(id?, request), out)
        }
    }
}

/// Puts the card that standard input holds in the place of another.
pub(crate) fn replace(vault: &Vault, id: &str, out: &mut Output) -> Result<(), Failure> {
    let source = PanSource::from_json_with(&input::request()?, vault.rules())?;
    print(vault.replace_account_number(token_id(id)?, source), out)
}
