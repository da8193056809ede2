//! sled's log, on a handle of our own: what sled's flush leaves out is the sync.

use std::error::Error as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::store::disk::{Disk, is_full};
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::Folder;

/// Rows are settled after this many bytes of what stood there before and what stands there after.
///
/// Less than a segment of 8 MiB should be written between two syncs, so that none is reused before what replaced it is
/// synced. sled may rewrite the whole page of a changed row, of 20 rows: 20 times this bound is 5 MiB. Measured, with
/// this many bytes of scattered removals: 0.3 MB in the mean, and at most 3.0 MB for rows of 16 KiB, 3.7 MB for rows of
/// 48 KiB. It is not foreseen that small rows may share their pages with large ones.
const BYTES_UNSETTLED: usize = 256 << 10;

/// The log of one folder.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    folder: Folder,
    /// Bytes of rows that were written since the last sync.
    unsettled: usize,
    /// Whether nobody would miss what it loses.
    is_draft: bool,
}

impl Log {
    pub(super) fn open(folder: &Folder, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let path = folder.log();
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|cause| folder.refused(cause))?;
        Ok(Self { file, path, disk, folder: folder.clone(), unsettled: 0, is_draft: false })
    }

    /// The log of a database that nobody relies on before [`Log::publish`].
    pub(super) fn open_draft(folder: &Folder, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        Ok(Self { is_draft: true, ..Self::open(folder, disk)? })
    }

    pub(super) fn publish(&mut self) {
        self.is_draft = false;
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes a row, or removes it, and answers what stood there before; it is durable once the log is settled.
    pub(super) fn write(
        &mut self,
        engine: &Engine,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<sled::IVec>, Error> {
        let replaced = engine.write(key, value)?;
        let length = |value: Option<&[u8]>| value.map_or(0, <[u8]>::len);
        self.unsettled += key.len() + length(value) + length(replaced.as_deref());
        if self.unsettled >= BYTES_UNSETTLED {
            self.settle(engine)?;
        }
        Ok(replaced)
    }

    /// Makes everything durable that was written to sled.
    pub(super) fn settle(&mut self, engine: &Engine) -> Result<(), Error> {
        self.unsettled = 0;
        engine.flush().inspect_err(|cause| {
            let cause = cause.source().and_then(|cause| cause.downcast_ref::<io::Error>());
            // Where there is no space nothing was written; and the log could not be written anew.
            if cause.is_some_and(|cause| !is_full(cause)) {
                self.doubt();
            }
        })?;
        self.disk.sync_file(&self.file, &self.path).map_err(|cause| {
            self.doubt();
            self.folder.refused(cause)
        })
    }

    fn doubt(&self) {
        if !self.is_draft {
            self.folder.doubt(&*self.disk);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::Table;
    use crate::store::disk::OnSync;
    use crate::store::sled::engine::row_key;

    /// A removal makes sled rewrite a page as well, however little it says itself.
    #[test]
    fn the_log_is_settled_by_what_is_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        fs::create_dir(folder.data()).unwrap();
        let engine = Engine::open(temporary.path(), &folder.data(), 1 << 20, Arc::default()).unwrap();
        let syncs = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&syncs);
        let disk = OnSync(move |_: &Path| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let mut log = Log::open(&folder, Arc::new(disk)).unwrap();
        let value = vec![7; 16 << 10];
        let keys: Vec<_> = (0..64).map(|row| row_key(Table::Pci.as_byte(), &[row; 16])).collect();
        for key in &keys {
            log.write(&engine, key, Some(&value)).unwrap();
        }
        log.settle(&engine).unwrap();
        let before = syncs.load(Ordering::SeqCst);
        for key in &keys {
            log.write(&engine, key, None).unwrap();
        }
        assert_eq!(syncs.load(Ordering::SeqCst) - before, 4);
    }
}
