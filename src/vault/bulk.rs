//! Many creations that share syncs.

use std::collections::VecDeque;

use crate::error::Error;
use crate::store::{Batch, Committed};
use crate::vault::Shared;
use crate::vault::entry::{COMMIT_BYTES, Sealed};

/// At most so many tokens in one commit: enough to make the sync cheap.
const GROUP: usize = 256;

/// How a request becomes a sealed record and an answer.
type Prepare<Q, T> = fn(&Shared, Q) -> Result<(Sealed, T), Error>;

/// Creates in groups: pulls as many requests as make a group, commits them as one, then hands out their results in order.
pub(super) fn create<Q, T>(
    shared: &Shared,
    requests: impl Iterator<Item = Result<Q, Error>>,
    prepare: Prepare<Q, T>,
) -> impl Iterator<Item = Result<T, Error>> {
    let mut requests = requests.fuse();
    let mut results = VecDeque::new();
    std::iter::from_fn(move || {
        if results.is_empty() {
            let prepare = |request: Result<Q, Error>| request.and_then(|request| prepare(shared, request));
            results = keep_all(shared, group(requests.by_ref().map(prepare)));
        }
        results.pop_front()
    })
}

/// The next group, as large as it may be.
fn group<T>(prepared: impl Iterator<Item = Result<(Sealed, T), Error>>) -> Vec<Result<(Sealed, T), Error>> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    for prepared in prepared {
        bytes += prepared.as_ref().map_or(0, |(sealed, _)| sealed.bytes());
        group.push(prepared);
        if group.len() == GROUP || bytes >= COMMIT_BYTES {
            break;
        }
    }
    group
}

/// Keeps what was sealed, in one commit.
fn keep_all<T>(shared: &Shared, group: Vec<Result<(Sealed, T), Error>>) -> VecDeque<Result<T, Error>> {
    let (mut batch, mut answers, mut kept) = (Batch::new(), VecDeque::with_capacity(group.len()), Vec::new());
    for prepared in group {
        answers.push_back(prepared.map(|(mut sealed, answer)| {
            batch = sealed.create_into(std::mem::take(&mut batch));
            kept.push(sealed);
            answer
        }));
    }
    let failure = match if batch.is_empty() { Ok(Committed::Applied) } else { shared.store.commit(batch) } {
        Ok(Committed::Applied) => {
            for sealed in kept {
                shared.stands(sealed);
            }
            return answers;
        }
        Ok(Committed::Refused { .. }) => Error::conflict("an id is taken"),
        Err(failure) => failure,
    };
    answers.into_iter().map(|answer| answer.and(Err(failure.clone()))).collect()
}
