//! The leading digits that tell the issuer (BIN, or IIN in ISO/IEC 7812-1).

/// What every number may be told by: PCI DSS lets the first six be seen beside the last four, whatever the length.
const SIX: usize = 6;
/// What a number of sixteen digits or more may be told by as well.
const EIGHT: usize = 8;
/// From this length on at least four digits stay hidden behind eight leading and four trailing ones, as PCI SSC FAQ 1091 asks
/// for; it allows no more than six and four of a shorter number.
const EIGHT_FROM: usize = 16;

/// How many leading digits a vault tells of a number.
///
/// The mask of every style shows the last four, and whoever has both has one number truncated twice. So what counts is the
/// union: six and four in every vault, which is what the longer mask shows alone, or eight and four where that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BinStyle {
    /// Six.
    #[default]
    Six,
    /// Eight of a number of sixteen digits or more, six of a shorter one.
    Eight,
}

impl BinStyle {
    /// How many digits are told of a number of this length.
    pub(crate) fn digits(self, length: usize) -> usize {
        match self {
            Self::Eight if length >= EIGHT_FROM => EIGHT,
            Self::Six | Self::Eight => SIX,
        }
    }
}
