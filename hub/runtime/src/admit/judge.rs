//! What a message is, and whether it is right: pure but for reading it. Nothing is written here.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use hub_core::{Applied, Case, Incoming, Lane, Media, Message, Problem, Scope, StepError, Value, read_json};
use hub_route::expression::{Program, Roots};
use hub_route::plan::{CasePlan, Op, OpKind, Plan};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::Error;
use crate::hub::Shared;
use crate::interpret::case_of;
use crate::routes::Route;

/// Longest key, lane or case id, in bytes.
const KEY_MAX: usize = 512;

/// Largest headers, names and values together, in bytes.
const HEADERS_MAX: usize = 64 * 1024;

/// A message that has been judged, and what it will be known by.
pub(super) struct Judged {
    pub(super) incoming: Incoming,
    pub(super) sha256: String,
    pub(super) result: Result<Admitted, Vec<Problem>>,
}

/// What a message that is right becomes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Admitted {
    pub(super) case: Case,
    pub(super) lane: String,
    pub(super) business: Option<String>,
    /// Leading operations that have judged it and need not do so again.
    pub(super) judged: usize,
}

/// Judges one message; an error is the hub's, never the message's.
pub(super) async fn judge(shared: &Shared, route: &Route, incoming: Incoming, now: Timestamp) -> Result<Judged, Error> {
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
