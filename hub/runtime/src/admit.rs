//! Admission: between a source's `next` and the durable append. A bounded parse, the case, the keys, and the leading steps
//! that only judge.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use hub_backbone::{Place, Topic};
use hub_core::journal::{Parked, ParkedKind, What};
use hub_core::{
    Applied, Case, Incoming, Lane, Media, Message, MessageId, Problem, Scope, Span, StepError, Value, Verdict, header,
    read_json,
};
use hub_route::expression::{Program, Roots};
use hub_route::plan::{CasePlan, Op, OpKind, Plan};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokio::sync::Mutex;

use crate::Error;
use crate::batch::{Batch, event_of};
use crate::hub::Shared;
use crate::interpret::case_of;
use crate::process::refusal_evidence;
use crate::record::{ParkedWork, Work, owned_id};
use crate::routes::Route;

/// Longest key, lane or case id, in bytes.
const KEY_MAX: usize = 512;

/// Largest headers, names and values together, in bytes.
const HEADERS_MAX: usize = 64 * 1024;

/// Serialises the check of keys with the commit that writes them. Judging is done before, outside of it.
#[derive(Default)]
pub(crate) struct Admission(Mutex<()>);

/// What is remembered about a transport key, or about a business operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    id: MessageId,
    case: String,
    sha256: String,
    at: Timestamp,
}

/// A message that has been judged, and what it will be known by.
struct Judged {
    incoming: Incoming,
    sha256: String,
    result: Result<Admitted, Vec<Problem>>,
}

/// What a message that is right becomes.
struct Admitted {
    case: Case,
    lane: String,
    business: Option<String>,
    /// Leading operations that have judged it and need not do so again.
    judged: usize,
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
        verdicts.push(take(shared, route, &mut batch, judged, now).await?);
    }
    if let Some(cursor) = cursor {
        batch.put(cursor_place(shared, &route.plan.route), "cursor", &route.plan.route, &cursor);
    }
    if !batch.is_empty() {
        let _ = batch.commit().await?;
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

// -- judging: pure but for reading the message -------------------------------------------------------------------------

async fn judge(shared: &Shared, route: &Route, incoming: Incoming, now: Timestamp) -> Result<Judged, Error> {
    let sha256 = incoming.body.sha256();
    let result = match bounded(&incoming, shared.limits.body_max) {
        Err(problem) => Err(vec![problem]),
        Ok(()) => admitted(shared, route, &incoming, now).await?,
    };
    Ok(Judged { incoming, sha256, result })
}

/// Limits before parsing; what a source itself says about a file that it could not hand over whole.
fn bounded(incoming: &Incoming, bytes_max: usize) -> Result<(), Problem> {
    if let Some(problem) = incoming.headers.get("file-problem") {
        return Err(Problem::at("file", "", problem.clone()));
    }
    let headers: usize = incoming.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers > HEADERS_MAX {
        let detail = format!("headers have {headers} bytes, at most {HEADERS_MAX} are allowed");
        return Err(Problem::at("admission.headers", "", detail));
    }
    let body = &incoming.body;
    if body.media == Media::Json {
        return read_json(&body.bytes, bytes_max).map(drop).map_err(|detail| Problem::at("json", "", detail));
    }
    if body.bytes.len() > bytes_max {
        let detail = format!("body has {} bytes, at most {bytes_max} are allowed", body.bytes.len());
        return Err(Problem::at("size", "", detail));
    }
    Ok(())
}

async fn admitted(
    shared: &Shared,
    route: &Route,
    incoming: &Incoming,
    now: Timestamp,
) -> Result<Result<Admitted, Vec<Problem>>, Error> {
    let mut message = Message {
        id: incoming.id.clone(),
        lane: Lane(String::new()),
        case: Case::of_message(&incoming.id),
        headers: incoming.headers.clone(),
        body: incoming.body.clone(),
    };
    let bound = Value::Object(Map::new());
    let roots = Roots::new(&message, &Value::Null, &bound, now);
    let case = find_case(shared, route.plan.case.as_ref(), &roots, &message);
    // An amount that cannot be read is the judges' to tell, in the order's own words: for them the rest of the case is enough.
    let bare = route.plan.case.clone().map(|plan| CasePlan { amount: None, ..plan });
    let known = find_case(shared, bare.as_ref(), &roots, &message);
    if let Ok(case) = case.as_ref().or(known.as_ref()) {
        message.case = case.clone();
    }
    let entity = shared.entity(message.case.entity.as_deref());
    let mut judged = 0;
    for op in route.plan.segments.get("").map_or(&[][..], |s| &s.ops).iter().take(route.plan.judges) {
        // Without a case later judges would only repeat, in other words, what the first one says.
        if judged > 0 && known.is_err() {
            break;
        }
        match run_judge(shared, route, op, message.clone(), (now, &entity, &bound)).await {
            Ok(true) => judged += 1,
            Ok(false) => break,
            Err(problems) => return Ok(Err(problems)),
        }
    }
    let case = match case {
        Ok(case) => case,
        Err(problem) => return Ok(Err(vec![problem])),
    };
    let roots = Roots::new(&message, &entity, &bound, now);
    Ok(keys(&route.plan, &roots, case, judged).map_err(|problem| vec![problem]))
}

/// Whether a judge has judged: one that cannot for now, or whose result is bound, does so in the route, where it can wait,
/// and all that follow with it.
async fn run_judge(
    shared: &Shared,
    route: &Route,
    op: &Op,
    message: Message,
    (now, entity, bound): (Timestamp, &Value, &Value),
) -> Result<bool, Vec<Problem>> {
    let OpKind::Step { params, bind: None, .. } = &op.what else { return Ok(false) };
    let Some(step) = route.step(&op.place) else { return Ok(false) };
    let roots = Roots::new(&message, entity, bound, now);
    let value = |(name, program): &(String, Program)| match program.eval(&roots) {
        Ok(value) => Ok((name.clone(), value)),
        Err(error) => Err(vec![Problem::at("expression", "", format!("step {}: {error}", op.place))]),
    };
    let params = Value::Object(params.iter().map(value).collect::<Result<Map<_, _>, _>>()?);
    let scope = Scope { now, entity, params: &params, bound };
    let work = AssertUnwindSafe(step.apply(message, &scope)).catch_unwind();
    match tokio::time::timeout(shared.limits.step, work).await {
        Ok(Ok(Ok(Applied { .. }))) => Ok(true),
        Ok(Ok(Err(StepError::Invalid(problems)))) => Err(problems),
        Ok(Ok(Err(StepError::Unavailable(_)))) | Err(_) => Ok(false),
        Ok(Err(_)) => Err(vec![Problem::at("step.panic", "", format!("step {} failed on this message", op.place))]),
    }
}

fn find_case(shared: &Shared, plan: Option<&CasePlan>, roots: &Roots, message: &Message) -> Result<Case, Problem> {
    let Some(case_plan) = plan else { return Ok(Case::of_message(&message.id)) };
    let case = case_of(case_plan, roots).map_err(|e| Problem::at("admission.case", "", e.to_string()))?;
    match &case.entity {
        Some(entity) if shared.entities.get(entity).is_none() => {
            let detail = format!("{}: `{entity}` is not in config/entities.yaml", case.id);
            Err(Problem::at("admission.entity", "", detail))
        }
        _ => Ok(case),
    }
}

fn keys(plan: &Plan, roots: &Roots, case: Case, judged: usize) -> Result<Admitted, Problem> {
    let text = |program: &Program, code: &str| match program.eval(roots) {
        Ok(Value::String(text)) if text.len() <= KEY_MAX => Ok(text),
        Ok(Value::String(text)) => Err(Problem::at(code, "", too_long(&program.text, text.len()))),
        Ok(other) => Err(Problem::at(code, "", format!("`{}` gave {other}, not text", program.text))),
        Err(error) => Err(Problem::at(code, "", error.to_string())),
    };
    let lane = plan.lane.as_ref().map(|lane| text(lane, "admission.lane")).transpose()?;
    let business = plan.idempotent.as_ref().map(|plan| text(&plan.key, "admission.key")).transpose()?;
    if case.id.len() > KEY_MAX {
        return Err(Problem::at("admission.case", "", too_long("case.id", case.id.len())));
    }
    Ok(Admitted { lane: lane.unwrap_or_else(|| case.id.clone()), case, business, judged })
}

fn too_long(expression: &str, bytes: usize) -> String {
    format!("`{expression}` gave a text of {bytes} bytes, at most {KEY_MAX} are allowed")
}

// -- taking: keys, append ---------------------------------------------------------------------------------------------------

async fn take(
    shared: &Shared,
    route: &Route,
    batch: &mut Batch<'_>,
    judged: Judged,
    now: Timestamp,
) -> Result<Verdict, Error> {
    let transport = transport_key(&route.plan.route, &judged.incoming);
    let home = batch.place(Topic::INBOX, &transport);
    if let Some(taken) = batch.get::<Taken>(home, "transport", &transport).await? {
        return match again(&taken, &judged) {
            Verdict::Conflict { detail } if !judged.incoming.answerable => {
                let problem = Problem::at("admission.conflict", "", detail);
                park(shared, route, batch, judged, &[problem], now).await
            }
            verdict => Ok(verdict),
        };
    }
    let admitted = match &judged.result {
        Ok(admitted) => admitted,
        Err(problems) if judged.incoming.answerable => return Ok(Verdict::Refused { problems: problems.clone() }),
        Err(problems) => {
            let problems = problems.clone();
            return park(shared, route, batch, judged, &problems, now).await;
        }
    };
    let taken = Taken {
        id: judged.incoming.id.clone(),
        case: admitted.case.id.clone(),
        sha256: judged.sha256.clone(),
        at: now,
    };
    if let Some(key) = &admitted.business {
        let place = batch.place(Topic::INBOX, key);
        match batch.get::<Taken>(place, "business", key).await? {
            Some(first) if judged.incoming.answerable => return Ok(collision(key, &first)),
            Some(first) => {
                let problem = Problem::at("admission.duplicate", "", collision_text(key, &first));
                return park(shared, route, batch, judged, &[problem], now).await;
            }
            None => batch.put(place, "business", key, &taken),
        }
    }
    batch.put(home, "transport", &transport, &taken);
    let work = work_of(shared, route, &judged.incoming, admitted.case.clone(), admitted.lane.clone(), now).await?;
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
    shared: &Shared,
    route: &Route,
    incoming: &Incoming,
    case: Case,
    lane: String,
    now: Timestamp,
) -> Result<Work, Error> {
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
        body: shared.store_body(&incoming.body).await?,
        bound: Value::Object(Map::new()),
        base: None,
        failures: 0,
        era: shared.recovering.era.clone(),
        admitted: (!shared.recovering.era.is_empty()).then_some(now),
    })
}

/// Keeps a message that is not admitted and whose sender cannot be told: raw bytes and all reasons, for a person.
async fn park(
    shared: &Shared,
    route: &Route,
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
    let work = work_of(shared, route, &incoming, case, lane, now).await?;
    let mut evidence = refusal_evidence(problems);
    evidence["headers"] = json!(incoming.headers);
    let parked = Parked {
        id: id.clone(),
        kind: ParkedKind::Refused,
        reason: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        evidence,
        sha256: shared.blobs.put(&incoming.body.bytes).await?,
        mime: incoming.body.media.mime().to_string(),
    };
    batch.tell(&work, now, What::Parked(parked));
    batch.put(place, "parked", &id, &ParkedWork { kind: ParkedKind::Refused, work });
    Ok(Verdict::Parked { id: incoming.id })
}
