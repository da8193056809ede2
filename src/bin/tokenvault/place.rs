//! Where the vault and its key are, and how the vault is opened there.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use tokenvault::{Error, KeyManager, Vault, VaultOptions};

use crate::arguments::Arguments;
use crate::failure::Failure;

/// Holds the key where no file is named.
const KEY_VARIABLE: &str = "TOKENVAULT_KEY";

/// Where the vault and its key are.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// The folder of the vault
    // Not a path for clap, which would let an empty variable stop commands that need no vault.
    #[arg(long, value_name = "DIR", global = true, env = "TOKENVAULT_PATH", hide_env_values = true)]
    vault: Option<OsString>,
    /// The file with the key of the vault [or the key itself in env: `TOKENVAULT_KEY`]
    ///
    /// The file has mode 0600. Without it, the key stands in the environment variable `TOKENVAULT_KEY`, as 64 hexadecimal
    /// digits or base64 of 32 bytes.
    #[arg(long, value_name = "FILE", global = true)]
    key_file: Option<PathBuf>,
}

impl Place {
    pub(crate) fn open(self) -> Result<Vault, Failure> {
        self.open_by(VaultOptions::new())
    }

    pub(crate) fn open_by(self, options: VaultOptions) -> Result<Vault, Failure> {
        let (folder, keys) = self.folder_and_keys()?;
        options.open(folder, keys).map_err(Failure::Unopened)
    }

    pub(crate) fn open_or_create(self, options: VaultOptions) -> Result<Vault, Failure> {
        let (folder, keys) = self.folder_and_keys()?;
        options.open_or_create(folder, keys).map_err(Failure::Unopened)
    }

    /// The folder, and the key from its file or else from the environment.
    fn folder_and_keys(self) -> Result<(PathBuf, KeyManager), Failure> {
        let folder = self.vault.filter(|folder| !folder.is_empty());
        let folder = folder.ok_or_else(|| Failure::Usage(missing_vault()))?.into();
        let keys = match self.key_file {
            Some(file) => KeyManager::from_key_file(file),
            // Asked only once: what comes out of the environment is a copy of the key, which `from_env` wipes.
            None => KeyManager::from_env(KEY_VARIABLE).map_err(advise),
        };
        Ok((folder, keys.map_err(Failure::Unopened)?))
    }
}

/// Says where else the key may be, and how to get one.
fn advise(error: Error) -> Error {
    let message = error.message();
    let advice = "name the file of the key with --key-file; `tokenvault keygen FILE` makes one";
    Error::key_failure(format!("{message}; {advice}")).caused_by(error)
}

fn missing_vault() -> clap::Error {
    const MISSING: &str = "no vault: name its folder with --vault, or set TOKENVAULT_PATH";
    Arguments::command().error(ErrorKind::MissingRequiredArgument, MISSING)
}
