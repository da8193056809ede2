//! Promise: a process that forks, its children and their children go on with bytes of their own: none of them gives an id that
//! another one has given, and none seals with a nonce that another one has used.
//!
//! An id and the nonces of its token are drawn at once, so that ids which differ stand for nonces that do.
//!
//! And a vault in a folder is refused to the children of the process that has opened it: they would write where that one does.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{PAN_REQUEST, token, vault};
use tokenvault::{CreatePci, Vault};

/// Tokens that each process makes, and bytes of their ids in text.
const MANY: usize = 20;
const ID: usize = 36;

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
}

/// What a forked child says.
fn said_in_a_fork(work: impl FnOnce() -> String) -> String {
    let (mut reader, mut writer) = pipe().unwrap();
    // SAFETY: there is one test here, so no other thread of this process does anything but wait for it.
    let child = unsafe { fork() };
    if child == 0 {
        let done = catch_unwind(AssertUnwindSafe(|| writer.write_all(work().as_bytes()).unwrap()));
        // SAFETY: ends the child without what the parent would do at its end.
        unsafe { _exit(i32::from(done.is_err())) }
    }
    drop(writer);
    let (mut said, mut status) = (String::new(), -1);
    reader.read_to_string(&mut said).unwrap();
    // SAFETY: a child of this process, and a place for its status.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    said
}

/// The ids of some tokens, one behind the other.
fn ids(vault: &Vault) -> String {
    let id = || token(vault.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).unwrap()).id.to_string();
    (0..MANY).map(|_| id()).collect()
}

#[test]
fn a_fork_takes_nothing_that_is_its_parents() {
    children_and_parents_draw_bytes_of_their_own();
    #[cfg(feature = "sled")]
    a_child_is_refused_the_folder_of_its_parent();
    #[cfg(feature = "sled")]
    a_child_waits_for_no_sweeper_of_its_parent();
}

#[cfg(feature = "sled")]
fn a_child_is_refused_the_folder_of_its_parent() {
    use std::time::{Duration, Instant};
    use tokenvault::{ErrorKind, KeyManager, VaultOptions};

    let folder = tempfile::tempdir().unwrap();
    let vault = VaultOptions::new().create(folder.path().join("vault"), KeyManager::generate().unwrap()).unwrap();
    let request = || CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap();
    let id = token(vault.create_pci(request()).unwrap()).id;
    let said = said_in_a_fork(|| {
        let start = Instant::now();
        let refused = [
            vault.create_pci(request()).unwrap_err(),
            vault.pci(id).unwrap_err(),
            vault.stats().unwrap_err(),
            vault.close().unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.kind() == ErrorKind::Unavailable));
        assert!(start.elapsed() < Duration::from_secs(5), "nobody waits for threads that a fork has not");
        refused.map(|error| error.message().to_owned()).join("\n")
    });
    assert!(said.lines().all(|line| line.ends_with("close it before a fork, and open it afterwards")), "{said}");
    assert_eq!(said.lines().count(), 4);
    vault.create_pci(request()).unwrap();
    assert_eq!(vault.stats().unwrap().pci_tokens, 2);
    vault.close().unwrap();
}

#[cfg(feature = "sled")]
fn a_child_waits_for_no_sweeper_of_its_parent() {
    use std::thread;
    use std::time::Duration;
    use tokenvault::{KeyManager, VaultOptions};

    let folder = tempfile::tempdir().unwrap();
    let vault = VaultOptions::new().create(folder.path().join("vault"), KeyManager::generate().unwrap()).unwrap();
    let sweeper = vault.start_sweeper(Duration::from_hours(1)).unwrap();
    while sweeper.last().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(10));
    let said = said_in_a_fork(|| vault.close().unwrap_err().message().to_owned());
    assert!(said.ends_with("close it before a fork, and open it afterwards"), "{said}");
    drop(sweeper);
    vault.close().unwrap();
}

fn children_and_parents_draw_bytes_of_their_own() {
    let (vault, _) = vault();
    let mut all = ids(&vault);
    for _ in 0..2 {
        all += &said_in_a_fork(|| {
            let before = ids(&vault);
            let of_child = said_in_a_fork(|| ids(&vault));
            [before, of_child, ids(&vault)].concat()
        });
    }
    all += &ids(&vault);
    let (ids, rest) = all.as_bytes().as_chunks::<ID>();
    assert_eq!((ids.len(), rest.len()), (MANY * 8, 0));
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}
