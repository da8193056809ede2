//! One file of the journal: written with zeros and synced before its first use.
//!
//! A write into it changes neither its length nor where it lies, so that the sync of a group is one write of the device.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::store::disk::Disk;
use crate::store::journal::group::BLOCK;

/// How the name of every segment begins; a number follows.
const NAME_START: &str = "segment.";

const ZEROS_AT_ONCE: usize = 1 << 20;

/// A segment that is open for writing.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    length: u64,
    /// Where the next group begins.
    position: u64,
    /// The newest round that stands in it; 0 for none that matters.
    pub(super) newest: u64,
}

impl Segment {
    /// Makes a segment of at least that many bytes; it survives power loss on return.
    pub(super) fn create(folder: &Path, number: u64, bytes: u64, disk: &dyn Disk) -> io::Result<Self> {
        let path = folder.join(format!("{NAME_START}{number}"));
        let made = fill(&path, bytes.next_multiple_of(BLOCK as u64)).and_then(|(mut file, length)| {
            disk.sync_file(&file, &path)?;
            disk.sync_folder(folder)?;
            file.seek(SeekFrom::Start(0))?;
            Ok(Self { file, path: path.clone(), length, position: 0, newest: 0 })
        });
        if made.is_err() {
            // Half a segment would only take the space that was missing.
            drop(fs::remove_file(&path));
        }
        made
    }

    /// A segment that exists, to be written from a position on.
    pub(super) fn open(path: PathBuf, position: u64, newest: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let length = length - length % BLOCK as u64;
        file.seek(SeekFrom::Start(position))?;
        Ok(Self { file, path, length, position, newest })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether so many bytes fit behind what stands there.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.length.saturating_sub(self.position) >= bytes
    }

    /// Begins again at its start.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.position = 0;
        Ok(())
    }

    /// Writes whole blocks behind what stands there.
    pub(super) fn write(&mut self, blocks: &[u8], round: u64) -> io::Result<()> {
        self.file.write_all(blocks)?;
        self.position += blocks.len() as u64;
        self.newest = round;
        Ok(())
    }

    pub(super) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.sync_file(&self.file, &self.path)
    }

    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}

/// The segments of a folder with their numbers, in the order of these.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(NAME_START)?.parse().ok());
        // Another comes behind each of them.
        segments.extend(number.filter(|number| *number < u64::MAX).map(|number| (number, entry.path())));
    }
    segments.sort();
    Ok(segments)
}

/// Writes what stands in those places there once more, and makes it durable.
pub(super) fn write_again(path: &Path, places: Vec<Range<u64>>, disk: &dyn Disk) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    for place in places {
        bytes.clear();
        file.seek(SeekFrom::Start(place.start))?;
        (&file).take(place.end - place.start).read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(place.start))?;
        file.write_all(&bytes)?;
    }
    disk.sync_file(&file, path)
}

/// Zeroes blocks, durably, so that the groups that begin there are none any longer.
pub(super) fn blot(path: &Path, positions: &[u64], disk: &dyn Disk) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    for position in positions {
        file.seek(SeekFrom::Start(*position))?;
        file.write_all(&[0; BLOCK])?;
    }
    disk.sync_file(&file, path)
}

/// Whether anything was ever written into a segment.
pub(super) fn is_written(path: &Path) -> io::Result<bool> {
    let (mut file, mut bytes) = (File::open(path)?, vec![0; ZEROS_AT_ONCE]);
    loop {
        let length = file.read(&mut bytes)?;
        let read = bytes.get(..length).unwrap_or_default();
        if read.iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
        if read.is_empty() {
            return Ok(false);
        }
    }
}

/// Space that the file system only promises costs an entry in its own journal at the first write to each part of it.
fn fill(path: &Path, bytes: u64) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; ZEROS_AT_ONCE];
    let mut left = bytes;
    while left > 0 {
        let length = usize::try_from(left).map_or(ZEROS_AT_ONCE, |left| left.min(ZEROS_AT_ONCE));
        file.write_all(zeros.get(..length).unwrap_or_default())?;
        left -= length as u64;
    }
    Ok((file, bytes))
}
