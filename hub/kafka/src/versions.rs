//! Hubs of two releases on one log.
//!
//! A hub reads all versions of records up to the newest that it knows, and writes the oldest until all members of the group
//! know a newer one. Then it says so in its record of life, as the member that it was when it looked: if anybody has joined
//! since, that is refused. Whoever joins looks at the lives after its first assignment and before its first term. So either
//! the older hub is seen, or it sees that it has come too late, and ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_backbone::Error;
use tokio::sync::{mpsc, oneshot};

use crate::epochs::{self, Lives, Said};
use crate::fence;
use crate::keeper::await_answer;
use crate::shared::Shared;
use crate::wire::NEWEST;
use crate::work::Job;

/// How often it is looked whether all know a newer version.
const EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Versions {
    looked: Option<Instant>,
}

/// Whether the store is for this hub: one that knows only older versions must look.
pub(crate) fn fits(shared: &Shared) -> Result<bool, Error> {
    if shared.knows() == NEWEST {
        return Ok(true);
    }
    let fits = lives(shared, shared.terms.number())?.check(shared.knows());
    Ok(fits.inspect_err(|error| shared.fail(error.clone())).is_ok())
}

impl Versions {
    /// Writes the newest version from now on, if all members of the group know it. Looks every few seconds only.
    pub(crate) fn raise_if_all_know(&mut self, shared: &Arc<Shared>, jobs: &mpsc::Sender<Job>) {
        let early = self.looked.is_some_and(|looked| looked.elapsed() < EVERY);
        if early || shared.hand().version >= shared.knows() {
            return;
        }
        self.looked = Some(Instant::now());
        match raise(shared, jobs) {
            Ok(true) => {
                shared.write_version(shared.knows());
                tracing::info!(target: "kafka", "all hubs know records of version {0}: they are written from now on", shared.knows());
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(target: "kafka", "whether all hubs know the newest version: {error}"),
        }
    }
}

fn raise(shared: &Shared, jobs: &mpsc::Sender<Job>) -> Result<bool, Error> {
    let Some(member) = shared.terms.standing().member else { return Ok(false) };
    let (members, lives) = (fence::members(shared)?, lives(shared, member.number)?);
    if !members.contains(&shared.settings.transactional_id)
        || !members.iter().all(|hub| lives.known_by(hub) >= Some(shared.knows()))
    {
        return Ok(false);
    }
    let Some(said) = lives.said(&shared.epoch) else { return Ok(false) };
    let record =
        epochs::record(shared.names.epochs(), &shared.epoch, &Said { format: shared.knows(), ..said.clone() })?;
    let (ack, answer) = oneshot::channel();
    let number = member.number;
    jobs.blocking_send(Job::Raise(member, record, ack)).map_err(|_| shared.failure())?;
    await_answer(shared, number, answer)?
}

/// The lives that are known now, if the assignment with this number is still the newest by then.
fn lives(shared: &Shared, number: u64) -> Result<Lives, Error> {
    let (stopped, wait) = (|| shared.stopped() || shared.terms.number() != number, || {});
    shared.restore(&stopped, &wait)?.lives().map(|(lives, _)| lives)
}
