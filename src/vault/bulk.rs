//! Many creations that share syncs.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::ops::Bound;

use uuid::Uuid;

use crate::access::Operation;
use crate::error::Error;
use crate::store::{Batch, Committed, Condition, Table, Write};
use crate::vault::caller::{About, Caller};
use crate::vault::creation::{Creation, Outcome, Pending, Step};
use crate::vault::event::Change;
use crate::vault::fingerprint::{fingerprint_key, others_of_card};
use crate::vault::replay::Claim;
use crate::vault::sealed::COMMIT_BYTES;

/// At most so many tokens in one commit: enough to make the sync cheap.
const GROUP: usize = 256;

/// How a request becomes a claim, if it has an idempotency key, and what makes a record of it.
type Prepare<Q, C> = fn(&Caller<'_>, Q) -> Result<(Option<Claim>, C), Error>;

/// A request on its way: refused already, or ready to be planned.
type Prepared<C> = Result<(Option<Claim>, C), Error>;

/// Creates in groups: pulls as many requests as make a group, commits them as one, then hands out their results in order.
pub(super) fn create<Q, C: Creation>(
    caller: Caller<'_>,
    operation: Operation,
    id_of: fn(&C::Answer) -> &dyn Display,
    requests: impl Iterator<Item = Result<Q, Error>>,
    prepare: Prepare<Q, C>,
) -> impl Iterator<Item = Result<C::Answer, Error>> {
    let ready = move |request: Result<Q, Error>| {
        // Each is an operation of its own.
        caller.authorize(operation.scope())?;
        prepare(&caller, request?)
    };
    let mut requests = requests.fuse().map(ready);
    let (mut results, mut left) = (VecDeque::new(), VecDeque::new());
    std::iter::from_fn(move || {
        if results.is_empty() {
            let mut group = Group::default();
            while !group.is_full() {
                // Whoever was given back is asked again by what right it is there.
                let again =
                    |next: Prepared<C>| next.and_then(|next| caller.authorize(operation.scope()).map(|()| next));
                let Some(next) = left.pop_front().map(again).or_else(|| requests.next()) else { break };
                if let Some(next) = group.add(&caller, next) {
                    left.push_front(next);
                    break;
                }
            }
            results = group.keep(&caller, &mut left);
            // All of them are done, whether anybody asks for their results or not.
            for done in &results {
                caller.trail(operation, About::Answer(id_of), done);
            }
        }
        results.pop_front()
    })
}

/// Requests that share a commit, in order. What each comes to is as if those before it were done: one that depends on what they
/// write waits for the next group, and so does everything behind it.
struct Group<C: Creation> {
    members: Vec<Member<C>>,
    bytes: usize,
    /// What the members write, once one of them depends on more than that its id is free.
    written: Option<BTreeSet<(Table, Vec<u8>)>>,
}

/// A request of a group.
#[expect(clippy::large_enum_variant, reason = "few are refused")]
enum Member<C> {
    Refused(Error),
    Planned {
        claim: Option<Claim>,
        creation: C,
        step: Step,
        /// Whether somebody has got ahead of it.
        was_refused: bool,
    },
}

impl<C: Creation> Default for Group<C> {
    fn default() -> Self {
        Self { members: Vec::new(), bytes: 0, written: None }
    }
}

impl<C: Creation> Group<C> {
    fn is_full(&self) -> bool {
        self.members.len() == GROUP || self.bytes >= COMMIT_BYTES
    }

    /// Takes in the next request, or gives it back if what it asks for depends on what the group writes.
    fn add(&mut self, caller: &Caller<'_>, prepared: Prepared<C>) -> Option<Prepared<C>> {
        let planned = prepared.and_then(|(mut claim, mut creation)| {
            let step = caller.step(claim.as_mut(), &mut creation)?;
            Ok(Member::Planned { claim, creation, step, was_refused: false })
        });
        let member = planned.unwrap_or_else(Member::Refused);
        if self.depends_on(&member) {
            return Some(member.into_prepared());
        }
        self.admit(member);
        None
    }

    fn admit(&mut self, member: Member<C>) {
        if let Some(pending) = member.pending() {
            self.bytes += pending.bytes;
            if let Some(written) = &mut self.written {
                written.extend(rows(&pending.batch));
            }
        }
        self.members.push(member);
    }

    /// Whether what a request comes to depends on what the group writes: the conditions of one commit are judged before its
    /// writes.
    fn depends_on(&mut self, member: &Member<C>) -> bool {
        let Member::Planned { step, .. } = member else { return false };
        // A token of the same card that a member makes may be the older one: the smaller id decides within a millisecond.
        if row_of_card(step).is_some_and(|row| self.writes_what(&[others_of_card(&row)])) {
            return true;
        }
        match step {
            Step::Answer(viewed) => self.makes(viewed.id),
            Step::Commit(pending) => pending.is_conditional() && self.writes_what(pending.batch.conditions()),
        }
    }

    /// Whether a member makes or changes a record.
    fn makes(&self, id: Uuid) -> bool {
        let mut pending = self.members.iter().filter_map(Member::pending);
        pending.any(|pending| matches!(&pending.outcome, Outcome::Made(_, made, _) if *made == id))
    }

    /// Whether a member writes what one of these conditions is about.
    fn writes_what(&mut self, conditions: &[Condition]) -> bool {
        let pending = self.members.iter().filter_map(Member::pending);
        let written = self.written.get_or_insert_with(|| pending.flat_map(|pending| rows(&pending.batch)).collect());
        conditions.iter().any(|condition| match condition {
            Condition::Absent(table, key) | Condition::Value(table, key, _) => written.contains(&(*table, key.clone())),
            Condition::EmptyRange(table, from, to) => {
                let range = (Bound::Included((*table, from.clone())), Bound::Excluded((*table, to.clone())));
                from < to && written.range(range).next().is_some()
            }
        })
    }

    /// Commits, and gives the results, in order, of as many as could be done; the others go back to the front of what is left.
    fn keep(mut self, caller: &Caller<'_>, left: &mut VecDeque<Prepared<C>>) -> VecDeque<Result<C::Answer, Error>> {
        let committed = self.commit(caller, left);
        let finish = |member: Member<C>| match (member, &committed) {
            (Member::Refused(refused), _) => Err(refused),
            (Member::Planned { claim, creation, .. }, Ok(Kept::Alone)) => caller.create(claim, creation),
            (Member::Planned { creation, step: Step::Answer(viewed), .. }, _) => creation.found(caller, &viewed),
            (Member::Planned { claim, creation, step: Step::Commit(pending), .. }, Ok(Kept::Together)) => {
                caller.keep_staked(claim.as_ref());
                caller.finish(creation, pending.outcome, pending.completes)
            }
            (Member::Planned { .. }, Err(failure)) => Err(failure.clone()),
        };
        self.members.into_iter().map(finish).collect()
    }

    fn commit(&mut self, caller: &Caller<'_>, left: &mut VecDeque<Prepared<C>>) -> Result<Kept, Error> {
        loop {
            // Without a condition that may fail nothing is tried twice, and so nothing need be copied.
            let again = self.members.iter().filter_map(Member::pending).any(Pending::is_conditional);
            let take =
                |pending: &mut Pending| if again { pending.batch.clone() } else { std::mem::take(&mut pending.batch) };
            let batches = self.members.iter_mut().filter_map(Member::pending_mut).map(take);
            let Some(batch) = batches.reduce(Batch::join) else { return Ok(Kept::Together) };
            match caller.commit(batch)? {
                Committed::Applied => return Ok(Kept::Together),
                Committed::Refused { condition, .. } if again => match self.refuse(condition)? {
                    Some(0) => {
                        // It holds up no others any longer, and nor do they it.
                        self.give_back(1, left);
                        return Ok(Kept::Alone);
                    }
                    Some(at) => self.give_back(at, left),
                    None => self.plan_again(caller, left),
                },
                Committed::Refused { .. } => {
                    return Err(Error::store_failure("the store has refused a commit without conditions"));
                }
            }
        }
    }

    /// Notes that the member that has a condition was refused; answers where it stands if it was not the first time.
    fn refuse(&mut self, condition: usize) -> Result<Option<usize>, Error> {
        let mut conditions = 0;
        let at = self.members.iter().position(|member| {
            conditions += member.pending().map_or(0, |pending| pending.batch.conditions().len());
            condition < conditions
        });
        let Some((at, Member::Planned { was_refused, .. })) = at.and_then(|at| Some((at, self.members.get_mut(at)?)))
        else {
            return Err(Error::store_failure("the store refused a condition that it was not given"));
        };
        Ok(std::mem::replace(was_refused, true).then_some(at))
    }

    /// Puts the members from one on back to the front of what is left.
    fn give_back(&mut self, from: usize, left: &mut VecDeque<Prepared<C>>) {
        let tail = self.members.split_off(from.min(self.members.len()));
        tail.into_iter().rev().for_each(|member| left.push_front(member.into_prepared()));
    }

    /// Whoever got ahead of one may have got ahead of others: one look at each is cheaper than a commit for each.
    fn plan_again(&mut self, caller: &Caller<'_>, left: &mut VecDeque<Prepared<C>>) {
        (self.written, self.bytes) = (None, 0);
        let mut members = std::mem::take(&mut self.members).into_iter();
        while let Some(member) = members.next() {
            let member = member.planned_again(caller);
            if self.depends_on(&member) {
                let tail = std::iter::once(member).chain(members).map(Member::into_prepared);
                tail.collect::<Vec<_>>().into_iter().rev().for_each(|prepared| left.push_front(prepared));
                return;
            }
            self.admit(member);
        }
    }
}

/// How the members of a group were kept.
enum Kept {
    /// In one commit.
    Together,
    /// There is one left, which somebody always gets ahead of: it is done by itself.
    Alone,
}

impl<C: Creation> Member<C> {
    fn pending(&self) -> Option<&Pending> {
        match self {
            Self::Planned { step: Step::Commit(pending), .. } => Some(pending),
            Self::Planned { step: Step::Answer(_), .. } | Self::Refused(_) => None,
        }
    }

    fn pending_mut(&mut self) -> Option<&mut Pending> {
        match self {
            Self::Planned { step: Step::Commit(pending), .. } => Some(pending),
            Self::Planned { step: Step::Answer(_), .. } | Self::Refused(_) => None,
        }
    }

    fn into_prepared(self) -> Prepared<C> {
        match self {
            Self::Planned { claim, creation, .. } => Ok((claim, creation)),
            Self::Refused(refused) => Err(refused),
        }
    }

    /// The same by what stands now, if it depends on that.
    fn planned_again(self, caller: &Caller<'_>) -> Self {
        match self {
            Self::Planned { mut claim, mut creation, step, was_refused } => {
                let is_alone = matches!(&step, Step::Commit(pending) if !pending.is_conditional());
                let step = if is_alone { Ok(step) } else { caller.step(claim.as_mut(), &mut creation) };
                step.map_or_else(Self::Refused, |step| Self::Planned { claim, creation, step, was_refused })
            }
            Self::Refused(refused) => Self::Refused(refused),
        }
    }
}

/// The row of the fingerprint by which a token that stood already was found, or may have been.
fn row_of_card(step: &Step) -> Option<Vec<u8>> {
    match step {
        Step::Answer(viewed) | Step::Commit(Pending { outcome: Outcome::Found(viewed), .. }) => {
            viewed.fingerprint().map(|fingerprint| fingerprint_key(&fingerprint, &viewed.header, viewed.id))
        }
        Step::Commit(Pending { outcome: Outcome::Made(Change::Updated, ..), batch, .. }) => {
            rows(batch).find(|(table, _)| *table == Table::Fingerprint).map(|(_, row)| row)
        }
        Step::Commit(_) => None,
    }
}

/// The rows that a batch writes.
fn rows(batch: &Batch) -> impl Iterator<Item = (Table, Vec<u8>)> {
    batch.writes().iter().map(|write| match write {
        Write::Put(table, key, _) | Write::Insert(table, key, _) | Write::Remove(table, key) => (*table, key.clone()),
    })
}
