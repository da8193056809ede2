//! The cards: the same for everyone, from one seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokenvault::card::Scheme;

/// A card, made up.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) month: u8,
    pub(crate) year: u16,
}

const FIRST_NAMES: [&str; 8] = ["Ada", "Blaise", "Carl", "Emmy", "Grace", "Leonhard", "Sofia", "Srinivasa"];
const LAST_NAMES: [&str; 8] =
    ["Euler", "Gauss", "Hopper", "Kovalevskaya", "Lovelace", "Noether", "Pascal", "Ramanujan"];

/// A stream of the same numbers at every run.
pub(crate) fn seeded(stream: u64) -> StdRng {
    StdRng::seed_from_u64(0x7061_6e00 + stream)
}

/// So many cards.
pub(crate) fn cards(count: usize) -> Vec<Card> {
    let mut rng = seeded(0);
    (0..count).map(|_| Card::generate(&mut rng)).collect()
}

impl Card {
    pub(crate) fn generate(rng: &mut StdRng) -> Self {
        // Within Visa and Mastercard, away from ranges of other brands.
        let prefix = if rng.random() { "41" } else { "55" };
        let mut number = prefix.to_owned();
        number.extend((number.len()..15).map(|_| char::from(rng.random_range(b'0'..=b'9'))));
        number.push(check_digit(&number));
        let mut pick = |names: [&'static str; 8]| names[rng.random_range(0..names.len())];
        let name = format!("{} {}", pick(FIRST_NAMES), pick(LAST_NAMES));
        Self { number, name, month: rng.random_range(1..=12), year: rng.random_range(2027..=2035) }
    }

    /// The first six and the last four digits.
    pub(crate) fn mask(&self) -> String {
        let (head, rest) = self.number.split_at(6);
        let (hidden, tail) = rest.split_at(rest.len() - 4);
        format!("{head}{}{tail}", "*".repeat(hidden.len()))
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.number.starts_with('4') { Scheme::Visa } else { Scheme::Mastercard }
    }
}

/// The digit that makes the number pass the Luhn check.
fn check_digit(digits: &str) -> char {
    let sum: u8 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit - b'0') {
            (0, digit @ 5..) => 2 * digit - 9,
            (0, digit) => 2 * digit,
            (_, digit) => digit,
        })
        .sum();
    char::from(b'0' + (10 - sum % 10) % 10)
}
