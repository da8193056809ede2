//! `demo`: what the vault does, on the published examples, in a temporary folder with a throw-away key.
//!
//! It is for reading: each step says what to look at. The card number is printed in full once, where it is revealed.

mod requests;

use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use chrono::{DateTime, Utc};
use indicatif::HumanCount;
use tokenvault::{
    Clock, CreateGeneric, CreatePci, Error, Fingerprints, GenericToken, KeyManager, Page, PciCreated, PciToken,
    SystemClock, Vault, VaultOptions,
};

use crate::failure::Failure;
use crate::load;
use crate::output::Output;
use crate::read::{RevealedCard, RevealedPayload};
use crate::sheet::Sheet;

/// The published example of a card: a test number.
const NUMBER: &str = "4111111111111111";
const CARD: &str = r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"cardholder_name":"Bob Holder","security_code":"123"},"metadata":{"order":"1001"},"expires_in":3600}"#;
/// The same with a digit wrong, a month that is none, and a misspelt lifetime.
const BAD_NUMBER: &str = "4111111111111112";
const BAD_CARD: &str = r#"{"source":{"type":"pan","account_number":"4111111111111112","expiry_month":13,"expiry_year":2025},"expire_in":3600}"#;

/// The published examples of generic tokens.
const SEPA: &str =
    r#"{"payload":{"iban":"DE89370400440532013000","bic":"COBADEFFXXX","account_holder_name":"John Doe"}}"#;
const API: &str = r#"{"payload":{"api_key":"abcd1234efgh5678","api_secret":"s3cr3tK3y!"},"expiration_time":2592000}"#;

/// What must not be found on disk.
const SECRETS: [&str; 5] =
    [NUMBER, requests::SOURCE_NUMBER, "DE89370400440532013000", "abcd1234efgh5678", "s3cr3tK3y!"];

const HOUR: i64 = 3_600_000;
const THIRTY_DAYS: i64 = 30 * 24 * HOUR;

/// Tells it all; stops where something goes wrong.
pub(crate) fn run(out: &mut Output) -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("tokenvault-demo-").tempdir();
    let folder = folder
        .map_err(|cause| Error::store_failure(format!("no temporary folder can be made: {cause}")).caused_by(cause))?;
    let sheet = &mut Sheet::new(out);
    sheet.say("tokenvault demo: all of this happens now, in a temporary folder with a throw-away key.")?;
    sheet.say("The card numbers are published test numbers.")?;
    let mut demo = Demo::begin(folder.path())?;
    let sepa = demo.tokenize_secrets(sheet)?;
    let card = demo.tokenize_a_card(sheet)?;
    demo.look(&card, sheet)?;
    demo.reveal(&sepa, &card, sheet)?;
    refuse(sheet)?;
    demo.type_a_payload(sheet)?;
    demo.complete_a_session(sheet)?;
    demo.use_a_code(&card, sheet)?;
    demo.fill_a_template(&card, sheet)?;
    demo.ask_twice(&card, sheet)?;
    demo.inquire_and_change(&card, sheet)?;
    demo.search_the_disk(sheet)?;
    demo.reopen(&card, sheet)?;
    demo.expire(&card, sheet)?;
    demo.vault.close()?;
    figures(folder.path(), sheet)
}

/// A vault, and what it takes to open it again.
struct Demo {
    folder: PathBuf,
    key_file: PathBuf,
    clock: HandClock,
    vault: Vault,
}

impl Demo {
    fn begin(folder: &Path) -> Result<Self, Error> {
        let (key_file, folder) = (folder.join("vault.key"), folder.join("cards.vault"));
        let clock = HandClock(Arc::new(AtomicI64::new(SystemClock.now().timestamp_millis())));
        let keys = KeyManager::create_key_file(&key_file)?;
        let vault = VaultOptions::new().clock(clock.clone()).fingerprints(Fingerprints::On).create(&folder, keys)?;
        Ok(Self { folder, key_file, clock, vault })
    }

    fn tokenize_secrets(&self, sheet: &mut Sheet<'_>) -> Result<GenericToken, Failure> {
        sheet.heading("Tokenize secrets: a small map in, an id out")?;
        sheet.text("request", SEPA)?;
        let sepa = self.vault.create_generic(CreateGeneric::from_json(SEPA.as_bytes())?)?;
        sheet.json("answer", &sepa)?;
        sheet.text("request", API)?;
        let api = self.vault.create_generic(CreateGeneric::from_json(API.as_bytes())?)?;
        sheet.json("answer", &api)?;
        sheet.entry("look at", "an answer holds nothing of the payload; the second token lives 2,592,000 seconds,")?;
        sheet.entry("", "30 days to the millisecond. Each answer came when it would survive power loss.")?;
        Ok(sepa)
    }

    fn tokenize_a_card(&self, sheet: &mut Sheet<'_>) -> Result<PciToken, Failure> {
        sheet.heading("Tokenize a card")?;
        sheet.text("request", &CARD.replace(NUMBER, "(a test number)"))?;
        let PciCreated::Token(card) = self.vault.create_pci(CreatePci::from_json(CARD.as_bytes())?)? else {
            return Err(Error::unavailable("a pan source opened a session").into());
        };
        sheet.json("answer", &card)?;
        sheet.entry("look at", "the mask: six digits, stars, four digits. The scheme was told from the number.")?;
        sheet.entry("", "The security code is in locked memory of this process, and in no file.")?;
        Ok(card)
    }

    fn look(&self, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("View and list: no secret is decrypted for it")?;
        sheet.json("view", &self.vault.pci(card.id)?)?;
        sheet.json("list", &self.vault.list_generic(Page::first(1))?)?;
        sheet.entry("look at", "the first page of generic tokens, one token long, links to the next.")?;
        Ok(())
    }

    fn reveal(&self, sepa: &GenericToken, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("Reveal: the secret is lent to your code, and wiped when that returns")?;
        self.vault.generic_payload(sepa.id, |payload| sheet.json("payload", &RevealedPayload(payload)))??;
        self.vault.reveal_pci(card.id, |card| sheet.json("card", &RevealedCard(card)))??;
        Ok(())
    }

    fn search_the_disk(&self, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("On disk")?;
        let mut searched = Searched::default();
        let found = search(&self.folder, &mut searched);
        let found = found.map_err(|cause| Error::store_failure("the demo's vault cannot be read").caused_by(cause))?;
        let Searched { files, bytes } = searched;
        let (bytes, found) = (HumanCount(bytes), if found { "FOUND, which is a bug" } else { "not found" });
        sheet.entry(
            "searched",
            format_args!("{files} files of the vault, {bytes} bytes, for card numbers, IBAN and keys"),
        )?;
        sheet.entry("result", found)?;
        Ok(())
    }

    fn reopen(&mut self, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("Close, and open again")?;
        self.vault.close()?;
        refusal("other key", Vault::open(&self.folder, KeyManager::generate()?), sheet)?;
        let keys = KeyManager::from_key_file(&self.key_file)?;
        self.vault = VaultOptions::new().clock(self.clock.clone()).open(&self.folder, keys)?;
        sheet.entry("own key", format_args!("opened; card {}", self.vault.pci(card.id)?.card.masked_account_number))?;
        sheet.entry("look at", "a wrong key is told as such, and is never taken for damage.")?;
        Ok(())
    }

    fn expire(&self, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("Expiry: the demo moves the clock of its vault")?;
        self.clock.advance(HOUR - 1);
        let mask = self.vault.pci(card.id)?.card.masked_account_number;
        sheet.entry("+59:59.999", format_args!("card {mask} is still there"))?;
        self.clock.advance(1);
        refusal("+1 hour", self.vault.pci(card.id), sheet)?;
        self.clock.advance(THIRTY_DAYS - HOUR);
        sheet.json("+30 days", &self.vault.sweep()?)?;
        let left = self.vault.stats()?;
        sheet.entry("left", format_args!("generic tokens: {}, cards: {}", left.generic_tokens, left.pci_tokens))?;
        sheet
            .entry("look at", "the card was gone at its very millisecond, and removed by the read that found it so;")?;
        sheet.entry("", "the sweep removed the API credentials. What has no lifetime stays.")?;
        Ok(())
    }
}

fn refuse(sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    sheet.heading("A bad request is refused before anything happens")?;
    sheet.text("request", &BAD_CARD.replace(BAD_NUMBER, "(one digit is wrong)"))?;
    refusal("refusal", CreatePci::from_json(BAD_CARD.as_bytes()), sheet)?;
    sheet.entry("look at", "every violation at its path, and no value in it, so that it can be logged.")?;
    Ok(())
}

/// The error body of what must not succeed.
fn refusal<T>(label: &str, result: Result<T, Error>, sheet: &mut Sheet<'_>) -> io::Result<()> {
    match result {
        Err(error) => sheet.json(label, &error),
        Ok(_) => sheet.entry(label, "NOT REFUSED, which is a bug"),
    }
}

fn figures(folder: &Path, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    sheet.heading("Figures, measured now: operations a second")?;
    load::run(folder, sheet)?;
    let place = folder.parent().unwrap_or(folder).display();
    sheet.say(format_args!("  {cores} cores, half a second a line, every create synced to the disk of {place}"))?;
    sheet.say("  (TMPDIR names another). The cards are test numbers of the seven schemes.")?;
    if cfg!(debug_assertions) {
        sheet.say("  This is a debug build: build with --release for figures that mean something.")?;
    }
    sheet.say("\nNext: tokenvault --help")?;
    Ok(())
}

/// What a search has gone through.
#[derive(Default)]
struct Searched {
    files: u64,
    bytes: u64,
}

/// Whether any file below a folder holds a secret of the demo in plain bytes.
fn search(folder: &Path, searched: &mut Searched) -> io::Result<bool> {
    let mut found = false;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found |= search(&path, searched)?;
            continue;
        }
        let bytes = fs::read(path)?;
        searched.files += 1;
        searched.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        found |= SECRETS.iter().any(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    Ok(found)
}

/// Shows the time at which the demo began until it is moved. Every clone shows the same.
#[derive(Clone)]
struct HandClock(Arc<AtomicI64>);

impl HandClock {
    fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::Relaxed)).unwrap_or_default()
    }
}
