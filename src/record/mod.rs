//! The bytes of a stored record, version 1: a header in the clear, then one or two sealed parts. Encode and decode only.
//!
//! Decoding is total: short, long or foreign bytes are [`Malformed`], never a panic.

mod access;
mod generic;
mod payload_type;
mod pci;
mod replay;
mod session;
mod stage;

pub(crate) use self::access::{AccountView, ApiKeyView, ApiTokenView, ModuleView, SecretHash};
pub(crate) use self::generic::GenericView;
pub use self::pci::Card;
pub(crate) use self::pci::{CardView, Fingerprint};
pub(crate) use self::replay::{Replay, ReplayParts};
pub(crate) use self::session::{Awaited, Session};
pub(crate) use self::stage::{Stage, StageParts};

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::cursor::Cursor;
use crate::payload::Payload;
use crate::seal::{NONCE, TAG};
use crate::secret::SecretBytes;

/// The version that this code writes, and the only one that it reads.
const VERSION: u8 = 1;
/// Bytes of a header.
const HEADER: usize = 32;
/// Bytes of a part beside its body.
const NONCE_AND_TAG: usize = NONCE + TAG;
/// Where the length of the view stands in the header: its last two bytes.
const VIEW_LENGTH_AT: usize = 30;

/// The bytes are not a record of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Writes a part.
type Writer = fn(&mut SecretBytes) -> Result<(), Malformed>;
/// Room for a view that is no secret and seldom larger.
const VIEW_ROOM: usize = 512;
/// For a kind without a part that is lent only.
const NO_SECRET: Option<Writer> = None;

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A generic token.
    Generic,
    /// A PCI token.
    Pci,
    /// A session, in which somebody else hands in a card or a security code.
    Session,
    /// A payload type.
    Type,
    /// What an idempotency key has led to.
    Replay,
    /// What the vault remembers of itself.
    State,
    /// An API key.
    ApiKey,
    /// An API token of an account.
    ApiToken,
    /// An account.
    Account,
    /// A module of API tokens.
    Module,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Generic,
        Self::Pci,
        Self::Session,
        Self::Type,
        Self::Replay,
        Self::State,
        Self::ApiKey,
        Self::ApiToken,
        Self::Account,
        Self::Module,
    ];

    /// The byte that stands for it in a header and in the expiry index.
    pub(crate) fn as_byte(self) -> u8 {
        match self {
            Self::Generic => 1,
            Self::Pci => 2,
            Self::Session => 3,
            Self::Type => 4,
            Self::Replay => 5,
            Self::State => 6,
            Self::ApiKey => 7,
            Self::ApiToken => 8,
            Self::Account => 9,
            Self::Module => 10,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_byte() == byte)
    }

    /// Whether records of the kind have a part that is lent only; the others are a view and nothing else.
    fn has_secret(self) -> bool {
        matches!(self, Self::Generic | Self::Pci)
    }
}

/// What stands in the clear, and is part of the associated data of both parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Which data key sealed the parts.
    pub(crate) epoch: u32,
    /// The account that the record belongs to; 0 for none.
    pub(crate) owner: u32,
    /// Counts the changes since creation, from 0.
    pub(crate) revision: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Header {
    /// That of a new record of nobody's, before a key seals it.
    pub(crate) fn first(kind: Kind, created_at: Timestamp, expires_at: Option<Timestamp>) -> Self {
        Self { kind, epoch: 0, owner: 0, revision: 0, created_at, expires_at }
    }

    /// The same, of an account's.
    pub(crate) fn owned_by(self, owner: u32) -> Self {
        Self { owner, ..self }
    }

    /// That of what takes the place of the record.
    pub(crate) fn next(self, expires_at: Option<Timestamp>) -> Self {
        Self { revision: self.revision.saturating_add(1), expires_at, ..self }
    }

    /// The bytes, with 0 for the length of the view.
    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let [version, kind, rest @ ..] = &mut bytes;
        (*version, *kind) = (VERSION, self.kind.as_byte());
        let expires_at = self.expires_at.map_or(0, Timestamp::as_millis);
        let numbers = [self.epoch, self.owner, self.revision].map(u32::to_le_bytes);
        let instants = [self.created_at.as_millis(), expires_at].map(i64::to_le_bytes);
        let fields = numbers.as_flattened().iter().chain(instants.as_flattened());
        rest.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// The header and the length of the view.
    fn decode(bytes: &[u8; HEADER]) -> Option<(Self, usize)> {
        let mut cursor = Cursor::new(bytes);
        cursor.u8().filter(|version| *version == VERSION)?;
        let header = Self {
            kind: Kind::from_byte(cursor.u8()?)?,
            epoch: cursor.u32()?,
            owner: cursor.u32()?,
            revision: cursor.u32()?,
            created_at: Timestamp::from_millis(cursor.i64()?)?,
            expires_at: match cursor.i64()? {
                0 => None,
                millis => Some(Timestamp::from_millis(millis)?),
            },
        };
        Some((header, cursor.u16()?.into()))
    }

    /// Whether the record expires at an instant or before. Whether it is gone, a reading of the vault's watch tells: a clock
    /// alone may have gone back, or leapt.
    pub(crate) fn expires_by(&self, instant: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| instant >= expires_at)
    }
}

/// What a record binds its parts to: a part that is moved to another vault, id or header does not open.
pub(crate) fn associated_data(vault: &[u8; 16], id: Uuid, header: &[u8; HEADER]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (header, _) = header.as_chunks::<16>();
    let fields = [vault, id.as_bytes()].into_iter().chain(header);
    bytes.as_chunks_mut::<16>().0.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
    bytes
}

/// A record on its way into the store: plain until every part is sealed, wiped if it never is.
pub(crate) struct Draft {
    bytes: SecretBytes,
}

impl Draft {
    /// A generic token: type and metadata to view, payload secret.
    pub(crate) fn generic(header: &Header, view: &GenericView, payload: &Payload) -> Result<Self, Malformed> {
        Self::write(
            header,
            generic::room(view, payload),
            |to| generic::write_view(to, view),
            Some(|to: &mut SecretBytes| {
                generic::write_secret(to, payload);
                Ok(())
            }),
        )
    }

    /// A PCI token: mask, scheme, date and name to view; number, date and name secret.
    pub(crate) fn pci(header: &Header, view: &CardView, number: &[u8]) -> Result<Self, Malformed> {
        Self::write(
            header,
            pci::room(view, number),
            |to| pci::write_view(to, view),
            Some(|to: &mut SecretBytes| pci::write_secret(to, view, number)),
        )
    }

    /// A PCI token as it was, with a fingerprint in its view. The card goes from one wiped block into the other.
    pub(crate) fn with_fingerprint(
        header: &Header,
        view: &[u8],
        fingerprint: &Fingerprint,
        card: &Card,
    ) -> Result<Self, Malformed> {
        let body = card.body();
        Self::write(
            header,
            view.len() + Fingerprint::LENGTH + body.len(),
            |to| pci::write_fingerprinted(to, view, fingerprint),
            Some(|to: &mut SecretBytes| {
                to.push(body);
                Ok(())
            }),
        )
    }

    /// A payload type: everything to view.
    pub(crate) fn payload_type(header: &Header, name: &str, schema: &str) -> Result<Self, Malformed> {
        let room = payload_type::room(name, schema);
        Self::write(header, room, |view| payload_type::write_view(view, name, schema), NO_SECRET)
    }

    /// A session: all of it to view.
    pub(crate) fn session(header: &Header, session: &Session) -> Result<Self, Malformed> {
        Self::write(header, session::room(session), |view| session::write_view(view, session), NO_SECRET)
    }

    /// An API key: all of it to view.
    pub(crate) fn api_key(header: &Header, key: &ApiKeyView) -> Result<Self, Malformed> {
        Self::write(header, VIEW_ROOM, |view| key.write(view), NO_SECRET)
    }

    /// An API token of an account: all of it to view.
    pub(crate) fn api_token(header: &Header, token: &ApiTokenView) -> Result<Self, Malformed> {
        Self::write(header, VIEW_ROOM, |view| token.write(view), NO_SECRET)
    }

    /// An account: all of it to view.
    pub(crate) fn account(header: &Header, account: &AccountView) -> Result<Self, Malformed> {
        Self::write(header, VIEW_ROOM, |view| account.write(view), NO_SECRET)
    }

    /// A module of API tokens: all of it to view.
    pub(crate) fn module(header: &Header, module: &ModuleView) -> Result<Self, Malformed> {
        Self::write(header, VIEW_ROOM, |view| module.write(view), NO_SECRET)
    }

    /// How many there have been of something that is numbered.
    pub(crate) fn count(header: &Header, count: u32) -> Result<Self, Malformed> {
        let write = |to: &mut SecretBytes| {
            to.push(&count.to_le_bytes());
            Ok(())
        };
        Self::write(header, size_of::<u32>(), write, NO_SECRET)
    }

    /// The latest expiry that must not come back; 0 for none.
    pub(crate) fn mark(header: &Header, mark: Option<Timestamp>) -> Result<Self, Malformed> {
        let write = |to: &mut SecretBytes| {
            to.push(&mark.map_or(0, Timestamp::as_millis).to_le_bytes());
            Ok(())
        };
        Self::write(header, size_of::<i64>(), write, NO_SECRET)
    }

    fn write(
        header: &Header,
        room: usize,
        view: impl FnOnce(&mut SecretBytes) -> Result<(), Malformed>,
        secret: Option<impl FnOnce(&mut SecretBytes) -> Result<(), Malformed>>,
    ) -> Result<Self, Malformed> {
        let mut bytes = SecretBytes::with_room(HEADER + 2 * NONCE_AND_TAG + room);
        bytes.push(&header.encode());
        bytes.push(&[0; NONCE]);
        view(&mut bytes)?;
        let view_length = bytes.len().checked_sub(HEADER + NONCE).and_then(|length| u16::try_from(length).ok());
        let view_length = view_length.ok_or(Malformed)?.to_le_bytes();
        // The header is not secret, and its last field is only known now.
        let field = bytes.expose_mut().get_mut(VIEW_LENGTH_AT..HEADER).ok_or(Malformed)?;
        field.copy_from_slice(&view_length);
        bytes.push(&[0; TAG]);
        if let Some(secret) = secret {
            bytes.push(&[0; NONCE]);
            secret(&mut bytes)?;
            bytes.push(&[0; TAG]);
        }
        Ok(Self { bytes })
    }

    /// The header and the parts, to seal.
    pub(crate) fn parts(&mut self) -> Result<Parts<'_>, Malformed> {
        Parts::of(self.bytes.expose_mut())
    }

    /// The record, once every part is sealed.
    pub(crate) fn into_sealed(self) -> Vec<u8> {
        self.bytes.into_sealed()
    }
}

/// A record taken apart.
pub(crate) struct Parts<'a> {
    pub(crate) header: Header,
    pub(crate) header_bytes: &'a [u8; HEADER],
    /// Nonce, body, tag: what may be shown.
    pub(crate) view: &'a mut [u8],
    /// Nonce, body, tag: what is lent only; `None` for a kind that has no such part.
    pub(crate) secret: Option<&'a mut [u8]>,
}

impl<'a> Parts<'a> {
    /// Takes a record apart. Nothing of it is authentic until a part has opened.
    pub(crate) fn of(record: &'a mut [u8]) -> Result<Self, Malformed> {
        let (header_bytes, rest) = record.split_first_chunk_mut::<HEADER>().ok_or(Malformed)?;
        let (header, view_length) = Header::decode(header_bytes).ok_or(Malformed)?;
        let (view, secret) = rest.split_at_mut_checked(NONCE + view_length + TAG).ok_or(Malformed)?;
        let secret = match (header.kind.has_secret(), secret.len()) {
            (true, NONCE_AND_TAG..) => Some(secret),
            (false, 0) => None,
            _ => return Err(Malformed),
        };
        Ok(Self { header, header_bytes, view, secret })
    }

    /// The view, of a draft that is not sealed yet.
    pub(crate) fn plain_view(&self) -> Result<&[u8], Malformed> {
        let body = self.view.get(NONCE..self.view.len().saturating_sub(TAG));
        body.ok_or(Malformed)
    }
}

/// The view of a generic token, from its opened part.
pub(crate) fn generic_view(view: &[u8]) -> Result<GenericView, Malformed> {
    generic::read_view(view).ok_or(Malformed)
}

/// The name and the schema of a payload type, from its opened part.
pub(crate) fn type_view(view: &[u8]) -> Result<(&str, &str), Malformed> {
    payload_type::read_view(view).ok_or(Malformed)
}

/// The view of a PCI token, from its opened part.
pub(crate) fn pci_view(view: &[u8]) -> Result<CardView, Malformed> {
    pci::read_view(view).ok_or(Malformed)
}

/// A session, from its opened part.
pub(crate) fn session_view(view: &[u8]) -> Result<Session, Malformed> {
    session::read_view(view).ok_or(Malformed)
}

/// An API key, from its opened part.
pub(crate) fn api_key_view(view: &[u8]) -> Result<ApiKeyView, Malformed> {
    ApiKeyView::read(view).ok_or(Malformed)
}

/// An API token, from its opened part.
pub(crate) fn api_token_view(view: &[u8]) -> Result<ApiTokenView, Malformed> {
    ApiTokenView::read(view).ok_or(Malformed)
}

/// An account, from its opened part.
pub(crate) fn account_view(view: &[u8]) -> Result<AccountView, Malformed> {
    AccountView::read(view).ok_or(Malformed)
}

/// A module, from its opened part.
pub(crate) fn module_view(view: &[u8]) -> Result<ModuleView, Malformed> {
    ModuleView::read(view).ok_or(Malformed)
}

/// The latest expiry that must not come back, from the opened part.
pub(crate) fn mark(view: &[u8]) -> Result<Option<Timestamp>, Malformed> {
    let millis = i64::from_le_bytes(view.try_into().map_err(|_| Malformed)?);
    if millis == 0 { Ok(None) } else { Timestamp::from_millis(millis).map(Some).ok_or(Malformed) }
}

/// How many there have been, from the opened part.
pub(crate) fn count(view: &[u8]) -> Result<u32, Malformed> {
    view.try_into().map(u32::from_le_bytes).map_err(|_| Malformed)
}

/// The fingerprint in the view of a PCI token, from its opened part, if there is one.
pub(crate) fn fingerprint(view: &[u8]) -> Option<Fingerprint> {
    Fingerprint::of_view(view)
}

/// The payload, from a record whose secret part has been opened in place.
pub(crate) fn payload(record: SecretBytes) -> Result<Payload, Malformed> {
    let body = secret_body(&record).ok_or(Malformed)?;
    Payload::adopt(record, body).ok_or(Malformed)
}

/// The card, from a record whose secret part has been opened in place.
pub(crate) fn card(record: SecretBytes) -> Result<Card, Malformed> {
    let body = secret_body(&record).ok_or(Malformed)?;
    Card::adopt(record, body).ok_or(Malformed)
}

/// Where the body of the secret part stands in a record.
fn secret_body(record: &SecretBytes) -> Option<std::ops::Range<usize>> {
    let bytes = record.expose();
    let (_, view_length) = Header::decode(bytes.first_chunk()?)?;
    let start = HEADER + NONCE + view_length + TAG + NONCE;
    let end = bytes.len().checked_sub(TAG)?;
    (start <= end).then_some(start..end)
}

/// Appends a text of at most 65,535 bytes behind its length.
fn push_text(to: &mut SecretBytes, text: &[u8]) -> Result<(), Malformed> {
    let length = u16::try_from(text.len()).map_err(|_| Malformed)?;
    to.push(&length.to_le_bytes());
    to.push(text);
    Ok(())
}

/// Reads what [`push_text`] wrote.
fn read_text<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let length = cursor.u16()?;
    cursor.text(length)
}
