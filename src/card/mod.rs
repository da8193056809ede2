//! What a payment card is made of: the account number and what is printed beside it.

mod bin;
mod expiry_date;
pub(crate) mod guard;
mod holder;
mod mask;
mod pan;
mod scheme;
mod security_code;

pub(crate) use self::bin::BinStyle;
pub use self::expiry_date::CardExpiry;
pub(crate) use self::holder::CardholderName;
pub use self::mask::MaskStyle;
pub use self::pan::Pan;
pub use self::scheme::Scheme;
pub use self::security_code::SecurityCode;
