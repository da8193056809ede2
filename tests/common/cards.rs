//! Cards at hand, and requests for tokens of them.

use tokenvault::card::{CardExpiry, Pan};
use tokenvault::{CreatePci, Duplicates, PanSource};

/// The published card.
pub fn card() -> PanSource {
    card_of("4111111111111111")
}

fn card_of(number: &str) -> PanSource {
    PanSource::new(Pan::parse(number).unwrap(), CardExpiry::new(12, 2025).unwrap())
}

/// A request for a token of a card, and nothing else.
pub fn plain(number: &str) -> CreatePci {
    CreatePci::new(card_of(number))
}

/// The same, for the token that the card may have.
pub fn returning(number: &str) -> CreatePci {
    plain(number).duplicates(Duplicates::ReturnExisting)
}
