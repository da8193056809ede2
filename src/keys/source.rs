//! Root keys as text and as files.

use std::borrow::Cow;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use base64ct::{Base64, Base64Unpadded, Encoding};

use crate::error::Error;
use crate::keys::Key;
use crate::secret::SecretBytes;

/// More than any form of a key has.
const LONGEST: usize = 256;

/// Bytes of a key.
const BYTES: usize = 32;

const FORMS: &str = "64 hexadecimal digits or base64 of 32 bytes";

/// A key from an environment variable.
pub(super) fn from_env(variable: &str) -> Result<Key, Error> {
    let value = std::env::var_os(variable);
    let value = value.ok_or_else(|| Error::key_failure(format!("the environment variable {variable} is not set")))?;
    let text = SecretBytes::adopt(value.into_encoded_bytes());
    // Read once, to be decoded.
    decode_text(text.expose()).ok_or_else(|| Error::key_failure(format!("{variable} does not hold {FORMS}")))
}

/// A key from a file that only its owner can read.
pub(super) fn from_file(path: &Path) -> Result<Key, Error> {
    let shown = path.display();
    let failed = |cause| refused(cause, "read", path);
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    refuse_readable_by_others(&metadata, path)?;
    let mut room = SecretBytes::adopt(vec![0; LONGEST + 1]);
    let mut length = 0;
    // Read into place, to be decoded.
    while let Some(rest) = room.expose_mut().get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let text = room.expose().get(..length).unwrap_or_default();
    let key = if text.len() == BYTES { copy(text) } else { decode_text(text) };
    key.ok_or_else(|| {
        Error::key_failure(format!("the key file {shown} holds neither 32 bytes, nor {FORMS} (it has {length} bytes)"))
    })
}

/// Writes a key to a new file that only its owner can read.
pub(super) fn create_file(path: &Path, key: &Key) -> Result<(), Error> {
    let failed = |cause| refused(cause, "write", path);
    let mut text = SecretBytes::adopt(vec![b'\n'; 65]);
    // The key leaves in the one form that `from_file` reads back.
    let encoded = text.expose_mut().get_mut(..64).map(|hex| base16ct::lower::encode(key.expose(), hex).is_ok());
    if encoded != Some(true) {
        return Err(Error::key_failure("a key does not fit its text"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    if let Err(error) = file.write_all(text.expose()).and_then(|()| file.sync_all()) {
        // Half a key would only stand in the way of the next try.
        drop(std::fs::remove_file(path));
        return Err(failed(error));
    }
    // A key whose file name is lost with the power is a vault that is lost.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed) } else { Ok(()) }
}

/// What the system says against a key file, in words that help.
fn refused(cause: io::Error, tried: &str, path: &Path) -> Error {
    let why: Cow<'_, str> = match cause.kind() {
        io::ErrorKind::NotFound => "no such file or folder".into(),
        io::ErrorKind::AlreadyExists => "it exists, and a key is never overwritten".into(),
        io::ErrorKind::PermissionDenied => "this user may not".into(),
        io::ErrorKind::IsADirectory => "it is a folder".into(),
        _ => cause.to_string().into(),
    };
    Error::key_failure(format!("cannot {tried} the key file {}: {why}", path.display())).caused_by(cause)
}

/// 64 hexadecimal digits, or base64 of 32 bytes with or without padding; white space at the end does not count.
fn decode_text(text: &[u8]) -> Option<Key> {
    let text = text.trim_ascii_end();
    Key::born(|key| {
        let decoded = match text.len() {
            64 => base16ct::mixed::decode(text, key).ok(),
            44 => Base64::decode(text, key).ok(),
            43 => Base64Unpadded::decode(text, key).ok(),
            _ => None,
        };
        decoded.filter(|key| key.len() == BYTES).map(|_| ()).ok_or(())
    })
    .ok()
}

/// The bytes themselves.
fn copy(bytes: &[u8]) -> Option<Key> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    Key::born(|key| {
        key.copy_from_slice(bytes);
        Ok::<_, ()>(())
    })
    .ok()
}

/// A key that other users can read is no key (PCI DSS 3.6.1.3: access is restricted to the fewest custodians).
#[cfg(unix)]
fn refuse_readable_by_others(metadata: &Metadata, path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;

    let shown = path.display();
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::key_failure(format!(
            "the key file {shown} has mode {mode:03o}: other users can reach it; run `chmod 600 {shown}`"
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &Metadata, _: &Path) -> Result<(), Error> {
    Ok(())
}
