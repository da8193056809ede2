//! The standard streams as plain files: what the library of the language keeps in their buffers, nobody wipes.

use std::fs::File;
use std::io;

/// A file over a standard stream, past its buffer.
#[cfg(unix)]
pub(crate) fn unbuffered(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// A file over a standard stream, past its buffer.
#[cfg(windows)]
pub(crate) fn unbuffered(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    stream.as_handle().try_clone_to_owned().map(File::from)
}
