//! What to do about a card that has a token already.

/// What a request for a PCI token wants if the vault holds a live token of the same card.
///
/// Cards are told apart by their whole account number. All but the default need the vault to keep fingerprints, see
/// [`VaultOptions::fingerprints`](crate::VaultOptions::fingerprints). If a card has several live tokens, since `Allow` made
/// them, the oldest one counts: the one that was created first, and of those created in one millisecond the one with the
/// smallest id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Duplicates {
    /// Another token. The default.
    #[default]
    Allow = 0,
    /// That token, as it is: nothing of the request is taken over but its security code.
    ReturnExisting = 1,
    /// That token, under its id and with its creation time, its expiry date, name, metadata and lifetime replaced by those of
    /// the request; the lifetime begins anew. What the request leaves out, the token has no longer.
    UpdateExisting = 2,
}

impl Duplicates {
    const ALL: [Self; 3] = [Self::Allow, Self::ReturnExisting, Self::UpdateExisting];

    /// The byte that stands for it in the form of a request, and, shifted, in the record of a session.
    pub(crate) fn as_byte(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|wanted| wanted.as_byte() == byte)
    }
}
