//! Promise: every committed seed of the fuzz targets keeps the property of its target, on a stable compiler and at every run.
//!
//! A folder of `fuzz/seeds` is named after the target and the property that it feeds.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "sled")]
use common::journal;
use common::{credential, requests, schemas, stored, template};

type Property = fn(&[u8]);

/// Every target and its property: a new target is a row here and a folder there.
const TARGETS: &[(&str, Property)] = &[
    ("account_number", requests::account_number),
    ("create_generic_json", requests::create_generic_json),
    ("create_pci_json", requests::create_pci_json),
    ("credential", credential::credential),
    #[cfg(feature = "sled")]
    ("journal", journal::journal),
    ("key_ring", stored::key_ring),
    ("record", stored::record),
    ("update_json", requests::update_json),
    ("schema", schemas::schema),
    ("template", template::template),
];

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

#[test]
fn every_seed_keeps_its_property() {
    for (target, property) in TARGETS {
        let seeds = files(&seeds().join(target));
        assert!(!seeds.is_empty(), "{target} has no seed");
        for (path, bytes) in seeds {
            // Named beforehand: a property that fails says what is wrong, not where.
            println!("{}", path.display());
            property(&bytes);
        }
    }
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    let folders: Vec<_> = fs::read_dir(seeds()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for folder in folders {
        if folder == "journal" && cfg!(not(feature = "sled")) {
            continue;
        }
        assert!(TARGETS.iter().any(|(target, _)| folder == *target), "{} has no target", folder.display());
    }
}

#[test]
fn seeds_are_of_both_fates() {
    let accepted = |target: &str, accepts: &dyn Fn(&[u8]) -> bool| {
        let seeds = files(&seeds().join(target));
        let accepted = seeds.values().filter(|bytes| accepts(bytes)).count();
        assert!(accepted >= 4 && seeds.len() - accepted >= 4, "{target}: {accepted} of {} accepted", seeds.len());
    };
    accepted("create_generic_json", &|bytes| tokenvault::CreateGeneric::from_json(bytes).is_ok());
    accepted("create_pci_json", &|bytes| tokenvault::CreatePci::from_json(bytes).is_ok());
    accepted("update_json", &|bytes| {
        tokenvault::UpdatePci::from_json(bytes).is_ok() || tokenvault::UpdateGeneric::from_json(bytes).is_ok()
    });
    accepted("schema", &|bytes| tokenvault::CreateType::new("a type", bytes).is_ok());
    accepted("template", &template::is_filled);
    accepted("account_number", &|bytes| {
        std::str::from_utf8(bytes).is_ok_and(|number| tokenvault::card::Pan::parse(number).is_ok())
    });
}
