//! `inquire`, `find`: what a card, or its token, is asked by on standard input.

use serde::Serialize;
use tokenvault::card::Pan;
use tokenvault::{InquirySource, TokenId, Vault};

use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::print;

/// Prints the leading digits and the scheme of the card.
pub(crate) fn inquire(vault: &Vault, out: &mut Output) -> Result<(), Failure> {
    let source = input::request()?;
    print(InquirySource::from_json_with(&source, vault.rules()).and_then(|source| vault.inquire(source)), out)
}

/// Prints the ids of the tokens of the card that standard input holds.
pub(crate) fn find(vault: &Vault, out: &mut Output) -> Result<(), Failure> {
    let account_number = Pan::from_json_with(&input::request()?, vault.rules())?;
    let ids = vault.find_by_account_number(&account_number);
    print(ids.map(|ids| Found { ids }), out)
}

/// What was found, as `find` prints it.
#[derive(Serialize)]
struct Found {
    ids: Vec<TokenId>,
}
