//! What else can be asked of a vault: types, sessions, security codes, templates, the same thing twice, changes.

use tokenvault::{
    Body, CompleteSession, CreateGeneric, CreatePci, CreateType, Duplicates, Error, InquirySource, PciCreated,
    PciToken, UpdatePci,
};

use super::{CARD, Demo, NUMBER, SEPA, refusal};
use crate::failure::Failure;
use crate::sheet::Sheet;

const TYPE: &str = r#"{"name":"account","schema":{"required":["iban"],"properties":{"iban":{"maxLength":34}}}}"#;
const SESSION: &str = r#"{"source":{"type":"session"},"metadata":{"order":"1002"}}"#;
const SOURCE: &str = r#"{"type":"pan","account_number":"5555555555554444","expiry_month":4,"expiry_year":2030}"#;
pub(super) const SOURCE_NUMBER: &str = "5555555555554444";
const TEMPLATE: &str =
    r#"{"card":"{{ account_number }}","holder":"{{ cardholder_name }}","month":"{{ expiry_month | unwrap }}"}"#;
const CHANGE: &str = r#"{"expiry_month":4,"expiry_year":2031,"metadata":{"order":"1003"}}"#;

impl Demo {
    pub(super) fn type_a_payload(&self, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("A payload type: a JSON Schema that payloads are held to")?;
        sheet.text("request", TYPE)?;
        let account = self.vault.create_type(CreateType::from_json(TYPE.as_bytes())?)?;
        sheet.entry("type", account.id)?;
        let payload = format!(r#"{{"payload":{{"bic":"COBADEFFXXX"}},"type_id":"{}"}}"#, account.id);
        sheet.text("request", &payload)?;
        refusal("refusal", self.vault.create_generic(CreateGeneric::from_json(payload.as_bytes())?), sheet)?;
        sheet.entry("look at", "the path of what is missing.")?;
        Ok(())
    }

    pub(super) fn complete_a_session(&self, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("A session: somebody else hands in the card")?;
        sheet.text("request", SESSION)?;
        let PciCreated::Session(session) = self.vault.create_pci(CreatePci::from_json(SESSION.as_bytes())?)? else {
            return Err(Error::unavailable("a session source made a token").into());
        };
        sheet.json("answer", &session)?;
        let complete = || {
            let card = CompleteSession::from_json(SOURCE.as_bytes())?;
            self.vault.complete_session(session.session_id, card)
        };
        sheet.text("card", &SOURCE.replace(SOURCE_NUMBER, "(a test number)"))?;
        sheet.json("answer", &complete()?)?;
        sheet.json("session", &self.vault.session(session.session_id)?)?;
        refusal("again", complete(), sheet)?;
        sheet.entry("look at", "the metadata, which came when the session was opened. It works once.")?;
        Ok(())
    }

    pub(super) fn use_a_code(&self, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("The security code: lent once")?;
        if !self.vault.security_code_available(card.id)? {
            sheet.entry("not kept", "no memory can be locked here; a code is kept nowhere else")?;
            return Ok(());
        }
        let digits = self.vault.use_security_code(card.id, str::len)?;
        sheet.entry("lent", format_args!("{digits} digits, to your code alone, and wiped when that returned"))?;
        refusal("again", self.vault.use_security_code(card.id, |_| ()), sheet)?;
        Ok(())
    }

    pub(super) fn fill_a_template(&self, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("A template: a body for somebody else, filled with the card")?;
        sheet.text("template", TEMPLATE)?;
        let mask = card.card.masked_account_number.as_str();
        let masked = |filled: &[u8]| String::from_utf8_lossy(filled).replace(NUMBER, mask);
        sheet.text("filled", &self.vault.fill(card.id, Body::Json(TEMPLATE), masked)?)?;
        sheet.entry("look at", "the month without quotes. The body has the whole number; only this page masks it.")?;
        Ok(())
    }

    pub(super) fn ask_twice(&self, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("The same thing twice")?;
        let create = |request: &str| {
            let request = CreateGeneric::from_json(request.as_bytes())?.idempotency_key("order 1001")?;
            self.vault.create_generic(request)
        };
        sheet.entry("key", format_args!("\"order 1001\" makes {}", create(SEPA)?.id))?;
        sheet.entry("again", format_args!("\"order 1001\" gives {}", create(SEPA)?.id))?;
        refusal("other", create(r#"{"payload":{"pin":"1234"}}"#), sheet)?;
        let known = CreatePci::from_json(CARD.as_bytes())?.duplicates(Duplicates::ReturnExisting);
        let PciCreated::Token(known) = self.vault.create_pci(known)? else {
            return Err(Error::unavailable("a pan source opened a session").into());
        };
        let same = if known.id == card.id { "the token of step 2" } else { "ANOTHER TOKEN, which is a bug" };
        sheet.entry("card", format_args!("the card of step 2, with ReturnExisting: {same}"))?;
        sheet.entry("look at", "a request that is sent again is done once; another one under its key is refused.")?;
        Ok(())
    }

    pub(super) fn inquire_and_change(&self, card: &PciToken, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        sheet.heading("Inquire and change")?;
        sheet.json("inquiry", &self.vault.inquire(InquirySource::token(card.id))?)?;
        sheet.text("fields", CHANGE)?;
        sheet.json("token", &self.vault.update_pci(card.id, UpdatePci::from_json(CHANGE.as_bytes())?)?)?;
        sheet.entry("look at", "the id and the lifetime: what is not named stays.")?;
        Ok(())
    }
}
