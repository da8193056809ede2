//! How much of an account number may be seen: PCI DSS 3.4.1 allows the first six and the last four digits at most.

use crate::card::pan;

/// The first six and the last four.
const MOST_SHOWN: usize = 10;

/// The digits of an account number that a vault shows; one style for all its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaskStyle {
    /// `411111******1111`, the default.
    #[default]
    FirstSixLastFour,
    /// `************1111`.
    LastFour,
}

impl MaskStyle {
    /// How many digits are seen at either end.
    fn shown(self) -> (usize, usize) {
        match self {
            Self::FirstSixLastFour => (6, 4),
            Self::LastFour => (0, 4),
        }
    }

    /// One `*` for each hidden digit; the length stays.
    pub(crate) fn mask(self, digits: &[u8]) -> String {
        let (first, last) = self.shown();
        let hidden = first..digits.len().saturating_sub(last);
        let mask = |(at, digit): (usize, &u8)| if hidden.contains(&at) { '*' } else { char::from(*digit) };
        digits.iter().enumerate().map(mask).collect()
    }

    /// Whether a text is a mask of some style, which shows no more than any style does.
    pub(crate) fn is_mask(text: &str) -> bool {
        let shown = text.bytes().filter(u8::is_ascii_digit).count();
        let hidden = text.bytes().filter(|byte| *byte == b'*').count();
        pan::LENGTHS.contains(&text.len()) && shown + hidden == text.len() && shown <= MOST_SHOWN
    }

    /// The byte that stands for it in a vault's anchor.
    pub(crate) fn as_byte(self) -> u8 {
        match self {
            Self::FirstSixLastFour => 1,
            Self::LastFour => 2,
        }
    }

    /// The style of a byte in a vault's anchor.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::FirstSixLastFour, Self::LastFour].into_iter().find(|style| style.as_byte() == byte)
    }
}
