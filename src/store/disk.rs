//! Makes files and folders survive power loss.
//!
//! It is a trait so that a test can fail a sync, or keep only what was synced.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;

/// Where a file's content and a folder's names become durable.
pub(super) trait Disk: Debug + Send + Sync {
    /// The content of the file at `path` is durable on return; `file` is open on it.
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()>;

    /// The names in the folder are durable on return.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// The bytes that this user may still write where the folder is; at most the largest number, where nobody tells.
    fn room(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// Whether there was no space for what was to be written.
pub(super) fn is_full(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The disk that there is.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn sync_file(&self, file: &File, _: &Path) -> io::Result<()> {
        file.sync_data()
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    // Windows opens no folder as a file; its file systems journal names on their own.
    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn room(&self, path: &Path) -> io::Result<u64> {
        let told = rustix::fs::statvfs(path)?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }
}

/// A disk of a test: it syncs nothing, and does something with the path of each file that it should sync.
#[cfg(test)]
pub(super) struct OnSync<F>(pub(super) F);

#[cfg(test)]
impl<F> Debug for OnSync<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnSync(..)")
    }
}

#[cfg(test)]
impl<F: Fn(&Path) + Send + Sync> Disk for OnSync<F> {
    fn sync_file(&self, _: &File, path: &Path) -> io::Result<()> {
        (self.0)(path);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
