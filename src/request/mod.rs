//! What a caller asks for: checked values from typed calls or from JSON, by one set of rules.

mod duplicates;
mod fields;
mod generic;
mod idempotency;
mod json;
mod limits;
mod metadata;
mod page;
mod pci;
mod report;
mod text;

pub use self::duplicates::Duplicates;
pub use self::generic::CreateGeneric;
pub(crate) use self::idempotency::{Canonical, IdempotencyKey};
pub use self::page::Page;
pub use self::pci::{CreatePci, PanSource};
