//! How a request becomes a record: planned by what stands now, kept in one commit on condition that it still stands so, and
//! planned anew if it does not. A read only guesses; the conditions decide.

use uuid::Uuid;

use crate::error::Error;
use crate::id::SessionId;
use crate::record::{Header, Kind};
use crate::response::EventReason;
use crate::store::Batch;
use crate::vault::caller::Caller;
use crate::vault::event::Change;
use crate::vault::replay::Claim;
use crate::vault::sealed::Sealed;
use crate::vault::standing::{Standing, Viewed};

/// What makes one record of a request that has been checked.
pub(super) trait Creation: Sized {
    type Answer;

    /// Decides what is to be done, by what stands now.
    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error>;

    /// Words the answer of what has been made.
    fn made(self, caller: &Caller<'_>, id: Uuid, header: &Header) -> Result<Self::Answer, Error>;

    /// Words the answer of what stood already.
    fn found(self, caller: &Caller<'_>, viewed: &Viewed) -> Result<Self::Answer, Error>;
}

/// What is to be done, with conditions and writes beside it.
pub(super) struct Plan {
    pub(super) deed: Deed,
    pub(super) beside: Batch,
    /// A session that is completed by it.
    pub(super) completes: Option<SessionId>,
}

impl Plan {
    pub(super) fn of(deed: Deed, beside: Batch) -> Self {
        Self { deed, beside, completes: None }
    }
}

/// What is done to the record that is asked for.
pub(super) enum Deed {
    /// A new record.
    Make(Sealed),
    /// A record in the place of that one.
    Replace(Standing, Sealed),
    /// Nothing: this one is what is asked for.
    Stand(Standing),
}

impl Deed {
    /// The id of the record.
    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::Make(sealed) | Self::Replace(_, sealed) => sealed.id,
            Self::Stand(standing) => standing.viewed.id,
        }
    }
}

/// What is left to do for a request.
pub(super) enum Step {
    /// A commit.
    Commit(Pending),
    /// Nothing but the answer.
    Answer(Viewed),
}

/// A commit that is not yet made, and what it will have done.
pub(super) struct Pending {
    pub(super) batch: Batch,
    /// How many bytes of records it writes, about.
    pub(super) bytes: usize,
    pub(super) outcome: Outcome,
    pub(super) completes: Option<SessionId>,
}

impl Pending {
    /// Whether it may be refused, since somebody else has got ahead.
    pub(super) fn is_conditional(&self) -> bool {
        !self.batch.conditions().is_empty()
    }
}

/// What has been done once a commit is made.
pub(super) enum Outcome {
    Made(Change, Uuid, Header),
    Found(Viewed),
}

impl Caller<'_> {
    /// Does what a request asks for.
    pub(super) fn create<C: Creation>(&self, mut claim: Option<Claim>, mut creation: C) -> Result<C::Answer, Error> {
        let (outcome, completes) = self.until_settled(|| {
            let Pending { batch, outcome, completes, .. } = match self.step(claim.as_mut(), &mut creation)? {
                Step::Answer(viewed) => return Ok(Some((Outcome::Found(viewed), None))),
                Step::Commit(pending) => pending,
            };
            let done = self.commit_for(batch, (outcome, completes))?;
            if done.is_some() {
                self.keep_staked(claim.as_ref());
            }
            Ok(done)
        })?;
        self.finish(creation, outcome, completes)
    }

    /// Plans what is left to do.
    pub(super) fn step(&self, mut claim: Option<&mut Claim>, creation: &mut impl Creation) -> Result<Step, Error> {
        if let Some(found) = claim.as_deref_mut().map(|claim| self.replayed(claim)).transpose()?.flatten() {
            return Ok(Step::Answer(found));
        }
        let Plan { deed, beside: mut batch, completes } = match creation.plan(self) {
            Ok(plan) => plan,
            // What is in the way may be what the same request has done since.
            Err(refused) => {
                let found = claim.map(|claim| self.replayed(claim)).transpose()?.flatten();
                return found.map(Step::Answer).ok_or(refused);
            }
        };
        let is_alone = claim.is_none() && batch.is_empty();
        let mut bytes = 0;
        let outcome = match deed {
            Deed::Make(mut sealed) => {
                bytes = sealed.bytes();
                batch = sealed.insert_into(batch);
                Outcome::Made(Change::Created, sealed.id, sealed.header)
            }
            Deed::Replace(old, mut sealed) => {
                bytes = sealed.bytes();
                batch = sealed.put_in_place_of(old, batch);
                Outcome::Made(Change::Updated, sealed.id, sealed.header)
            }
            Deed::Stand(standing) if is_alone => return Ok(Step::Answer(standing.viewed)),
            Deed::Stand(standing) => {
                batch = standing.require_in(batch);
                Outcome::Found(standing.viewed)
            }
        };
        if let Some(claim) = claim {
            batch = self.stake(claim, outcome.target(), batch);
        }
        Ok(Step::Commit(Pending { batch, bytes, outcome, completes }))
    }

    /// Does what comes behind the commit, and words the answer.
    pub(super) fn finish<C: Creation>(
        &self,
        creation: C,
        outcome: Outcome,
        completes: Option<SessionId>,
    ) -> Result<C::Answer, Error> {
        let answer = match outcome {
            Outcome::Made(change, id, header) => {
                if change == Change::Updated {
                    self.limit_code(header.kind, id, header.expires_at);
                }
                // Whoever hears of it finds everything in its place.
                let answer = creation.made(self, id, &header);
                self.tell(header.kind, id, change, EventReason::Request);
                answer
            }
            Outcome::Found(viewed) => creation.found(self, &viewed),
        };
        if let Some(session) = completes {
            self.completed(session);
        }
        answer
    }

    /// Tells that a session was completed.
    pub(super) fn completed(&self, id: SessionId) {
        self.tell(Kind::Session, id.into(), Change::Completed, EventReason::Request);
    }
}

impl Outcome {
    /// The record that it is about.
    fn target(&self) -> (Kind, Uuid) {
        match self {
            Self::Made(_, id, header) => (header.kind, *id),
            Self::Found(viewed) => (viewed.header.kind, viewed.id),
        }
    }
}
