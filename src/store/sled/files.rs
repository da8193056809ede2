//! What is done with files and whole folders, whatever lies in them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::store::disk::Disk;

/// What sled names its snapshots, and what it adds to the name of one that it has not finished.
const SNAPSHOT_START: &str = "snap.";
const DRAFT_END: &str = ".generating";

/// What is added to the name of a file while it is written anew.
const REWRITTEN_END: &str = ".new";

const COPIED_AT_ONCE: usize = 1 << 20;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

pub(super) fn is_filled(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() > 0),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Puts another file that holds the same in the place of one.
pub(super) fn rewrite(path: &Path, disk: &dyn Disk) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(REWRITTEN_END);
    let draft = PathBuf::from(draft);
    let replaced = copy_bytes(path, &draft, disk).and_then(|()| fs::rename(&draft, path));
    replaced.inspect_err(|_| {
        // Half a copy would only take the space that was missing.
        drop(fs::remove_file(&draft));
    })?;
    path.parent().map_or(Ok(()), |folder| disk.sync_folder(folder))
}

/// Copies what reads show. `fs::copy` and `io::copy` may let both files share what is on the disk.
fn copy_bytes(from: &Path, to: &Path, disk: &dyn Disk) -> io::Result<()> {
    let (mut from, mut copy) = (File::open(from)?, File::create(to)?);
    let mut buffer = vec![0; COPIED_AT_ONCE];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return disk.sync_file(&copy, to);
        }
        copy.write_all(buffer.get(..length).unwrap_or_default())?;
    }
}

pub(super) fn remove_tree(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

pub(super) fn remove_drafts(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(SNAPSHOT_START) && name.ends_with(DRAFT_END) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn sync_tree(folder: &Path, disk: &dyn Disk) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path, disk)?;
        } else {
            match OpenOptions::new().read(true).write(true).open(&path) {
                // sled renames and removes its snapshots.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                opened => disk.sync_file(&opened?, &path)?,
            }
        }
    }
    disk.sync_folder(folder)
}

pub(super) fn tree_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file or database that sled or we replace just now may be gone again.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += match metadata.is_dir().then(|| tree_bytes(&entry.path())) {
            None => metadata.len(),
            Some(Err(cause)) if cause.kind() == io::ErrorKind::NotFound => 0,
            Some(within) => within?,
        };
    }
    Ok(bytes)
}

/// Whether a file could be locked within that time.
pub(super) fn try_for(patience: Duration, file: &File) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
    }
}
