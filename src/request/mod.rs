//! What a caller asks for: checked values from typed calls or from JSON, by one set of rules.

mod access;
mod fields;
mod generic;
mod idempotency;
mod inquiry;
mod json;
mod limits;
mod metadata;
mod page;
mod payload_type;
mod pci;
mod report;
mod seen;
mod session;
mod source;
mod text;
pub(crate) mod update;

pub use self::access::{
    ApiTokenQuery, CreateApiKey, CreateApiToken, DefineAccount, DefineModule, UpdateApiKey, UpdateApiToken,
};
pub use self::generic::{CreateGeneric, UpdateGeneric};
pub(crate) use self::idempotency::{Canonical, IdempotencyKey};
pub(crate) use self::inquiry::Asked;
pub use self::inquiry::InquirySource;
pub(crate) use self::metadata::Extras;
pub use self::page::Page;
pub use self::payload_type::CreateType;
pub(crate) use self::payload_type::Given;
pub use self::pci::{CreatePci, UpdatePci};
pub use self::session::{CompleteSecurityCode, CompleteSession};
pub use self::source::PanSource;
pub(crate) use self::source::Source;
pub(crate) use self::update::Edit;
