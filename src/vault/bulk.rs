//! Many creations that share syncs.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

use uuid::Uuid;

use crate::error::Error;
use crate::store::{Batch, Committed, Condition, Table, Write};
use crate::vault::Shared;
use crate::vault::creation::{Creation, Outcome, Pending, Step, id_taken};
use crate::vault::replay::Claim;
use crate::vault::sealed::COMMIT_BYTES;

/// At most so many tokens in one commit: enough to make the sync cheap.
const GROUP: usize = 256;

/// How a request becomes a claim, if it has an idempotency key, and what makes a record of it.
type Prepare<Q, C> = fn(&Shared, Q) -> Result<(Option<Claim>, C), Error>;

/// Creates in groups: pulls as many requests as make a group, commits them as one, then hands out their results in order.
pub(super) fn create<Q, C: Creation>(
    shared: &Shared,
    requests: impl Iterator<Item = Result<Q, Error>>,
    prepare: Prepare<Q, C>,
) -> impl Iterator<Item = Result<C::Answer, Error>> {
    let mut requests = requests.fuse().map(move |request| request.and_then(|request| prepare(shared, request)));
    let (mut results, mut left) = (VecDeque::new(), None);
    std::iter::from_fn(move || {
        if results.is_empty() {
            let mut group = Group::default();
            while !group.is_full() {
                let Some(next) = left.take().or_else(|| requests.next()) else { break };
                left = group.add(shared, next).map(Ok);
                if left.is_some() {
                    break;
                }
            }
            results = group.keep(shared);
        }
        results.pop_front()
    })
}

/// Requests that share a commit, each with its place among the results.
struct Group<C: Creation> {
    results: Vec<Option<Result<C::Answer, Error>>>,
    members: Vec<Member<C>>,
    /// Where somebody else got ahead: judged alone, when the others are kept.
    behind: Vec<(usize, Option<Claim>, C)>,
    bytes: usize,
    /// What the members write, once one of them depends on more than that its id is free.
    written: Option<BTreeSet<(Table, Vec<u8>)>>,
}

struct Member<C> {
    place: usize,
    claim: Option<Claim>,
    creation: C,
    pending: Pending,
    /// Whether somebody has got ahead of it.
    was_refused: bool,
}

impl<C: Creation> Default for Group<C> {
    fn default() -> Self {
        Self { results: Vec::new(), members: Vec::new(), behind: Vec::new(), bytes: 0, written: None }
    }
}

impl<C: Creation> Group<C> {
    fn is_full(&self) -> bool {
        self.results.len() == GROUP || self.bytes >= COMMIT_BYTES
    }

    /// Takes in the next request, or gives it back if what it asks for depends on what the group writes.
    fn add(&mut self, shared: &Shared, prepared: Result<(Option<Claim>, C), Error>) -> Option<(Option<Claim>, C)> {
        let place = self.results.len();
        let planned = prepared.and_then(|(mut claim, mut creation)| {
            let step = shared.step(claim.as_mut(), &mut creation)?;
            Ok((claim, creation, step))
        });
        let result = match planned {
            Err(refused) => Some(Err(refused)),
            // A member puts another in its place.
            Ok((claim, creation, Step::Answer(viewed))) if self.makes(viewed.id) => return Some((claim, creation)),
            Ok((_, creation, Step::Answer(viewed))) => Some(creation.found(shared, &viewed)),
            Ok((claim, creation, Step::Commit(pending))) => {
                if self.depends_on(&pending) {
                    return Some((claim, creation));
                }
                self.admit(Member { place, claim, creation, pending, was_refused: false });
                None
            }
        };
        self.results.push(result);
        None
    }

    fn admit(&mut self, member: Member<C>) {
        self.bytes += member.pending.bytes;
        if let Some(written) = &mut self.written {
            written.extend(rows(&member.pending.batch));
        }
        self.members.push(member);
    }

    /// Whether a member makes or changes a record.
    fn makes(&self, id: Uuid) -> bool {
        self.members.iter().any(|member| matches!(&member.pending.outcome, Outcome::Made(_, made, _) if *made == id))
    }

    /// Whether a commit has a condition on what a member writes: the conditions of one commit are judged before its writes.
    fn depends_on(&mut self, pending: &Pending) -> bool {
        if !pending.is_conditional {
            return false;
        }
        let members = &self.members;
        let written =
            self.written.get_or_insert_with(|| members.iter().flat_map(|member| rows(&member.pending.batch)).collect());
        pending.batch.conditions().iter().any(|condition| match condition {
            Condition::Absent(table, key) | Condition::Value(table, key, _) => written.contains(&(*table, key.clone())),
            Condition::EmptyRange(table, from, to) => {
                let range = (Bound::Included((*table, from.clone())), Bound::Excluded((*table, to.clone())));
                from < to && written.range(range).next().is_some()
            }
        })
    }

    /// Commits, and gives the results. A member whose condition does not hold is judged alone and harms no other.
    fn keep(mut self, shared: &Shared) -> VecDeque<Result<C::Answer, Error>> {
        let committed = self.commit(shared);
        for Member { place, creation, pending, .. } in self.members {
            let result = match &committed {
                Ok(()) => shared.finish(creation, pending.outcome, pending.completes),
                Err(failure) => Err(failure.clone()),
            };
            set(&mut self.results, place, result);
        }
        for (place, claim, creation) in self.behind {
            set(&mut self.results, place, shared.create(claim, creation));
        }
        self.results.into_iter().flatten().collect()
    }

    fn commit(&mut self, shared: &Shared) -> Result<(), Error> {
        while !self.members.is_empty() {
            // Without a condition that may fail nothing is tried twice, and so nothing need be copied.
            let again = self.members.iter().any(|member| member.pending.is_conditional);
            let take =
                |pending: &mut Pending| if again { pending.batch.clone() } else { std::mem::take(&mut pending.batch) };
            let batch = self.members.iter_mut().map(|member| take(&mut member.pending)).fold(Batch::new(), Batch::join);
            match shared.store.commit(batch)? {
                Committed::Applied => return Ok(()),
                Committed::Refused { condition, .. } if again => {
                    self.refuse(condition)?;
                    self.plan_again(shared);
                }
                Committed::Refused { .. } => return Err(id_taken()),
            }
        }
        Ok(())
    }

    /// Notes that the member that has a condition was refused, and takes it out the second time: it may hold the others up no
    /// longer.
    fn refuse(&mut self, condition: usize) -> Result<(), Error> {
        let mut conditions = 0;
        let at = self.members.iter().position(|member| {
            conditions += member.pending.batch.conditions().len();
            condition < conditions
        });
        let at = at.ok_or_else(|| Error::store_failure("the store refused a condition that it was not given"))?;
        let was_refused = self.members.get_mut(at).map(|member| std::mem::replace(&mut member.was_refused, true));
        if was_refused == Some(true) {
            let Member { place, claim, creation, .. } = self.members.remove(at);
            self.behind.push((place, claim, creation));
        }
        Ok(())
    }

    /// Whoever got ahead of one may have got ahead of others: one look at each is cheaper than a commit for each.
    fn plan_again(&mut self, shared: &Shared) {
        self.written = None;
        for mut member in std::mem::take(&mut self.members) {
            if !member.pending.is_conditional {
                self.admit(member);
                continue;
            }
            match shared.step(member.claim.as_mut(), &mut member.creation) {
                Ok(Step::Commit(pending)) if !self.depends_on(&pending) => self.admit(Member { pending, ..member }),
                Ok(Step::Answer(viewed)) if !self.makes(viewed.id) => {
                    set(&mut self.results, member.place, member.creation.found(shared, &viewed));
                }
                // What the group writes may be what it asks for.
                Ok(_) => self.behind.push((member.place, member.claim, member.creation)),
                Err(refused) => set(&mut self.results, member.place, Err(refused)),
            }
        }
    }
}

fn set<T>(results: &mut [Option<T>], place: usize, result: T) {
    if let Some(slot) = results.get_mut(place) {
        *slot = Some(result);
    }
}

/// The rows that a batch writes.
fn rows(batch: &Batch) -> impl Iterator<Item = (Table, Vec<u8>)> {
    batch.writes().iter().map(|write| match write {
        Write::Put(table, key, _) | Write::Remove(table, key) => (*table, key.clone()),
    })
}
