//! Who may do what: scopes, the operations that need them, and those who do them.

mod actor;
mod operation;
mod scope;
mod status;

pub use self::actor::{Actor, By};
pub use self::operation::Operation;
pub use self::scope::{Scope, Scopes};
pub use self::status::ApiTokenStatus;
