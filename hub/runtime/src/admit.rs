//! Admission: between a source's `next` and the durable append. A bounded parse, the case, the keys, and the leading steps
//! that only judge.
//!
//! `judge` finds out what a message is and whether it is right; here it is taken, together with its keys, if this hub owns the
//! slots of all of them. If not, its offer travels to the hub that does (`offer`), and the verdict comes back.

mod judge;
mod offer;
mod take;

pub(crate) use offer::{Offer, Offered};
pub(crate) use take::{Decision, Remembered, remembered, settle_key, take};

use std::sync::Arc;

use hub_backbone::{Error as LogError, Place, Term, Topic};
use hub_core::{Incoming, Span, Value, Verdict};
use hub_failpoint::{Point, at as failpoint};

use crate::Error;
use crate::batch::Batch;
use crate::hub::Shared;
use crate::routes::Route;

use judge::judge;

/// Where a polling source stands now, and the term of its slot in which it was opened.
pub(crate) struct Cursor {
    pub(crate) value: Value,
    pub(crate) term: Term,
}

/// Admits a batch: durable on return. One verdict for each message.
pub(crate) async fn admit(
    shared: &Shared,
    route: &Arc<Route>,
    messages: Vec<Incoming>,
    cursor: Option<Cursor>,
) -> Result<Vec<Verdict>, Error> {
    let now = shared.clock.now();
    let mut judged = Vec::with_capacity(messages.len());
    for incoming in messages {
        judged.push(judge(shared, route, incoming, now).await?);
    }
    let mut batch = Batch::new(shared.claims());
    batch.lock_keys(&shared.keys).await;
    let mut said = Vec::with_capacity(judged.len());
    for judged in judged {
        let offer = Offer::new(shared, route, judged, now, &mut batch).await?;
        said.push(offer::put(shared, &mut batch, offer).await?);
    }
    if let Some(Cursor { value, term }) = cursor {
        let place = cursor_place(shared, &route.plan.route);
        batch.rely_on(place.partition, term);
        batch.put(place, "cursor", &route.plan.route, &value);
    }
    if !batch.is_empty() {
        failpoint(Point::AdmitCommit);
        match batch.commit().await {
            // a slot went to another hub meanwhile: nothing was written, and the next try finds its owner
            Err(Error::Backbone(LogError::Lost { .. })) => return Ok(busy(said.len())),
            written => drop(written?),
        }
        failpoint(Point::AdmitCommitted);
    }
    Ok(offer::verdicts(shared, said).await)
}

/// Whether there is no room for more work of a route.
pub(crate) async fn is_full(shared: &Shared, route: &Route) -> Result<bool, Error> {
    if route.only_sends() && shared.gauges.unsent() > shared.limits.unsent_max {
        return Ok(true);
    }
    for slot in shared.slots() {
        if backlog(shared, Place::new(Topic::INBOX, slot)).await? > shared.limits.backlog_max {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn backlog(shared: &Shared, place: Place) -> Result<u64, Error> {
    match (shared.backbone.end(place).await, shared.backbone.position(place).await) {
        (Err(LogError::Lost { .. }), _) | (_, Err(LogError::Lost { .. })) => Ok(0),
        (end, position) => Ok(end?.saturating_sub(position?)),
    }
}

/// The verdicts on a batch for which there is no room.
pub(crate) fn busy(count: usize) -> Vec<Verdict> {
    vec![Verdict::Busy { retry_after: Span(std::time::Duration::from_secs(5)) }; count]
}

/// Where a polling source stood.
pub(crate) async fn cursor(shared: &Shared, route: &str) -> Result<Value, Error> {
    let batch = Batch::new(shared.claims());
    Ok(batch.get::<Value>(cursor_place(shared, route), "cursor", route).await?.unwrap_or_default())
}

pub(crate) fn cursor_place(shared: &Shared, route: &str) -> Place {
    Place::of_key(Topic::INBOX, route, shared.backbone.partitions())
}
