//! Which scheme issued a number: one table of prefixes, held against its source row by row in a test.
//!
//! A prefix leads the issuer identification number of ISO/IEC 7812-1. The longest prefix that fits wins; where it has the
//! wrong length, or belongs to a brand that is not one of the seven, there is no scheme.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many leading digits the longest prefix of the table has.
const LONGEST_PREFIX: u32 = 8;

/// A card scheme that the published API names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Scheme {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// American Express.
    #[serde(rename = "american express")]
    AmericanExpress,
    /// Discover.
    Discover,
    /// Diners Club.
    #[serde(rename = "diners club")]
    DinersClub,
    /// JCB.
    Jcb,
    /// UnionPay.
    UnionPay,
}

/// Every scheme with its published name and the byte that stands for it in a record; 0 stands for none.
const SCHEMES: [(Scheme, &str, u8); 7] = [
    (Scheme::Visa, "visa", 1),
    (Scheme::Mastercard, "mastercard", 2),
    (Scheme::AmericanExpress, "american express", 3),
    (Scheme::Discover, "discover", 4),
    (Scheme::DinersClub, "diners club", 5),
    (Scheme::Jcb, "jcb", 6),
    (Scheme::UnionPay, "unionpay", 7),
];

impl Scheme {
    /// The published name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        SCHEMES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// The byte that stands for it in a record, never 0.
    pub(crate) fn as_byte(self) -> u8 {
        SCHEMES.iter().find(|row| row.0 == self).map_or(0, |row| row.2)
    }

    /// The scheme of a byte in a record.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        SCHEMES.iter().find(|row| row.2 == byte).map(|row| row.0)
    }

    /// The scheme of a number of 13 to 19 ASCII digits, by its prefix and its length.
    pub(crate) fn of(digits: &[u8]) -> Option<Self> {
        let (lead, _) = digits.split_at_checked(LONGEST_PREFIX as usize)?;
        let lead = lead.iter().fold(0, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0')));
        let first = usize::from(digits.first()?.wrapping_sub(b'0'));
        let (from, to) = (*GROUP_START.get(first)?, *GROUP_START.get(first + 1)?);
        let fits = |row: &&Range| row.lowest <= lead && lead <= row.highest;
        let row = RANGES.get(from..to)?.iter().filter(fits).max_by_key(|row| row.digits)?;
        row.scheme.filter(|_| row.lengths.iter().any(|length| usize::from(*length) == digits.len()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The prefixes from one to another, both of one length, and who uses them.
struct Range {
    /// The first prefix, filled up with zeros to [`LONGEST_PREFIX`] digits.
    lowest: u32,
    /// The last prefix, filled up with nines.
    highest: u32,
    /// How many digits the prefixes have.
    digits: u32,
    /// Lengths that a number of the scheme has; none for a carve-out.
    lengths: &'static [u8],
    scheme: Option<Scheme>,
    /// The brand of a carve-out; empty for a listed scheme.
    #[cfg_attr(not(test), expect(dead_code, reason = "only held against the source, in a test"))]
    brand: &'static str,
}

const fn listed(first: u32, last: u32, lengths: &'static [u8], scheme: Scheme) -> Range {
    Range { scheme: Some(scheme), lengths, ..carve_out(first, last, "") }
}

const fn carve_out(first: u32, last: u32, brand: &'static str) -> Range {
    let digits = first.ilog10() + 1;
    let rest = 10_u32.pow(LONGEST_PREFIX - digits);
    Range { lowest: first * rest, highest: last * rest + (rest - 1), digits, lengths: &[], scheme: None, brand }
}

/// The rows of `tests/data/card-schemes.csv`, in its order: by prefix, so that rows of one leading digit stand together.
#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "prefixes as their source writes them")]
const RANGES: [Range; ROWS] = [
    listed(2221, 2720, &[16], Scheme::Mastercard),
    listed(300, 305, &[14, 16, 17, 18, 19], Scheme::DinersClub),
    listed(3088, 3094, &[16], Scheme::Jcb),
    listed(3095, 3095, &[14, 16, 17, 18, 19], Scheme::DinersClub),
    listed(3096, 3102, &[16], Scheme::Jcb),
    listed(3112, 3120, &[16], Scheme::Jcb),
    listed(3158, 3159, &[16], Scheme::Jcb),
    listed(3337, 3349, &[16], Scheme::Jcb),
    listed(34, 34, &[15], Scheme::AmericanExpress),
    listed(3528, 3589, &[16, 17, 18, 19], Scheme::Jcb),
    listed(36, 36, &[14, 15, 16, 17, 18, 19], Scheme::DinersClub),
    listed(37, 37, &[15], Scheme::AmericanExpress),
    listed(38, 39, &[14, 16, 17, 18, 19], Scheme::DinersClub),
    carve_out(384100, 384100, "hipercard"),
    carve_out(384140, 384140, "hipercard"),
    carve_out(384160, 384160, "hipercard"),
    listed(4, 4, &[13, 16, 18, 19], Scheme::Visa),
    carve_out(401178, 401179, "elo"),
    carve_out(431274, 431274, "elo"),
    carve_out(438935, 438935, "elo"),
    carve_out(451416, 451416, "elo"),
    carve_out(457393, 457393, "elo"),
    carve_out(457631, 457632, "elo"),
    listed(51, 55, &[16], Scheme::Mastercard),
    listed(6011, 6011, &[16, 17, 18, 19], Scheme::Discover),
    listed(62, 62, &[14, 15, 16, 17, 18, 19], Scheme::UnionPay),
    carve_out(627780, 627780, "elo"),
    listed(644, 649, &[16, 17, 18, 19], Scheme::Discover),
    listed(65, 65, &[16, 17, 18, 19], Scheme::Discover),
    carve_out(650031, 650033, "elo"),
    carve_out(650035, 650051, "elo"),
    carve_out(650052, 650052, "troy"),
    carve_out(650057, 650081, "elo"),
    carve_out(650082, 650083, "troy"),
    carve_out(650092, 650092, "troy"),
    carve_out(650161, 650161, "troy"),
    carve_out(650170, 650170, "troy"),
    carve_out(650173, 650173, "troy"),
    carve_out(650175, 650175, "troy"),
    carve_out(650268, 650268, "troy"),
    carve_out(650271, 650271, "troy"),
    carve_out(650273, 650274, "troy"),
    carve_out(650405, 650439, "elo"),
    carve_out(650456, 650457, "troy"),
    carve_out(650485, 650538, "elo"),
    carve_out(650541, 650598, "elo"),
    carve_out(650700, 650718, "elo"),
    carve_out(650720, 650727, "elo"),
    carve_out(650836, 650836, "troy"),
    carve_out(65083700, 65083704, "troy"),
    carve_out(650846, 650850, "troy"),
    carve_out(65085800, 65085804, "troy"),
    carve_out(65085900, 65085901, "troy"),
    carve_out(65086000, 65086000, "troy"),
    carve_out(65086100, 65086105, "troy"),
    carve_out(65086200, 65086203, "troy"),
    carve_out(650901, 650922, "elo"),
    carve_out(650923, 650923, "troy"),
    carve_out(650928, 650928, "elo"),
    carve_out(650938, 650939, "elo"),
    carve_out(650946, 650978, "elo"),
    carve_out(650987, 650987, "troy"),
    carve_out(650990, 650990, "troy"),
    carve_out(651652, 651704, "elo"),
    carve_out(654997, 654997, "troy"),
    carve_out(655000, 655019, "elo"),
    carve_out(655021, 655058, "elo"),
    carve_out(657366, 657366, "troy"),
    carve_out(657998, 657998, "troy"),
    carve_out(65875000, 65875003, "troy"),
    carve_out(65875009, 65875009, "troy"),
    carve_out(65875101, 65875104, "troy"),
    carve_out(65875200, 65875200, "troy"),
    carve_out(65875501, 65875501, "troy"),
    carve_out(65875601, 65875601, "troy"),
    carve_out(658758, 658758, "troy"),
    carve_out(65875900, 65875900, "troy"),
    carve_out(65876000, 65876002, "troy"),
    carve_out(65876100, 65876103, "troy"),
    carve_out(65876110, 65876110, "troy"),
    carve_out(65876115, 65876116, "troy"),
    carve_out(65876200, 65876201, "troy"),
    carve_out(65876500, 65876500, "troy"),
    carve_out(65876504, 65876505, "troy"),
    carve_out(65876600, 65876602, "troy"),
    carve_out(658767, 658768, "troy"),
    carve_out(65877100, 65877101, "troy"),
    carve_out(65877600, 65877602, "troy"),
    carve_out(65877700, 65877700, "troy"),
    carve_out(65877801, 65877802, "troy"),
    carve_out(65878200, 65878202, "troy"),
    carve_out(65878300, 65878311, "troy"),
    carve_out(65878400, 65878405, "troy"),
    carve_out(65878500, 65878505, "troy"),
    carve_out(65878600, 65878601, "troy"),
    carve_out(65879800, 65879800, "troy"),
    carve_out(65880800, 65880800, "troy"),
    carve_out(65880900, 65880900, "troy"),
    listed(8100, 8171, &[16, 17, 18, 19], Scheme::UnionPay),
];

/// How many rows the table has.
const ROWS: usize = 99;

/// Where the rows of each leading digit begin, and at the end where the last ones stop.
const GROUP_START: [usize; 11] = group_starts();

/// Counts, for each leading digit, the rows of smaller ones.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within bounds")]
const fn group_starts() -> [usize; 11] {
    let mut starts = [0; 11];
    let mut row = 0;
    while row < ROWS {
        let leading = RANGES[row].lowest / 10_u32.pow(LONGEST_PREFIX - 1);
        let mut larger = leading as usize + 1;
        while larger < starts.len() {
            starts[larger] += 1;
            larger += 1;
        }
        row += 1;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = include_str!("../../tests/data/card-schemes.csv");

    #[test]
    fn the_table_is_the_published_one_row_by_row() {
        let lines: Vec<&str> = PUBLISHED.lines().skip(1).collect();
        assert_eq!(lines.len(), RANGES.len());
        for (line, row) in lines.iter().zip(&RANGES) {
            let lengths: Vec<String> = row.lengths.iter().map(u8::to_string).collect();
            let lengths = if lengths.is_empty() { "-".to_owned() } else { lengths.join(" ") };
            let scheme = row.scheme.map_or("none", Scheme::as_str);
            let rest = 10_u32.pow(LONGEST_PREFIX - row.digits);
            let (first, last) = (row.lowest / rest, row.highest / rest);
            assert_eq!(*line, format!("{first},{last},{lengths},{scheme},{}", row.brand));
        }
    }

    #[test]
    fn rows_of_one_leading_digit_stand_together_and_no_range_leaves_its_digit() {
        let leading = |prefix: u32| prefix / 10_u32.pow(LONGEST_PREFIX - 1);
        assert!(RANGES.is_sorted_by_key(|row| leading(row.lowest)));
        assert!(RANGES.iter().all(|row| leading(row.lowest) == leading(row.highest) && row.digits <= LONGEST_PREFIX));
    }

    #[test]
    fn names_bytes_and_json_agree() {
        for (scheme, name, byte) in SCHEMES {
            assert_eq!(scheme.to_string(), name);
            assert_eq!(Scheme::from_byte(scheme.as_byte()), Some(scheme));
            assert_eq!(byte, scheme.as_byte());
            assert_eq!(serde_json::to_string(&scheme).unwrap(), format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Scheme>(&format!("\"{name}\"")).unwrap(), scheme);
        }
        assert_eq!(Scheme::from_byte(0), None);
        assert_eq!(Scheme::from_byte(8), None);
    }
}
