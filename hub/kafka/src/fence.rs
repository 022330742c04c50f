//! Ends the open transactions of hubs that are gone.
//!
//! A dead hub's open transaction hides what stands behind it until the cluster times it out. Taking its `transactional.id` for
//! a moment ends it at once. It is done only to hubs that are not members of the group now. One that is alive all the same,
//! behind a cut or just starting, makes its producer anew (`revive`): nothing is lost by it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hub_backbone::Error;
use rdkafka::consumer::Consumer;
use rdkafka::producer::Producer;

use crate::client::{self, STEP, io};
use crate::shared::Shared;

/// How long what was ended has to be gone.
const PAUSE: Duration = Duration::from_secs(2);

/// Ends what hubs that are not in the group have left open. What cannot be done is said, and waited for. Of many that ask at
/// once, one does it.
pub(crate) fn end_the_dead(shared: &Shared) {
    let Ok(mut ended) = shared.ended_the_dead.try_lock() else { return };
    if ended.is_some_and(|ended| ended.elapsed() < PAUSE) {
        return;
    }
    end_all(shared);
    *ended = Some(Instant::now());
}

fn end_all(shared: &Shared) {
    let members = match members(shared) {
        Ok(members) => members,
        Err(error) => return tracing::warn!(target: "kafka", "an open transaction stands in the way; {error}"),
    };
    let dead: Vec<String> = {
        let lives = shared.lives();
        let open = lives.open_hubs().into_iter().filter(|hub| *hub != shared.settings.transactional_id);
        open.filter(|hub| !members.contains(*hub)).map(str::to_owned).collect()
    };
    for hub in dead {
        match end(shared, &hub) {
            Ok(()) => tracing::warn!(target: "kafka", "hub {hub} is gone: what it had left open is ended"),
            Err(error) => tracing::warn!(target: "kafka", "what hub {hub} has left open cannot be ended: {error}"),
        }
    }
}

/// The hubs that are members of the group now.
pub(crate) fn members(shared: &Shared) -> Result<BTreeSet<String>, Error> {
    let consumer = client::consumer(&shared.settings, "read_committed", false)?;
    let group = client::group(&shared.settings);
    let found = consumer.fetch_group_list(Some(group), STEP).map_err(|error| io("the group cannot be seen", &error))?;
    let members = found.groups().iter().filter(|one| one.name() == group).flat_map(|one| one.members());
    Ok(members.map(|member| member.client_id().to_owned()).collect())
}

fn end(shared: &Shared, hub: &str) -> Result<(), Error> {
    let producer = client::producer(&shared.settings, hub)?;
    producer.init_transactions(STEP).map_err(|error| io("its transactional id cannot be taken", &error))
}
