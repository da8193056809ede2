//! The two parts of a PCI token. The secret part holds all that is lent, so that a reveal opens one part only.

use std::fmt;
use std::ops::Range;

use crate::card::{CardExpiry, CardholderName, MaskStyle, Pan, Scheme};
use crate::cursor::Cursor;
use crate::metadata::Metadata;
use crate::record::generic::{METADATA, metadata_length, read_metadata, write_metadata};
use crate::record::{Malformed, push_text, read_text};
use crate::seal::HASH;
use crate::secret::SecretBytes;

/// The view has a cardholder's name.
const NAME: u8 = 2;
/// The view has a fingerprint.
const FINGERPRINT: u8 = 4;

/// What a view shows of a PCI token. It is written whole: a change of one field keeps the others.
pub(crate) struct CardView {
    pub(crate) masked: String,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) expiry: CardExpiry,
    pub(crate) name: Option<CardholderName>,
    pub(crate) metadata: Option<Metadata>,
    /// Not shown, and gone when the token goes.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// A keyed hash of an account number, by which the tokens of a card are found. It never leaves the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// The number of the index key.
    pub(crate) key: u32,
    pub(crate) hash: [u8; HASH],
}

impl Fingerprint {
    /// Bytes of one in a view, which ends with it.
    pub(super) const LENGTH: usize = 4 + HASH;

    fn write(&self, to: &mut SecretBytes) {
        to.push(&self.key.to_le_bytes());
        to.push(&self.hash);
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { key: cursor.u32()?, hash: cursor.array()? })
    }

    pub(super) fn of_view(view: &[u8]) -> Option<Self> {
        view.first().filter(|flags| **flags & FINGERPRINT != 0)?;
        Self::read(&mut Cursor::new(view.last_chunk::<{ Self::LENGTH }>()?))
    }
}

/// How many bytes both parts take at most.
pub(super) fn room(view: &CardView, number: &[u8]) -> usize {
    let name = view.name.as_ref().map_or(0, |name| name.as_str().len());
    let metadata = view.metadata.as_ref().map_or(0, metadata_length);
    let fingerprint = view.fingerprint.map_or(0, |_| Fingerprint::LENGTH);
    16 + view.masked.len() + number.len() + 2 * (2 + name) + metadata + fingerprint
}

/// Flags, scheme (0 for none), date, mask, then name, metadata and fingerprint if there are any.
pub(super) fn write_view(to: &mut SecretBytes, view: &CardView) -> Result<(), Malformed> {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(view.metadata.is_some(), METADATA)
        | flag(view.name.is_some(), NAME)
        | flag(view.fingerprint.is_some(), FINGERPRINT);
    to.push(&[flags, view.scheme.map_or(0, Scheme::as_byte)]);
    write_expiry(to, view.expiry);
    push_text(to, view.masked.as_bytes())?;
    view.name.as_ref().map_or(Ok(()), |name| push_text(to, name.as_str().as_bytes()))?;
    view.metadata.as_ref().map_or(Ok(()), |metadata| write_metadata(to, metadata))?;
    view.fingerprint.iter().for_each(|fingerprint| fingerprint.write(to));
    Ok(())
}

/// A view as it was written, with this fingerprint in the place of the one that it had, if it had one.
pub(super) fn write_fingerprinted(
    to: &mut SecretBytes,
    view: &[u8],
    fingerprint: &Fingerprint,
) -> Result<(), Malformed> {
    let had = Fingerprint::of_view(view).map_or(0, |_| Fingerprint::LENGTH);
    let rest = view.get(..view.len() - had).unwrap_or_default();
    let (flags, rest) = rest.split_first().ok_or(Malformed)?;
    to.push(&[flags | FINGERPRINT]);
    to.push(rest);
    fingerprint.write(to);
    Ok(())
}

/// Date, number, name (empty for none).
pub(super) fn write_secret(to: &mut SecretBytes, view: &CardView, number: &[u8]) -> Result<(), Malformed> {
    write_expiry(to, view.expiry);
    // From one wiped block into the draft's, which is sealed in place.
    push_text(to, number)?;
    push_text(to, view.name.as_ref().map_or("", |name| name.as_str()).as_bytes())
}

pub(super) fn read_view(view: &[u8]) -> Option<CardView> {
    let mut cursor = Cursor::new(view);
    let flags = cursor.u8().filter(|flags| flags & !(METADATA | NAME | FINGERPRINT) == 0)?;
    let scheme = match cursor.u8()? {
        0 => None,
        byte => Some(Scheme::from_byte(byte)?),
    };
    let expiry = read_expiry(&mut cursor)?;
    let masked = read_text(&mut cursor).filter(|masked| MaskStyle::is_mask(masked))?.to_owned();
    let name = if flags & NAME == 0 { None } else { Some(CardholderName::check(read_text(&mut cursor)?).ok()?) };
    let metadata = if flags & METADATA == 0 { None } else { Some(read_metadata(&mut cursor)?) };
    let fingerprint = if flags & FINGERPRINT == 0 { None } else { Some(Fingerprint::read(&mut cursor)?) };
    cursor.is_at_end().then_some(CardView { masked, scheme, expiry, name, metadata, fingerprint })
}

fn write_expiry(to: &mut SecretBytes, expiry: CardExpiry) {
    to.push(&[expiry.month()]);
    to.push(&expiry.year().to_le_bytes());
}

fn read_expiry(cursor: &mut Cursor<'_>) -> Option<CardExpiry> {
    let month = cursor.u8()?;
    CardExpiry::new(month, cursor.u16()?).ok()
}

/// A card, lent to the code that may see it: it stays in the block in which it was opened, and is wiped when the loan ends.
///
/// It cannot be printed, cloned or serialised. What the borrower copies out is the borrower's to wipe.
pub struct Card {
    record: SecretBytes,
    body: Range<usize>,
    number: Range<usize>,
    name: Option<Range<usize>>,
    expiry: CardExpiry,
}

impl Card {
    pub(super) fn adopt(record: SecretBytes, body: Range<usize>) -> Option<Self> {
        // Only looks for where the fields stand and whether they are what they should be; nothing is copied.
        let mut cursor = Cursor::new(record.expose().get(body.clone())?);
        let expiry = read_expiry(&mut cursor)?;
        let number = Self::range(&mut cursor, body.start, Pan::is_number)?;
        let name =
            Self::range(&mut cursor, body.start, |name| name.is_empty() || CardholderName::check_text(name).is_ok())?;
        if !cursor.is_at_end() {
            return None;
        }
        let name = (!name.is_empty()).then_some(name);
        Some(Self { record, body, number, name, expiry })
    }

    fn range(cursor: &mut Cursor<'_>, start: usize, is_valid: fn(&str) -> bool) -> Option<Range<usize>> {
        let length = read_text(cursor).filter(|text| is_valid(text))?.len();
        let end = start + cursor.position();
        Some(end - length..end)
    }

    fn text(&self, at: &Range<usize>) -> &str {
        let bytes = self.record.expose().get(at.clone());
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// The secret part as it was written.
    pub(super) fn body(&self) -> &[u8] {
        // From the block in which it was opened into the draft's, which is sealed in place.
        self.record.expose().get(self.body.clone()).unwrap_or_default()
    }

    /// The account number: 13 to 19 ASCII digits.
    #[must_use]
    pub fn account_number(&self) -> &str {
        self.text(&self.number)
    }

    /// The name printed on the card, if one was given.
    #[must_use]
    pub fn cardholder_name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| self.text(name))
    }

    /// The month and year printed on the card.
    #[must_use]
    pub fn expiry(&self) -> CardExpiry {
        self.expiry
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(..)")
    }
}
