//! The rules of a command: how requests are read and judged, and what becomes of those that come again.

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use tokenvault::{CardDataGuard, Duplicates, Fingerprints, UnknownFields, UnlistedSchemes, VaultOptions};

use crate::arguments::{Arguments, RecordKind};
use crate::failure::Failure;

/// What becomes of requests that come again, and of cards that have a token.
#[derive(Args, Debug)]
pub(crate) struct AgainArguments {
    /// What is wanted if a card has a live token already: another one, that one as it is, or that one changed by the request
    ///
    /// All but `allow` need the fingerprints of all cards in the vault. `tokenvault index-fingerprints` makes those of a vault
    /// that has cards, --fingerprints is enough for a new one.
    #[arg(long, value_name = "WHAT", default_value = "allow", value_parser = words([
        ("allow", Duplicates::Allow),
        ("return-existing", Duplicates::ReturnExisting),
        ("update-existing", Duplicates::UpdateExisting),
    ]))]
    pub(crate) duplicates: Duplicates,
    /// Keep fingerprints of account numbers from now on, if the vault does not yet; they cannot be turned off again
    ///
    /// Cards that are there already get theirs from `tokenvault index-fingerprints`.
    #[arg(long)]
    pub(crate) fingerprints: bool,
    /// Give the request on line N the idempotency key PREFIX followed by N; blank lines count
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) idempotency_prefix: Option<String>,
}

impl AgainArguments {
    /// These for requests of a kind; only cards have duplicates.
    pub(crate) fn of(self, kind: RecordKind) -> Result<Self, Failure> {
        const ONLY_CARDS: &str = "--duplicates and --fingerprints are for cards: `create pci`";
        if matches!(kind, RecordKind::Pci) || (self.duplicates == Duplicates::Allow && !self.fingerprints) {
            return Ok(self);
        }
        Err(Failure::Usage(Arguments::command().error(ErrorKind::ArgumentConflict, ONLY_CARDS)))
    }

    /// A vault that keeps fingerprints, if that is wanted.
    pub(crate) fn options(&self, options: VaultOptions) -> VaultOptions {
        if self.fingerprints { options.fingerprints(Fingerprints::On) } else { options }
    }
}

/// The rules that requests are read by, as the library has them.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ReadingArguments {
    /// What becomes of a field that a request should not have; one that looks like a lifetime is always refused
    #[arg(long, value_name = "WHAT", default_value = "refuse", value_parser = words([
        ("refuse", UnknownFields::Refuse),
        ("ignore", UnknownFields::Ignore),
    ]))]
    unknown_fields: UnknownFields,
    /// What becomes of an account number that belongs to none of the seven schemes
    #[arg(long, value_name = "WHAT", default_value = "refuse", value_parser = words([
        ("refuse", UnlistedSchemes::Refuse),
        ("accept", UnlistedSchemes::Accept),
    ]))]
    unlisted_schemes: UnlistedSchemes,
}

impl ReadingArguments {
    /// A vault with these rules.
    pub(crate) fn options(self) -> VaultOptions {
        VaultOptions::new().unknown_fields(self.unknown_fields).unlisted_schemes(self.unlisted_schemes)
    }
}

/// The rules that requests are read and judged by.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RuleArguments {
    #[command(flatten)]
    reading: ReadingArguments,
    /// Whether card numbers and track data are refused in metadata, names and payloads
    #[arg(long, value_name = "WHETHER", default_value = "off", value_parser = words([
        ("off", CardDataGuard::Off),
        ("on", CardDataGuard::On),
    ]))]
    card_data_guard: CardDataGuard,
}

impl RuleArguments {
    /// A vault with these rules.
    pub(crate) fn options(self) -> VaultOptions {
        self.reading.options().card_data_guard(self.card_data_guard)
    }
}

/// Reads words of a table as what they stand for.
fn words<T: Copy + Send + Sync + 'static, const N: usize>(
    table: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(table.map(|(word, _)| word)).try_map(move |typed| {
        let found = table.iter().find(|(word, _)| *word == typed);
        found.map(|(_, meaning)| *meaning).ok_or("not a word of the table")
    })
}
