//! Admission: between a source's `next` and the durable append. A bounded parse, the case, the keys, and the leading steps
//! that only judge.
//!
//! `judge` finds out what a message is and whether it is right; here stand the keys, the append and the verdict.

mod judge;

use std::sync::Arc;
use std::time::Duration;

use hub_backbone::{Place, Topic};
use hub_core::journal::{Parked, ParkedKind, What};
use hub_core::{Case, Incoming, MessageId, Problem, Span, Value, Verdict, header};
use hub_failpoint::{Point, at as failpoint};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::Error;
use crate::batch::{Batch, event_of};
use crate::hub::Shared;
use crate::interpret::SeenBy;
use crate::process::refusal_evidence;
use crate::record::{ParkedWork, Work, decode, owned_id};
use crate::routes::Route;

use judge::{Judged, judge};

/// Serialises the check of keys with the commit that writes them. Judging is done before, outside of it.
#[derive(Default)]
pub(crate) struct Admission(Mutex<()>);

impl Admission {
    /// Keeps admission away from keys while the guard lives.
    pub(crate) async fn lock(&self) -> MutexGuard<'_, ()> {
        self.0.lock().await
    }
}

/// What is remembered about a transport key, or about a business operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    id: MessageId,
    case: String,
    sha256: String,
    at: Timestamp,
    /// The key may be forgotten then, if the message is over.
    #[serde(default)]
    until: Option<Timestamp>,
}

impl Taken {
    fn for_term(self, term: Duration) -> Self {
        Self { until: Some(self.at.checked_add(term).unwrap_or(Timestamp::MAX)), ..self }
    }
}

/// Any key that is remembered: the message it stands for, and until when.
pub(crate) struct Remembered {
    pub(crate) message: String,
    pub(crate) case: String,
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
}

/// Reads a remembered key of one of the spaces `transport`, `business` and `seen`; `None`: it has no term.
pub(crate) fn remembered(space: &str, key: &str, bytes: &[u8]) -> Result<Option<Remembered>, Error> {
    let what = format!("{space} {key}");
    if space == "seen" {
        return Ok(match decode(&what, bytes)? {
            SeenBy::Term { by, case, at, until } => Some(Remembered { message: by, case, at, until: Some(until) }),
            SeenBy::Message(_) => None,
        });
    }
    let Taken { id, case, at, until, .. } = decode(&what, bytes)?;
    Ok(Some(Remembered { message: id.to_string(), case, at, until }))
}

/// Admits a batch: durable on return. One verdict for each message.
pub(crate) async fn admit(
    shared: &Shared,
    route: &Arc<Route>,
    messages: Vec<Incoming>,
    cursor: Option<Value>,
) -> Result<Vec<Verdict>, Error> {
    let now = shared.clock.now();
    let mut judged = Vec::with_capacity(messages.len());
    for incoming in messages {
        judged.push(judge(shared, route, incoming, now).await?);
    }
    let _one = shared.admission.0.lock().await;
    let mut batch = Batch::new(shared.claims());
    let mut verdicts = Vec::with_capacity(judged.len());
    for judged in judged {
        verdicts.push(take(Door { shared, route }, &mut batch, judged, now).await?);
    }
    if let Some(cursor) = cursor {
        batch.put(cursor_place(shared, &route.plan.route), "cursor", &route.plan.route, &cursor);
    }
    if !batch.is_empty() {
        failpoint(Point::AdmitCommit);
        let _ = batch.commit().await?;
        failpoint(Point::AdmitCommitted);
    }
    Ok(verdicts)
}

/// Whether there is no room for more work of a route.
pub(crate) async fn is_full(shared: &Shared, route: &Route) -> Result<bool, Error> {
    if route.only_sends() && shared.gauges.unsent() > shared.limits.unsent_max {
        return Ok(true);
    }
    for partition in 0..shared.backbone.partitions() {
        let place = Place::new(Topic::INBOX, partition);
        let waiting = shared.backbone.end(place).await?.saturating_sub(shared.backbone.position(place).await?);
        if waiting > shared.limits.backlog_max {
            return Ok(true);
        }
    }
    Ok(false)
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

fn cursor_place(shared: &Shared, route: &str) -> Place {
    Place::of_key(Topic::INBOX, route, shared.backbone.partitions())
}

/// Where a message comes in.
#[derive(Clone, Copy)]
struct Door<'a> {
    shared: &'a Shared,
    route: &'a Route,
}

async fn take(door: Door<'_>, batch: &mut Batch<'_>, judged: Judged, now: Timestamp) -> Result<Verdict, Error> {
    let route = door.route;
    let transport = transport_key(&route.plan.route, &judged.incoming);
    let home = batch.place(Topic::INBOX, &transport);
    if let Some(taken) = batch.get::<Taken>(home, "transport", &transport).await? {
        return match again(&taken, &judged) {
            Verdict::Conflict { detail } if !judged.incoming.answerable => {
                let problem = Problem::at("admission.conflict", "", detail);
                park(door, batch, judged, &[problem], now).await
            }
            verdict => Ok(verdict),
        };
    }
    let admitted = match &judged.result {
        Ok(admitted) => admitted,
        Err(problems) if judged.incoming.answerable => return Ok(Verdict::Refused { problems: problems.clone() }),
        Err(problems) => {
            let problems = problems.clone();
            return park(door, batch, judged, &problems, now).await;
        }
    };
    let taken = Taken {
        id: judged.incoming.id.clone(),
        case: admitted.case.id.clone(),
        sha256: judged.sha256.clone(),
        at: now,
        until: None,
    };
    let remember = route.plan.idempotent.as_ref().map_or(Duration::ZERO, |plan| plan.remember.0);
    if let Some(key) = &admitted.business {
        let place = batch.place(Topic::INBOX, key);
        match batch.get::<Taken>(place, "business", key).await? {
            Some(first) if judged.incoming.answerable => return Ok(collision(key, &first)),
            Some(first) => {
                let problem = Problem::at("admission.duplicate", "", collision_text(key, &first));
                return park(door, batch, judged, &[problem], now).await;
            }
            None => batch.put(place, "business", key, &taken.clone().for_term(remember)),
        }
    }
    let term = remember.max(door.shared.limits.transport_keys);
    batch.put(home, "transport", &transport, &taken.clone().for_term(term));
    let work = work_of(batch, door, &judged.incoming, (admitted.case.clone(), admitted.lane.clone()), now).await?;
    let source = judged.incoming.headers.get(header::ORIGIN).cloned().unwrap_or_default();
    batch.event(event_of(
        &work,
        now,
        What::Received {
            source: format!("{} {source}", route.plan.source.kind).trim().to_string(),
            sender: judged.incoming.headers.get(header::SENDER).cloned().unwrap_or_default(),
            sha256: taken.sha256,
            bytes: judged.incoming.body.bytes.len() as u64,
        },
    ));
    batch.work(Work { skip: admitted.judged, ..work });
    Ok(Verdict::Stored { id: taken.id, case: taken.case, again: false })
}

/// What a delivery is known by: the sender's key, or the message's own identity.
fn transport_key(route: &str, incoming: &Incoming) -> String {
    match &incoming.key {
        Some(key) => format!("{route}\u{1f}key\u{1f}{}\u{1f}{}", key.sender, key.key),
        None => format!("{route}\u{1f}id\u{1f}{}", incoming.id),
    }
}

fn again(taken: &Taken, judged: &Judged) -> Verdict {
    if taken.sha256 == judged.sha256 {
        return Verdict::Stored { id: taken.id.clone(), case: taken.case.clone(), again: true };
    }
    Verdict::Conflict { detail: format!("this key was used at {} with other content (message {})", taken.at, taken.id) }
}

fn collision(key: &str, first: &Taken) -> Verdict {
    Verdict::Conflict { detail: collision_text(key, first) }
}

fn collision_text(key: &str, first: &Taken) -> String {
    format!(
        "operation `{key}` was taken at {} as message {} (case {}); send a new revision if it is meant to change",
        first.at, first.id, first.case
    )
}

async fn work_of(
    batch: &mut Batch<'_>,
    Door { shared, route }: Door<'_>,
    incoming: &Incoming,
    (case, lane): (Case, String),
    now: Timestamp,
) -> Result<Work, Error> {
    let era = &shared.recovering.era;
    Ok(Work {
        id: incoming.id.clone(),
        route: route.plan.route.clone(),
        version: route.plan.version.clone(),
        segment: String::new(),
        skip: 0,
        at: now,
        lane,
        case,
        headers: incoming.headers.clone(),
        body: batch.store_body(&incoming.body).await?,
        bound: Value::Object(Map::new()),
        base: None,
        failures: 0,
        era: era.clone(),
        admitted: (!era.is_empty()).then_some(now),
    })
}

/// Keeps a message that is not admitted and whose sender cannot be told: raw bytes and all reasons, for a person.
async fn park(
    door: Door<'_>,
    batch: &mut Batch<'_>,
    judged: Judged,
    problems: &[Problem],
    now: Timestamp,
) -> Result<Verdict, Error> {
    let Judged { incoming, sha256, .. } = judged;
    let case = Case::of_message(&incoming.id);
    let lane = case.id.clone();
    let place = batch.place(Topic::INBOX, &lane);
    // With its content: one file may be refused, be mended, and be refused again.
    let short = sha256.get(..8).unwrap_or_default();
    let id = owned_id(place, &format!("{}.{short}.refused", incoming.id));
    if batch.get::<ParkedWork>(place, "parked", &id).await?.is_some() {
        return Ok(Verdict::Parked { id: incoming.id });
    }
    let work = work_of(batch, door, &incoming, (case, lane), now).await?;
    let mut evidence = refusal_evidence(problems);
    evidence["headers"] = json!(incoming.headers);
    let parked = Parked {
        id: id.clone(),
        kind: ParkedKind::Refused,
        reason: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        evidence,
        sha256: batch.keep(&incoming.body.bytes).await?,
        mime: incoming.body.media.mime().to_string(),
    };
    batch.tell(&work, now, What::Parked(parked));
    batch.put(place, "parked", &id, &ParkedWork { kind: ParkedKind::Refused, work });
    Ok(Verdict::Parked { id: incoming.id })
}
