//! The vault's folder: what lies in it, whether it is ours, who holds it.
//!
//! Nothing is made in a folder that cannot be opened, and one process at a time holds it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::store::disk::Disk;
use crate::store::journal;
use crate::store::sled::anchor::{COPIES, DRAFTS};
use crate::store::sled::files::{is_filled, remove_drafts, remove_tree, rewrite, sync_tree, tree_bytes, try_for};

/// Locked by whoever has the vault open.
const LOCK: &str = "lock";
/// Says that the folder is a vault whose creation came to its end.
const TITLE: &str = "vault";
/// The content of the title.
const TITLE_LINE: &str = "tokenvault sled store 1\n";
/// How every title begins, also that of a later release.
const TITLE_START: &str = "tokenvault ";
const MADE_LATER: &str = "was made by a later release";
/// See [`crate::store::sled::tally::Mark`].
const MARK: &str = "mark";
/// The folder of the journal.
const JOURNAL: &str = "journal";
/// sled's folder. That of a later database has a dot and a number behind it.
const DATA: &str = "sled";
/// In the folder of a later database: says that it holds all that the earlier ones did.
const WHOLE: &str = "whole";
/// Made and removed again to learn whether the folder can be written.
const PROBE: &str = "probe";

/// Says that a sync of log or journal failed.
const DOUBT: &str = "unsynced";

/// How long sled's own lock may outlive the store that held it.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long our own may: a process that starts another one leaves it every lock until that has begun its program.
const OWN_PATIENCE: Duration = Duration::from_millis(250);

/// The paths in a vault folder.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The number of sled's database; 0 until one is written anew.
    database: u64,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    EmptyFolder,
    /// What a creation left behind that never came to its end, and so never took a record.
    Unfinished,
    Vault,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), database: 0 }
    }

    /// The same with the newest of its databases that is whole.
    pub(super) fn current(&self) -> Result<Self, Error> {
        let mut current = Self { database: 0, ..self.clone() };
        for database in self.databases()? {
            let later = Self { database, ..self.clone() };
            if database > current.database && later.whole().try_exists().map_err(|cause| self.refused(cause))? {
                current = later;
            }
        }
        Ok(current)
    }

    /// The same with a database that comes after this one.
    pub(super) fn next(&self) -> Self {
        Self { database: self.database + 1, ..self.clone() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join(if self.database == 0 { DATA.to_owned() } else { format!("{DATA}.{}", self.database) })
    }

    /// sled's log.
    pub(super) fn log(&self) -> PathBuf {
        self.data().join("db")
    }

    fn whole(&self) -> PathBuf {
        self.data().join(WHOLE)
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    pub(super) fn mark(&self) -> PathBuf {
        self.path.join(MARK)
    }

    /// Looks, and touches nothing.
    pub(super) fn inspect(&self) -> Result<Found, Error> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(self.failure("is a file and not a folder")),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(cause) => return Err(self.refused(cause)),
        }
        let names = self.names().map_err(|cause| self.refused(cause))?;
        if names.is_empty() {
            return Ok(Found::EmptyFolder);
        }
        let title = self.title().map_err(|cause| self.refused(cause))?;
        if is_later(&title) {
            return Err(self.failure(MADE_LATER));
        }
        if title == TITLE_LINE || names.iter().any(|name| COPIES.contains(&name.as_str())) {
            return Ok(Found::Vault);
        }
        if names.iter().all(|name| is_ours(name)) && TITLE_LINE.starts_with(&title) {
            return Ok(Found::Unfinished);
        }
        let later = title.starts_with(TITLE_START);
        Err(self.failure(if later { MADE_LATER } else { "is not empty and not a vault" }))
    }

    /// Makes the folder, or takes an empty one, for its owner alone.
    pub(super) fn make(&self, disk: &dyn Disk) -> Result<(), Error> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = match private_folder().create(&self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                // Who may write this folder may not read the one above it; its name there is not of our making.
                return make_private(&self.path)
                    .and_then(|()| match disk.sync_folder(parent) {
                        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                        synced => synced,
                    })
                    .map_err(|cause| self.refused(cause));
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(self.failure("cannot be made: the folder above it does not exist"));
            }
            made => made,
        };
        made.and_then(|()| disk.sync_folder(parent)).map_err(|cause| self.refused(cause))
    }

    /// Holds the folder for as long as the answer lives.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(self.path.join(LOCK)).map_err(|cause| self.refused(cause))?;
        if try_for(OWN_PATIENCE, &lock).map_err(|cause| self.refused(cause))? {
            Ok(lock)
        } else {
            Err(self.failure("is already open in this or another process"))
        }
    }

    /// Fails if nothing can be made in the folder.
    pub(super) fn probe(&self) -> Result<(), Error> {
        let probe = self.path.join(PROBE);
        let probed = File::create(&probe).and_then(|_| fs::remove_file(&probe));
        probed.map_err(|cause| self.refused(cause))
    }

    /// Waits for sled to let go of its log: its threads may hold it for a moment after it was dropped.
    pub(super) fn await_release(&self) -> Result<(), Error> {
        let log = match File::open(self.log()) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(|cause| self.refused(cause))?,
        };
        if try_for(LOCK_PATIENCE, &log).map_err(|cause| self.refused(cause))? {
            Ok(())
        } else {
            Err(self.failure("holds a log that is locked by another process"))
        }
    }

    /// Notes that a sync of log or journal failed; a system that cannot even keep that note is not helped by another error.
    pub(super) fn doubt(&self, disk: &dyn Disk) {
        drop(File::create(self.path.join(DOUBT)).and_then(|_| disk.sync_folder(&self.path)));
    }

    /// Writes log and journal anew if a sync failed: Linux then takes the pages in memory for written, and shows and syncs
    /// as if they were on the disk what may never have reached it.
    pub(super) fn rewrite_doubted(&self, disk: &dyn Disk) -> Result<(), Error> {
        let doubt = self.path.join(DOUBT);
        let rewritten = doubt.try_exists().and_then(|doubted| {
            if !doubted {
                return Ok(());
            }
            rewrite(&self.log(), disk)?;
            for segment in journal::segments(&self.journal())? {
                rewrite(&segment, disk)?;
            }
            fs::remove_file(&doubt)?;
            disk.sync_folder(&self.path)
        });
        rewritten.map_err(|cause| self.refused(cause))
    }

    /// Removes the snapshots that sled did not finish: it would take such a file for its newest snapshot, and for damage.
    pub(super) fn clear_drafts(&self) -> Result<(), Error> {
        remove_drafts(&self.data()).map_err(|cause| self.refused(cause))
    }

    /// Removes what an unfinished creation left of sled's databases and of the journal.
    pub(super) fn clear_data(&self) -> Result<(), Error> {
        self.remove_others()?;
        self.remove_database()?;
        remove_tree(&self.journal()).map_err(|cause| self.refused(cause))
    }

    /// Removes this database.
    pub(super) fn remove_database(&self) -> Result<(), Error> {
        remove_tree(&self.data()).map_err(|cause| self.refused(cause))
    }

    /// Removes those that were to take the place of this one: what they take of the disk may be missed by an open.
    pub(super) fn remove_unfinished(&self) -> Result<(), Error> {
        let mut unfinished = self.databases()?.into_iter().filter(|database| *database > self.database);
        unfinished.try_for_each(|database| Self { database, ..self.clone() }.remove_database())
    }

    /// Removes every database but this one.
    pub(super) fn remove_others(&self) -> Result<(), Error> {
        let mut others = self.databases()?.into_iter().filter(|database| *database != self.database);
        others.try_for_each(|database| Self { database, ..self.clone() }.remove_database())
    }

    /// Says that this database has everything, so that the next open finds it.
    ///
    /// # Errors
    /// `STORE_FAILURE`: nothing was said. `UNAVAILABLE`: the next open may find this one or the one before.
    pub(super) fn say_whole(&self, disk: &dyn Disk) -> Result<(), Error> {
        File::create(self.whole()).map_err(|cause| self.refused(cause))?;
        disk.sync_folder(&self.data()).map_err(|cause| {
            // What shows the file now may never have reached the disk.
            self.doubt(disk);
            let detail = format!("either of two databases in {} may survive; reopen the vault", self.path.display());
            Error::unavailable(detail).caused_by(cause)
        })
    }

    /// Whether sled finds the files that it would otherwise make anew.
    pub(super) fn holds_data(&self) -> Result<bool, Error> {
        let filled = is_filled(&self.log()).and_then(|log| Ok(log && is_filled(&self.data().join("conf"))?));
        filled.map_err(|cause| self.refused(cause))
    }

    /// Whether there is a log at all.
    pub(super) fn holds_log(&self) -> Result<bool, Error> {
        is_filled(&self.log()).map_err(|cause| self.refused(cause))
    }

    /// Whether there is the log of a database that took the place of this one, or was to. No creation makes one.
    pub(super) fn holds_later_log(&self) -> Result<bool, Error> {
        for database in self.databases()?.into_iter().filter(|database| *database > self.database) {
            if (Self { database, ..self.clone() }).holds_log()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Syncs every file of sled's and the names of all folders; what is there is doubted if that fails.
    pub(super) fn settle(&self, disk: &dyn Disk) -> Result<(), Error> {
        self.settle_unfinished(disk).inspect_err(|_| self.doubt(disk))
    }

    /// The same for a database that is thrown away if it fails.
    pub(super) fn settle_unfinished(&self, disk: &dyn Disk) -> Result<(), Error> {
        let settled = sync_tree(&self.data(), disk).and_then(|()| disk.sync_folder(&self.path));
        settled.map_err(|cause| self.refused(cause))
    }

    /// The end of a creation: from here on the folder is a vault.
    pub(super) fn entitle(&self, disk: &dyn Disk) -> Result<(), Error> {
        let title = self.path.join(TITLE);
        let written = File::create(&title).and_then(|mut file| {
            file.write_all(TITLE_LINE.as_bytes())?;
            disk.sync_file(&file, &title)?;
            disk.sync_folder(&self.path)
        });
        written.map_err(|cause| self.refused(cause))
    }

    /// The bytes of all files.
    pub(super) fn bytes(&self) -> Result<u64, Error> {
        tree_bytes(&self.path).map_err(|cause| self.refused(cause))
    }

    /// The failure of this folder, `what` being what it is.
    pub(super) fn failure(&self, what: &str) -> Error {
        Error::store_failure(format!("{} {what}", self.path.display()))
    }

    /// The failure of this folder that the system reports.
    pub(super) fn refused(&self, cause: io::Error) -> Error {
        let what = match cause.kind() {
            io::ErrorKind::PermissionDenied => "may not be read or written by this user",
            io::ErrorKind::ReadOnlyFilesystem => "is on a read-only file system",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "has no space left",
            _ => "cannot be used",
        };
        self.failure(what).caused_by(cause)
    }

    fn databases(&self) -> Result<Vec<u64>, Error> {
        let names = self.names().map_err(|cause| self.refused(cause))?;
        Ok(names.iter().filter_map(|name| database(name)).collect())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn title(&self) -> io::Result<String> {
        let mut title = Vec::new();
        match File::open(self.path.join(TITLE)) {
            Ok(file) => file.take(256).read_to_end(&mut title)?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(cause) => return Err(cause),
        };
        Ok(String::from_utf8_lossy(&title).into_owned())
    }
}

/// Whether a title is whole, and of another format; one that is torn or damaged says nothing.
fn is_later(title: &str) -> bool {
    let line = title.strip_suffix('\n').and_then(|line| line.strip_prefix(TITLE_START));
    title != TITLE_LINE && line.is_some_and(|line| line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()))
}

fn is_ours(name: &str) -> bool {
    let is_fixed = [LOCK, TITLE, MARK, JOURNAL, PROBE, DOUBT].contains(&name);
    is_fixed || COPIES.contains(&name) || DRAFTS.contains(&name) || database(name).is_some()
}

/// The number of the database whose folder has that name.
fn database(name: &str) -> Option<u64> {
    match name.strip_prefix(DATA)? {
        "" => Some(0),
        behind => behind.strip_prefix('.')?.parse().ok().filter(|number| *number < u64::MAX),
    }
}

#[cfg(unix)]
fn private_folder() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn private_folder() -> DirBuilder {
    DirBuilder::new()
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}
