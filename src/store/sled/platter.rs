//! A disk for tests that remembers what was synced, and loses its power.
//!
//! Beside the real folder it keeps of each file what that held when it was last synced, and of each folder its names then.
//! As on Linux, what a sync has failed to write no later one writes, unless it has changed since or stands in another file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::store::disk::Disk;

/// What a disk writes whole.
const BLOCK: usize = 4 << 10;

/// The files that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Journal,
    Log,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let folder = path.parent().and_then(Path::file_name)?.to_str()?;
        let is_log = folder.starts_with("sled") && (path.ends_with("db") || path.ends_with("db.new"));
        if folder == "journal" { Some(Self::Journal) } else { is_log.then_some(Self::Log) }
    }
}

/// A disk that remembers what was synced.
#[derive(Debug)]
pub(super) struct Platter {
    pub(super) kept: Mutex<Kept>,
    /// How many more syncs of the journal and of the log fail.
    pub(super) failing: AtomicU64,
    /// The bytes that can still be written.
    pub(super) room: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    power_is_off: bool,
    /// Files whose syncs do nothing.
    pub(super) left_out: Option<Kind>,
    /// Files of which the next sync fails.
    pub(super) failing_once: Option<Kind>,
    contents: HashMap<u64, Vec<u8>>,
    /// Blocks that a sync has failed to write: their file, their number, what the system takes for written.
    failed: HashMap<(u64, usize), Vec<u8>>,
    cut_in_sync: Option<Kind>,
    /// How many more syncs there are before the power goes.
    pub(super) left: Option<u64>,
    /// Journal, log and mark at the moment at which the power went in a sync.
    live: HashMap<PathBuf, Vec<u8>>,
    names: HashMap<PathBuf, Vec<(String, u64)>>,
}

impl Platter {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self::of(Kept::default()))
    }

    fn of(kept: Kept) -> Self {
        Self { kept: Mutex::new(kept), failing: AtomicU64::new(0), room: AtomicU64::new(u64::MAX) }
    }

    /// Takes everything in a folder for synced.
    pub(super) fn take(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.take(&path);
            } else {
                self.sync_file(&File::open(&path).unwrap(), &path).unwrap();
            }
        }
        self.sync_folder(folder).unwrap();
    }

    /// From now on nothing is kept.
    pub(super) fn cut_power(&self) {
        self.kept.lock().unwrap().power_is_off = true;
    }

    /// As [`Platter::cut_power`], in the middle of the next sync of such a file that was not just made.
    pub(super) fn cut_power_in_sync(&self, kind: Kind) {
        self.kept.lock().unwrap().cut_in_sync = Some(kind);
    }

    /// Puts into a restored vault what else may have reached the disk; answers in how many blocks that differs.
    pub(super) fn add_unsynced(&self, restored: &Path, random: &AtomicU64) -> u64 {
        let kept = self.kept.lock().unwrap();
        let mut changed = 0;
        for (path, live) in &kept.live {
            let path = restored.join(path);
            // The name of a file that was just made may not have reached the disk.
            if !path.exists() {
                continue;
            }
            let is_mark = path.ends_with("mark");
            let mut torn = fs::read(&path).unwrap();
            torn.resize(torn.len().max(live.len()), 0);
            for (torn, live) in torn.chunks_mut(BLOCK).zip(live.chunks(BLOCK)) {
                changed += u64::from(!is_mark && torn[..live.len()] != *live);
                if is_mark || next(random).is_multiple_of(2) {
                    torn[..live.len()].copy_from_slice(live);
                }
            }
            fs::write(path, torn).unwrap();
        }
        changed
    }

    /// Whether whatever was synced before this call was kept.
    pub(super) fn has_power(&self) -> bool {
        !self.kept.lock().unwrap().power_is_off
    }

    /// Makes a folder of what was kept of another one.
    pub(super) fn restore(&self, from: &Path, to: &Path) {
        let kept = self.kept.lock().unwrap();
        fs::create_dir(to).unwrap();
        let mut folders = Vec::new();
        for (name, inode) in kept.names.get(from).into_iter().flatten() {
            let live = from.join(name);
            if kept.names.contains_key(&live) {
                folders.push(name.clone());
                continue;
            }
            if live.is_dir() {
                fs::create_dir(to.join(name)).unwrap();
                continue;
            }
            fs::write(to.join(name), kept.contents.get(inode).map_or(&[][..], Vec::as_slice)).unwrap();
        }
        drop(kept);
        for folder in folders {
            self.restore(&from.join(&folder), &to.join(folder));
        }
    }
}

impl Kept {
    /// The platter of a copy that shows what the system shows of a folder.
    pub(super) fn follow(&self, from: &Path, to: &Path) -> Arc<Platter> {
        let mut kept = Self::default();
        for (folder, names) in &self.names {
            let Ok(below) = folder.strip_prefix(from) else { continue };
            // Joined with nothing it would end with a slash.
            let folder = to.join(below).components().collect::<PathBuf>();
            let numbered = |name: &String| Some((name.clone(), fs::metadata(folder.join(name)).ok()?.ino()));
            for (name, old) in names {
                let Some((name, new)) = numbered(name) else { continue };
                kept.contents.extend(self.contents.get(old).map(|content| (new, content.clone())));
                let failed = self.failed.iter().filter(|((file, _), _)| file == old);
                kept.failed.extend(failed.map(|((_, number), block)| ((new, *number), block.clone())));
                kept.names.entry(folder.clone()).or_default().push((name, new));
            }
        }
        Arc::new(Platter::of(kept))
    }

    /// Notes that what a file holds could not be written.
    fn fail(&mut self, file: u64, content: &[u8]) {
        let kept = self.contents.get(&file).map_or(&[][..], Vec::as_slice);
        let differing =
            content.chunks(BLOCK).enumerate().filter(|(number, block)| block_at(kept, *number) != Some(*block));
        self.failed.extend(differing.map(|(number, block)| ((file, number), block.to_vec())));
    }

    /// Keeps what a file holds, but for the blocks that the system does not write.
    fn keep(&mut self, file: u64, mut content: Vec<u8>) {
        let kept = self.contents.remove(&file).unwrap_or_default();
        for (number, block) in content.chunks_mut(BLOCK).enumerate() {
            if self.failed.get(&(file, number)).is_some_and(|failed| failed == block) {
                let old = block_at(&kept, number).unwrap_or_default();
                block.fill(0);
                block[..old.len()].copy_from_slice(old);
            } else {
                self.failed.remove(&(file, number));
            }
        }
        self.contents.insert(file, content);
    }

    /// Whether it is durable that a file has that name.
    fn knows(&self, path: &Path, number: u64) -> bool {
        let name = (path.file_name().unwrap().to_str().unwrap().to_owned(), number);
        self.names.get(path.parent().unwrap()).is_some_and(|names| names.contains(&name))
    }

    /// Counts a sync, which may be the one before which the power goes.
    fn count(&mut self) {
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.power_is_off |= self.left == Some(0);
    }
}

impl Disk for Platter {
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        let (kind, number) = (Kind::of(path), file.metadata()?.ino());
        let content = fs::read(path)?;
        let one_less = |left: u64| left.checked_sub(1);
        let mut kept = self.kept.lock().unwrap();
        if !kept.knows(path, number) && !kept.power_is_off {
            // Another file had that number before.
            kept.failed.retain(|(file, _), _| *file != number);
        }
        let fails = kind.is_some()
            && (kept.failing_once.take_if(|once| Some(*once) == kind).is_some()
                || self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok());
        if fails {
            kept.fail(number, &content);
            return Err(io::Error::other("a failed sync"));
        }
        kept.count();
        let is_used = kept.knows(path, number);
        if is_used && kind.is_some() && kept.cut_in_sync == kind && !kept.power_is_off {
            kept.power_is_off = true;
            kept.live = live(path.ancestors().nth(2).unwrap());
        }
        let is_left_out = kept.power_is_off || (kind.is_some() && kept.left_out == kind);
        if !is_left_out {
            kept.keep(number, content);
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let (mut names, mut snapshots) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("snap.") && !name.ends_with(".generating") {
                snapshots.push((entry.ino(), fs::read(entry.path())?));
            }
            names.push((name, entry.ino()));
        }
        let mut kept = self.kept.lock().unwrap();
        kept.count();
        if !kept.power_is_off {
            // These sled has synced itself, before they got that name.
            kept.contents.extend(snapshots);
            kept.names.insert(path.to_path_buf(), names);
        }
        Ok(())
    }

    fn room(&self, _: &Path) -> io::Result<u64> {
        Ok(self.room.load(Ordering::SeqCst))
    }
}

/// What journal, log and mark of a vault hold.
fn live(vault: &Path) -> HashMap<PathBuf, Vec<u8>> {
    let segments = fs::read_dir(vault.join("journal")).unwrap();
    let segments = segments.map(|entry| PathBuf::from("journal").join(entry.unwrap().file_name()));
    let files = segments.chain([PathBuf::from("mark"), PathBuf::from("sled/db")]);
    // A segment that is not needed any longer may go at any time.
    files.filter_map(|file| fs::read(vault.join(&file)).ok().map(|content| (file, content))).collect()
}

fn block_at(content: &[u8], number: usize) -> Option<&[u8]> {
    content.chunks(BLOCK).nth(number)
}

/// xorshift64*
pub(super) fn next(random: &AtomicU64) -> u64 {
    let step = |mut x: u64| {
        x ^= x >> 12;
        x ^= x << 25;
        x ^ (x >> 27)
    };
    let last = random.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |x| Some(step(x))).unwrap();
    last.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
}
