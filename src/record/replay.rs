//! What an idempotency key has led to: a small entry that is proved by a keyed hash instead of being sealed.
//!
//! It holds no secret: ids stand in the clear as keys of their tables anyway, and a keyed hash tells nobody what it is of. A
//! replay opens the view of its token; to open the entry too would cost as much again.

use uuid::Uuid;

use crate::cursor::Cursor;
use crate::record::{HEADER, Header, Kind, Malformed, VIEW_LENGTH_AT, associated_data};
use crate::seal::HASH;

/// Bytes of what an entry says: operation, kind and id of the target, keyed hash of the request.
const BODY: usize = 1 + 1 + 16 + HASH;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// The operation whose request it was.
    pub(crate) operation: u8,
    /// The kind of what it made or found.
    pub(crate) kind: Kind,
    /// The id of that.
    pub(crate) target: Uuid,
    /// The keyed hash of the request, without its security code.
    pub(crate) request: [u8; HASH],
}

impl Replay {
    /// Header, what it says, and what `prove` makes of the associated data and that. The header names the index key in the
    /// place of the data key.
    pub(crate) fn encode(
        &self,
        vault: &[u8; 16],
        id: Uuid,
        header: &Header,
        prove: impl FnOnce(&[u8; 64], &[u8]) -> [u8; HASH],
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(BODY);
        body.extend_from_slice(&[self.operation, self.kind.as_byte()]);
        body.extend_from_slice(self.target.as_bytes());
        body.extend_from_slice(&self.request);
        let mut header = header.encode();
        let length = u16::try_from(BODY).unwrap_or_default().to_le_bytes();
        header.iter_mut().skip(VIEW_LENGTH_AT).zip(length).for_each(|(to, from)| *to = from);
        let proof = prove(&associated_data(vault, id, &header), &body);
        [header.as_slice(), &body, &proof].concat()
    }

    /// What an entry says whose proof was found good.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        let mut decode = || {
            Some(Self {
                operation: cursor.u8()?,
                kind: Kind::from_byte(cursor.u8()?)?,
                target: Uuid::from_bytes(cursor.array()?),
                request: cursor.array()?,
            })
        };
        let entry = decode().ok_or(Malformed)?;
        if cursor.is_at_end() { Ok(entry) } else { Err(Malformed) }
    }
}

/// An entry taken apart. Nothing of it is authentic until the proof is found good.
pub(crate) struct ReplayParts<'a> {
    pub(crate) header: Header,
    pub(crate) header_bytes: &'a [u8; HEADER],
    pub(crate) body: &'a [u8],
    pub(crate) proof: &'a [u8; HASH],
}

impl<'a> ReplayParts<'a> {
    pub(crate) fn of(entry: &'a [u8]) -> Result<Self, Malformed> {
        let (header_bytes, rest) = entry.split_first_chunk::<HEADER>().ok_or(Malformed)?;
        let (body, proof) = rest.split_last_chunk::<HASH>().ok_or(Malformed)?;
        let (header, length) = Header::decode(header_bytes).ok_or(Malformed)?;
        if header.kind != Kind::Replay || length != body.len() {
            return Err(Malformed);
        }
        Ok(Self { header, header_bytes, body, proof })
    }
}
