//! Many creations that share syncs.

use std::collections::VecDeque;

use crate::error::Error;
use crate::store::{Batch, Committed};
use crate::vault::Shared;
use crate::vault::entry::Sealed;

/// At most so many tokens in one commit: enough to make the sync cheap, few enough to stay small in memory.
const GROUP: usize = 256;

/// How a request becomes a sealed record and an answer.
type Prepare<Q, T> = fn(&Shared, Q) -> Result<(Sealed, T), Error>;

/// Creates in groups: pulls up to [`GROUP`] requests, commits them as one, then hands out their results in order.
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
            results = keep_all(shared, requests.by_ref().take(GROUP).map(prepare).collect());
        }
        results.pop_front()
    })
}

/// Keeps what was sealed, in one commit.
fn keep_all<T>(shared: &Shared, group: Vec<Result<(Sealed, T), Error>>) -> VecDeque<Result<T, Error>> {
    let (mut batch, mut answers) = (Batch::new(), VecDeque::with_capacity(group.len()));
    for prepared in group {
        answers.push_back(prepared.map(|(sealed, answer)| {
            batch = sealed.put_into(std::mem::take(&mut batch));
            answer
        }));
    }
    let failure = match if batch.is_empty() { Ok(Committed::Applied) } else { shared.store.commit(batch) } {
        Ok(Committed::Applied) => return answers,
        Ok(Committed::Refused { .. }) => Error::conflict("an id is taken"),
        Err(failure) => failure,
    };
    answers.into_iter().map(|answer| answer.and(Err(failure.clone()))).collect()
}
