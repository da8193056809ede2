//! The rules of a command: how requests are read and judged, and what becomes of those that come again.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use tokenvault::{CardDataGuard, Duplicates, Fingerprints, UnknownFields, UnlistedSchemes, VaultOptions};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::values::RecordKind;

/// An idempotency key has at most 64 characters, the number of a line 20 digits, and a colon stands between.
const LONGEST_PREFIX: usize = 43;

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
    /// Give the request on line N the idempotency key PREFIX:N; blank lines count. At most 43 characters
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub(crate) idempotency_prefix: Option<String>,
}

impl AgainArguments {
    /// Refuses these for requests of a kind that cannot have them; only cards have duplicates.
    pub(crate) fn check_for(&self, kind: RecordKind) -> Result<(), Failure> {
        const ONLY_CARDS: &str = "--duplicates and --fingerprints are for cards: `create pci`";
        if matches!(kind, RecordKind::Pci) || (self.duplicates == Duplicates::Allow && !self.fingerprints) {
            return Ok(());
        }
        Err(Failure::Usage(Arguments::command().error(ErrorKind::ArgumentConflict, ONLY_CARDS)))
    }

    /// A vault that keeps fingerprints, if that is wanted.
    pub(crate) fn options(&self, options: VaultOptions) -> VaultOptions {
        if self.fingerprints { options.fingerprints(Fingerprints::On) } else { options }
    }
}

/// The rule about the fields of a request.
#[derive(Args, Clone, Copy, Debug)]
struct FieldArgument {
    /// What becomes of a field that a request should not have; one that looks like a lifetime is always refused
    #[arg(long, value_name = "WHAT", default_value = "refuse", value_parser = words([
        ("refuse", UnknownFields::Refuse),
        ("ignore", UnknownFields::Ignore),
    ]))]
    unknown_fields: UnknownFields,
}

/// The rule about account numbers.
#[derive(Args, Clone, Copy, Debug)]
struct SchemeArgument {
    /// What becomes of an account number that belongs to none of the seven schemes
    #[arg(long, value_name = "WHAT", default_value = "refuse", value_parser = words([
        ("refuse", UnlistedSchemes::Refuse),
        ("accept", UnlistedSchemes::Accept),
    ]))]
    unlisted_schemes: UnlistedSchemes,
}

/// The rule about what is no card.
#[derive(Args, Clone, Copy, Debug)]
struct GuardArgument {
    /// Whether card numbers and track data are refused in metadata, names and payloads
    #[arg(long, value_name = "WHETHER", default_value = "off", value_parser = words([
        ("off", CardDataGuard::Off),
        ("on", CardDataGuard::On),
    ]))]
    card_data_guard: CardDataGuard,
}

/// The rules for a request that asks.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct AskingRules {
    #[command(flatten)]
    fields: FieldArgument,
    #[command(flatten)]
    schemes: SchemeArgument,
}

/// The rules for fields that change, an account number never among them.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ChangeRules {
    #[command(flatten)]
    fields: FieldArgument,
    #[command(flatten)]
    guard: GuardArgument,
}

/// The rules for a request that hands in a card or a payload.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CreationRules {
    #[command(flatten)]
    asking: AskingRules,
    #[command(flatten)]
    guard: GuardArgument,
}

impl AskingRules {
    /// A vault with these rules.
    pub(crate) fn options(self) -> VaultOptions {
        let options = VaultOptions::new().unknown_fields(self.fields.unknown_fields);
        options.unlisted_schemes(self.schemes.unlisted_schemes)
    }
}

impl ChangeRules {
    /// A vault with these rules.
    pub(crate) fn options(self) -> VaultOptions {
        let options = VaultOptions::new().unknown_fields(self.fields.unknown_fields);
        options.card_data_guard(self.guard.card_data_guard)
    }
}

impl CreationRules {
    /// A vault with these rules.
    pub(crate) fn options(self) -> VaultOptions {
        self.asking.options().card_data_guard(self.guard.card_data_guard)
    }
}

/// Reads what stands before the number of a line in an idempotency key.
fn prefix(typed: &str) -> Result<String, &'static str> {
    match typed.chars().count() {
        0 => Err("it must not be empty"),
        length if length > LONGEST_PREFIX => Err("it must be at most 43 characters"),
        _ => Ok(typed.to_owned()),
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
