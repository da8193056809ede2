//! `define`, `enable`, `disable`: what credentials name, and whether they are good.

use tokenvault::{Authority, DefineAccount, DefineModule, Vault};

use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::print;
use crate::values::{DefinedKind, Name};

/// Defines what standard input holds, or defines it anew.
pub(crate) fn define(vault: &Vault, kind: DefinedKind, out: &mut Output) -> Result<(), Failure> {
    let (body, rules) = (input::request()?, vault.rules());
    match kind {
        DefinedKind::Account => {
            print(DefineAccount::from_json_with(&body, rules).and_then(|account| vault.define_account(account)), out)
        }
        DefinedKind::Module => {
            print(DefineModule::from_json_with(&body, rules).and_then(|module| vault.define_module(module)), out)
        }
    }
}

/// Makes an API token good again.
pub(crate) fn enable(vault: &Vault<impl Authority>, id: &Name, out: &mut Output) -> Result<(), Failure> {
    print(id.api_token().and_then(|id| vault.enable_api_token(id)), out)
}

/// Lets an API token be refused.
pub(crate) fn disable(vault: &Vault<impl Authority>, id: &Name, out: &mut Output) -> Result<(), Failure> {
    print(id.api_token().and_then(|id| vault.disable_api_token(id)), out)
}
