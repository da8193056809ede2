//! The rules of a command: how requests are read and judged, and what becomes of those that come again.

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, ValueEnum};
use tokenvault::{CardDataGuard, Duplicates, Fingerprints, UnknownFields, UnlistedSchemes, VaultOptions};

use crate::arguments::{Arguments, RecordKind};
use crate::failure::Failure;

/// What becomes of requests that come again, and of cards that have a token.
#[derive(Args, Debug)]
pub(crate) struct AgainArguments {
    /// What is wanted if a card has a live token already: another one, that one as it is, or that one changed by the request
    #[arg(long, value_name = "WHAT", default_value = "allow")]
    duplicates: Wanted,
    /// Keep fingerprints of account numbers, which --duplicates needs, if the vault does not yet
    #[arg(long)]
    fingerprints: bool,
    /// Give the request on line N the idempotency key PREFIX followed by N; blank lines count
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) idempotency_prefix: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wanted {
    Allow,
    ReturnExisting,
    UpdateExisting,
}

impl AgainArguments {
    /// What is wanted of duplicates; only cards have any.
    pub(crate) fn duplicates(&self, kind: RecordKind) -> Result<Duplicates, Failure> {
        const ONLY_CARDS: &str = "--duplicates and --fingerprints are for cards: `create pci`";
        match (kind, self.duplicates) {
            (RecordKind::Pci, Wanted::ReturnExisting) => Ok(Duplicates::ReturnExisting),
            (RecordKind::Pci, Wanted::UpdateExisting) => Ok(Duplicates::UpdateExisting),
            (RecordKind::Pci, Wanted::Allow) => Ok(Duplicates::Allow),
            (_, Wanted::Allow) if !self.fingerprints => Ok(Duplicates::Allow),
            _ => Err(Failure::Usage(Arguments::command().error(ErrorKind::ArgumentConflict, ONLY_CARDS))),
        }
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
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    unknown_fields: Unknown,
    /// What becomes of an account number that belongs to none of the seven schemes
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    unlisted_schemes: Unlisted,
}

/// The rules that requests are read and judged by.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RuleArguments {
    #[command(flatten)]
    reading: ReadingArguments,
    /// Whether card numbers and track data are refused in metadata, names and payloads
    #[arg(long, value_name = "WHETHER", default_value = "off")]
    card_data_guard: Switch,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unknown {
    Refuse,
    Ignore,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unlisted {
    Refuse,
    Accept,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    Off,
    On,
}

impl ReadingArguments {
    /// A vault with these rules.
    pub(crate) fn options(self) -> VaultOptions {
        let fields = match self.unknown_fields {
            Unknown::Refuse => UnknownFields::Refuse,
            Unknown::Ignore => UnknownFields::Ignore,
        };
        let schemes = match self.unlisted_schemes {
            Unlisted::Refuse => UnlistedSchemes::Refuse,
            Unlisted::Accept => UnlistedSchemes::Accept,
        };
        VaultOptions::new().unknown_fields(fields).unlisted_schemes(schemes)
    }
}

impl RuleArguments {
    /// A vault with these rules.
    pub(crate) fn options(self) -> VaultOptions {
        let guard = match self.card_data_guard {
            Switch::Off => CardDataGuard::Off,
            Switch::On => CardDataGuard::On,
        };
        self.reading.options().card_data_guard(guard)
    }
}
