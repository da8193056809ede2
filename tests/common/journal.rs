//! The journal of a vault that was not closed, changed in any way: the vault that opens has all of it, or says that it is
//! damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokenvault::ErrorKind;
use tokenvault::store::{Batch, SledStore, Store, Table};

/// How soon a store begins to bring into its engine what stands in its journal.
const UNTIL_APPLIED: Duration = Duration::from_millis(900);

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A folder as a killed process leaves it, and what was acknowledged in it.
pub struct Crashed {
    folder: tempfile::TempDir,
    rows: Rows,
}

impl Crashed {
    /// Some groups of some blocks, none of them in the engine.
    pub fn new() -> Self {
        loop {
            let start = Instant::now();
            let temporary = tempfile::tempdir().unwrap();
            let store = SledStore::create(temporary.path().join("vault")).unwrap();
            store.write_anchor(b"anchor").unwrap();
            let mut rows = Rows::new();
            let first_commit = Instant::now();
            for step in 0..12_u8 {
                let (key, value) = (vec![step % 7], vec![step; [0, 30, 5_000][usize::from(step % 3)]]);
                let removed = step == 9;
                let batch = Batch::new().put(Table::Generic, [step], [step]);
                let batch = if removed {
                    rows.remove(&key);
                    batch.remove(Table::Pci, key)
                } else {
                    rows.insert(key.clone(), value.clone());
                    batch.put(Table::Pci, key, value)
                };
                store.commit(batch).unwrap();
            }
            let folder = tempfile::tempdir().unwrap();
            copy_folder(&temporary.path().join("vault"), folder.path());
            if first_commit.elapsed() < UNTIL_APPLIED {
                return Self { folder, rows };
            }
            assert!(start.elapsed() < Duration::from_mins(1), "too slow to be caught unapplied");
        }
    }

    /// The folder, to be copied.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the first segment holds, up to its end.
    pub fn segment(&self) -> Vec<u8> {
        let mut segment = fs::read(segment(self.path())).unwrap();
        let end = segment.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        segment.truncate(end);
        segment
    }

    /// Opens a copy whose first segment begins with other bytes; `false` if that is refused as damage. Anything else fails.
    pub fn opens_with(&self, bytes: &[u8]) -> bool {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(self.path(), copy.path());
        let mut content = fs::read(segment(self.path())).unwrap();
        let length = bytes.len().min(content.len());
        content[..length].copy_from_slice(&bytes[..length]);
        fs::write(segment(copy.path()), content).unwrap();
        self.is_whole(copy.path())
    }

    /// Whether everything is there; `false` if the folder is refused as damaged.
    pub fn is_whole(&self, path: &Path) -> bool {
        match SledStore::open(path) {
            Ok(store) => {
                let found = store.scan(Table::Pci, &[], &[0xff; 65], usize::MAX).unwrap();
                assert_eq!(found.into_iter().collect::<Rows>(), self.rows);
                assert_eq!(store.scan(Table::Generic, &[], &[0xff; 65], usize::MAX).unwrap().len(), 12);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                false
            }
        }
    }
}

fn segment(folder: &Path) -> PathBuf {
    folder.join("journal/segment.0")
}

/// Copies a folder with all below it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The property of the fuzz target: each four bytes change one byte of the segment, three of position and one of value.
pub fn journal(bytes: &[u8]) {
    static CRASHED: OnceLock<Crashed> = OnceLock::new();
    let crashed = CRASHED.get_or_init(Crashed::new);
    let whole = crashed.segment();
    let mut changed = whole.clone();
    for change in bytes.chunks_exact(4) {
        let position = usize::from(change[0]) << 16 | usize::from(change[1]) << 8 | usize::from(change[2]);
        let position = position % changed.len();
        changed[position] = change[3];
    }
    let is_whole = crashed.opens_with(&changed);
    assert!(is_whole || changed != whole, "nothing was changed, and it is called damaged");
}
