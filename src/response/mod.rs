//! What leaves the vault: views of tokens, pages, reports. None of these types can hold a secret.

mod created;
mod event;
mod instant;
mod listing;
mod report;
mod token;

pub use self::created::{PciCreated, PciSession};
pub use self::event::{Event, EventReason, EventType, RelatedObject};
pub use self::listing::{Links, Listing};
pub use self::report::{IndexReport, KeyEpoch, Stats, SweepReport};
pub use self::token::{GenericToken, MaskedCard, PciToken};
