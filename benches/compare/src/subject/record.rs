//! Records by hand: the bytes that tokenvault stores (its `design.md`, "Records, format 1"), so that every engine below keeps
//! the same.
//!
//! They are sealed by the fastest implementation of XChaCha20-Poly1305 that we know, `ring` behind `HChaCha20`.

use chacha20::R20;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use rand::RngExt;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use tokenvault::card::Scheme;
use tokenvault::{Clock, SystemClock};
use uuid::Uuid;

use crate::data::Card;
use crate::subject::{KEY, View};

const HEADER: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;
const VAULT: [u8; 16] = [7; 16];
const HAS_NAME: u8 = 2;

/// The two keys of a data epoch.
pub(crate) struct Keys {
    view: Sealer,
    secret: Sealer,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let [mut view, mut secret] = [KEY; 2];
        (view[0], secret[0]) = (1, 2);
        Self { view: Sealer(view), secret: Sealer(secret) }
    }

    /// Seals a card as a record.
    pub(crate) fn seal(&self, id: Uuid, card: &Card, expires_at: i64) -> Vec<u8> {
        let name = card.name.as_bytes();
        let expiry = [&[card.month][..], &card.year.to_le_bytes()].concat();
        let mask = card.mask();
        let view = [&[HAS_NAME, scheme(card)], &expiry[..], &text(mask.as_bytes()), &text(name)].concat();
        let secret = [&expiry[..], &text(card.number.as_bytes()), &text(name)].concat();
        let mut record = Vec::with_capacity(HEADER + 2 * (NONCE + TAG) + view.len() + secret.len());
        record.extend([1, 2]);
        record.extend([1_u32, 0, 0].map(u32::to_le_bytes).as_flattened());
        record.extend([now(), expires_at].map(i64::to_le_bytes).as_flattened());
        record.extend(u16::try_from(view.len()).unwrap().to_le_bytes());
        let associated = associated(id, &record);
        self.view.push_sealed(&mut record, &view, &associated);
        self.secret.push_sealed(&mut record, &secret, &associated);
        record
    }

    /// Opens the secret part in place and lends the account number.
    pub(crate) fn reveal(&self, id: Uuid, mut record: Vec<u8>, lend: &mut dyn FnMut(&str)) {
        let associated = associated(id, &record);
        let at = HEADER + NONCE + view_length(&record) + TAG;
        let body = self.secret.open(&associated, record.get_mut(at..).unwrap());
        lend(Reader(body.get(3..).unwrap()).text());
    }

    /// Opens the view.
    pub(crate) fn view(&self, id: Uuid, mut record: Vec<u8>) -> View {
        let associated = associated(id, &record);
        let end = HEADER + NONCE + view_length(&record) + TAG;
        let body = self.view.open(&associated, record.get_mut(HEADER..end).unwrap());
        let Some((&[_, _, month, low, high], rest)) = body.split_first_chunk() else {
            unreachable!("a view is longer")
        };
        let mut rest = Reader(rest);
        View {
            masked: rest.text().to_owned(),
            name: rest.text().to_owned(),
            month,
            year: u16::from_le_bytes([low, high]),
        }
    }
}

/// When a record expires.
pub(crate) fn expires_at(record: &[u8]) -> i64 {
    i64::from_le_bytes(*record.get(22..).unwrap().first_chunk().unwrap())
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemClock.now().timestamp_millis()
}

fn view_length(record: &[u8]) -> usize {
    u16::from_le_bytes(*record.get(30..).unwrap().first_chunk().unwrap()).into()
}

fn associated(id: Uuid, record: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let fields = [&VAULT[..], id.as_bytes(), record.get(..HEADER).unwrap()].into_iter().flatten();
    bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
    bytes
}

fn scheme(card: &Card) -> u8 {
    if card.scheme() == Scheme::Visa { 1 } else { 2 }
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn text(&mut self) -> &'a str {
        let (length, rest) = self.0.split_first_chunk().unwrap();
        let (text, rest) = rest.split_at(u16::from_le_bytes(*length).into());
        self.0 = rest;
        std::str::from_utf8(text).unwrap()
    }
}

/// XChaCha20-Poly1305 under one key.
pub(crate) struct Sealer([u8; 32]);

impl Sealer {
    fn push_sealed(&self, record: &mut Vec<u8>, plain: &[u8], associated: &[u8]) {
        let nonce: [u8; NONCE] = rand::rng().random();
        record.extend(nonce);
        let start = record.len();
        record.extend(plain);
        let (key, nonce) = self.of_nonce(&nonce);
        let body = record.get_mut(start..).unwrap();
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), body).unwrap();
        record.extend(tag.as_ref());
    }

    /// Opens nonce, body and tag in place, and gives the body.
    fn open<'a>(&self, associated: &[u8], part: &'a mut [u8]) -> &'a [u8] {
        let (nonce, rest) = part.split_first_chunk_mut().unwrap();
        let (key, nonce) = self.of_nonce(nonce);
        key.open_in_place(nonce, Aad::from(associated), rest).unwrap()
    }

    /// The key and nonce of ChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, section 2.3).
    fn of_nonce(&self, nonce: &[u8; NONCE]) -> (LessSafeKey, Nonce) {
        let (input, rest) = nonce.split_first_chunk::<16>().unwrap();
        let key = chacha20::hchacha::<R20>((&self.0).into(), input.into());
        let mut short = [0; 12];
        short.iter_mut().skip(4).zip(rest).for_each(|(to, from)| *to = *from);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).unwrap();
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(short))
    }
}

/// What must be opened at least for a reveal: a sealed part of the size of a card's.
pub(crate) struct BarePart {
    sealer: Sealer,
    part: Vec<u8>,
}

impl BarePart {
    pub(crate) fn new(card: &Card) -> Self {
        let (sealer, mut part) = (Sealer(KEY), Vec::new());
        let plain = [&[card.month, 0, 0][..], &text(card.number.as_bytes()), &text(card.name.as_bytes())].concat();
        sealer.push_sealed(&mut part, &plain, &[0; 64]);
        Self { sealer, part }
    }

    pub(crate) fn open(&self, lend: &mut dyn FnMut(&str)) {
        let mut part = self.part.clone();
        let body = self.sealer.open(&[0; 64], &mut part);
        lend(Reader(body.get(3..).unwrap()).text());
    }
}

/// The implementation that tokenvault names opens what the fastest has sealed.
pub(crate) fn assert_same_cipher() {
    let (sealer, mut part) = (Sealer(KEY), Vec::new());
    sealer.push_sealed(&mut part, b"4111111111111111", b"where");
    let (nonce, rest) = part.split_first_chunk_mut::<NONCE>().unwrap();
    let (body, tag) = rest.split_last_chunk_mut::<TAG>().unwrap();
    let other = XChaCha20Poly1305::new(&KEY.into());
    other.decrypt_inout_detached((&*nonce).into(), b"where", (&mut *body).into(), (&*tag).into()).unwrap();
    assert_eq!(body, b"4111111111111111");
}
