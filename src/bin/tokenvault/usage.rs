//! What is said of a wrong usage: advice, and nothing that may be a secret in the wrong place.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind as Usage};
use tokenvault::{Error, ErrorKind};

/// Fewer digits are not hidden: a date and a time have twelve.
const FEWEST_DIGITS: usize = 13;
/// Nor is what is shorter than most of a key in base64.
const FEWEST_OF_A_KEY: usize = 40;

/// The longest word that an error about the usage repeats.
const LONGEST_SHOWN: usize = 20;

/// Takes out of an error about the usage what may be a secret in the wrong place: a card number typed as an argument is
/// not repeated.
pub(crate) fn hide_what_was_typed(mut error: clap::Error) -> clap::Error {
    let typed = match error.kind() {
        Usage::UnknownArgument => ContextKind::InvalidArg,
        Usage::InvalidSubcommand => ContextKind::InvalidSubcommand,
        Usage::InvalidValue | Usage::ValueValidation | Usage::TooManyValues => ContextKind::InvalidValue,
        _ => return error,
    };
    if !error.get(typed).is_some_and(is_a_plain_word) {
        error.insert(typed, ContextValue::String("(not shown)".to_owned()));
        // clap's advice repeats the word.
        error.remove(ContextKind::Suggested);
    }
    error
}

/// A misspelt command or option, rather than a secret.
fn is_a_plain_word(typed: &ContextValue) -> bool {
    let ContextValue::String(word) = typed else { return false };
    word.len() <= LONGEST_SHOWN && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The same for an error that names a path: one that looks like a key or a card number is not shown.
pub(crate) fn hide_path(error: Error, path: &Path) -> Error {
    if !looks_like_a_secret(path.as_os_str().as_encoded_bytes()) {
        return error;
    }
    let message = error.message().replace(&path.display().to_string(), "(not shown)");
    match error.kind() {
        ErrorKind::StoreFailure => Error::store_failure(message),
        ErrorKind::KeyFailure => Error::key_failure(message),
        ErrorKind::Corrupt => Error::corrupt(message),
        ErrorKind::Unavailable => Error::unavailable(message),
        // The others say the same whatever the path.
        _ => error,
    }
}

/// Digits of a card, however they are grouped; or a key, a digit more or less, as hexadecimal digits or in base64; or the secret
/// of a credential.
fn looks_like_a_secret(typed: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| typed.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    let is_number = digits >= FEWEST_DIGITS && digits + count(|byte| matches!(byte, b' ' | b'-')) == typed.len();
    let is_hex = typed.len() >= FEWEST_OF_A_KEY && typed.iter().all(u8::is_ascii_hexdigit);
    let is_base64 = typed.len() >= FEWEST_OF_A_KEY
        && typed.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
        // A path that is nothing else has capitals and digits by chance alone.
        && digits > 0
        && count(u8::is_ascii_uppercase) > 0;
    let is_credential = [b"key_".as_slice(), b"idt:"].iter().any(|prefix| typed.starts_with(prefix));
    is_number || is_hex || is_base64 || (is_credential && typed.len() >= FEWEST_OF_A_KEY)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::arguments::Arguments;

    fn usage_error(arguments: &[&str]) -> String {
        let error = Arguments::try_parse_from(arguments).unwrap_err();
        hide_what_was_typed(error).to_string()
    }

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        let number = "4111111111111111";
        for arguments in [
            &["tokenvault", number][..],
            &["tokenvault", "create", number],
            &["tokenvault", "create", "pci", number],
            &["tokenvault", "create", "pci", "--4111111111111111"],
            &["tokenvault", "list", "pci", "--limit", "4111-1111"],
            &["tokenvault", "list", "pci", "--limit", "4111111111111111111111111"],
        ] {
            let message = usage_error(arguments);
            assert!(!message.contains("4111"), "{message}");
            assert!(message.contains("(not shown)"), "{message}");
        }
    }

    #[test]
    fn a_misspelt_word_is_repeated_with_advice() {
        let message = usage_error(&["tokenvault", "crate"]);
        assert!(message.contains("'crate'") && message.contains("'create'"), "{message}");
    }

    #[test]
    fn a_path_that_may_be_a_secret_is_not_shown() {
        let message = |path: &str| {
            let path = Path::new(path);
            hide_path(Error::store_failure(format!("{} does not exist", path.display())), path).message().to_owned()
        };
        for path in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            &"0123456789abcdef".repeat(4),
            &"0123456789ABCDEF".repeat(3),
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "key_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-",
            "idt:TKN-1671-0642:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ] {
            assert_eq!(message(path), "(not shown) does not exist");
        }
        for path in [
            "vault.key",
            "/srv/payments/production/keys/2026/vault",
            "202611221030",
            "cards-4111111111111111",
            "key_of_the_till",
        ] {
            assert_eq!(message(path), format!("{path} does not exist"));
        }
    }
}
