//! Promise: whatever is done in whatever order, a vault answers as sorted maps would, in memory and on disk, reopened or not,
//! with a clock that goes on or back.
//!
//! The model keeps, of each token, session, security code and idempotency key, what was asked for, and writes the JSON of the
//! answers from that. What has expired stays in it until somebody asks or sweeps, so that the counts of the vault are held to it
//! as well. Callers who hold credentials have a model of their own (`access`). Left to others: schemas (`types.rs`), events, a
//! clock that leaps (`clock.rs`), and many threads.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod access;
#[path = "../common/mod.rs"]
mod common;
mod creation;
mod held;
mod sessions;
mod step;
mod tokens;
mod twin;
mod types;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use tokenvault::{Fingerprints, Vault, VaultOptions};

use common::keys;
use common::shared::Shared;
use step::{Step, step};
use twin::Twin;

fn agree(
    open: &dyn Fn(VaultOptions) -> Vault,
    fingerprints: Fingerprints,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut twin = Twin::begin(open, fingerprints);
    steps.into_iter().try_for_each(|step| twin.take(step))
}

/// What a vault is opened with at first: those that keep none may begin later.
fn fingerprints() -> impl Strategy<Value = Fingerprints> {
    select(vec![Fingerprints::On, Fingerprints::On, Fingerprints::Off])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_vault_in_memory_answers_as_the_model(
        fingerprints in fingerprints(),
        steps in prop::collection::vec(step(), 1..70),
    ) {
        let shared = Shared::default();
        agree(&|options| options.open_with(shared.clone(), keys()).unwrap(), fingerprints, steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_caller_is_answered_by_what_it_may_and_what_it_owns(steps in prop::collection::vec(access::step(), 1..70)) {
        access::agree(steps)?;
    }
}

#[cfg(feature = "sled")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_vault_on_disk_answers_as_the_model(
        fingerprints in fingerprints(),
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        agree(&|options| options.open_or_create(&path, keys()).unwrap(), fingerprints, steps)?;
    }
}
