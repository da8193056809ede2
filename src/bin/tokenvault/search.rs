//! `inquire`, `find`: what a card, or its token, is asked by on standard input.

use serde::Serialize;
use tokenvault::card::Pan;
use tokenvault::{Authority, ErrorKind, InquirySource, TokenId, Vault};

use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::print;

/// Prints the leading digits and the scheme of the card.
pub(crate) fn inquire(vault: &Vault<impl Authority>, out: &mut Output) -> Result<(), Failure> {
    let source = input::request()?;
    print(InquirySource::from_json_with(&source, vault.rules()).and_then(|source| vault.inquire(source)), out)
}

/// Prints the ids of the tokens of the card that standard input holds.
pub(crate) fn find(vault: &Vault<impl Authority>, out: &mut Output) -> Result<(), Failure> {
    let account_number = Pan::from_json_with(&input::request()?, vault.rules())?;
    let ids = tokens_of(&account_number, vault, "$")?;
    print(Ok(Found { ids }), out)
}

/// Refuses a vault that has not the fingerprints of all its cards.
pub(crate) fn require_fingerprints(vault: &Vault) -> Result<(), Failure> {
    // Whose tokens are asked for does not matter.
    tokens_of(&Pan::parse("4000000000000002")?, vault, "$.duplicates").map(drop)
}

/// The tokens of a card. `asked_at` is where a request asks for them.
fn tokens_of(
    account_number: &Pan,
    vault: &Vault<impl Authority>,
    asked_at: &'static str,
) -> Result<Vec<TokenId>, Failure> {
    vault.find_by_account_number(account_number).map_err(|error| match error.kind() {
        // The number was checked before: what is left are the fingerprints.
        ErrorKind::Validation => Failure::Unindexed { error, asked_at },
        _ => error.into(),
    })
}

/// What was found, as `find` prints it.
#[derive(Serialize)]
struct Found {
    ids: Vec<TokenId>,
}
