//! What may be typed: the commands with their help.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use tokenvault::{Fingerprints, VaultOptions};
use uuid::Uuid;

use crate::credential::Who;
use crate::failure::Failure;
use crate::place::Place;
use crate::rules::{AgainArguments, AskingRules, ChangeRules, CreationRules};
use crate::values::{
    BodyKind, ChangedKind, DefinedKind, Kind, Name, RecordKind, RemovedKind, Status, SwitchedKind, id, name,
};

const ABOUT_EXIT: &str = "\
Exit code:
  0  all succeeded
  1  something was refused, and the error body is on standard output; or
     standard input cannot be read, standard output not be written, or the
     vault not be closed in order, and standard error says so (but not that
     the reader of a pipe has gone)
  2  the vault could not be opened, or the file of a credential not be read, and
     the error body is on standard error; or the usage is wrong";

const ABOUT_LIBRARY: &str = "\
Only applications that link the library have events, audit, forwarding, the
use of security codes, the lifetimes of sessions and codes, a directory of
issuers, the mask of a new vault, pass phrases and key services, and the
confirmation of a clock that has leapt.";

const EXAMPLES: &str = r#"Examples:
  tokenvault demo
  tokenvault keygen vault.key
  export TOKENVAULT_PATH=cards.vault
  echo '{"payload":{"pin":"1234"}}' |
    tokenvault --key-file vault.key create generic"#;

/// An embedded tokenization vault: opaque tokens for card numbers and other secrets.
#[derive(Debug, Parser)]
#[command(
    name = "tokenvault",
    version,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{ABOUT_EXIT}\n\n{ABOUT_LIBRARY}"),
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) who: Who,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a new key to a file
    ///
    /// The file gets 64 hexadecimal digits and mode 0600. A file that exists is refused. Nothing is printed.
    #[command(after_help = "Example:\n  tokenvault keygen vault.key")]
    Keygen {
        /// The file to make
        file: PathBuf,
    },
    /// See it work, in a temporary folder with a throw-away key
    ///
    /// Tokenizes the published examples; shows view, mask, reveal and refusal, a payload type, a session, a security code, a
    /// template, requests that come twice, an inquiry and a change, expiry and sweep; and ends with the figures of a short load,
    /// measured there and then. Takes a few seconds. The folder is removed at the end; if the demo is interrupted,
    /// `tokenvault-demo-...` stays in the folder for temporary files (TMPDIR), with nothing in it but test numbers.
    #[command(after_help = "Example:\n  tokenvault demo")]
    Demo,
    /// Make tokens, types or credentials: one JSON request a line in, one JSON answer or error body a line out
    ///
    /// Requests are read from standard input, answers written to standard output. They come in the order of the requests,
    /// each as soon as its token would survive power loss; requests that are there to read together share a sync. A line
    /// that is refused stops nothing: its error body stands in its place. Blank lines are skipped and have no answer; the
    /// last line needs no line feed; a line of more than 64 KiB is refused. The vault is made if the folder does not
    /// exist. On a terminal, standard error shows the progress.
    ///
    /// Answers keep the order; what is kept need not. After a crash, requests without an answer may have been kept, and
    /// not necessarily the first of them. If the vault becomes unavailable, no more requests are tried: each that was has
    /// its answer, and standard error names the first line that was not.
    ///
    /// With --idempotency-prefix, a file can be sent again after a crash or a lost answer: for 24 hours, each line that stands in
    /// its place with the same request gets its first answer again, and makes nothing twice; a line with another request is
    /// refused as a conflict. With --duplicates, a card that has a live token makes no second one.
    ///
    /// A source `{"type":"session"}` opens a session, for `session complete`. A security code is checked and is gone when the
    /// command ends: codes live in one process only.
    ///
    /// The answer to `create api-key` has `key_value`, that to `create api-token` has `token`: the secret for --credential-file. It
    /// is in this answer only, and a request that comes again under its key is a conflict. Accounts and modules are made by
    /// `define`.
    #[command(after_help = r#"Examples:
  echo '{"payload":{"iban":"DE89370400440532013000"}}' |
    tokenvault create generic
  echo '{"source":{"type":"pan","account_number":"4111111111111111",' \
    '"expiry_month":12,"expiry_year":2031}}' | tokenvault create pci
  echo '{"source":{"type":"session"}}' | tokenvault create pci
  echo '{"name":"account","schema":{"required":["iban"]}}' |
    tokenvault create type
  echo '{"payload":{"iban":"DE89370400440532013000"},' \
    '"type_id":"5cd3ff2c-5b3c-4f14-8f04-1cc7a0bbcd85"}' |
    tokenvault create generic
  echo '{"source":{"type":"pan","account_number":"4111111111111111",' \
    '"expiry_month":12,"expiry_year":2031}}' > cards.jsonl
  tokenvault create pci --idempotency-prefix import-2026-11-21 \
    < cards.jsonl > tokens.jsonl
  tokenvault index-fingerprints
  tokenvault create pci --duplicates return-existing < cards.jsonl
  echo '{"scopes":["pci:tokens:read"],"expires_in":86400}' |
    tokenvault create api-key
  echo '{"account":{"id":"ACC-9042"},"name":"Till",' \
    '"modules":[{"id":"MOD-1"}]}' | tokenvault create api-token"#)]
    Create {
        /// What the requests ask for
        kind: RecordKind,
        #[command(flatten)]
        again: AgainArguments,
        #[command(flatten)]
        rules: CreationRules,
    },
    /// Change a token or credential: fields as one JSON object in, what it is afterwards out
    ///
    /// A field that is absent stays, one that is null is cleared. Of a card: `expiry_month` and `expiry_year`, which cannot be
    /// cleared, `cardholder_name`, `metadata` and `expires_in`; of a payload's token: `metadata` and `expiration_time`. A
    /// lifetime counts from now; none means for ever. Of an API key: `scopes`, which take the place of those that it has. Of an
    /// API token: `name` and `modules`, which cannot be cleared, `icon` and `description`. The id stays, and the secret.
    #[command(after_help = r#"Examples:
  echo '{"expiry_month":4,"expiry_year":2031,"expires_in":null}' |
    tokenvault update pci 8744c9ea-a02b-4ae6-875c-b64fc333e3ef
  echo '{"metadata":{"order":"1002"}}' |
    tokenvault update generic 1b4e28ba-2fa1-41d2-883f-0016d3cca427
  echo '{"scopes":["pci:tokens:read","pci:tokens:create"]}' |
    tokenvault update api-key 0d2f7b53-6b0e-4a56-9d57-4a8f0f6f0b1c
  echo '{"name":"Till 2","description":null}' |
    tokenvault update api-token TKN-1671-0642"#)]
    Update {
        /// What is to be changed
        kind: ChangedKind,
        /// Its id
        #[arg(value_parser = name)]
        id: Name,
        #[command(flatten)]
        rules: ChangeRules,
    },
    /// Put another card in the place of a token's: a pan source as JSON in, the token as it is afterwards out
    ///
    /// The source is what stands in the `source` of a request: `{"type":"pan","account_number","expiry_month","expiry_year"}`,
    /// and optionally `cardholder_name` and `security_code`. Id, creation, metadata and expiry of the token stay.
    #[command(after_help = r#"Example:
  echo '{"type":"pan","account_number":"5555555555554444",' \
    '"expiry_month":12,"expiry_year":2031}' |
    tokenvault replace-account-number 8744c9ea-a02b-4ae6-875c-b64fc333e3ef"#)]
    ReplaceAccountNumber {
        /// The id of the token
        #[arg(value_parser = id)]
        id: Uuid,
        #[command(flatten)]
        rules: CreationRules,
    },
    /// Show tokens, never the payload, never more of a card number than its mask; types with their schemas; or credentials
    ///
    /// One line of JSON for each id, in order: the token, type or credential, or in its place the error body. Of a credential the
    /// secret is not shown.
    #[command(after_help = "\
Examples:
  tokenvault view pci 8744c9ea-a02b-4ae6-875c-b64fc333e3ef \\
    6f9619ff-8b86-4d01-b42d-00cf4fc964ff
  tokenvault view generic 1b4e28ba-2fa1-41d2-883f-0016d3cca427
  tokenvault view type 5cd3ff2c-5b3c-4f14-8f04-1cc7a0bbcd85
  tokenvault view api-key 0d2f7b53-6b0e-4a56-9d57-4a8f0f6f0b1c
  tokenvault view api-token TKN-1671-0642")]
    View {
        /// What to show
        kind: RecordKind,
        /// The ids
        #[arg(required = true, value_name = "ID", value_parser = name)]
        ids: Vec<Name>,
    },
    /// Print the secret itself: the card, or the payload
    ///
    /// The card is `{"account_number","expiry_month","expiry_year","cardholder_name"}`, the last only if there is one. The
    /// payload is the bare map, numbers in the digits that came.
    #[command(after_help = "\
Examples:
  tokenvault reveal pci 8744c9ea-a02b-4ae6-875c-b64fc333e3ef
  tokenvault reveal generic 1b4e28ba-2fa1-41d2-883f-0016d3cca427")]
    Reveal {
        /// What the token stands for
        kind: Kind,
        /// The id of the token
        #[arg(value_parser = id)]
        id: Uuid,
    },
    /// List tokens, types or credentials in the order of their ids, one page a call
    ///
    /// --after goes on behind an id; API tokens are counted instead, and --offset passes over so many.
    #[command(after_help = "\
Examples:
  tokenvault list pci
  tokenvault list types
  tokenvault list generic --type-id 5cd3ff2c-5b3c-4f14-8f04-1cc7a0bbcd85
  tokenvault list generic --limit 100 \\
    --after 1b4e28ba-2fa1-41d2-883f-0016d3cca427
  tokenvault list api-keys
  tokenvault list api-tokens --status active --account ACC-9042 --offset 20")]
    List {
        /// What to list
        kind: RecordKind,
        #[command(flatten)]
        page: PageArguments,
    },
    /// Remove a token and its secret, a type that no token uses, a credential, or an account or module that is not used
    ///
    /// Prints nothing. Of an API token the record stays, for root to see, and is printed as it is afterwards; such a token keeps
    /// its account and its modules in use.
    #[command(after_help = "\
Examples:
  tokenvault delete pci 8744c9ea-a02b-4ae6-875c-b64fc333e3ef
  tokenvault delete type 5cd3ff2c-5b3c-4f14-8f04-1cc7a0bbcd85
  tokenvault delete api-key 0d2f7b53-6b0e-4a56-9d57-4a8f0f6f0b1c
  tokenvault delete api-token TKN-1671-0642
  tokenvault delete module MOD-2
  tokenvault delete account ACC-9043")]
    Delete {
        /// What to remove
        kind: RemovedKind,
        /// Its id
        #[arg(value_parser = name)]
        id: Name,
    },
    /// Define what API tokens name: one JSON object in, what was defined out
    ///
    /// An account is `{"id","name"}`, and optionally `type`, `status` and `icon`; a module is `{"id","name","description","scopes"}`,
    /// and optionally `filters` and `settings`, objects that are shown as they came. What is there under the id already is
    /// defined anew, and what the tokens of a module may do changes with it. The vault is made if the folder does not exist.
    #[command(after_help = r#"Examples:
  echo '{"id":"ACC-9042","name":"Corner shop"}' |
    tokenvault define account
  echo '{"id":"MOD-1","name":"Checkout","description":"Takes cards",' \
    '"scopes":["pci:tokens:create"]}' | tokenvault define module"#)]
    Define {
        /// What the object is
        kind: DefinedKind,
    },
    /// Make a disabled credential good again, and print it
    #[command(after_help = "Example:\n  tokenvault enable api-token TKN-1671-0642")]
    Enable {
        /// What to enable
        kind: SwitchedKind,
        /// Its id
        #[arg(value_parser = name)]
        id: Name,
    },
    /// Let a credential be refused until it is enabled, and print it
    #[command(after_help = "Example:\n  tokenvault disable api-token TKN-1671-0642")]
    Disable {
        /// What to disable
        kind: SwitchedKind,
        /// Its id
        #[arg(value_parser = name)]
        id: Name,
    },
    /// Complete a session, or ask what became of it
    #[command(
        subcommand,
        after_help = "\
Examples:
  tokenvault session view c9bf9e57-1685-4c89-bafb-ff5af830be8a
  tokenvault session complete --help"
    )]
    Session(SessionCommand),
    /// Ask for the security code of a token, delete it, or open a session that takes a new one
    ///
    /// A security code is never stored: it lives in the memory of the process that took it, and is gone when that ends. So a
    /// code that was handed to a command line, with `create pci` or `session complete`, is gone before the next command begins;
    /// codes are for applications that keep a vault open.
    #[command(
        subcommand,
        after_help = "\
Example:
  tokenvault security-code refresh 8744c9ea-a02b-4ae6-875c-b64fc333e3ef"
    )]
    SecurityCode(SecurityCodeCommand),
    /// Fill a template with the values of a card
    ///
    /// The template is read from standard input, at most 1 MiB; the filled body is written to standard output as it is, without
    /// a line feed of its own. Placeholders are `{{ account_number }}`, `{{ cardholder_name }}`, `{{ expiry_year }}`,
    /// `{{ expiry_month }}`; values are escaped for the kind of body. In JSON, a string that is nothing but
    /// `{{ expiry_month | unwrap }}` becomes the number. Of a form, the line ending behind the last line is no part.
    #[command(after_help = r#"Examples:
  echo '{"card":"{{ account_number }}"}' |
    tokenvault fill 8744c9ea-a02b-4ae6-875c-b64fc333e3ef --body json
  echo 'card={{ account_number }}&year={{ expiry_year }}' |
    tokenvault fill 8744c9ea-a02b-4ae6-875c-b64fc333e3ef --body form
  echo '<card>{{ account_number }}</card>' |
    tokenvault fill 8744c9ea-a02b-4ae6-875c-b64fc333e3ef --body xml"#)]
    Fill {
        /// The id of the token
        #[arg(value_parser = id)]
        id: Uuid,
        /// What the template is
        #[arg(long, value_name = "KIND")]
        body: BodyKind,
    },
    /// Tell the leading digits and the scheme of a card
    ///
    /// One JSON object is read from standard input: `{"type":"pan","account_number":...}` or `{"type":"pci_token","id":...}`.
    #[command(after_help = r#"Examples:
  echo '{"type":"pan","account_number":"4111111111111111"}' |
    tokenvault inquire
  echo '{"type":"pci_token","id":"8744c9ea-a02b-4ae6-875c-b64fc333e3ef"}' |
    tokenvault inquire"#)]
    Inquire {
        /// Tell eight leading digits, of numbers with sixteen or more
        ///
        /// Beside a mask, these are twelve digits of one number: ask the scheme whether you may.
        #[arg(long)]
        eight_digit_bin: bool,
        #[command(flatten)]
        rules: AskingRules,
    },
    /// Print the ids of the live tokens of a card, the oldest first
    ///
    /// One JSON object is read from standard input: `{"type":"pan","account_number":...}`. The answer is `{"ids":[...]}`. The
    /// vault must keep fingerprints: see `create --fingerprints` and `index-fingerprints`.
    #[command(after_help = r#"Example:
  echo '{"type":"pan","account_number":"4111111111111111"}' |
    tokenvault find"#)]
    Find {
        #[command(flatten)]
        rules: AskingRules,
    },
    /// Keep fingerprints of account numbers from now on, and make those of the tokens that are there
    ///
    /// A fingerprint is a keyed hash, by which `find` and `--duplicates` find the tokens of a card; it never leaves the vault. If
    /// this is interrupted, it goes on where it stopped when it is started again. Prints of the tokens met on the way in this
    /// run how many were indexed, how many had a fingerprint already, and how many remain without one because they are damaged;
    /// where all was done before, none is met.
    #[command(after_help = "Example:\n  tokenvault index-fingerprints")]
    IndexFingerprints,
    /// Remove every token that has expired, and print how many there were
    #[command(after_help = "Example:\n  tokenvault sweep")]
    Sweep,
    /// Print counts, the age and use of the keys, and bytes on disk
    ///
    /// `sealed_records` was counted up to the last orderly close: if a command was killed since, it is a lower bound.
    #[command(after_help = "Example:\n  tokenvault stats")]
    Stats,
    /// Give the space of what was deleted or swept back to the file system
    ///
    /// What the vault keeps is written anew, and then what stood there before is removed: the disk needs room for a second copy of
    /// what is kept. If this is interrupted, the vault is as it was. Prints the bytes on disk before and after, with the journal,
    /// most of which goes when the command ends. On a terminal, standard error shows the progress.
    #[command(after_help = "Example:\n  tokenvault compact")]
    Compact,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Make the token that a session waits for, with the card on standard input
    ///
    /// The session is the answer to `create pci` with `{"source":{"type":"session"}}`; metadata and lifetime of the token were
    /// given there. It works once, and what is refused does not use the session; with --idempotency-key it is safe to try again.
    /// A security code is checked and is gone when the command ends: codes live in one process only.
    #[command(after_help = r#"Example:
  echo '{"type":"pan","account_number":"4111111111111111",' \
    '"expiry_month":12,"expiry_year":2031}' |
    tokenvault session complete c9bf9e57-1685-4c89-bafb-ff5af830be8a"#)]
    Complete {
        /// The id of the session
        #[arg(value_parser = id)]
        id: Uuid,
        /// A name for this completion, 1 to 64 characters: sent again within 24 hours, it gets the first answer again
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        #[command(flatten)]
        rules: CreationRules,
    },
    /// Show whether a session was completed, and its token
    #[command(after_help = "Example:\n  tokenvault session view c9bf9e57-1685-4c89-bafb-ff5af830be8a")]
    View {
        /// The id of the session
        #[arg(value_parser = id)]
        id: Uuid,
    },
}

impl SessionCommand {
    /// A vault with the rules of the command.
    pub(crate) fn options(&self) -> VaultOptions {
        match self {
            Self::Complete { rules, .. } => rules.options(),
            Self::View { .. } => VaultOptions::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum SecurityCodeCommand {
    /// Print whether this process holds a code for a token, which has just begun: so only whether the token is there
    #[command(after_help = "Example:\n  tokenvault security-code check 8744c9ea-a02b-4ae6-875c-b64fc333e3ef")]
    Check {
        /// The id of the token
        #[arg(value_parser = id)]
        id: Uuid,
    },
    /// Wipe the code of a token, if there is one; prints nothing
    #[command(after_help = "Example:\n  tokenvault security-code delete 8744c9ea-a02b-4ae6-875c-b64fc333e3ef")]
    Delete {
        /// The id of the token
        #[arg(value_parser = id)]
        id: Uuid,
    },
    /// Open a session that takes a new code, for an application to complete
    #[command(after_help = "Example:\n  tokenvault security-code refresh 8744c9ea-a02b-4ae6-875c-b64fc333e3ef")]
    Refresh {
        /// The id of the token
        #[arg(value_parser = id)]
        id: Uuid,
    },
}

/// Which part of a list.
#[derive(Args, Debug)]
pub(crate) struct PageArguments {
    /// At most so many: 1 to 100, 20 unless said otherwise
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Begin behind this id, whose token may be gone by now
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// Only generic tokens of this type
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) type_id: Option<Uuid>,
    /// Of API tokens: pass over so many
    #[arg(long, value_name = "N")]
    pub(crate) offset: Option<usize>,
    /// Of API tokens: only those with this status
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<Status>,
    /// Of API tokens: only those of this account
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
}

impl PageArguments {
    /// Refuses these for a list of a kind that cannot have them.
    fn check_for(&self, kind: RecordKind) -> Result<(), Failure> {
        const ONLY_TOKENS: &str = "--offset, --status and --account are for API tokens: `list api-tokens`";
        const NO_TOKENS: &str = "a list of API tokens goes on at an --offset, and none has a type";
        let refused = match kind {
            RecordKind::ApiToken => (self.after.is_some() || self.type_id.is_some()).then_some(NO_TOKENS),
            _ => (self.offset.is_some() || self.status.is_some() || self.account.is_some()).then_some(ONLY_TOKENS),
        };
        refused.map_or(Ok(()), |why| Err(Failure::Usage(Arguments::command().error(ErrorKind::ArgumentConflict, why))))
    }
}

impl Command {
    /// Refuses what cannot go together.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Create { kind, again, .. } => again.check_for(*kind),
            Self::List { kind, page } => page.check_for(*kind),
            _ => Ok(()),
        }
    }

    /// A vault with the rules of the command, as it is.
    pub(crate) fn options(&self) -> VaultOptions {
        match self {
            Self::Create { rules, .. } | Self::ReplaceAccountNumber { rules, .. } => rules.options(),
            Self::Update { rules, .. } => rules.options(),
            Self::Session(command) => command.options(),
            Self::Inquire { eight_digit_bin: true, rules } => rules.options().eight_digit_bin(),
            Self::Inquire { rules, .. } | Self::Find { rules } => rules.options(),
            _ => VaultOptions::new(),
        }
    }

    /// The same with what the command changes of the vault itself.
    pub(crate) fn options_of_root(&self) -> VaultOptions {
        match self {
            Self::IndexFingerprints => VaultOptions::new().fingerprints(Fingerprints::On),
            _ => self.options(),
        }
    }
}
