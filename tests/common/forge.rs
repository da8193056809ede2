//! Writes records and anchors of version 1 from the documented format alone, to forge what a vault would never write.
//!
//! It shares no line with the library: what it writes opens there, and what the library writes opens here.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

const MAGIC: &[u8] = b"TKNVAULT";
const HEADER: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;
/// A row of the key ring: kind, number, state, creation, uses, key.
const ROW: usize = 1 + 4 + 1 + 8 + 8 + 32;

/// The kinds of a record.
pub const GENERIC: u8 = 1;
pub const PCI: u8 = 2;
pub const TYPE: u8 = 4;
pub const API_KEY: u8 = 7;
pub const API_TOKEN: u8 = 8;
pub const ACCOUNT: u8 = 9;
pub const MODULE: u8 = 10;

/// The credential key of every vault that is founded here.
const CREDENTIAL: [u8; 32] = [0xc5; 32];

/// How the root key is come by, as it stands in the settings.
pub const BY_KEY: &[u8] = &[1];
/// Shows the first six and the last four digits.
pub const FIRST_SIX_LAST_FOUR: u8 = 1;

/// What stands in the clear before the parts of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub version: u8,
    pub kind: u8,
    pub epoch: u32,
    pub owner: u32,
    pub revision: u32,
    pub created_at: i64,
    pub expires_at: i64,
}

impl Header {
    pub fn of(kind: u8) -> Self {
        Self { version: 1, kind, epoch: 1, owner: 0, revision: 0, created_at: 1_767_323_045_678, expires_at: 0 }
    }

    fn encode(&self, view_length: u16) -> Vec<u8> {
        let mut bytes = vec![self.version, self.kind];
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(self.owner.to_le_bytes());
        bytes.extend(self.revision.to_le_bytes());
        bytes.extend(self.created_at.to_le_bytes());
        bytes.extend(self.expires_at.to_le_bytes());
        bytes.extend(view_length.to_le_bytes());
        assert_eq!(bytes.len(), HEADER);
        bytes
    }

    fn decode(bytes: &[u8]) -> (Self, usize) {
        let header = Self {
            version: bytes[0],
            kind: bytes[1],
            epoch: u32::from_le_bytes(bytes[2..6].try_into().unwrap()),
            owner: u32::from_le_bytes(bytes[6..10].try_into().unwrap()),
            revision: u32::from_le_bytes(bytes[10..14].try_into().unwrap()),
            created_at: i64::from_le_bytes(bytes[14..22].try_into().unwrap()),
            expires_at: i64::from_le_bytes(bytes[22..30].try_into().unwrap()),
        };
        (header, u16::from_le_bytes(bytes[30..32].try_into().unwrap()).into())
    }
}

/// A record in the plain.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    pub header: Header,
    pub view: Vec<u8>,
    pub secret: Vec<u8>,
}

/// Knows every key of a vault.
#[derive(Clone)]
pub struct Forger {
    pub root: [u8; 32],
    pub vault: [u8; 16],
    /// The data key of epoch 1.
    pub data: [u8; 32],
}

impl Forger {
    /// Whoever founds a vault of its own under a root key.
    pub fn new(root: [u8; 32]) -> Self {
        Self { root, vault: *b"a forged vault!!", data: [0x5d; 32] }
    }

    /// Whoever has the root key of a vault that a key opens.
    pub fn of(anchor: &[u8], root: [u8; 32]) -> Self {
        let (settings, ring) = Self::split(anchor);
        let mut forger = Self { vault: settings[..16].try_into().unwrap(), ..Self::new(root) };
        let ring = unseal(&forger.derive(&root, "tokenvault/1/key-ring"), settings, ring).unwrap();
        assert_eq!(ring.len(), 2 + 3 * ROW);
        assert_eq!(ring[..7], [3, 0, 1, 1, 0, 0, 0], "three keys, the first of them data key 1");
        forger.data = ring[2 + ROW - 32..2 + ROW].try_into().unwrap();
        forger
    }

    /// The settings and the sealed ring of an anchor that a key opens, its checksum verified.
    pub fn split(anchor: &[u8]) -> (&[u8], &[u8]) {
        let (head, rest) = anchor.split_at(MAGIC.len() + 2 + 32);
        assert_eq!(&head[..MAGIC.len()], MAGIC);
        assert_eq!(head[MAGIC.len() + 2..], sum(&head[MAGIC.len()..MAGIC.len() + 2], rest));
        rest.split_at(16 + 1 + BY_KEY.len() + 16)
    }

    /// The plain key ring of a new vault: one active key of each kind.
    pub fn ring(&self) -> Vec<u8> {
        let row = |kind, key| ring_row(kind, 1, 1, key);
        [vec![3, 0], row(1, self.data), row(2, [0x1d; 32]), row(3, CREDENTIAL)].concat()
    }

    /// The settings of a vault, with the right key check.
    pub fn settings(&self, mask: u8, access: &[u8]) -> Vec<u8> {
        [&self.vault[..], &[mask], access, &self.derive(&self.root, "tokenvault/1/key-check")[..16]].concat()
    }

    /// An anchor of these settings and this plain ring, with the right checksum.
    pub fn anchor_of(&self, version: u16, settings: &[u8], ring: &[u8]) -> Vec<u8> {
        let ring = seal(&self.derive(&self.root, "tokenvault/1/key-ring"), settings, ring);
        anchor(version, &[settings, &ring].concat())
    }

    /// The anchor of a new vault.
    pub fn anchor(&self) -> Vec<u8> {
        self.anchor_of(1, &self.settings(FIRST_SIX_LAST_FOUR, BY_KEY), &self.ring())
    }

    /// A record of these plain parts, sealed rightly.
    pub fn record(&self, id: &[u8; 16], header: &Header, view: &[u8], secret: &[u8]) -> Vec<u8> {
        let header = header.encode(u16::try_from(view.len()).unwrap());
        let associated = [&self.vault[..], id, &header].concat();
        let view = seal(&self.derive(&self.data, "tokenvault/1/view"), &associated, view);
        let secret = seal(&self.derive(&self.data, "tokenvault/1/secret"), &associated, secret);
        [header, view, secret].concat()
    }

    /// A record of a kind that has no secret part.
    pub fn record_of_view(&self, id: &[u8; 16], header: &Header, view: &[u8]) -> Vec<u8> {
        let header = header.encode(u16::try_from(view.len()).unwrap());
        let associated = [&self.vault[..], id, &header].concat();
        let view = seal(&self.derive(&self.data, "tokenvault/1/view"), &associated, view);
        [header, view].concat()
    }

    /// A record opened; `None` if it does not open.
    pub fn open(&self, id: &[u8; 16], record: &[u8]) -> Option<Plain> {
        let (header_bytes, parts) = record.split_at(HEADER);
        let (header, view_length) = Header::decode(header_bytes);
        let (view, secret) = parts.split_at(NONCE + view_length + TAG);
        let associated = [&self.vault[..], id, header_bytes].concat();
        let view = unseal(&self.derive(&self.data, "tokenvault/1/view"), &associated, view)?;
        let secret = unseal(&self.derive(&self.data, "tokenvault/1/secret"), &associated, secret)?;
        Some(Plain { header, view, secret })
    }

    /// The keyed hash of a message under the credential key, for a purpose.
    pub fn credential_hash(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        // HKDF extracts by HMAC (RFC 5869, section 2.2).
        Hkdf::<Sha256>::extract(Some(&self.derive(&CREDENTIAL, purpose)), message).0.into()
    }

    /// The key of a purpose below a key.
    pub fn derive(&self, key: &[u8; 32], purpose: &str) -> [u8; 32] {
        // The first bytes of a longer output are those of a shorter one.
        let mut derived = [0; 32];
        Hkdf::<Sha256>::new(Some(&self.vault), key).expand(purpose.as_bytes(), &mut derived).unwrap();
        derived
    }
}

/// A row of the plain ring. Kinds: data 1, index 2, credential 3; states: active 1, decrypt-only 2, destroyed 3.
pub fn ring_row(kind: u8, number: u32, state: u8, key: [u8; 32]) -> Vec<u8> {
    let created_at = 1_767_323_045_678_i64;
    let row =
        [&[kind][..], &number.to_le_bytes(), &[state], &created_at.to_le_bytes(), &0_u64.to_le_bytes(), &key].concat();
    assert_eq!(row.len(), ROW);
    row
}

/// Bytes after the checksum, under the right checksum.
pub fn anchor(version: u16, rest: &[u8]) -> Vec<u8> {
    let version = version.to_le_bytes();
    [MAGIC, &version, &sum(&version, rest), rest].concat()
}

fn sum(version: &[u8], rest: &[u8]) -> [u8; 32] {
    Sha256::digest([MAGIC, version, rest].concat()).into()
}

/// Nonce, ciphertext, tag. The nonce follows from what is sealed, so that a forgery is the same each time.
fn seal(key: &[u8; 32], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = Sha256::digest([associated, plain].concat())[..NONCE].try_into().unwrap();
    let cipher = XChaCha20Poly1305::new(key.into());
    let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: associated }).unwrap();
    [&nonce[..], &sealed].concat()
}

fn unseal(key: &[u8; 32], associated: &[u8], part: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = part.split_first_chunk::<NONCE>()?;
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: associated }).ok()
}

/// A text behind its length.
pub fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat()
}

/// A count, then each key and value behind its length.
pub fn metadata(pairs: &[(&str, &str)]) -> Vec<u8> {
    let pair = |(key, value): &(&str, &str)| [text(key), text(value)].concat();
    [vec![u8::try_from(pairs.len()).unwrap()], pairs.iter().flat_map(pair).collect()].concat()
}

/// The view of a generic token.
pub fn generic_view(pairs: Option<&[(&str, &str)]>) -> Vec<u8> {
    pairs.map_or(vec![0], |pairs| [vec![1], metadata(pairs)].concat())
}

/// A value of a payload.
pub enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Number(&'a str),
}

/// The payload of a generic token.
pub fn payload(pairs: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(pairs.len()).unwrap()];
    for (key, value) in pairs {
        bytes.push(u8::try_from(key.len()).unwrap());
        bytes.extend(key.as_bytes());
        match value {
            Value::Text(value) => bytes.extend([vec![0], text(value)].concat()),
            Value::Bool(value) => bytes.push(1 + u8::from(*value)),
            Value::Number(literal) => bytes.extend([vec![3], text(literal)].concat()),
        }
    }
    bytes
}

/// A card.
pub struct Card<'a> {
    pub number: &'a str,
    pub masked: &'a str,
    /// The byte that stands for the scheme: Visa is 1.
    pub scheme: u8,
    pub month: u8,
    pub year: u16,
    pub name: Option<&'a str>,
}

/// The published example.
pub const VISA: Card<'_> =
    Card { number: "4111111111111111", masked: "411111******1111", scheme: 1, month: 12, year: 2025, name: None };

/// The view of a PCI token.
pub fn pci_view(card: &Card<'_>, pairs: Option<&[(&str, &str)]>) -> Vec<u8> {
    let flags = u8::from(pairs.is_some()) | (u8::from(card.name.is_some()) << 1);
    let mut bytes = vec![flags, card.scheme, card.month];
    bytes.extend(card.year.to_le_bytes());
    bytes.extend(text(card.masked));
    bytes.extend(card.name.map(text).unwrap_or_default());
    bytes.extend(pairs.map(metadata).unwrap_or_default());
    bytes
}

/// The secret part of a PCI token.
pub fn pci_secret(card: &Card<'_>) -> Vec<u8> {
    let mut bytes = vec![card.month];
    bytes.extend(card.year.to_le_bytes());
    bytes.extend(text(card.number));
    bytes.extend(text(card.name.unwrap_or_default()));
    bytes
}
