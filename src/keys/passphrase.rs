//! From a pass phrase to a root key: Argon2id (RFC 9106), with parameters that a damaged or hostile vault cannot inflate.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::keys::Key;
use crate::random;

/// RFC 9106, section 4, the second recommended option: KiB of memory, passes, lanes.
const RECOMMENDED: (u32, u32, u32) = (64 * 1024, 3, 4);
/// The most that is derived with, whatever a vault asks for.
const MOST: (u32, u32, u32) = (1024 * 1024, 32, 16);

/// Salt and cost of a derivation, kept in the anchor.
pub(super) struct Hardness {
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Hardness {
    /// The recommended cost and a fresh salt.
    pub(super) fn fresh() -> Result<Self, Error> {
        let mut salt = [0; 16];
        random::fill_key(&mut salt)?;
        let (memory_kib, passes, lanes) = RECOMMENDED;
        Ok(Self { salt, memory_kib, passes, lanes })
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        let hardness =
            Self { salt: cursor.array()?, memory_kib: cursor.u32()?, passes: cursor.u32()?, lanes: cursor.u32()? };
        let bounded = hardness.memory_kib <= MOST.0 && hardness.passes <= MOST.1 && hardness.lanes <= MOST.2;
        bounded.then_some(hardness)
    }

    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.salt);
        for cost in [self.memory_kib, self.passes, self.lanes] {
            to.extend_from_slice(&cost.to_le_bytes());
        }
    }

    /// Derives the root key; takes as long as it must.
    pub(super) fn derive(&self, passphrase: &str) -> Result<Key, Error> {
        let refused = |_| Error::corrupt("the anchor asks for an impossible derivation of the pass phrase");
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(refused)?;
        let mut area = work_area(params.block_count())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Key::born(|key| {
            let derived = argon2.hash_password_into_with_memory(passphrase.as_bytes(), &self.salt, key, &mut *area);
            derived.map_err(|_| Error::key_failure("no key can be derived from the pass phrase"))
        })
    }
}

/// Room to derive in, wiped afterwards: the key follows from what is left in it.
fn work_area(blocks: usize) -> Result<Zeroizing<Box<[Block]>>, Error> {
    let mut area = Vec::new();
    let refused = |_| Error::key_failure("there is not enough memory to derive a key from the pass phrase");
    area.try_reserve_exact(blocks).map_err(refused)?;
    area.resize(blocks, Block::new());
    Ok(Zeroizing::new(area.into_boxed_slice()))
}
