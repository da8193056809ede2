//! What the leading digits of a card tell, without the card.

use crate::access::{Operation, Scope};
use crate::card::{BinStyle, Scheme};
use crate::error::Error;
use crate::id::TokenId;
use crate::record::{self, Kind};
use crate::request::{Asked, InquirySource};
use crate::response::{Inquiry, Issuer};
use crate::vault::caller::{About, Caller};
use crate::vault::{Authority, Vault};

/// Knows issuers by the leading digits of their numbers, for [`Vault::inquire`].
pub trait BinDirectory: Send + Sync + 'static {
    /// What is known of the issuer of numbers that begin with these six or eight digits.
    ///
    /// # Errors
    /// Whatever the application answers is the answer of [`Vault::inquire`].
    fn look_up(&self, bin: &str) -> Result<Option<Issuer>, Error>;
}

/// What an inquiry tells, and where it asks.
#[derive(Default)]
pub(super) struct Inquiries {
    pub(super) bin: BinStyle,
    pub(super) directory: Option<Box<dyn BinDirectory>>,
}

impl<A: Authority> Vault<A> {
    /// Tells the BIN and the scheme of a card, and what the application's directory knows of its issuer.
    ///
    /// The BIN is the first six digits, in a vault of either mask style: beside any mask no more can be seen than the first six
    /// and the last four. With [`VaultOptions::eight_digit_bin`](crate::VaultOptions::eight_digit_bin) it is eight for numbers
    /// of sixteen digits or more. Of a token it is read off the mask; the account number is opened only where the mask does not
    /// show that much.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such token. `VALIDATION_ERROR` at `$.account_number`: the number is of no listed scheme, where
    /// the vault wants one. `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`, or what the directory answers.
    ///
    /// ```
    /// # use tokenvault::{KeyManager, VaultOptions, store::MemoryStore};
    /// use tokenvault::InquirySource;
    ///
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let source = InquirySource::from_json(br#"{"type":"pan","account_number":"4111111111111111"}"#)?;
    /// assert_eq!(serde_json::to_string(&vault.inquire(source)?).unwrap(), r#"{"bin":"411111","scheme":["visa"]}"#);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn inquire(&self, source: InquirySource) -> Result<Inquiry, Error> {
        // With a number in hand there is no token to ask about: whoever may hand one in may ask.
        let scope = match &source.asked {
            Asked::Pan(_) => Some(Scope::PciTokensCreate),
            Asked::Token(_) => Operation::Inquire.scope(),
        };
        let id = if let Asked::Token(Some(id)) = &source.asked { Some(*id) } else { None };
        let about = id.as_ref().map_or(About::Nothing, |id| About::Id(id));
        self.caller().perform_by(Operation::Inquire, scope, about, |caller| caller.inquire(source))
    }
}

impl Caller<'_> {
    fn inquire(&self, source: InquirySource) -> Result<Inquiry, Error> {
        self.check_open()?;
        let (bin, scheme) = match source.asked {
            Asked::Pan(pan) => {
                pan.check_scheme(self.policy.rules.schemes()).map_err(|rule| rule.at("$.account_number"))?;
                (pan.lead(self.inquiries.bin), pan.scheme())
            }
            Asked::Token(Some(id)) => self.bin_of(id)?,
            Asked::Token(None) => return Err(Error::not_found()),
        };
        let directory = self.inquiries.directory.as_deref();
        let issuer = directory.map(|directory| directory.look_up(&bin)).transpose()?.flatten();
        Ok(Inquiry { bin, scheme: scheme.into_iter().collect(), issuer: issuer.unwrap_or_default() })
    }

    fn bin_of(&self, id: TokenId) -> Result<(String, Option<Scheme>), Error> {
        let view = self.view(Kind::Pci, id.into(), |viewed| record::pci_view(&viewed.view))?;
        let digits = self.inquiries.bin.digits(view.masked.len());
        let shown = view.masked.get(..digits).filter(|lead| lead.bytes().all(|byte| byte.is_ascii_digit()));
        let bin = match shown {
            Some(bin) => bin.to_owned(),
            None => self.open_card(id)?.account_number().get(..digits).unwrap_or_default().to_owned(),
        };
        Ok((bin, view.scheme))
    }
}
