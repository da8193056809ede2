//! tokenvault, as its README has it.

use std::path::Path;
use std::sync::Arc;

use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::{MemoryStore, Store, Table};
use tokenvault::{CreatePci, KeyManager, PanSource, PciCreated, Vault, VaultOptions};
use uuid::Uuid;

use crate::data::Card;
use crate::subject::{CACHE_BYTES, KEY, Subject, View};

pub(crate) const DURABILITY: &str = "as it comes: synced (fdatasync) before it answers, one sync for all who wait";

pub(crate) fn open(folder: &Path) -> Box<dyn Subject> {
    let keys = KeyManager::from_key(&mut { KEY });
    Box::new(Ours(VaultOptions::new().cache_bytes(CACHE_BYTES.into()).open_or_create(folder, keys).unwrap()))
}

struct Ours(Vault);

/// Everything that is stored for a card: keys and values.
pub(crate) fn rows(card: &Card, seconds: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    let store = Arc::new(MemoryStore::new());
    let vault = VaultOptions::new().open_with(Arc::clone(&store), KeyManager::from_key(&mut { KEY })).unwrap();
    id(vault.create_pci(request(card, seconds).unwrap()).unwrap());
    Table::ALL.iter().flat_map(|table| store.scan(*table, &[], &[0xff; 64], usize::MAX).unwrap()).collect()
}

fn request(card: &Card, seconds: u32) -> Result<CreatePci, tokenvault::Error> {
    let source = PanSource::new(Pan::parse(&card.number)?, CardExpiry::new(card.month, card.year)?);
    CreatePci::new(source.cardholder_name(&card.name)?).expires_in(seconds.into())
}

fn id(created: PciCreated) -> Uuid {
    match created {
        PciCreated::Token(token) => token.id.into(),
        PciCreated::Session(_) => unreachable!("a pan source makes a token"),
    }
}

impl Subject for Ours {
    fn create(&self, card: &Card, seconds: u32) -> Uuid {
        id(self.0.create_pci(request(card, seconds).unwrap()).unwrap())
    }

    fn create_many(&self, cards: &[Card], seconds: u32) -> Vec<Uuid> {
        let created = self.0.create_pci_many(cards.iter().map(|card| request(card, seconds)));
        created.map(|created| id(created.unwrap())).collect()
    }

    fn reveal(&self, id: Uuid, lend: &mut dyn FnMut(&str)) {
        self.0.reveal_pci(id.into(), |card| lend(card.account_number())).unwrap();
    }

    fn view(&self, id: Uuid) -> View {
        let card = self.0.pci(id.into()).unwrap().card;
        View {
            masked: card.masked_account_number,
            name: card.cardholder_name.unwrap(),
            month: card.expiry_month,
            year: card.expiry_year,
        }
    }

    fn delete(&self, id: Uuid) {
        self.0.delete_pci(id.into()).unwrap();
    }

    fn expire(&self) -> usize {
        self.0.sweep().unwrap().expired_pci.try_into().unwrap()
    }

    fn close(self: Box<Self>) {
        self.0.close().unwrap();
    }
}
