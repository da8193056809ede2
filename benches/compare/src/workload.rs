//! What is measured.

/// What is asked of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Cards are kept in an empty store, each durable before its thread goes on.
    CreateDurable,
    /// The same for so long that nothing can be put off.
    CreateSustained,
    /// Account numbers of random tokens are lent.
    RevealWarm,
    /// Random tokens are shown.
    View,
    /// Tokens are removed, each durably.
    Delete,
    /// Tokens that have expired are removed.
    Expire,
    /// Nine reveals, one creation.
    Mixed,
    /// What a store takes on disk, logs and journals counted, once everything is written and nothing under way.
    BytesPerToken,
    /// From the call to the first account number.
    Open,
}

/// Threads of a mixture or of deletions.
pub(crate) const SEVERAL: usize = 8;
/// Threads that a core cannot run at once.
pub(crate) const MANY: usize = 64;

impl Workload {
    pub(crate) const ALL: &[Self] = &[
        Self::CreateDurable,
        Self::CreateSustained,
        Self::RevealWarm,
        Self::View,
        Self::Delete,
        Self::Expire,
        Self::Mixed,
        Self::BytesPerToken,
        Self::Open,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateDurable => "create_durable",
            Self::CreateSustained => "create_durable_sustained",
            Self::RevealWarm => "reveal_warm",
            Self::View => "view",
            Self::Delete => "delete",
            Self::Expire => "expire",
            Self::Mixed => "mixed_90_10",
            Self::BytesPerToken => "bytes_per_token",
            Self::Open => "open",
        }
    }

    /// How many threads, in one measurement after the other.
    pub(crate) fn threads(self) -> &'static [usize] {
        match self {
            Self::CreateDurable => &[1, SEVERAL, MANY],
            Self::CreateSustained => &[MANY],
            Self::RevealWarm => &[1, 2],
            Self::Delete | Self::Mixed => &[SEVERAL],
            Self::View | Self::Expire | Self::BytesPerToken | Self::Open => &[1],
        }
    }
}
