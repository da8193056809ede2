//! Promise: an account number is judged by the published table of schemes and by Luhn, and shown only as its mask.
//!
//! The table is read from its source, and a reference of its own says what it means: the longest prefix that fits decides,
//! and then the length.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use proptest::prelude::*;
use tokenvault::card::{MaskStyle, Pan, Scheme};
use tokenvault::store::MemoryStore;
use tokenvault::{CreatePci, ErrorKind, VaultOptions};

use common::numbers::with_check_digit;
use common::requests::{SCHEME_ROWS, SchemeRow, account_number, masked, scheme_of};
use common::{PAN_REQUEST, keys, token, violations};

/// Numbers that the schemes publish for tests, two or more a scheme.
const PUBLISHED: [(&str, &str); 20] = [
    ("4111111111111111", "visa"),
    ("4012888888881881", "visa"),
    ("4222222222222", "visa"),
    ("5555555555554444", "mastercard"),
    ("5105105105105100", "mastercard"),
    ("2223003122003222", "mastercard"),
    ("378282246310005", "american express"),
    ("371449635398431", "american express"),
    ("341111111111111", "american express"),
    ("6011111111111117", "discover"),
    ("6011000990139424", "discover"),
    ("6445644564456445", "discover"),
    ("30569309025904", "diners club"),
    ("38520000023237", "diners club"),
    ("36227206271667", "diners club"),
    ("3530111333300000", "jcb"),
    ("3566002020360505", "jcb"),
    ("6200000000000005", "unionpay"),
    ("6250941006528599", "unionpay"),
    ("6205500000000000004", "unionpay"),
];

/// What the crate says of a number: its scheme, or the rule that it breaks.
fn judged(number: &str) -> Result<Scheme, String> {
    Pan::parse(number).map(|pan| pan.scheme().unwrap()).map_err(|error| violations(&error)[0].1.to_owned())
}

/// A number of this length with this prefix, filled with a digit, that passes Luhn.
fn number(prefix: &str, length: usize, filler: char) -> String {
    let body = format!("{prefix}{}", filler.to_string().repeat(length - 1 - prefix.len()));
    with_check_digit(&body)
}

/// What the crate must say of a number that passes Luhn.
fn expected(number: &str) -> Result<&'static str, String> {
    scheme_of(number).ok_or_else(|| "no supported scheme".to_owned())
}

fn agrees(number: &str) {
    assert_eq!(judged(number).map(Scheme::as_str), expected(number), "{number}");
}

#[test]
fn published_test_numbers_have_their_schemes() {
    for (number, scheme) in PUBLISHED {
        assert_eq!(judged(number).unwrap().as_str(), scheme, "{number}");
        assert_eq!(judged(number).unwrap().to_string(), scheme);
    }
    let mut schemes: Vec<_> = PUBLISHED.map(|(_, scheme)| scheme).to_vec();
    schemes.sort_unstable();
    schemes.dedup();
    assert_eq!(schemes.len(), 7, "each scheme is tried");
}

#[test]
fn the_first_and_the_last_prefix_of_every_row_are_of_its_scheme_at_each_of_its_lengths() {
    assert_eq!(SCHEME_ROWS.len(), 99);
    for SchemeRow { first, last, lengths, scheme } in &*SCHEME_ROWS {
        for prefix in [first, last] {
            for length in 13..=19 {
                for filler in ['0', '9'] {
                    let number = number(prefix, length, filler);
                    let of_row = scheme.filter(|_| lengths.contains(&length));
                    assert_eq!(judged(&number).map(Scheme::as_str).ok(), of_row, "{number}");
                    agrees(&number);
                }
            }
        }
    }
}

#[test]
fn one_below_and_one_above_every_row_are_what_the_table_says() {
    let mut of_none = 0;
    for SchemeRow { first, last, .. } in &*SCHEME_ROWS {
        let digits = first.len();
        let below = first.parse::<u32>().unwrap() - 1;
        let above = last.parse::<u32>().unwrap() + 1;
        for prefix in [below, above].map(|prefix| format!("{prefix:0digits$}")) {
            for length in 13..=19 {
                for filler in ['0', '5', '9'] {
                    let number = number(&prefix, length, filler);
                    of_none += u32::from(scheme_of(&number).is_none());
                    agrees(&number);
                }
            }
        }
    }
    assert!(of_none > 500, "some neighbours are of no scheme");
}

#[test]
fn every_prefix_of_six_digits_is_what_the_table_says() {
    // In steps, and around each step, so that no range of the table is jumped over.
    for prefix in (0..1_000_000).step_by(97) {
        for length in [14, 15, 16, 19] {
            agrees(&number(&format!("{prefix:06}"), length, '3'));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_number_is_judged_as_the_reference_judges_it(digits in "[0-9]{12,20}", fits_luhn in prop::bool::weighted(0.8)) {
        let number = if fits_luhn && digits.len() > 13 { put_right(&digits) } else { digits };
        account_number(number.as_bytes());
    }

    #[test]
    fn any_number_near_a_row_of_the_table_is_judged_as_the_reference_judges_it(
        row in 0_usize..99, upper: bool, offset in -1_i64..=1, tail in "[0-9]{11}", length in 13_usize..=19,
    ) {
        let row = &SCHEME_ROWS[row];
        let edge: i64 = if upper { row.last } else { row.first }.parse().unwrap();
        let digits = row.first.len();
        let number: String = format!("{:0digits$}{tail}{tail}", edge + offset).chars().take(length).collect();
        account_number(put_right(&number).as_bytes());
    }

    #[test]
    fn any_text_is_judged_as_the_reference_judges_it(text in ".{0,24}|[0-9 -]{10,24}|[0-9]{15}[٠-٩]|\\PC{13,19}") {
        account_number(text.as_bytes());
    }
}

/// The number with its last digit put right.
fn put_right(number: &str) -> String {
    let body: String = number.chars().take(number.len() - 1).collect();
    with_check_digit(&body)
}

#[test]
fn every_wrong_digit_is_caught() {
    for (right, _) in PUBLISHED {
        for at in 0..right.len() {
            for digit in b'0'..=b'9' {
                let mut wrong = right.as_bytes().to_vec();
                wrong[at] = digit;
                let wrong = String::from_utf8(wrong).unwrap();
                let judged = judged(&wrong);
                if wrong == right {
                    assert!(judged.is_ok());
                } else {
                    assert_eq!(judged.unwrap_err(), "fails the Luhn check", "{wrong} for {right}");
                }
            }
        }
    }
}

#[test]
fn every_exchange_of_two_neighbours_is_caught_but_of_0_and_9() {
    let (mut caught, mut missed) = (0, 0);
    let zero_nine = ["4012888888881881", "378282246310005", "6011000990139424", "30569309025904"];
    for right in PUBLISHED.map(|(number, _)| number).into_iter().chain(zero_nine) {
        for at in 1..right.len() {
            let mut wrong = right.as_bytes().to_vec();
            wrong.swap(at - 1, at);
            let pair = (wrong[at - 1], wrong[at]);
            let wrong = String::from_utf8(wrong).unwrap();
            match pair {
                (one, other) if one == other => assert_eq!(wrong, right),
                (b'0', b'9') | (b'9', b'0') => {
                    // Luhn cannot tell these apart; what is left is the scheme.
                    agrees(&wrong);
                    missed += 1;
                }
                _ => {
                    assert_eq!(judged(&wrong).unwrap_err(), "fails the Luhn check", "{wrong} for {right}");
                    caught += 1;
                }
            }
        }
    }
    assert!(caught > 100 && missed > 4, "{caught} {missed}");
}

#[test]
fn unionpay_is_not_exempt_from_luhn() {
    assert_eq!(judged("6200000000000004").unwrap_err(), "fails the Luhn check");
    assert_eq!(judged("8171999999999991").unwrap_err(), "fails the Luhn check");
    agrees(&number("8171", 16, '9'));
}

#[test]
fn a_mask_keeps_the_length_and_shows_first_six_and_last_four_at_most() {
    let mut tried = Vec::new();
    for SchemeRow { first, lengths: of_row, .. } in &*SCHEME_ROWS {
        for &length in of_row {
            let number = number(first, length, '7');
            let pan = Pan::parse(&number).unwrap();
            for (style, shown_first) in [(MaskStyle::FirstSixLastFour, 6), (MaskStyle::LastFour, 0)] {
                let mask = pan.mask(style);
                assert_eq!(mask.len(), length);
                assert_eq!(mask.matches('*').count(), length - 4 - shown_first);
                assert_eq!(mask, masked(&number, shown_first));
                let shown = mask.chars().zip(number.chars()).all(|(seen, digit)| seen == '*' || seen == digit);
                assert!(shown, "{mask}");
            }
            tried.push(length);
        }
    }
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried, [13, 14, 15, 16, 17, 18, 19], "every length is tried");
    assert_eq!(MaskStyle::default(), MaskStyle::FirstSixLastFour);
}

#[test]
fn masks_are_as_published_and_as_chosen() {
    let pan = Pan::parse("4111111111111111").unwrap();
    assert_eq!(pan.mask(MaskStyle::FirstSixLastFour), "411111******1111");
    assert_eq!(pan.mask(MaskStyle::LastFour), "************1111");
    let pan = Pan::parse("4222222222222").unwrap();
    assert_eq!(pan.mask(MaskStyle::FirstSixLastFour), "422222***2222");
    let pan = Pan::parse("6205500000000000004").unwrap();
    assert_eq!(pan.mask(MaskStyle::LastFour), "***************0004");
}

#[test]
fn every_view_of_a_vault_shows_the_mask_that_was_chosen_for_it() {
    for (style, shown_first) in [(MaskStyle::FirstSixLastFour, 6), (MaskStyle::LastFour, 0)] {
        let vault = VaultOptions::new().mask(style).open_with(MemoryStore::new(), keys()).unwrap();
        for (number, scheme) in PUBLISHED {
            let request = PAN_REQUEST.replace("4111111111111111", number);
            let created = token(vault.create_pci(CreatePci::from_json(request.as_bytes()).unwrap()).unwrap());
            assert_eq!(created.card.masked_account_number, masked(number, shown_first));
            assert_eq!(created.card.scheme.unwrap().as_str(), scheme);
            assert_eq!(vault.pci(created.id).unwrap(), created);
            assert!(vault.reveal_pci(created.id, |card| card.account_number() == number).unwrap());
        }
        for listed in vault.list_pci(tokenvault::Page::first(100)).unwrap().data {
            let shown = listed.card.masked_account_number.bytes().filter(u8::is_ascii_digit).count();
            assert_eq!(shown, shown_first + 4);
        }
    }
}

#[test]
fn a_vault_keeps_its_mask_and_refuses_another() {
    let store = common::shared::Shared::default();
    drop(VaultOptions::new().mask(MaskStyle::LastFour).open_with(store.clone(), keys()).unwrap());
    let error = VaultOptions::new().mask(MaskStyle::FirstSixLastFour).open_with(store.clone(), keys()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert_eq!(violations(&error), [("$.mask", "the vault was made with another mask style")]);
    for options in [VaultOptions::new(), VaultOptions::new().mask(MaskStyle::LastFour)] {
        let vault = options.open_with(store.clone(), keys()).unwrap();
        let created = token(vault.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).unwrap());
        assert_eq!(created.card.masked_account_number, "************1111", "the style of the vault is the default");
    }
}
