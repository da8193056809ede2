//! The vault's one small blob, in two files of which one is whole at any moment.
//!
//! A copy is written beside its file, synced and renamed over it, one after the other: a crash leaves the old blob or the
//! new one, and a damaged copy is made again from the other.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::store::disk::Disk;

/// The names of the two copies.
pub(super) const COPIES: [&str; 2] = ["anchor.0", "anchor.1"];

/// The names under which they are written.
pub(super) const DRAFTS: [&str; 2] = ["anchor.0.new", "anchor.1.new"];

const MAGIC: [u8; 8] = *b"tvanchor";

/// The two files of one vault folder.
#[derive(Debug)]
pub(super) struct Anchor {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
}

/// What one copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    sequence: u64,
    bytes: Vec<u8>,
}

/// What stands in a copy's place.
#[derive(Debug)]
enum Copy {
    Missing,
    Damaged,
    Whole(Frame),
}

impl Anchor {
    pub(super) fn new(folder: &Path, disk: Arc<dyn Disk>) -> Self {
        Self { folder: folder.to_path_buf(), disk }
    }

    /// The blob, or `None` if neither copy was ever written.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(newest) = self.newest()? else { return Ok(None) };
        for position in 0..COPIES.len() {
            let whole = matches!(self.copy(position)?, Copy::Whole(frame) if frame == newest);
            if !whole {
                // The other copy holds; that this one cannot be repaired now is no reason to refuse what is known.
                drop(self.replace(position, &newest));
            }
        }
        Ok(Some(newest.bytes))
    }

    /// Replaces the blob in both copies.
    ///
    /// # Errors
    /// `STORE_FAILURE`: the old blob stands. `UNAVAILABLE`: either may stand.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let sequence = self.newest()?.map_or(0, |newest| newest.sequence).wrapping_add(1);
        let frame = Frame { sequence, bytes: bytes.to_vec() };
        self.replace(0, &frame)?;
        let folder = self.folder.display();
        let detail = format!("only one copy of the anchor in {folder} could be replaced");
        let halfway = |cause| Error::unavailable(detail).caused_by(cause);
        self.replace(1, &frame).map_err(halfway)
    }

    fn newest(&self) -> Result<Option<Frame>, Error> {
        let (mut newest, mut damaged) = (None::<Frame>, false);
        for position in 0..COPIES.len() {
            match self.copy(position)? {
                Copy::Missing => {}
                Copy::Damaged => damaged = true,
                Copy::Whole(frame) if newest.as_ref().is_some_and(|newest| newest.sequence >= frame.sequence) => {}
                Copy::Whole(frame) => newest = Some(frame),
            }
        }
        if newest.is_none() && damaged {
            return Err(Error::corrupt(format!("both copies of the anchor in {} are damaged", self.folder.display())));
        }
        Ok(newest)
    }

    fn copy(&self, position: usize) -> Result<Copy, Error> {
        let path = self.folder.join(COPIES.get(position).copied().unwrap_or_default());
        match fs::read(&path) {
            Ok(file) => Ok(decode(&file).map_or(Copy::Damaged, Copy::Whole)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Copy::Missing),
            Err(cause) => Err(Error::store_failure(format!("{} cannot be read", path.display())).caused_by(cause)),
        }
    }

    fn replace(&self, position: usize, frame: &Frame) -> Result<(), Error> {
        let name = |names: [&str; 2]| self.folder.join(names.get(position).copied().unwrap_or_default());
        let (path, draft) = (name(COPIES), name(DRAFTS));
        let unwritten = |cause| Error::store_failure(format!("{} cannot be written", draft.display())).caused_by(cause);
        let unknown = |cause| Error::unavailable(format!("{} may not survive", path.display())).caused_by(cause);
        self.write_draft(&draft, frame).map_err(unwritten)?;
        fs::rename(&draft, &path).map_err(unwritten)?;
        self.disk.sync_folder(&self.folder).map_err(unknown)
    }

    fn write_draft(&self, draft: &Path, frame: &Frame) -> io::Result<()> {
        let mut file = File::create(draft)?;
        file.write_all(&encode(frame))?;
        self.disk.sync_file(&file, draft)
    }
}

/// `magic · crc32 of the rest u32 · sequence u64 · length u32 · bytes`, little-endian.
fn encode(frame: &Frame) -> Vec<u8> {
    let length = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
    let rest = [&frame.sequence.to_le_bytes()[..], &length.to_le_bytes(), &frame.bytes].concat();
    [&MAGIC[..], &crc32fast::hash(&rest).to_le_bytes(), &rest].concat()
}

fn decode(file: &[u8]) -> Option<Frame> {
    let (_, rest) = file.split_at_checked(MAGIC.len() + 4)?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (_, bytes) = rest.split_first_chunk::<4>()?;
    let frame = Frame { sequence: u64::from_le_bytes(*sequence), bytes: bytes.to_vec() };
    (encode(&frame) == file).then_some(frame)
}
