//! In whose name a command acts: root's, or that of whoever has the credential that is named.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::{env, io, str};

use clap::Args;
use tokenvault::{Client, Error, Vault};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::input::whole;
use crate::usage::hide_path;

/// Holds the secret of a credential where no file is named.
const VARIABLE: &str = "TOKENVAULT_CREDENTIAL";

/// More than any secret has.
const LONGEST: usize = 256;

/// In whose name a command acts.
#[derive(Args, Debug)]
pub(crate) struct Who {
    /// The file with the secret of an API key or API token to act by [or the secret itself in env: `TOKENVAULT_CREDENTIAL`]
    ///
    /// The command may then do what the credential may, and sees what that sees. The file has mode 0600. With neither, whoever
    /// has the key of the vault is root.
    #[arg(long, value_name = "FILE", global = true)]
    credential_file: Option<PathBuf>,
}

/// The secret of a credential, wiped when it is dropped.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Who {
    /// The secret to act by; none for root. A variable that is set to nothing is a secret that nobody has: whoever lost it does
    /// not become root by that.
    pub(crate) fn secret(&self) -> Result<Option<Secret>, Failure> {
        match &self.credential_file {
            Some(file) => read(file).map(Some).map_err(|error| Failure::Unopened(hide_path(error, file))),
            None => Ok(env::var_os(VARIABLE).map(|secret| Secret(Zeroizing::new(secret.into_encoded_bytes())))),
        }
    }
}

impl Secret {
    /// The handle of whoever has it.
    pub(crate) fn authenticate(&self, vault: &Vault) -> Result<Client, Error> {
        // What is no text is nobody's secret, and neither is the empty one.
        vault.authenticate(str::from_utf8(self.0.trim_ascii_end()).unwrap_or_default())
    }
}

/// Reads a secret from a file that only its owner can read.
fn read(path: &Path) -> Result<Secret, Error> {
    let failed = |cause: io::Error| {
        let why = match cause.kind() {
            io::ErrorKind::NotFound => "no such file or folder".to_owned(),
            io::ErrorKind::PermissionDenied => "this user may not".to_owned(),
            _ => cause.to_string(),
        };
        Error::key_failure(format!("cannot read the credential file {}: {why}", path.display())).caused_by(cause)
    };
    let file = File::open(path).map_err(failed)?;
    refuse_readable_by_others(&file.metadata().map_err(failed)?, path)?;
    whole(file, LONGEST).map(Secret).map_err(failed)
}

/// A secret that other users can read is none, as it is with the key of the vault.
#[cfg(unix)]
fn refuse_readable_by_others(metadata: &Metadata, path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;

    let (shown, mode) = (path.display(), metadata.permissions().mode() & 0o777);
    // Of a folder it is told when it is read that it is one.
    if mode & 0o077 != 0 && !metadata.is_dir() {
        return Err(Error::key_failure(format!(
            "the credential file {shown} has mode {mode:03o}: other users can reach it; run `chmod 600 {shown}`"
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &Metadata, _: &Path) -> Result<(), Error> {
    Ok(())
}
