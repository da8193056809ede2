//! What is said of a wrong usage: advice, and nothing that may be a secret in the wrong place.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The longest word that an error about the usage repeats.
const LONGEST_SHOWN: usize = 20;

/// Takes out of an error about the usage what may be a secret in the wrong place: a card number typed as an argument is
/// not repeated.
pub(crate) fn hide_what_was_typed(mut error: clap::Error) -> clap::Error {
    let typed = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::TooManyValues => ContextKind::InvalidValue,
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
}
