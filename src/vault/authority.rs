//! In whose name a handle acts: root's, or that of whoever has authenticated.

use std::sync::Arc;

use crate::access::Actor;
#[cfg(doc)]
use crate::vault::Vault;
use crate::vault::access::Live;

/// What lets a handle do something. Only [`Root`] and [`Holder`] are one.
pub trait Authority: sealed::Known {}

/// The code that opened the vault: it may do everything.
#[derive(Clone, Debug, Default)]
pub struct Root(pub(super) Actor);

/// Whoever has authenticated with a credential: they may do what that may, as long as it is good. See [`Vault::authenticate`].
#[derive(Clone, Debug)]
pub struct Holder(pub(super) Arc<Live>);

impl Authority for Root {}
impl Authority for Holder {}

/// Who it is, in a call.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    Root(&'a Actor),
    Credential(&'a Arc<Live>),
}

mod sealed {
    use super::{Holder, Root, Who};

    /// Keeps others from being an authority.
    pub trait Known: Clone + Send + Sync + 'static {
        fn who(&self) -> Who<'_>;
    }

    impl Known for Root {
        fn who(&self) -> Who<'_> {
            Who::Root(&self.0)
        }
    }

    impl Known for Holder {
        fn who(&self) -> Who<'_> {
            Who::Credential(&self.0)
        }
    }
}
