//! Card data where they do not belong: account numbers (PCI DSS 3.5.1) and track data (PCI DSS 3.3.1.1) within a text.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use crate::card::Scheme;
use crate::card::pan::LENGTHS;
use crate::error::Rule;

const NUMBER: Rule = Rule("must not hold a card number");
const TRACK: Rule = Rule("must not hold track data of a card");

/// How many digits the account number of a track has (ISO/IEC 7812-1), of whatever brand it is.
const TRACK_NUMBER: RangeInclusive<usize> = 8..=19;
/// How many characters the name of track 1 has (ISO/IEC 7813).
const TRACK_NAME: RangeInclusive<usize> = 2..=26;

/// Refuses a text in which track data stand, or the account number of a listed scheme: as one run of digits, or as runs with
/// nothing but spaces and dashes in between.
pub(crate) fn check_text(text: &str) -> Result<(), Rule> {
    if text.bytes().filter(u8::is_ascii_digit).nth(*TRACK_NUMBER.start() - 1).is_none() {
        return Ok(());
    }
    let places = || text.char_indices().map(|(at, _)| text.get(at..).unwrap_or_default());
    if places().any(|rest| begins_with_track_1(rest) || begins_with_track_2(rest)) {
        return Err(TRACK);
    }
    let mut before = ' ';
    for (rest, character) in places().zip(text.chars()) {
        // A run is looked at from its first digit on: what stands within a longer run is part of that number.
        if character.is_ascii_digit() && !before.is_ascii_digit() && begins_with_a_number(rest) {
            return Err(NUMBER);
        }
        before = character;
    }
    Ok(())
}

/// Whether a text begins with an account number that ends where a run of digits ends.
fn begins_with_a_number(text: &str) -> bool {
    // As long as a number may be from the start, so that no digit is left behind in a block that was outgrown.
    let mut digits = Zeroizing::new(String::with_capacity(*LENGTHS.end()));
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if is_separator(character) {
            continue;
        }
        if !character.is_ascii_digit() || digits.len() == *LENGTHS.end() {
            return false;
        }
        digits.push(character);
        let run_ends = characters.peek().is_none_or(|next| !next.is_ascii_digit());
        if run_ends && LENGTHS.contains(&digits.len()) && is_a_number(&digits) {
            return true;
        }
    }
    false
}

fn is_a_number(digits: &str) -> bool {
    Scheme::of(digits.as_bytes()).is_some() && luhn::valid(digits)
}

/// Spaces and dashes of any script.
fn is_separator(character: char) -> bool {
    character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// ISO/IEC 7813: `%B`, number, `^`, name, `^`, and what follows.
fn begins_with_track_1(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("%B").or_else(|| text.strip_prefix("%b")) else { return false };
    let mut fields = rest.split('^');
    let number = fields.next().is_some_and(|number| {
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        TRACK_NUMBER.contains(&digits) && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ')
    });
    let name = fields.next().is_some_and(|name| TRACK_NAME.contains(&name.chars().count()));
    number && name && fields.next().is_some()
}

/// ISO/IEC 7813: `;`, number, `=`, date, service code and more digits, `?`.
fn begins_with_track_2(text: &str) -> bool {
    let Some((number, rest)) = text.strip_prefix(';').and_then(|rest| rest.split_once('=')) else { return false };
    let Some((more, _)) = rest.split_once('?') else { return false };
    let is_field = |byte: u8| byte.is_ascii_digit() || byte == b'=';
    TRACK_NUMBER.contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !more.is_empty()
        && more.bytes().all(is_field)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_found_in_every_usual_spelling() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111\u{a0}1111\u{2013}1111 - 1111",
            "3782 822463 10005",
            "card:4111111111111111.",
            "a4111111111111111b",
            "77 4111111111111111",
            "4111111111111111 77",
            "77-4111-1111-1111-1111-77",
            "4222222222222",
            "6205500000000000004",
            "4111111111111111,4111111111111112",
            "№ 4111111111111111",
        ] {
            assert_eq!(check_text(text), Err(NUMBER), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_of_a_listed_scheme_is_let_through() {
        for text in [
            "",
            "order 2026-77",
            "4111111111111112",
            "9111111111111110",
            "5067310000000010",
            "411111111111111",
            "41111111111111110",
            "004111111111111111",
            "41111111111111114111111111111111",
            "4111_1111_1111_1111",
            "4111.1111.1111.1111",
            "411111******1111",
            "2026-01-02 03:04:05",
            "8744c9ea-a02b-4ae6-875c-b64fc333e3ef",
            "DE89370400440532013000",
        ] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn tracks_are_found_and_what_resembles_them_is_not() {
        for text in [
            "%B4111111111111111^DOE/JOHN^2512101000000000?",
            "%B4111 1111 1111 1111^DOE/JOHN                 ^2512101?",
            "%b9111111111111112^AB^",
            ";4111111111111111=25121010000000000000?",
            "x;9111111111111112=2512?y",
            ";12345678==?",
        ] {
            assert_eq!(check_text(text), Err(TRACK), "{text}");
        }
        for text in [
            "%B1234567^DOE/JOHN^2512?",
            "%B12345678901234567890^DOE/JOHN^2512?",
            "%B123456789012^D^2512",
            "%B123456789012^DOE",
            "%A123456789012^DOE/JOHN^2512?",
            ";1234567=2512?",
            ";123456789012=2512",
            ";123456789012=?",
            ";123456789012=25a12?",
            "a=12345678;b=?",
        ] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
    }

    /// What a reader of the rule would do: tries every stretch of a text that begins and ends with a run of digits.
    fn holds_a_number(text: &[char]) -> bool {
        let edge = |at: Option<&char>| at.is_none_or(|character| !character.is_ascii_digit());
        (0..text.len()).any(|from| {
            (from + 1..=text.len()).any(|to| {
                let stretch = &text[from..to];
                let digits: String = stretch.iter().filter(|character| character.is_ascii_digit()).collect();
                edge(from.checked_sub(1).map(|before| &text[before]))
                    && edge(text.get(to))
                    && stretch.first().is_some_and(char::is_ascii_digit)
                    && stretch.iter().all(|character| character.is_ascii_digit() || is_separator(*character))
                    && LENGTHS.contains(&digits.len())
                    && is_a_number(&digits)
            })
        })
    }

    proptest! {
        #[test]
        fn a_number_is_found_wherever_it_stands_and_nothing_else_is(
            before in "[a-z0-9 -]{0,6}", breaks in prop::collection::vec(0_usize..18, 0..5), after in "[a-z0-9 -]{0,6}",
            number in prop::sample::select(vec!["4111111111111111", "378282246310005", "4111111111111112", "6205500000000000004"]),
        ) {
            let parted: String = number.chars().enumerate().flat_map(|(at, digit)| breaks.contains(&at).then_some('-').into_iter().chain([digit])).collect();
            let text = format!("{before}{parted}{after}");
            let characters: Vec<char> = text.chars().collect();
            prop_assert_eq!(check_text(&text).is_err(), holds_a_number(&characters), "{}", text);
        }
    }
}
