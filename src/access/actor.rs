//! Those who do something.

use serde::{Deserialize, Serialize};

/// The id by which root is known.
pub(crate) const ROOT: &str = "root";

/// As many as any name has.
const NAME_CHARACTERS: usize = 80;

/// Who did something, as audit trails show it: root by the name that was given, an API key by what its mask shows, an API token by
/// its name. In JSON `{"id","name"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct By {
    /// `root`, or the id of a credential.
    pub id: String,
    /// Its name for people.
    pub name: String,
}

/// In whose name, and what for, the code that holds a [`Vault`](crate::Vault) acts: see
/// [`Vault::acting_as`](crate::Vault::acting_as).
///
/// ```
/// use tokenvault::Actor;
///
/// let clerk = Actor::new("j.doe").purpose("chargeback 4711");
/// assert_eq!(clerk.name(), "j.doe");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    name: String,
    purpose: Option<String>,
}

impl Actor {
    /// Somebody of a name, of which the first 80 characters count. It is shown as it is, also to clients that view what was made or
    /// changed in that name: put nothing secret into it.
    pub fn new(name: impl Into<String>) -> Self {
        let mut name = name.into();
        if let Some((end, _)) = name.char_indices().nth(NAME_CHARACTERS) {
            name.truncate(end);
        }
        Self { name, purpose: None }
    }

    /// What for. Default: nothing is said.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The purpose, if one was said.
    #[must_use]
    pub fn said_purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// As audit trails show it.
    pub(crate) fn by(&self) -> By {
        By { id: ROOT.to_owned(), name: self.name.clone() }
    }
}

impl Default for Actor {
    /// Root itself, for no said purpose.
    fn default() -> Self {
        Self::new(ROOT)
    }
}
