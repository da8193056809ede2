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

/// Keeps what was sealed, in one commit. What a condition of its own speaks against is left out, and the rest kept.
fn keep_all<T>(shared: &Shared, mut group: Vec<Result<(Sealed, T), Error>>) -> VecDeque<Result<T, Error>> {
    let failure = loop {
        let (batch, conditions) = batch(&group);
        match if batch.is_empty() { Ok(Committed::Applied) } else { shared.store.commit(batch) } {
            Ok(Committed::Applied) => break None,
            Ok(Committed::Refused { condition, .. }) => {
                let refused = conditions.get(condition).and_then(|(at, own)| Some((group.get_mut(*at)?, *own)));
                let Some((entry, own)) = refused else {
                    break Some(Error::store_failure("the store refused a condition that it was not given"));
                };
                if let Ok((sealed, _)) = entry {
                    *entry = Err(shared.refusal(own, sealed.type_id()));
                }
            }
            Err(failure) => break Some(failure),
        }
    };
    let answer = |(sealed, answer)| match &failure {
        None => {
            shared.stands(sealed);
            Ok(answer)
        }
        Some(failure) => Err(failure.clone()),
    };
    group.into_iter().map(|entry| entry.and_then(answer)).collect()
}

/// The commit of a group, and for each of its conditions the entry whose it is and which of that one's.
fn batch<T>(group: &[Result<(Sealed, T), Error>]) -> (Batch, Vec<(usize, usize)>) {
    let (mut batch, mut conditions) = (Batch::new(), Vec::new());
    for (at, entry) in group.iter().enumerate() {
        let Ok((sealed, _)) = entry else { continue };
        let before = batch.conditions().len();
        batch = sealed.copy().create_into(batch);
        conditions.extend((0..batch.conditions().len() - before).map(|own| (at, own)));
    }
    (batch, conditions)
}
