//! Account numbers, as many as a test needs.

/// These digits, and behind them the one that makes them pass the check of ISO/IEC 7812-1, annex B.
pub fn with_check_digit(digits: &str) -> String {
    let doubled = |(at, digit): (usize, char)| {
        let digit = digit.to_digit(10).unwrap() * if at.is_multiple_of(2) { 2 } else { 1 };
        digit / 10 + digit % 10
    };
    let sum: u32 = digits.chars().rev().enumerate().map(doubled).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// A Visa number of 16 digits, another one for each place below a billion.
pub fn visa(place: usize) -> String {
    with_check_digit(&format!("411111{place:09}"))
}
