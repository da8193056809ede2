//! What is compared: one trait, and a table of who implements it.

mod askar;
mod by_hand;
mod committer;
mod fjall;
mod limit;
mod record;
mod redb;
mod sled;
mod sqlcipher;
mod tokenvault;

use std::path::Path;

use uuid::Uuid;

pub(crate) use self::by_hand::assert_same_rows;
pub(crate) use self::record::assert_same_cipher;
use crate::data::Card;
use crate::workload::Workload;

/// Memory for pages and blocks, for whoever lets it be set: what is read warm shall be warm.
const CACHE_BYTES: u32 = 256 << 20;

/// A key, and no secret: what it seals is made up.
const KEY: [u8; 32] = [0x42; 32];

/// Tokens that have expired are removed so many at a time.
const EXPIRED_AT_ONCE: usize = 256;

/// What may be seen of a card.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) masked: String,
    pub(crate) name: String,
    pub(crate) month: u8,
    pub(crate) year: u16,
}

/// A store of cards. Every change is durable on return: it survives power loss.
pub(crate) trait Subject: Send + Sync {
    /// Keeps a card for so many seconds, and gives its token.
    fn create(&self, card: &Card, seconds: u32) -> Uuid;

    /// Keeps many cards in one durable write.
    fn create_many(&self, cards: &[Card], seconds: u32) -> Vec<Uuid>;

    /// Lends the account number.
    fn reveal(&self, id: Uuid, lend: &mut dyn FnMut(&str));

    /// Shows what may be seen.
    fn view(&self, id: Uuid) -> View;

    /// Removes a token that is there.
    fn delete(&self, id: Uuid);

    /// Removes every token that has expired by now, and counts them.
    fn expire(&self) -> usize;

    /// Ends everything that is under way.
    fn close(self: Box<Self>);
}

/// Who is compared.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// How its writes become durable, in its own words.
    pub(crate) durability: &'static str,
    /// Opens what is in a folder, or makes it there if the folder is empty.
    pub(crate) open: fn(&Path) -> Box<dyn Subject>,
    /// What it cannot do.
    pub(crate) lacks: &'static [Workload],
}

/// The name of ours.
pub(crate) const OURS: &str = "tokenvault";
/// The name of what nobody can beat.
pub(crate) const LIMIT: &str = "limit";

/// Everyone, ours first.
pub(crate) const PEERS: &[Peer] = &[
    Peer { name: OURS, durability: tokenvault::DURABILITY, open: tokenvault::open, lacks: &[] },
    Peer { name: "sled", durability: sled::DURABILITY, open: sled::open, lacks: &[] },
    Peer { name: "redb", durability: redb::DURABILITY, open: redb::open, lacks: &[] },
    Peer { name: "fjall", durability: fjall::DURABILITY, open: fjall::open, lacks: &[] },
    Peer { name: "sqlcipher", durability: sqlcipher::DURABILITY, open: sqlcipher::open, lacks: &[] },
    Peer { name: "askar", durability: askar::DURABILITY, open: askar::open, lacks: askar::LACKS },
    Peer { name: LIMIT, durability: limit::DURABILITY, open: limit::open, lacks: limit::LACKS },
];
