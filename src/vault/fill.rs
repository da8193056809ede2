//! Filling a template with the values of a card, for a closure of the application or for its forwarder.

use std::fmt;

use crate::access::Operation;
use crate::destination::Destination;
use crate::error::Error;
use crate::id::TokenId;
use crate::locked::LockedBytes;
use crate::record::Card;
use crate::template::{Body, Template, Values};
use crate::vault::caller::Caller;
use crate::vault::security_code::{CardTag, LockedCode};
use crate::vault::{Authority, Vault};

/// Sends filled bodies, for [`Vault::forward`]: the application's own client, with its certificates and timeouts.
///
/// ```
/// use tokenvault::{Destination, Error, ForwardResponse, Forwarder};
/// # struct Client;
/// # impl Client { fn post(&self, _: &str, _: &str, _: &[u8]) -> Result<(u16, Vec<u8>), std::io::Error> { Ok((200, Vec::new())) } }
///
/// struct Https(Client);
///
/// impl Forwarder for Https {
///     fn forward(&self, destination: &Destination, content_type: &str, body: &[u8]) -> Result<ForwardResponse, Error> {
///         let sent = self.0.post(destination.as_str(), content_type, body);
///         let (status, body) = sent.map_err(|error| Error::unavailable("the destination cannot be reached").caused_by(error))?;
///         Ok(ForwardResponse::new(status, body))
///     }
/// }
/// ```
pub trait Forwarder: Send + Sync + 'static {
    /// Sends a body and answers what came back. The destination is allowed; a redirect to another one is not to be followed.
    /// The body is wiped when this returns or panics; what is copied out of it is the application's to wipe.
    ///
    /// # Errors
    /// Whatever the application answers is the answer of [`Vault::forward`]; [`Error::unavailable`] serves a destination that
    /// cannot be reached.
    fn forward(&self, destination: &Destination, content_type: &str, body: &[u8]) -> Result<ForwardResponse, Error>;
}

/// What a destination answered. It belongs to the caller.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardResponse {
    /// The HTTP status code.
    pub status: u16,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl ForwardResponse {
    /// A status code and the body behind it.
    #[must_use]
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body }
    }
}

impl fmt::Debug for ForwardResponse {
    /// Without the body, which can repeat what was sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Who sends filled bodies, and where to.
#[derive(Default)]
pub(super) struct Forwarding {
    pub(super) forwarder: Option<Box<dyn Forwarder>>,
    pub(super) allowed: Vec<Destination>,
}

impl Forwarding {
    /// The forwarder, and the destination as it was parsed, if it is allowed.
    fn admit(&self, destination: &str) -> Result<(&dyn Forwarder, Destination), Error> {
        let forwarder = self.forwarder.as_deref();
        let forwarder = forwarder.ok_or_else(|| Error::forbidden("the vault was opened without a forwarder"))?;
        let destination = Destination::parse(destination)
            .filter(|destination| self.allowed.iter().any(|allowed| allowed.has_origin_of(destination)));
        let destination = destination.ok_or_else(|| Error::forbidden("the destination is not on the vault's list"))?;
        Ok((forwarder, destination))
    }
}

impl<A: Authority> Vault<A> {
    /// Fills a template with the values of a card and lends the body to `lend`; it is wiped when that returns or panics.
    ///
    /// Everything is checked first, and nothing is consumed or lent unless all of it holds. `{{ security_code }}` uses the
    /// security code up, as [`Vault::use_security_code`] does; the body is then lent from memory that is locked, as the code was.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with all that is wrong: at `$[17]` a placeholder that begins at byte 17 and is unknown, not closed,
    /// misplaced, or for a value that the token lacks; at `$` a template that is too large or no body of its kind, from which
    /// byte on, or a body that would be larger than 2 MiB. Then `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`. `lend`
    /// is then not called.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// use tokenvault::Body;
    ///
    /// # fn send(body: &[u8]) -> usize { body.len() }
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(4, 2027)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let template = r#"{"card":"{{ account_number }}","month":"{{ expiry_month | unwrap }}"}"#;
    /// vault.fill(token.id, Body::Json(template), |filled| {
    ///     assert_eq!(filled, br#"{"card":"4111111111111111","month":4}"#);
    ///     send(filled)
    /// })?;
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn fill<R>(&self, id: TokenId, template: Body<'_>, lend: impl FnOnce(&[u8]) -> R) -> Result<R, Error> {
        self.caller().lend(Operation::Fill, &id, |caller| caller.lend_filled(id, template, lend))
    }

    /// Fills a template and hands the body to the forwarder that the vault was opened with
    /// ([`VaultOptions::forwarder`](crate::VaultOptions::forwarder)); answers what the destination answered. The code that calls
    /// this sees no value of the card unless the destination repeats it.
    ///
    /// The origin of the destination must be one that was allowed
    /// ([`VaultOptions::allow_destination`](crate::VaultOptions::allow_destination)).
    ///
    /// # Errors
    /// `FORBIDDEN`: the vault has no forwarder, or the destination is not https, has a user name, password or another port, or
    /// its origin is not allowed. Then as [`Vault::fill`]; nothing is then sent. Then whatever the forwarder answers.
    ///
    /// ```
    /// # use tokenvault::card::{CardExpiry, Pan};
    /// # use tokenvault::{CreatePci, Destination, Error, KeyManager, PanSource, PciCreated, VaultOptions, store::MemoryStore};
    /// use tokenvault::{Body, ForwardResponse, Forwarder};
    ///
    /// struct Https;
    ///
    /// impl Forwarder for Https {
    ///     fn forward(&self, destination: &Destination, _: &str, body: &[u8]) -> Result<ForwardResponse, Error> {
    ///         assert_eq!((destination.as_str(), body), ("https://psp.example/charges", &b"card=4111111111111111"[..]));
    ///         Ok(ForwardResponse::new(201, Vec::new()))
    ///     }
    /// }
    ///
    /// let options = VaultOptions::new().forwarder(Https).allow_destination("https://psp.example")?;
    /// let vault = options.open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(4, 2027)?);
    /// # let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card))? else { unreachable!() };
    /// let template = Body::Form("card={{ account_number }}");
    /// assert_eq!(vault.forward(token.id, "https://psp.example/charges", template)?.status, 201);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn forward(&self, id: TokenId, destination: &str, template: Body<'_>) -> Result<ForwardResponse, Error> {
        self.caller().lend(Operation::Forward, &id, |caller| {
            let (forwarder, destination) = caller.forwarding.admit(destination)?;
            let content_type = template.content_type();
            caller.lend_filled(id, template, |filled| forwarder.forward(&destination, content_type, filled))?
        })
    }
}

impl Caller<'_> {
    /// Checks everything, then fills, then lends.
    fn lend_filled<R>(&self, id: TokenId, body: Body<'_>, lend: impl FnOnce(&[u8]) -> R) -> Result<R, Error> {
        let template = Template::read(body);
        // What is wrong with the request comes before there being no such token, and with what the token lacks.
        let mut card = self.open_card(id).map_err(|error| template.check().err().unwrap_or(error))?;
        if template.wants_security_code() {
            let mut tag = self.tag(card.account_number().as_bytes())?;
            if self.codes.is_of_another(id, tag) {
                // Its card was replaced since it was opened.
                card = self.open_card(id)?;
                tag = self.tag(card.account_number().as_bytes())?;
            }
            return self.lend_with_code((id, tag), &template, values_of(&card), lend);
        }
        let filled = template.fill(&values_of(&card))?;
        // Lent from the one buffer that it was written to, which wipes itself.
        Ok(lend(filled.expose()))
    }

    /// The same with the security code, which is taken once all else is certain: what is refused consumes none. The body stands
    /// in locked memory, as the code did.
    fn lend_with_code<R>(
        &self,
        (id, card): (TokenId, CardTag),
        template: &Template<'_>,
        mut values: Values<'_>,
        lend: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        /// Stands in for a code while everything is checked, and takes as much room as the longest.
        const ANY_CODE: &str = "0000";
        let no_memory = || Error::unavailable("no memory can be locked for a body with a security code");
        values.security_code = self.has_code(id, Some(card)).then_some(ANY_CODE);
        let mut filled = LockedBytes::with_room(template.room(&values)?).ok_or_else(no_memory)?;
        let code = self.claim_code(id, Some(card));
        // From its slot into the body, and wiped there before that is lent.
        let mut values = values;
        values.security_code = code.as_ref().and_then(LockedCode::expose);
        // Another may have taken it since.
        template.room(&values)?;
        template.write(&values, &mut |part| filled.push(part));
        drop(code);
        // As above.
        Ok(lend(filled.expose()))
    }
}

fn values_of(card: &Card) -> Values<'_> {
    Values::new(card.account_number(), card.expiry(), card.cardholder_name())
}
