//! Account numbers, as many as a test needs.

/// A Visa number of 16 digits, another one for each place below a million.
pub fn visa(place: usize) -> String {
    let digits = format!("411111{place:09}");
    let sum: u32 = digits
        .chars()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = digit.to_digit(10).unwrap() * if at.is_multiple_of(2) { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}
