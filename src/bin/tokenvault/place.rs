//! Where the vault and its key are, and how the vault is opened there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use tokenvault::{Duplicates, Error, KeyManager, Vault, VaultOptions};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::rules::{AgainArguments, CreationRules};
use crate::search;
use crate::usage::hide_path;

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
    pub(crate) fn open_by(&self, options: VaultOptions) -> Result<Vault, Failure> {
        let (folder, keys) = self.folder_and_keys()?;
        options.open(folder, keys).map_err(|error| self.unopened(error))
    }

    /// The vault that `create` writes to, made if it is not there. Where duplicates are to be told and cannot be, nothing is
    /// made or changed: fingerprints that are once on stay on.
    pub(crate) fn open_or_create(&self, again: &AgainArguments, rules: CreationRules) -> Result<Vault, Failure> {
        if again.duplicates != Duplicates::Allow
            && let Some(vault) = self.open_indexed(again, rules)?
        {
            return Ok(vault);
        }
        let (folder, keys) = self.folder_and_keys()?;
        again.options(rules.options()).open_or_create(folder, keys).map_err(|error| self.unopened(error))
    }

    /// A vault that has the fingerprints of all its cards; none if it can have them as soon as it is opened with them.
    fn open_indexed(&self, again: &AgainArguments, rules: CreationRules) -> Result<Option<Vault>, Failure> {
        const NOT_KEPT: &str = "a new vault keeps no fingerprints, which --duplicates needs: add --fingerprints";
        if is_new(&self.folder()?) {
            let not_kept = || Failure::Usage(Arguments::command().error(ErrorKind::MissingRequiredArgument, NOT_KEPT));
            return if again.fingerprints { Ok(None) } else { Err(not_kept()) };
        }
        let vault = match self.open_by(rules.options()) {
            // Either its creation did not finish, or it does not open with fingerprints either.
            Err(_) if again.fingerprints => return Ok(None),
            opened => opened?,
        };
        let Err(lacking) = search::require_fingerprints(&vault) else { return Ok(Some(vault)) };
        let can_have_them = again.fingerprints && vault.stats()?.pci_tokens == 0;
        vault.close()?;
        if can_have_them { Ok(None) } else { Err(lacking) }
    }

    /// The vault that `define` writes to, made if it is not there.
    pub(crate) fn open_or_make(&self) -> Result<Vault, Failure> {
        let (folder, keys) = self.folder_and_keys()?;
        VaultOptions::new().open_or_create(folder, keys).map_err(|error| self.unopened(error))
    }

    /// The failure, without a path that was typed for a key or a card number.
    fn unopened(&self, error: Error) -> Failure {
        let typed = [self.vault.as_ref().map(Path::new), self.key_file.as_deref()];
        Failure::Unopened(typed.into_iter().flatten().fold(error, hide_path))
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = self.vault.as_ref().filter(|folder| !folder.is_empty());
        folder.map(PathBuf::from).ok_or_else(|| Failure::Usage(missing_vault()))
    }

    /// The folder, and the key from its file or else from the environment.
    fn folder_and_keys(&self) -> Result<(PathBuf, KeyManager), Failure> {
        let folder = self.folder()?;
        let keys = match &self.key_file {
            Some(file) => KeyManager::from_key_file(file),
            None => KeyManager::from_env(KEY_VARIABLE).map_err(advise),
        };
        Ok((folder, keys.map_err(|error| self.unopened(error))?))
    }
}

/// Whether a vault would be made there.
fn is_new(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
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
