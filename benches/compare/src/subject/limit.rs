//! What nobody can beat: 500 bytes a token written and synced into a file that is there already, and one part opened.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uuid::Uuid;

use crate::data::Card;
use crate::subject::committer::Committer;
use crate::subject::record::BarePart;
use crate::subject::{Subject, View};
use crate::workload::Workload;

pub(crate) const DURABILITY: &str =
    "500 bytes a token into a file that was written before; one write and one fdatasync a group";

pub(crate) const LACKS: &[Workload] =
    &[Workload::View, Workload::Delete, Workload::Expire, Workload::Mixed, Workload::BytesPerToken, Workload::Open];

const BYTES_A_TOKEN: usize = 500;
const FILE_BYTES: usize = 16 << 20;

pub(crate) fn open(folder: &Path) -> Box<dyn Subject> {
    let file = File::options().write(true).create(true).truncate(true).open(folder.join("limit")).unwrap();
    file.write_all_at(&vec![0; FILE_BYTES], 0).unwrap();
    file.sync_all().unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
    let mut at = 0;
    let committer = Committer::new(move |group: Vec<()>| {
        let bytes = group.len() * BYTES_A_TOKEN;
        at = if at + bytes > FILE_BYTES { 0 } else { at };
        file.write_all_at(&vec![0x5a; bytes], at.try_into().unwrap()).unwrap();
        file.sync_data().unwrap();
        at += bytes;
    });
    Box::new(Limit { committer, part: BarePart::new(&Card::generate(&mut crate::data::seeded(0))) })
}

struct Limit {
    committer: Committer<()>,
    part: BarePart,
}

impl Subject for Limit {
    fn create(&self, _: &Card, _: u32) -> Uuid {
        self.committer.commit([()]);
        Uuid::nil()
    }

    fn create_many(&self, cards: &[Card], _: u32) -> Vec<Uuid> {
        vec![Uuid::nil(); cards.len()]
    }

    fn reveal(&self, _: Uuid, lend: &mut dyn FnMut(&str)) {
        self.part.open(lend);
    }

    fn view(&self, _: Uuid) -> View {
        unreachable!("it is listed among what it lacks")
    }

    fn delete(&self, _: Uuid) {
        unreachable!("it is listed among what it lacks")
    }

    fn expire(&self) -> usize {
        unreachable!("it is listed among what it lacks")
    }

    fn close(self: Box<Self>) {}
}
